//! The common parts of cases: `defaults.yaml` of all cases and of a folder, and the named fixtures in them.
//!
//! `{from: NAME, ...}` is the fixture NAME with the other members merged over it as a JSON Merge Patch: null removes a
//! member.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::case;

/// Longest chain of fixtures made from each other.
const DEPTH: usize = 8;

/// `defaults.yaml`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    fixtures: BTreeMap<String, Value>,
    /// The binding that a run is for.
    #[serde(default)]
    run: Option<String>,
    /// Lies under `given` of each case.
    #[serde(default)]
    given: Map<String, Value>,
    /// Lies under the peers of that name in a case.
    #[serde(default)]
    peers: BTreeMap<String, Map<String, Value>>,
}

/// The defaults of a folder.
pub(crate) struct Defaults {
    document: Document,
    /// The file that each fixture is in.
    files: BTreeMap<String, String>,
    used: RefCell<BTreeSet<String>>,
}

fn read(file: &str) -> Result<Document, String> {
    match case::read(&case::root().join(file))? {
        Some(text) => serde_saphyr::from_str(&text).map_err(|error| format!("{file}: {error}")),
        None => Ok(Document::default()),
    }
}

/// The names of all fixtures, with their files.
pub(crate) fn names() -> BTreeSet<String> {
    let folders = case::folders();
    let files = folders.iter().map(|folder| format!("{folder}/defaults.yaml"));
    let names = |file: String| {
        let fixtures = read(&file).unwrap().fixtures.into_keys();
        fixtures.map(move |name| format!("{file}: {name}")).collect::<Vec<_>>()
    };
    files.chain(["defaults.yaml".to_owned()]).flat_map(names).collect()
}

impl Defaults {
    /// Those of all cases, and on top of them those of `folder`.
    pub(crate) fn read(folder: &str) -> Result<Self, String> {
        let own_file = format!("{folder}/defaults.yaml");
        let (common, own) = (read("defaults.yaml")?, read(&own_file)?);
        let file_of = |file: &str, document: &Document| {
            let names = document.fixtures.keys().cloned();
            names.map(|name| (name, file.to_owned())).collect::<Vec<_>>()
        };
        let files = [file_of("defaults.yaml", &common), file_of(&own_file, &own)].concat().into_iter().collect();
        let mut document = common;
        document.fixtures.extend(own.fixtures);
        document.run = own.run.or(document.run);
        document.peers.extend(own.peers);
        document.given = laid_over(document.given, own.given);
        Ok(Self { document, files, used: RefCell::default() })
    }

    /// The binding of a run, where the case names none.
    pub(crate) fn run(&self) -> Option<&str> {
        self.document.run.as_deref()
    }

    /// `given` of a case over the defaults.
    pub(crate) fn given(&self, given: Map<String, Value>) -> Result<Map<String, Value>, String> {
        match self.resolve(&Value::Object(laid_over(self.document.given.clone(), given)), 0)? {
            Value::Object(members) => Ok(members),
            other => Err(format!("given is not a mapping: {other}")),
        }
    }

    /// The script of a peer: members of the case replace those of the defaults.
    pub(crate) fn peer(&self, name: &str, script: Map<String, Value>) -> Result<Value, String> {
        let mut members = self.document.peers.get(name).cloned().unwrap_or_default();
        for (name, member) in script {
            match member {
                Value::Null => drop(members.remove(&name)),
                member => drop(members.insert(name, member)),
            }
        }
        self.resolve(&Value::Object(members), 0)
    }

    /// An object of a list: written out, or the name of a fixture.
    pub(crate) fn object(&self, object: Value) -> Result<Value, String> {
        match object {
            Value::String(name) => self.resolve(&json!({"from": name}), 0),
            object => Ok(object),
        }
    }

    /// The fixtures of a case, each with its file.
    pub(crate) fn used(&self) -> BTreeSet<String> {
        self.used.borrow().clone()
    }

    fn resolve(&self, value: &Value, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err(format!("more than {DEPTH} fixtures are made from each other"));
        }
        match value {
            Value::Array(items) => items.iter().map(|item| self.resolve(item, depth)).collect(),
            Value::Object(members) => {
                let mut own = Map::new();
                for (name, member) in members.iter().filter(|(name, _)| *name != "from") {
                    own.insert(name.clone(), self.resolve(member, depth)?);
                }
                let Some(name) = members.get("from").and_then(Value::as_str) else { return Ok(Value::Object(own)) };
                let fixture = self.document.fixtures.get(name).ok_or_else(|| format!("no fixture {name:?}"))?;
                self.used.borrow_mut().insert(format!("{}: {name}", self.files[name]));
                let mut value = self.resolve(fixture, depth + 1)?;
                if own.is_empty() {
                    return Ok(value);
                }
                json_patch::merge(&mut value, &Value::Object(own));
                Ok(value)
            }
            other => Ok(other.clone()),
        }
    }
}

/// Values and environment as a JSON Merge Patch; other members replace each other, and null removes one.
fn laid_over(mut under: Map<String, Value>, over: Map<String, Value>) -> Map<String, Value> {
    for (name, member) in over {
        match (name.as_str(), member) {
            (_, Value::Null) => drop(under.remove(&name)),
            ("env" | "values", member) => json_patch::merge(under.entry(name).or_insert(Value::Null), &member),
            (_, member) => drop(under.insert(name, member)),
        }
    }
    under
}
