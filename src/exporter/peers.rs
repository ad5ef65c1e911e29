//! Reads the keys of the clusters that may read the private document.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::peer::{KeyError, VerifyingKey};
use crate::text::printable;

/// Keys by cluster UUID, and the entries that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerKeys {
    keys: BTreeMap<String, VerifyingKey>,
    left_out: Vec<String>,
}

/// Why an entry is left out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum LeftOut {
    #[error("it is not a public document")]
    Shape,
    #[error("its clusterUUID is another one")]
    OtherUuid,
    #[error("it has our own UUID")]
    OwnUuid,
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "clusterUUID", default)]
    cluster_uuid: Option<String>,
    #[serde(rename = "authnKeyPub")]
    authn_key_pub: String,
}

impl PeerKeys {
    /// Reads the map from UUID to public document that the hooks write. A bad entry does not affect the others; a text
    /// that is not a map leaves out all peers.
    #[must_use]
    pub(super) fn read(text: Option<&str>, own_uuid: &str) -> Self {
        let Some(text) = text else { return Self::default() };
        let Ok(entries) = serde_json::from_str::<BTreeMap<String, Value>>(text) else {
            return Self { keys: BTreeMap::new(), left_out: vec!["the list of peers is not a JSON object".to_owned()] };
        };
        let mut found = Self::default();
        for (uuid, entry) in entries {
            match key(&uuid, entry, own_uuid) {
                Ok(key) => {
                    found.keys.insert(uuid, key);
                }
                Err(reason) => found.left_out.push(format!("{}: {reason}", printable(&uuid))),
            }
        }
        found
    }

    /// The key of a cluster.
    #[must_use]
    pub(super) fn get(&self, uuid: &str) -> Option<VerifyingKey> {
        self.keys.get(uuid).copied()
    }

    /// How many clusters may read the private document.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bad entries, each with the reason.
    #[must_use]
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }
}

fn key(uuid: &str, entry: Value, own_uuid: &str) -> Result<VerifyingKey, LeftOut> {
    let entry: Entry = serde_json::from_value(entry).map_err(|_| LeftOut::Shape)?;
    if uuid == own_uuid {
        return Err(LeftOut::OwnUuid);
    }
    if entry.cluster_uuid.is_some_and(|said| said != uuid) {
        return Err(LeftOut::OtherUuid);
    }
    Ok(VerifyingKey::from_pem(&entry.authn_key_pub)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::SigningKey;
    use serde_json::json;

    #[test]
    fn one_bad_entry_costs_the_others_nothing() {
        let pem = SigningKey::generate().unwrap().to_pem();
        let text = json!({
            "a": {"clusterUUID": "a", "authnKeyPub": pem.public, "rootCA": "any"},
            "b": {"authnKeyPub": pem.public, "allianceRef": {"kind": "IstioFederation", "name": "b"}},
            "c": {"clusterUUID": "a", "authnKeyPub": pem.public},
            "d": {"clusterUUID": "d", "authnKeyPub": "no key"},
            "e": {"clusterUUID": "e", "authnKeyPub": pem.private},
            "f": "text",
            "g": {"clusterUUID": "g"},
            "own": {"clusterUUID": "own", "authnKeyPub": pem.public},
        });
        let keys = PeerKeys::read(Some(&text.to_string()), "own");
        assert_eq!(keys.keys.keys().collect::<Vec<_>>(), ["a", "b"]);
        let left_out: Vec<_> = keys.left_out().iter().map(|text| &text[..1]).collect();
        assert_eq!(left_out, ["c", "d", "e", "f", "g", "o"]);
        let private: String = pem.private.lines().nth(1).unwrap().to_owned();
        assert!(!format!("{:?}", keys.left_out()).contains(&private));
    }

    #[test]
    fn without_a_list_there_is_nobody() {
        assert_eq!(PeerKeys::read(None, "own"), PeerKeys::default());
        for bad in ["", "[]", "{\"a\":"] {
            let keys = PeerKeys::read(Some(bad), "own");
            assert!(keys.len() == 0 && keys.left_out().len() == 1, "{bad}");
        }
    }
}
