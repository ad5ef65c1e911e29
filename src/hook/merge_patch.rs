//! JSON Merge Patch (RFC 7396): the difference of two objects.

use serde_json::{Map, Value};

/// The smallest merge patch that makes `to` of `from`; `None` when they are equal.
///
/// Objects are compared member by member, with an explicit null for a removed member; everything else, lists included, is
/// replaced whole. A member of `to` that is null has no form in a merge patch: it would be removed.
#[must_use]
pub fn diff(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return Some(to.clone());
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, value)| {
        let change = match old.get(key) {
            Some(before) => diff(before, value)?,
            None => value.clone(),
        };
        Some((key.clone(), change))
    });
    Some(Value::Object(gone.chain(changed).collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests;
