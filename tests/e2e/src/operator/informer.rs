//! Snapshots of bindings: each has an informer that lists, watches, filters and recovers from errors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context, bail};
use futures_util::StreamExt;
use istio_federation_sim::cluster::selector::{FieldOperator, LabelOperator, Labels, Selector};
use istio_federation_sim::operator::config::Hook;
use istio_federation_sim::operator::context;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_local};

use super::log;

/// Namespace and name.
type Name = (String, String);

/// An object of a snapshot, and the filtered text whose change causes an event.
type Shown = (Value, String);

/// Current objects of one binding.
#[derive(Default)]
pub(super) struct Store {
    parts: RefCell<Vec<BTreeMap<Name, Shown>>>,
}

impl Store {
    /// The snapshot: by namespace, then by name.
    pub(super) fn snapshot(&self) -> Value {
        let parts = self.parts.borrow();
        let mut items: Vec<_> = parts.iter().flatten().collect();
        items.sort_by_key(|(name, _)| *name);
        Value::Array(items.into_iter().map(|(_, (item, _))| item.clone()).collect())
    }
}

/// Starts the informers of a binding, and waits until they have listed. `on_event` is called for every later change.
pub(super) async fn start(
    client: &Client,
    hook: &Rc<Hook>,
    binding: usize,
    tasks: &RefCell<JoinSet<()>>,
    on_event: Rc<dyn Fn()>,
) -> anyhow::Result<Rc<Store>> {
    let selector = &hook.bindings[binding].selector;
    let resource = resource(client, selector).await?;
    let parts = parts(selector)?;
    let store = Rc::new(Store { parts: RefCell::new(vec![BTreeMap::new(); parts.len()]) });
    for (part, (namespace, config)) in parts.into_iter().enumerate() {
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let (listed, wait) = oneshot::channel();
        let informer = Informer {
            hook: hook.clone(),
            binding,
            store: store.clone(),
            part,
            resource: resource.clone(),
            on_event: on_event.clone(),
        };
        tasks.borrow_mut().spawn_local(informer.run(api, config, listed));
        wait.await.context("the informer ended")??;
    }
    Ok(store)
}

/// The resource of a selector's kind.
async fn resource(client: &Client, selector: &Selector) -> anyhow::Result<ApiResource> {
    let version = selector.api_version.as_deref().context("the stand-in needs the apiVersion of a binding")?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, &selector.kind);
    let (resource, _) = discovery::pinned_kind(client, &kind)
        .await
        .with_context(|| format!("cannot watch {}: the API server does not serve it", selector.kind))?;
    Ok(resource)
}

/// One watch per namespace and name.
fn parts(selector: &Selector) -> anyhow::Result<Vec<(Option<String>, watcher::Config)>> {
    let mut config = watcher::Config::default();
    if let Some(labels) = selector.label_selector.as_ref().map(label_selector).filter(|text| !text.is_empty()) {
        config = config.labels(&labels);
    }
    let fields: Vec<String> = selector
        .field_selector
        .iter()
        .flat_map(|fields| &fields.match_expressions)
        .map(|wanted| {
            let operator = match wanted.operator {
                FieldOperator::Equals => "=",
                FieldOperator::NotEquals => "!=",
            };
            format!("{}{operator}{}", wanted.field, wanted.value)
        })
        .collect();
    let namespaces = match &selector.namespace {
        Some(namespaces) if namespaces.label_selector.is_some() => {
            bail!("the stand-in does not support namespace.labelSelector")
        }
        Some(namespaces) => namespaces.name_selector.as_ref().map_or(&[][..], |names| &names.match_names),
        None => &[],
    };
    let names = selector.name_selector.as_ref().map_or(&[][..], |names| &names.match_names);
    let mut parts = Vec::new();
    for namespace in or_none(namespaces) {
        for name in or_none(names) {
            let mut fields = fields.clone();
            fields.extend(name.map(|name| format!("metadata.name={name}")));
            let config = if fields.is_empty() { config.clone() } else { config.clone().fields(&fields.join(",")) };
            parts.push((namespace.cloned(), config));
        }
    }
    Ok(parts)
}

fn or_none(list: &[String]) -> Vec<Option<&String>> {
    if list.is_empty() { vec![None] } else { list.iter().map(Some).collect() }
}

