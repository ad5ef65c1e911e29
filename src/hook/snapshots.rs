//! Lists of objects as the operator gives them, kept as text: only what a hook asks for is parsed.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::without_values;

/// A list of objects: a snapshot, or what a first listing found.
#[derive(Clone)]
pub struct Items(Box<RawValue>);

/// One object: what an event is about.
///
/// `object` is absent where the binding keeps no full objects, `filterResult` where it has no filter.
#[derive(Clone, Default)]
pub struct Item {
    object: Option<Box<RawValue>>,
    filter_result: Option<Box<RawValue>>,
}

/// The snapshots of a context, by binding. A binding that is not here is unknown, which is not the same as empty.
#[derive(Clone, Debug, Default)]
pub struct Snapshots(BTreeMap<String, Items>);

/// An item, or a list of them, that is not what the hook expects. Shows no value, as the object may be a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Not a list of items.
    #[error("not a list of objects: {0}")]
    List(String),
    /// One item.
    #[error("item {index}{}: {reason}", name.as_ref().map(|n| format!(" ({n})")).unwrap_or_default())]
    Item {
        /// Place in the list, from zero.
        index: usize,
        /// `namespace/name` of the object, if it can be told.
        name: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BorrowedItem<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    filter_result: Option<&'a RawValue>,
}

/// A filter may result in null, and that is a result: `Option` alone would take it for absent.
pub(super) fn even_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The filter's result if there is one, else the object.
fn parse<T: DeserializeOwned>(object: Option<&RawValue>, filter_result: Option<&RawValue>) -> Result<T, String> {
    let Some(text) = filter_result.or(object) else {
        return Err("carries neither an object nor a filter result".into());
    };
    serde_json::from_str(text.get()).map_err(|error| without_values(&error))
}

impl Item {
    pub(super) fn new(object: Option<Box<RawValue>>, filter_result: Option<Box<RawValue>>) -> Self {
        Self { object, filter_result }
    }

    /// The filter's result if there is one, else the object. The error tells no value of it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        parse(self.object.as_deref(), self.filter_result.as_deref())
    }
}

impl Items {
    pub(super) fn new(list: Box<RawValue>) -> Self {
        Self(list)
    }

    /// Every object, in the operator's order (namespace, then name), or the first error.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<Vec<T>, ItemError> {
        self.each()?.collect()
    }

    /// The objects that can be parsed, and the errors of the others.
    pub fn parse_lossy<T: DeserializeOwned>(&self) -> Result<(Vec<T>, Vec<ItemError>), ItemError> {
        let (mut items, mut errors) = (Vec::new(), Vec::new());
        for item in self.each()? {
            match item {
                Ok(item) => items.push(item),
                Err(error) => errors.push(error),
            }
        }
        Ok((items, errors))
    }

    fn each<T: DeserializeOwned>(&self) -> Result<impl Iterator<Item = Result<T, ItemError>>, ItemError> {
        let items: Vec<BorrowedItem<'_>> =
            serde_json::from_str(self.0.get()).map_err(|error| ItemError::List(without_values(&error)))?;
        Ok(items.into_iter().enumerate().map(|(index, item)| {
            parse(item.object, item.filter_result).map_err(|reason| ItemError::Item {
                index,
                name: item.name(),
                reason,
            })
        }))
    }
}

impl BorrowedItem<'_> {
    /// Which object this is, for an error message.
    fn name(&self) -> Option<String> {
        [self.object, self.filter_result].into_iter().flatten().find_map(|text| {
            let object: Value = serde_json::from_str(text.get()).ok()?;
            let metadata = object.get("metadata").unwrap_or(&object);
            let name = metadata.get("name")?.as_str()?.escape_debug();
            Some(match metadata.get("namespace").and_then(Value::as_str) {
                Some(namespace) => format!("{}/{name}", namespace.escape_debug()),
                None => name.to_string(),
            })
        })
    }
}

impl Snapshots {
    /// The snapshot of a binding, if this context carries it.
    #[must_use]
    pub fn get(&self, binding: &str) -> Option<&Items> {
        self.0.get(binding)
    }

    /// The bindings whose snapshots are here, sorted.
    pub fn bindings(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for Snapshots {
    /// A null instead of a list is dropped: it tells nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lists: BTreeMap<String, Option<Box<RawValue>>> = BTreeMap::deserialize(deserializer)?;
        Ok(Self(lists.into_iter().filter_map(|(binding, list)| Some((binding, Items(list?)))).collect()))
    }
}

// Without content: among the objects are Secrets.
impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Items({} bytes)", self.0.get().len())
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |text: &Option<Box<RawValue>>| text.as_ref().map_or(0, |text| text.get().len());
        write!(f, "Item({} bytes)", size(&self.object) + size(&self.filter_result))
    }
}

#[cfg(test)]
#[path = "tests/snapshots.rs"]
mod tests;
