//! Reads a case from its file, over the defaults of its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::fixtures::Defaults;
use super::short;

/// Folders next to those of the cases.
const OTHERS: [&str; 2] = ["fixtures", "harness"];
/// The folder whose cases ask the exporter.
pub(crate) const EXPORTER: &str = "exporter";
const EXPECT: &str = "\nexpect:";

/// The file of a case.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A case of a hook.
pub(crate) struct Case {
    pub(crate) hook: String,
    pub(crate) run: String,
    pub(crate) given: Given,
    pub(crate) skip: Skip,
    /// The scripts of the peers, before placeholders are filled in.
    pub(crate) peers: BTreeMap<String, Value>,
    pub(crate) expect: Value,
}

/// The input from the operator.
pub(crate) struct Given {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) context: Context,
    pub(crate) values: Input,
    pub(crate) config_values: Input,
    /// The objects of the cluster, by the binding that selects them.
    pub(crate) objects: BTreeMap<String, Vec<Value>>,
    /// Objects that no binding selects.
    pub(crate) unselected: Vec<Value>,
}

/// An input file of the hook.
#[derive(Clone)]
pub(crate) enum Input {
    Text(String),
    /// The variable names a missing file.
    Missing,
    /// The variable is not set, as under shell-operator.
    Unset,
}

/// The binding contexts.
pub(crate) enum Context {
    /// Made from the objects, like an operator.
    Operator,
    /// Written by hand; the text `given` stands for a snapshot made from the objects, or for all of them.
    Written(Vec<Value>),
    /// Invalid JSON, or no file.
    Input(Input),
}

/// Properties that do not hold for a case, each with the reason.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    pub(crate) reversed: Option<String>,
    pub(crate) twice: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    about: String,
    #[serde(default)]
    differs: Option<String>,
    #[serde(default)]
    run: Option<String>,
    #[serde(default)]
    given: Map<String, Value>,
    #[serde(default)]
    peers: BTreeMap<String, Map<String, Value>>,
    #[serde(default)]
    skip: Skip,
    expect: Value,
}

/// The members of `given` other than bindings.
#[derive(Deserialize)]
struct Files {
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// A patch of the default values.
    #[serde(default)]
    values: Value,
    /// Values in place of the defaults, or a text in place of the file.
    #[serde(default)]
    whole_values: Option<Value>,
    #[serde(default)]
    config_values: Option<Value>,
    #[serde(default)]
    missing: BTreeSet<String>,
    #[serde(default)]
    unset: BTreeSet<String>,
    #[serde(default)]
    context: Option<WrittenContext>,
    #[serde(default)]
    unselected: Vec<Value>,
    #[serde(flatten)]
    bindings: BTreeMap<String, Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenContext {
    why: String,
    #[serde(default)]
    contexts: Vec<Value>,
    #[serde(default)]
    text: Option<String>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay")
}

/// The folders of the cases.
pub(crate) fn folders() -> Vec<String> {
    let mut folders: Vec<String> = entries(&root()).into_iter().filter(|name| root().join(name).is_dir()).collect();
    folders.retain(|name| !OTHERS.contains(&name.as_str()));
    folders
}

/// The names of all cases: `folder/case`.
pub(crate) fn names() -> Vec<String> {
    let cases = |folder: String| {
        let files = entries(&root().join(&folder)).into_iter().filter(|file| file != "defaults.yaml");
        let name = |file: String| {
            let name = file.strip_suffix(".yaml").expect("cases are YAML files");
            format!("{folder}/{name}")
        };
        files.map(name).collect::<Vec<_>>()
    };
    folders().into_iter().flat_map(cases).collect()
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

impl File {
    pub(crate) fn read(name: &str) -> Result<Self, String> {
        let path = root().join(format!("{name}.yaml"));
        let text = read(&path)?.ok_or("no such case")?;
        if text.matches(EXPECT).count() != 1 {
            return Err("a case ends with one member `expect`".to_owned());
        }
        Ok(Self { path, text })
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_saphyr::from_str(&self.text).map_err(|error| error.to_string())
    }

    /// The text before `expect`.
    pub(crate) fn before_expect(&self) -> &str {
        self.text.split_once(EXPECT).map_or(self.text.as_str(), |(before, _)| before)
    }
}

/// `about` and `differs` are not empty.
pub(crate) fn check_prose(about: &str, differs: Option<&String>) -> Result<(), String> {
    let is_empty = |text: &str| text.trim().is_empty();
    if is_empty(about) || differs.is_some_and(|text| is_empty(text)) {
        return Err("`about` and `differs` are empty".to_owned());
    }
    Ok(())
}

impl Case {
    pub(crate) fn read(name: &str, file: &File, defaults: &Defaults) -> Result<Self, String> {
        let Document { about, differs, run, given, peers, skip, expect } = file.parse()?;
        check_prose(&about, differs.as_ref())?;
        let script = |(name, script): (String, _)| Ok((name.clone(), defaults.peer(&name, script)?));
        Ok(Self {
            hook: name.split_once('/').map_or(name, |(folder, _)| folder).to_owned(),
            run: run.or(defaults.run().map(str::to_owned)).ok_or("`run` names the binding of the run")?,
            given: Given::read(defaults.given(given)?, defaults)?,
            skip,
            peers: peers.into_iter().map(script).collect::<Result<_, String>>()?,
            expect,
        })
    }

    /// Whether a peer makes the hook wait.
    pub(crate) fn is_slow(&self) -> bool {
        self.skip.reversed.as_ref().is_some_and(|why| why.contains("slow"))
    }
}

impl Given {
    fn read(given: Map<String, Value>, defaults: &Defaults) -> Result<Self, String> {
        let files: Files = serde_json::from_value(Value::Object(given)).map_err(|error| format!("given: {error}"))?;
        let values = files.whole_values.unwrap_or(files.values);
        // Most hooks do not read the user's settings.
        let config_values = files.config_values.unwrap_or_else(|| json!({"global": null, "istio": null}));
        let input = |name: &str, document: Value| match (files.missing.contains(name), files.unset.contains(name)) {
            (true, false) => Ok(Input::Missing),
            (false, true) => Ok(Input::Unset),
            (true, true) => Err(format!("{name} is either missing or unset")),
            (false, false) => Ok(Input::Text(match document {
                Value::String(text) => text,
                document => document.to_string(),
            })),
        };
        let context = match (input("context", Value::Null)?, files.context) {
            (Input::Text(_), None) => Context::Operator,
            (Input::Text(_), Some(WrittenContext { why, contexts, text })) => {
                check_prose(&why, None)?;
                text.map_or(Context::Written(contexts), |text| Context::Input(Input::Text(text)))
            }
            (input, _) => Context::Input(input),
        };
        let objects = |objects: Vec<Value>| -> Result<Vec<Value>, String> {
            let object = |object| {
                let mut object = defaults.object(object)?;
                short::write_out_conditions(&mut object)?;
                Ok(object)
            };
            objects.into_iter().map(object).collect()
        };
        Ok(Self {
            env: files.env,
            context,
            values: input("values", values)?,
            config_values: input("config_values", config_values)?,
            objects: files
                .bindings
                .into_iter()
                .map(|(name, list)| Ok((name, objects(list)?)))
                .collect::<Result<_, String>>()?,
            unselected: objects(files.unselected)?,
        })
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