fn label_selector(labels: &Labels) -> String {
    let equal = labels.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let required = labels.match_expressions.iter().map(|wanted| {
        let (key, values) = (&wanted.key, wanted.values.join(","));
        match wanted.operator {
            LabelOperator::In => format!("{key} in ({values})"),
            LabelOperator::NotIn => format!("{key} notin ({values})"),
            LabelOperator::Exists => key.clone(),
            LabelOperator::DoesNotExist => format!("!{key}"),
        }
    });
    equal.chain(required).collect::<Vec<_>>().join(",")
}

struct Informer {
    hook: Rc<Hook>,
    binding: usize,
    store: Rc<Store>,
    part: usize,
    resource: ApiResource,
    on_event: Rc<dyn Fn()>,
}

impl Informer {
    async fn run(self, api: Api<DynamicObject>, config: watcher::Config, listed: oneshot::Sender<anyhow::Result<()>>) {
        let mut listed = Some(listed);
        let mut list: Vec<(Name, anyhow::Result<Shown>)> = Vec::new();
        let mut events = watcher(api, config).default_backoff().boxed_local();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => list.clear(),
                Ok(Event::InitApply(object)) => list.push(self.look(object)),
                Ok(Event::InitDone) => {
                    let result = self.replace(std::mem::take(&mut list), listed.is_none());
                    if let Some(listed) = listed.take() {
                        let failed = result.is_err();
                        listed.send(result).ok();
                        if failed {
                            return;
                        }
                    }
                }
                Ok(Event::Apply(object)) => self.apply(object),
                Ok(Event::Delete(object)) => {
                    let (name, _) = self.look(object);
                    if self.store.parts.borrow_mut()[self.part].remove(&name).is_some() {
                        (self.on_event)();
                    }
                }
                Err(why) => log::error(&self.title(), format!("watch: {why}")),
            }
        }
    }

    fn title(&self) -> String {
        format!("{} {}", self.hook.name, self.hook.bindings[self.binding].name)
    }

    fn look(&self, mut object: DynamicObject) -> (Name, anyhow::Result<Shown>) {
        let name =
            (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default());
        object.metadata.managed_fields = None;
        object.types.get_or_insert_with(|| kube::core::TypeMeta {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
        });
        let shown = serde_json::to_value(&object)
            .map_err(anyhow::Error::from)
            .and_then(|object| Ok(context::item(&self.hook, &self.hook.bindings[self.binding], &object)?));
        (name, shown)
    }

    /// Replaces the objects by a new list. Filter errors fail the first list; later ones are logged.
    fn replace(&self, list: Vec<(Name, anyhow::Result<Shown>)>, is_later: bool) -> anyhow::Result<()> {
        let mut new = BTreeMap::new();
        for (name, shown) in list {
            match shown {
                Ok(shown) => {
                    new.insert(name, shown);
                }
                Err(why) if is_later => log::error(&self.title(), format!("{why:#}")),
                Err(why) => return Err(why),
            }
        }
        let old = std::mem::replace(&mut self.store.parts.borrow_mut()[self.part], new);
        let parts = self.store.parts.borrow();
        let filtered = |part: &BTreeMap<Name, Shown>| -> Vec<(Name, String)> {
            part.iter().map(|(name, (_, text))| (name.clone(), text.clone())).collect()
        };
        if is_later && filtered(&old) != filtered(&parts[self.part]) {
            (self.on_event)();
        }
        Ok(())
    }

    fn apply(&self, object: DynamicObject) {
        let (name, shown) = self.look(object);
        let shown = match shown {
            Ok(shown) => shown,
            Err(why) => return log::error(&self.title(), format!("{why:#}")),
        };
        let filtered = shown.1.clone();
        let old = self.store.parts.borrow_mut()[self.part].insert(name, shown);
        if old.is_none_or(|(_, old)| old != filtered) {
            (self.on_event)();
        }
    }
}

/// Calls `changed` after every change of the objects that `config` selects, and once at the beginning.
pub(super) fn watch(api: Api<DynamicObject>, config: watcher::Config, changed: impl Fn() + 'static) {
    spawn_local(async move {
        let mut events = watcher(api, config).default_backoff().boxed_local();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => changed(),
                Ok(Event::Init | Event::InitApply(_)) => {}
                Err(why) => log::error("settings", format!("watch: {why}")),
            }
        }
    });
}
