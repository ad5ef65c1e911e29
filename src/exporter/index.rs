//! The last known state of the cluster. Synchronous: sources feed it, documents are rendered from it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::inlet::Inlet;
use super::object::{Data, Object, ObjectKey};
use super::selection::Selection;
use crate::api::kubernetes::{Node, Pod, Service};

/// How long a selection may be unreadable before its state counts as stale. A restart of an API server or a broken
/// connection should change no document. But a document that is marked complete must not lack a Service for long that
/// another replica already lists: peers withdraw what such a document lacks.
pub(super) const STALE_AFTER: Duration = Duration::from_secs(10);

/// A change in the cluster, or in whether it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An object appeared or changed.
    Apply(Selection, Box<Object>),
    /// An object is gone.
    Delete(Selection, ObjectKey),
    /// All objects of a selection. Objects that do not belong to it are ignored.
    Reset(Selection, Vec<Object>),
    /// A selection cannot be read at the moment. Its last state stays.
    Failing(Selection, WatchFailure),
    /// Changes of the selection arrive again; none was missed.
    Current(Selection),
}

/// Why a selection cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchFailure {
    /// Changes may have been missed since then.
    pub(super) since: Instant,
    /// The problem and its cure.
    pub(super) problem: String,
}

#[derive(Debug, Default)]
struct Part {
    objects: BTreeMap<ObjectKey, Object>,
    synced: bool,
    failure: Option<WatchFailure>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    parts: BTreeMap<Selection, Part>,
}

