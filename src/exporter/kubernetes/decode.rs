//! From JSON of the API server to our objects. Only the members that we need are ever parsed, of a Secret only the named
//! ones.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use kube::core::Status;
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::super::index::Event;
use super::super::object::{Data, GATEWAY_LABEL, Kind, Object, ObjectError, ObjectKey, decoded, wanted_members};
use super::super::selection::Selection;
use crate::api::kubernetes::{
    Condition, Node, NodeSpec, NodeStatus, ObjectMeta, PUBLIC_SERVICE_LABEL, Pod, PodSpec, PodStatus, Service,
    ServiceSpec, ServiceStatus,
};

/// The labels that we read.
const LABELS: [&str; 2] = [PUBLIC_SERVICE_LABEL, GATEWAY_LABEL.0];

/// Not an answer of an API server. Shows nothing of its content, which may be a Secret.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum DecodeError {
    #[error("the answer of the API server cannot be read ({problem} error at column {column})")]
    Json { problem: &'static str, column: usize },
    #[error("the API server sent a watch event of an unknown type")]
    Type,
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        // serde's own message quotes the text, which may be a Secret.
        let problem = match error.classify() {
            serde_json::error::Category::Data => "type",
            _ => "syntax",
        };
        Self::Json { problem, column: error.column() }
    }
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    /// Version of the list as a whole.
    pub(super) version: String,
    /// Token of the next page.
    pub(super) next: Option<String>,
}

/// A line of a watch.
#[derive(Debug)]
pub(super) enum Line {
    /// A change, and the version after it.
    Change(Event, String),
    /// No change up to that version.
    Bookmark(String),
    /// The watch fails.
    Error(Box<Status>),
}

#[derive(Deserialize)]
struct List<'a> {
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue", default)]
    next: String,
}

#[derive(Deserialize)]
struct WatchEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: ListMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    resource_version: String,
    #[serde(borrow, default)]
    labels: Option<&'a RawValue>,
}

/// An object with a spec and a status.
#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default, T: Deserialize<'de> + Default"))]
struct Typed<'a, S, T> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(default)]
    spec: S,
    #[serde(default)]
    status: T,
}

/// A ConfigMap or Secret.
#[derive(Deserialize)]
struct Untyped<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads a page of a list.
pub(super) fn page(selection: Selection, body: &[u8]) -> Result<Page, DecodeError> {
    let list: List<'_> = serde_json::from_slice(body)?;
    let items = list.items.unwrap_or_default().into_iter();
    let objects: Result<_, DecodeError> = items.map(|item| object(selection, item).map(|(object, _)| object)).collect();
    let ListMeta { resource_version, next } = list.metadata;
    Ok(Page { objects: objects?, version: resource_version, next: (!next.is_empty()).then_some(next) })
}

/// Reads a line of a watch.
pub(super) fn line(selection: Selection, text: &[u8]) -> Result<Line, DecodeError> {
    let event: WatchEvent<'_> = serde_json::from_slice(text)?;
    match &*event.kind {
        "ADDED" | "MODIFIED" => {
            let (object, version) = object(selection, event.object)?;
            Ok(Line::Change(Event::Apply(selection, Box::new(object)), version))
        }
        "DELETED" => {
            let gone: Untyped<'_> = serde_json::from_str(event.object.get())?;
            let key = key(selection.kind(), &gone.metadata);
            Ok(Line::Change(Event::Delete(selection, key), gone.metadata.resource_version))
        }
        "BOOKMARK" => {
            let bookmark: Versioned = serde_json::from_str(event.object.get())?;
            Ok(Line::Bookmark(bookmark.metadata.resource_version))
        }
        "ERROR" => Ok(Line::Error(serde_json::from_str(event.object.get())?)),
        _ => Err(DecodeError::Type),
    }
}

/// Reads an object, and its version.
fn object(selection: Selection, raw: &RawValue) -> Result<(Object, String), DecodeError> {
    let raw = raw.get();
    match selection.kind() {
        Kind::Service => {
            let Typed::<ServiceSpec, ServiceStatus> { metadata, spec, status } = serde_json::from_str(raw)?;
            let (metadata, version) = meta(metadata)?;
            Ok((Object::Service(Service { metadata, spec, status }), version))
        }
        Kind::Pod => {
            let Typed::<PodSpec, PodStatus> { metadata, spec, mut status } = serde_json::from_str(raw)?;
            let (metadata, version) = meta(metadata)?;
            readiness(&mut status.conditions);
            Ok((Object::Pod(Pod { metadata, spec, status }), version))
        }
        Kind::Node => {
            let Typed::<NodeSpec, NodeStatus> { metadata, spec, mut status } = serde_json::from_str(raw)?;
            let (metadata, version) = meta(metadata)?;
            readiness(&mut status.conditions);
            Ok((Object::Node(Node { metadata, spec, status }), version))
        }
        kind @ (Kind::ConfigMap | Kind::Secret) => {
            let Untyped { metadata, data } = serde_json::from_str(raw)?;
            let key = key(kind, &metadata);
            let mut entries = BTreeMap::new();
            for (member, text) in members(wanted_members(&key), data)? {
                let text = if kind == Kind::Secret { decoded(&text) } else { Some(text) };
                let text = text.ok_or_else(|| ObjectError::Member { key: key.clone(), member })?;
                entries.insert(member.to_owned(), text);
            }
            Ok((Object::Data(Data { key, entries }), metadata.resource_version))
        }
    }
}

fn key(kind: Kind, meta: &Meta<'_>) -> ObjectKey {
    ObjectKey { kind, namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone() }
}

fn meta(meta: Meta<'_>) -> Result<(ObjectMeta, String), DecodeError> {
    let labels = members(&LABELS, meta.labels)?.into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
    Ok((
        ObjectMeta { name: meta.name, namespace: meta.namespace, labels, ..ObjectMeta::default() },
        meta.resource_version,
    ))
}

/// Drops heartbeats and reasons: they change all the time, and we do not use them.
fn readiness(conditions: &mut Vec<Condition>) {
    conditions.retain(|condition| condition.type_ == "Ready");
    for condition in conditions {
        let (type_, status) = (std::mem::take(&mut condition.type_), std::mem::take(&mut condition.status));
        *condition = Condition { type_, status, ..Condition::default() };
    }
}

/// The wanted members of a JSON object of texts.
fn members(
    wanted: &'static [&'static str],
    raw: Option<&RawValue>,
) -> Result<Vec<(&'static str, String)>, DecodeError> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    Ok(Members(wanted).deserialize(&mut serde_json::Deserializer::from_str(raw.get()))?)
}

struct Members(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Vec<(&'static str, String)>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'static str, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.0.iter().find(|wanted| **wanted == name) {
                Some(wanted) => found.push((*wanted, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}
