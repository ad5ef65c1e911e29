//! Values patches: changes of the module's values.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A JSON Patch of `add` operations, which addon-operator takes and can replay.
///
/// No operation lies below another one, and there is one for each path: the operator keeps the last of a path and drops the
/// operations below it, so any other patch would change its meaning when it is replayed. Lists are set as a whole.
#[derive(Clone, Default, PartialEq)]
pub struct ValuesPatch(BTreeMap<Vec<String>, Value>);

/// An operation that the operator would refuse.
#[derive(Debug, thiserror::Error)]
pub enum ValuesPatchError {
    /// A path without members, or with an empty one, or with `-`, which would append to a list.
    #[error("values path {0:?}: it needs members, none empty and none `-`")]
    Path(Vec<String>),
    /// The same patch sets the parent to something without such a member.
    #[error("values path {0:?}: the same patch leaves nothing there to set it in")]
    NoParent(Vec<String>),
    #[error("values path {path:?}: {source}")]
    Value {
        /// Where it was to be set.
        path: Vec<String>,
        /// The reason.
        source: serde_json::Error,
    },
}

impl ValuesPatch {
    /// Sets a member, whatever was there. Its parents must exist; earlier operations on it or below it are forgotten.
    ///
    /// The path begins with the module's key. Where the config values have no section yet, set the section itself.
    pub fn set(&mut self, path: &[&str], value: impl Serialize) -> Result<(), ValuesPatchError> {
        let path = checked(path)?;
        let value =
            serde_json::to_value(value).map_err(|source| ValuesPatchError::Value { path: path.clone(), source })?;
        if let Some((above, parent)) = self.above(&path) {
            let (Some(holder), Some(last)) = (holder(parent, &path[above..path.len() - 1]), path.last()) else {
                return Err(ValuesPatchError::NoParent(path));
            };
            holder.insert(last.clone(), value);
            return Ok(());
        }
        self.0.retain(|other, _| !other.starts_with(&path));
        self.0.insert(path, value);
        Ok(())
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The operations, sorted by path.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let operation =
            |(path, value): (&Vec<String>, &Value)| json!({"op": "add", "path": pointer(path), "value": value});
        Value::Array(self.0.iter().map(operation).collect())
    }

    /// The value of a parent of `path`, and the length of that parent's path.
    fn above(&mut self, path: &[String]) -> Option<(usize, &mut Value)> {
        let length = (1..path.len()).find(|length| self.0.contains_key(&path[..*length]))?;
        Some((length, self.0.get_mut(&path[..length])?))
    }
}

/// The object below `value` that the members lead to.
fn holder<'a>(value: &'a mut Value, members: &[String]) -> Option<&'a mut Map<String, Value>> {
    members.iter().try_fold(value, |value, member| value.as_object_mut()?.get_mut(member))?.as_object_mut()
}

fn checked(path: &[&str]) -> Result<Vec<String>, ValuesPatchError> {
    let members: Vec<String> = path.iter().map(|&member| member.to_owned()).collect();
    if members.is_empty() || members.iter().any(|member| member.is_empty() || member == "-") {
        return Err(ValuesPatchError::Path(members));
    }
    Ok(members)
}

/// RFC 6901: `~` and `/` are escaped, in this order.
fn pointer(path: &[String]) -> String {
    path.iter().flat_map(|member| ["/".to_owned(), member.replace('~', "~0").replace('/', "~1")]).collect()
}

// Paths only: values hold keys.
impl fmt::Debug for ValuesPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys().map(|path| ("add", pointer(path)))).finish()
    }
}

#[cfg(test)]
mod tests;
