//! What all objects have in common that hooks write: labels, and the owners whose end ends them.

use std::collections::BTreeMap;

use crate::api::kubernetes::OwnerReference;

/// Label of the two ConfigMaps that own what hooks write: `app: federation-owner`.
pub const OWNER_APP: &str = "federation-owner";

/// Labels of every object of the module.
pub const LABELS: [(&str, &str); 2] = [("heritage", "deckhouse"), ("module", "istio")];

/// The module's labels and one (with an empty value) that tells what the object is for.
#[must_use]
pub fn labels(purpose: &str) -> BTreeMap<String, String> {
    let common = LABELS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    common.chain([(purpose.to_owned(), String::new())]).collect()
}

/// The owners that an object should have: those that exist, but never fewer than it has.
///
/// An owner deleted by accident is away until Helm renders it again; dropping its reference meanwhile would leave the
/// object with one owner only, and the next accident would take it along.
#[must_use]
pub fn owners(has: &[OwnerReference], exist: &[OwnerReference]) -> Vec<OwnerReference> {
    let is_renewed = |old: &&OwnerReference| exist.iter().any(|new| new.name == old.name && new.kind == old.kind);
    let mut owners: Vec<OwnerReference> = exist.to_vec();
    owners.extend(has.iter().filter(|old| !is_renewed(old)).cloned());
    owners.sort_by(|a, b| a.name.cmp(&b.name));
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str, uid: &str) -> OwnerReference {
        OwnerReference { name: name.to_owned(), uid: uid.to_owned(), ..OwnerReference::default() }
    }

    #[test]
    fn an_absent_owner_stays_and_a_renewed_one_is_replaced() {
        let has = [owner("a", "1"), owner("b", "2")];
        assert_eq!(owners(&[], &has), has);
        assert_eq!(owners(&has, &[owner("a", "1")]), has);
        assert_eq!(owners(&has, &[owner("b", "3"), owner("a", "1")]), [owner("a", "1"), owner("b", "3")]);
    }
}
