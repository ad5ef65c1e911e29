//! Snapshots of objects, kept as text: only those that a hook asks for are parsed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::without_values;

/// A snapshot.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Items(Vec<Item>);

/// One object of a snapshot.
///
/// `object` is absent where the binding keeps no full objects, `filterResult` where it has no filter.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    object: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "even_null")]
    filter_result: Option<Box<RawValue>>,
}

/// The snapshots of a context, by binding. A binding that is not here is unknown, which is not the same as empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots(BTreeMap<String, Items>);

/// Which object something is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{}/", namespace.escape_debug())?;
        }
        write!(f, "{}", self.name.escape_debug())
    }
}

/// An item of an unexpected shape. Shows no value, as the object may be a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("item {index}{}: {reason}", object.as_ref().map(|object| format!(" ({object})")).unwrap_or_default())]
pub struct ItemError {
    /// Place in the list, from zero.
    pub index: usize,
    /// Which object it is, if it has a name.
    pub object: Option<ObjectName>,
    /// The mistake.
    pub reason: String,
}

/// Null is a valid result of a filter; `Option` alone would read it as absent.
fn even_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Item {
    /// The filter's result if there is one, else the object. The error shows no value of it.
    fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, String> {
        serde_json::from_str(self.text()?).map_err(|error| without_values(&error))
    }

    /// The same, as JSON text.
    fn text(&self) -> Result<&str, String> {
        let text = self.filter_result.as_ref().or(self.object.as_ref()).map(|text| text.get());
        text.ok_or_else(|| "carries neither an object nor a filter result".into())
    }

    /// Which object this is: by its metadata, or by what its filter shows in the place of that.
    fn object_name(&self) -> Option<ObjectName> {
        [&self.object, &self.filter_result].into_iter().flatten().find_map(|text| {
            let object: Value = serde_json::from_str(text.get()).ok()?;
            let metadata = object.get("metadata").unwrap_or(&object);
            let member = |name| metadata.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
            Some(ObjectName { namespace: member("namespace"), name: member("name")? })
        })
    }
}

impl Items {
    /// Every object, in the operator's order (namespace, then name), or the first error.
    pub(super) fn parse<'a, T: Deserialize<'a> + 'a>(&'a self) -> Result<Vec<T>, ItemError> {
        self.each(Item::parse).collect()
    }

    /// The objects that can be parsed, and the errors of the others.
    pub(super) fn parse_lossy<'a, T: Deserialize<'a> + 'a>(&'a self) -> (Vec<T>, Vec<ItemError>) {
        let (mut items, mut errors) = (Vec::new(), Vec::new());
        for item in self.each(Item::parse) {
            match item {
                Ok(item) => items.push(item),
                Err(error) => errors.push(error),
            }
        }
        (items, errors)
    }

    /// Every object as JSON text.
    pub(super) fn texts(&self) -> Result<Vec<&str>, ItemError> {
        self.each(Item::text).collect()
    }

    fn each<'a, T: 'a>(
        &'a self,
        read: impl Fn(&'a Item) -> Result<T, String> + 'a,
    ) -> impl Iterator<Item = Result<T, ItemError>> + 'a {
        self.0.iter().enumerate().map(move |(index, item)| {
            read(item).map_err(|reason| ItemError { index, object: item.object_name(), reason })
        })
    }
}

impl Snapshots {
    /// The snapshot of a binding, if this context carries it.
    pub(super) fn get(&self, binding: &str) -> Option<&Items> {
        self.0.get(binding)
    }
}

impl<'de> Deserialize<'de> for Snapshots {
    /// A null instead of a list is dropped: the objects are unknown.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lists: BTreeMap<String, Option<Items>> = BTreeMap::deserialize(deserializer)?;
        Ok(Self(lists.into_iter().filter_map(|(binding, list)| Some((binding, list?))).collect()))
    }
}

// Without content: among the objects are Secrets.
impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Items({})", self.0.len())
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |text: &Option<Box<RawValue>>| text.as_ref().map_or(0, |text| text.get().len());
        write!(f, "Item({} bytes)", size(&self.object) + size(&self.filter_result))
    }
}

#[cfg(test)]
mod tests;