impl Index {
    /// Applies a change. False if the state is the same: many changes of an object concern members that we do not keep.
    pub(super) fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::Apply(selection, object) => self.apply(selection, *object),
            Event::Delete(selection, key) => self.delete(selection, &key),
            Event::Reset(selection, objects) => self.reset(selection, objects),
            Event::Failing(selection, failure) => self.failing(selection, failure),
            Event::Current(selection) => self.part(selection).failure.take().is_some(),
        }
    }

    fn part(&mut self, selection: Selection) -> &mut Part {
        self.parts.entry(selection).or_default()
    }

    /// An object appeared or changed.
    pub(super) fn apply(&mut self, selection: Selection, object: Object) -> bool {
        let objects = &mut self.part(selection).objects;
        let key = object.key();
        if objects.get(&key) == Some(&object) {
            return false;
        }
        objects.insert(key, object);
        true
    }

    /// An object is gone.
    pub(super) fn delete(&mut self, selection: Selection, key: &ObjectKey) -> bool {
        self.part(selection).objects.remove(key).is_some()
    }

    /// Replaces a whole selection, which then counts as synced.
    pub(super) fn reset(&mut self, selection: Selection, objects: Vec<Object>) -> bool {
        let objects = objects.into_iter().filter(|object| selection.holds(object));
        let objects = objects.map(|object| (object.key(), object)).collect();
        let part = self.part(selection);
        let different = !part.synced || part.objects != objects;
        (part.objects, part.synced) = (objects, true);
        different
    }

    /// Keeps the start of a failure that goes on, and takes its latest reason.
    fn failing(&mut self, selection: Selection, failure: WatchFailure) -> bool {
        let known = &mut self.part(selection).failure;
        let since = known.as_ref().map_or(failure.since, |known| known.since.min(failure.since));
        let after = Some(WatchFailure { since, ..failure });
        let different = *known != after;
        *known = after;
        different
    }

    /// Whether the selection has been read as a whole.
    #[must_use]
    pub(super) fn is_synced(&self, selection: Selection) -> bool {
        self.parts.get(&selection).is_some_and(|part| part.synced)
    }

    /// Selections that have not been read as a whole yet.
    #[must_use]
    pub(super) fn unsynced(&self, inlet: Inlet) -> Vec<Selection> {
        Selection::needed(inlet).filter(|&selection| !self.is_synced(selection)).collect()
    }

    /// Selections that cannot be read at the moment, each with the reason.
    pub(super) fn failures(&self) -> impl Iterator<Item = (Selection, &WatchFailure)> {
        self.parts.iter().filter_map(|(&selection, part)| Some((selection, part.failure.as_ref()?)))
    }

    /// When the state becomes stale; `None` while nothing fails.
    #[must_use]
    pub(super) fn stale_from(&self) -> Option<Instant> {
        self.failures().map(|(_, failure)| failure.since + STALE_AFTER).min()
    }

    fn objects(&self, selection: Selection) -> impl Iterator<Item = &Object> {
        self.parts.get(&selection).into_iter().flat_map(|part| part.objects.values())
    }

    /// Services of a selection, by namespace and name.
    pub(super) fn services(&self, selection: Selection) -> impl Iterator<Item = &Service> {
        self.objects(selection).filter_map(|object| match object {
            Object::Service(service) => Some(service),
            _ => None,
        })
    }

    /// Pods of the gateway, by name.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.objects(Selection::GatewayPods).filter_map(|object| match object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        })
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.objects(Selection::Nodes).filter_map(|object| match object {
            Object::Node(node) => Some(node),
            _ => None,
        })
    }

    /// The ConfigMap or Secret of a selection that has only one.
    #[must_use]
    pub(super) fn data(&self, selection: Selection) -> Option<&Data> {
        self.objects(selection).find_map(|object| match object {
            Object::Data(data) => Some(data),
            _ => None,
        })
    }

    /// A member of that ConfigMap or Secret.
    #[must_use]
    pub(super) fn member(&self, selection: Selection, member: &str) -> Option<&str> {
        self.data(selection)?.entries.get(member).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit::manifests::exported;

    use super::*;
    use crate::api::kubernetes::ObjectMeta;

    fn node(name: &str) -> Object {
        Object::Node(Node {
            metadata: ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() },
            ..Node::default()
        })
    }

    fn service(name: &str, port: u16) -> Object {
        Object::read(exported("xyz", name, "http", port)).unwrap().unwrap()
    }

    fn names(index: &Index) -> Vec<&str> {
        index.nodes().map(|node| node.metadata.name.as_str()).collect()
    }

    fn failure(since: Instant, problem: &str) -> Event {
        Event::Failing(Selection::Nodes, WatchFailure { since, problem: problem.to_owned() })
    }

    #[test]
    fn objects_come_go_and_are_sorted() {
        let mut index = Index::default();
        let mut apply = |name| index.handle(Event::Apply(Selection::Nodes, Box::new(node(name))));
        assert_eq!(["c", "a", "b", "a"].map(&mut apply), [true, true, true, false]);
        assert_eq!(names(&index), ["a", "b", "c"]);
        assert!(index.handle(Event::Delete(Selection::Nodes, node("b").key())));
        assert!(!index.handle(Event::Delete(Selection::Nodes, node("b").key())));
        assert!(!index.handle(Event::Delete(Selection::GatewayPods, node("a").key())));
        assert_eq!(names(&index), ["a", "c"]);
    }

    #[test]
    fn a_reset_replaces_its_selection_alone() {
        let mut index = Index::default();
        index.apply(Selection::Nodes, node("old"));
        index.apply(Selection::GatewayServices, service("gateway", 80));
        index.apply(Selection::ExportedServices, service("old", 80));
        index.handle(Event::Reset(Selection::Nodes, vec![node("new"), service("stray", 80)]));
        index.handle(Event::Reset(Selection::ExportedServices, vec![service("new", 80)]));
        assert_eq!(names(&index), ["new"]);
        let services = |selection| index.services(selection).map(|service| &*service.metadata.name).collect::<Vec<_>>();
        assert_eq!(services(Selection::GatewayServices), ["gateway"]);
        assert_eq!(services(Selection::ExportedServices), ["new"]);
    }

    #[test]
    fn only_a_reset_makes_a_selection_synced() {
        let mut index = Index::default();
        index.apply(Selection::Nodes, node("a"));
        assert_eq!(index.unsynced(Inlet::NodePort), Selection::ALL);
        assert!(index.reset(Selection::Nodes, vec![node("a")]));
        assert!(!index.reset(Selection::Nodes, vec![node("a")]));
        let rest: Vec<_> = Selection::ALL.into_iter().filter(|&one| one != Selection::Nodes).collect();
        assert_eq!(index.unsynced(Inlet::NodePort), rest);
        for selection in Selection::needed(Inlet::LoadBalancer) {
            assert!(index.reset(selection, vec![]));
        }
        assert_eq!(index.unsynced(Inlet::LoadBalancer), []);
        assert_eq!(index.unsynced(Inlet::NodePort), [Selection::GatewayPods]);
    }

    #[test]
    fn a_failure_keeps_the_state_which_becomes_stale_from_its_start() {
        let mut index = Index::default();
        index.reset(Selection::Nodes, vec![node("a")]);
        assert_eq!(index.stale_from(), None);
        let begin = Instant::now();
        let later = begin + Duration::from_secs(5);
        assert!(index.handle(failure(begin, "broken")));
        assert!(!index.handle(failure(later, "broken")), "nothing new");
        assert!(index.handle(failure(later, "forbidden")));
        let failures: Vec<_> = index.failures().map(|(one, failure)| (one, failure.problem.as_str())).collect();
        assert_eq!(failures, [(Selection::Nodes, "forbidden")]);
        assert_eq!(index.stale_from(), Some(begin + STALE_AFTER));
        assert_eq!((names(&index), index.is_synced(Selection::Nodes)), (vec!["a"], true));
        assert!(index.handle(Event::Current(Selection::Nodes)));
        assert!(!index.handle(Event::Current(Selection::Nodes)));
        assert_eq!(index.stale_from(), None);
        index.handle(failure(later, "broken"));
        index.reset(Selection::Nodes, vec![]);
        assert!(index.stale_from().is_some(), "a list alone is outdated at once");
    }
}
