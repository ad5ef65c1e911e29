//! What the exporter knows of its cluster. Synchronous: sources feed it, documents are rendered from it.

use std::collections::BTreeMap;

use super::object::{Data, Kind, Object, ObjectKey};
use crate::api::kubernetes::{NAMESPACE, Node, Pod, Service};

/// A change in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An object appeared or changed.
    Apply(Box<Object>),
    /// An object is gone.
    Delete(ObjectKey),
    /// Everything there is of a kind. Objects of another kind in the list are ignored.
    Reset(Kind, Vec<Object>),
}

/// Everything known, by kind.
#[derive(Debug, Default)]
pub struct Index {
    objects: BTreeMap<ObjectKey, Object>,
    synced: Vec<Kind>,
}

impl Index {
    /// Takes a change in.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::Apply(object) => self.apply(*object),
            Event::Delete(key) => self.delete(&key),
            Event::Reset(kind, objects) => self.reset(kind, objects),
        }
    }

    /// An object appeared or changed.
    pub fn apply(&mut self, object: Object) {
        self.objects.insert(object.key(), object);
    }

    /// An object is gone.
    pub fn delete(&mut self, key: &ObjectKey) {
        self.objects.remove(key);
    }

    /// Replaces everything of a kind, which from now on counts as synced.
    pub fn reset(&mut self, kind: Kind, objects: Vec<Object>) {
        self.objects.retain(|key, _| key.kind != kind);
        let objects = objects.into_iter().map(|object| (object.key(), object));
        self.objects.extend(objects.filter(|(key, _)| key.kind == kind));
        if !self.synced.contains(&kind) {
            self.synced.push(kind);
        }
    }

    /// Whether all objects of the kind have been seen.
    #[must_use]
    pub fn is_synced(&self, kind: Kind) -> bool {
        self.synced.contains(&kind)
    }

    /// Kinds that have not been seen as a whole yet.
    #[must_use]
    pub fn unsynced(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|&kind| !self.is_synced(kind)).collect()
    }

    /// Services by namespace and name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.objects.values().filter_map(|object| match object {
            Object::Service(service) => Some(service),
            _ => None,
        })
    }

    /// Pods by namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.objects.values().filter_map(|object| match object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        })
    }

    /// Nodes by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.objects.values().filter_map(|object| match object {
            Object::Node(node) => Some(node),
            _ => None,
        })
    }

    /// A ConfigMap or Secret of the module's namespace.
    #[must_use]
    pub fn data(&self, kind: Kind, name: &str) -> Option<&Data> {
        let key = ObjectKey { kind, namespace: NAMESPACE.to_owned(), name: name.to_owned() };
        match self.objects.get(&key) {
            Some(Object::Data(data)) => Some(data),
            _ => None,
        }
    }

    /// A member of a ConfigMap or Secret of the module's namespace.
    #[must_use]
    pub fn member(&self, kind: Kind, name: &str, member: &str) -> Option<&str> {
        self.data(kind, name)?.entries.get(member).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kubernetes::ObjectMeta;

    fn node(name: &str) -> Object {
        Object::Node(Node {
            metadata: ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() },
            ..Node::default()
        })
    }

    fn service(name: &str) -> Object {
        let metadata = ObjectMeta { name: name.to_owned(), namespace: Some("xyz".to_owned()), ..ObjectMeta::default() };
        Object::Service(Service { metadata, ..Service::default() })
    }

    fn names(index: &Index) -> Vec<&str> {
        index.nodes().map(|node| node.metadata.name.as_str()).collect()
    }

    #[test]
    fn objects_come_go_and_are_sorted() {
        let mut index = Index::default();
        for name in ["c", "a", "b", "a"] {
            index.handle(Event::Apply(Box::new(node(name))));
        }
        assert_eq!(names(&index), ["a", "b", "c"]);
        index.handle(Event::Delete(node("b").key()));
        index.handle(Event::Delete(service("a").key()));
        assert_eq!(names(&index), ["a", "c"]);
    }

    #[test]
    fn a_reset_replaces_its_kind_alone() {
        let mut index = Index::default();
        index.apply(node("old"));
        index.apply(service("kept"));
        index.handle(Event::Reset(Kind::Node, vec![node("new"), service("stray")]));
        assert_eq!(names(&index), ["new"]);
        let services: Vec<_> = index.services().map(|service| service.metadata.name.as_str()).collect();
        assert_eq!(services, ["kept"]);
    }

    #[test]
    fn only_a_reset_makes_a_kind_synced() {
        let mut index = Index::default();
        index.apply(node("a"));
        assert_eq!(index.unsynced(), Kind::ALL);
        index.reset(Kind::Node, vec![]);
        index.reset(Kind::Node, vec![]);
        assert_eq!(index.unsynced(), [Kind::Service, Kind::Pod, Kind::ConfigMap, Kind::Secret]);
        for kind in Kind::ALL {
            index.reset(kind, vec![]);
        }
        assert_eq!(index.unsynced(), []);
    }
}
