//! A case as it lies in its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use serde_json::Value;

/// Folders beside the cases.
const OTHERS: [&str; 2] = ["fixtures", "harness"];
/// What the operator hands over: name in the folder, and the variable that tells the hook where it is.
pub(crate) const INPUTS: [(&str, &str); 3] = [
    ("binding_context.json", "BINDING_CONTEXT_PATH"),
    ("values.json", "VALUES_PATH"),
    ("config_values.json", "CONFIG_VALUES_PATH"),
];
/// What may be expected.
pub(crate) const EXPECTED: [&str; 7] =
    ["error.txt", "log.json", "metrics.json", "objects.json", "requests.json", "responses.json", "values.json"];

/// A case.
pub(crate) struct Case {
    pub(crate) folder: PathBuf,
    pub(crate) hook: String,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) skip: Skip,
    /// Why snapshots are missing from the binding contexts.
    pub(crate) partial: Option<String>,
    /// The scripts of the peers, before placeholders are filled in.
    pub(crate) peers: BTreeMap<String, Value>,
    inputs: BTreeMap<String, Input>,
}

/// A file that the hook gets.
#[derive(Clone)]
pub(crate) enum Input {
    Text(String),
    /// The variable names a file that is not there.
    Missing,
    /// There is no such variable, as under shell-operator.
    Unset,
}

/// Properties that do not hold for a case, each with the reason.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    pub(crate) reversed: Option<String>,
    pub(crate) twice: Option<String>,
}

/// `case.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    hook: String,
    about: String,
    #[serde(default)]
    differs: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    missing: BTreeSet<String>,
    #[serde(default)]
    unset: BTreeSet<String>,
    #[serde(default)]
    partial: Option<String>,
    #[serde(default)]
    skip: Skip,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay")
}

/// The names of all cases.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !OTHERS.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

impl Case {
    pub(crate) fn load(name: &str) -> Result<Self, String> {
        let folder = root().join(name);
        let card = read(&folder.join("case.json"))?.ok_or("case.json is missing")?;
        let card: Card = serde_json::from_str(&card).map_err(|error| format!("case.json: {error}"))?;
        if [Some(&card.about), card.differs.as_ref()].into_iter().flatten().any(|text| text.trim().is_empty()) {
            return Err("case.json: `about` and `differs` say something".to_owned());
        }
        let mut inputs = BTreeMap::new();
        for (file, _) in INPUTS {
            let (missing, unset) = (card.missing.contains(file), card.unset.contains(file));
            let input = match (read(&folder.join(file))?, missing, unset) {
                (Some(text), false, false) => Input::Text(text),
                (None, true, false) => Input::Missing,
                (None, false, true) => Input::Unset,
                // What the user configured is of no interest to most hooks.
                (None, false, false) if file == "config_values.json" => {
                    Input::Text(r#"{"global":null,"istio":null}"#.to_owned())
                }
                (None, ..) => return Err(format!("{file} is missing, and case.json does not say so")),
                (Some(_), ..) => return Err(format!("{file} is there, although case.json says that it is not")),
            };
            inputs.insert(file.to_owned(), input);
        }
        let peers = match read(&folder.join("peers.json"))? {
            Some(text) => serde_json::from_str(&text).map_err(|error| format!("peers.json: {error}"))?,
            None => BTreeMap::new(),
        };
        let case =
            Self { folder, hook: card.hook, env: card.env, skip: card.skip, partial: card.partial, peers, inputs };
        case.has_no_other_files()?;
        Ok(case)
    }

    pub(crate) fn input(&self, file: &str) -> &Input {
        &self.inputs[file]
    }

    /// Whether a peer makes the hook wait.
    pub(crate) fn is_slow(&self) -> bool {
        self.skip.reversed.as_ref().is_some_and(|why| why.contains("slow"))
    }

    /// A file that nobody reads is one that nobody holds to be true.
    fn has_no_other_files(&self) -> Result<(), String> {
        let mut known = vec!["case.json", "peers.json"];
        known.extend(INPUTS.iter().map(|(file, _)| file));
        no_other_files(&self.folder, &known)
    }
}

/// The same for a case that knows other files.
pub(crate) fn no_other_files(folder: &Path, known: &[&str]) -> Result<(), String> {
    for (place, known) in [("", &[known, &["expected"]].concat()), ("expected/", &EXPECTED.to_vec())] {
        for name in list(&folder.join(place))? {
            if !known.contains(&name.as_str()) {
                return Err(format!("{place}{name}: no such file belongs into a case"));
            }
        }
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<String>, String> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}

/// The text of a file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
