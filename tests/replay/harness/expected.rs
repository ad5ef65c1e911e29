//! What came out against what the case expects.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::case::{EXPECTED, read};
use super::fill::Fill;
use super::normal;
use super::operator::Outcome;

/// What came out, as files. One that would be empty is not there.
pub(crate) struct Found(BTreeMap<&'static str, String>);

impl Found {
    pub(crate) fn new(outcome: &Outcome, requests: BTreeMap<String, Value>, fill: &Fill) -> Result<Self, String> {
        let output = |name: &str| outcome.outputs.get(name).map(String::as_str).unwrap_or_default();
        if !output("config_values").is_empty() {
            return Err("what the user configured is not a hook's to change".to_owned());
        }
        let mut files = BTreeMap::new();
        let mut insert = |name, found: Vec<Value>| {
            if !found.is_empty() {
                files.insert(name, lines(&Value::Array(found), 0) + "\n");
            }
        };
        insert("values.json", normal::values(output("values"), fill)?);
        insert("objects.json", normal::objects(output("objects"), fill)?);
        insert("metrics.json", normal::metrics(output("metrics"), fill)?);
        insert("log.json", normal::log(&outcome.stdout, fill)?);
        if !requests.is_empty() {
            let mut requests = requests.into_iter().collect();
            fill.empty_document(&mut requests);
            files.insert("requests.json", lines(&requests, 0) + "\n");
        }
        if let Some(message) = &outcome.failure {
            files.insert("error.txt", format!("{}\n", fill.empty_text(message)));
        }
        Ok(Self(files))
    }

    /// One document, under this name.
    pub(crate) fn document(name: &'static str, document: &Value) -> Self {
        Self(BTreeMap::from([(name, lines(document, 0) + "\n")]))
    }

    /// The message of something that failed.
    pub(crate) fn failure(message: &str) -> Self {
        Self(BTreeMap::from([("error.txt", format!("{}\n", message.trim_end()))]))
    }

    pub(crate) fn file(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// JSON with everything on one line that fits.
fn lines(value: &Value, indent: usize) -> String {
    const WIDTH: usize = 120;
    let (one_line, margin) = (value.to_string(), " ".repeat(indent));
    let inner = |items: Vec<String>, [open, close]: [char; 2]| {
        format!("{open}\n{margin}  {}\n{margin}{close}", items.join(&format!(",\n{margin}  ")))
    };
    match value {
        _ if one_line.len() + indent <= WIDTH => one_line,
        Value::Array(items) => inner(items.iter().map(|item| lines(item, indent + 2)).collect(), ['[', ']']),
        Value::Object(members) => {
            let member =
                |(name, member)| format!("{}: {}", Value::from(String::clone(name)), lines(member, indent + 2));
            inner(members.iter().map(member).collect(), ['{', '}'])
        }
        _ => one_line,
    }
}

/// Compares, or writes.
pub(crate) fn compare(case: &Path, found: &Found, update: bool) -> Result<(), String> {
    let folder = case.join("expected");
    for name in EXPECTED {
        let path = folder.join(name);
        let (expected, found) = (read(&path)?, found.file(name));
        if expected.as_deref() == found {
            continue;
        }
        let io = |error: std::io::Error| format!("{}: {error}", path.display());
        match (update, found) {
            (true, Some(found)) => {
                fs::create_dir_all(&folder).map_err(io)?;
                fs::write(&path, found).map_err(io)?;
            }
            (true, None) => fs::remove_file(&path).map_err(io)?,
            (false, _) => {
                let difference = difference(&expected.unwrap_or_default(), found.unwrap_or_default());
                return Err(format!(
                    "expected/{name} (-) is not what came out (+):\n{difference}\nIf this is right: UPDATE=1 cargo test --test replay"
                ));
            }
        }
    }
    Ok(())
}

/// Where two texts differ, line by line.
pub(crate) fn difference(was: &str, is: &str) -> String {
    let [was, is] = [was, is].map(|text| text.lines().collect::<Vec<_>>());
    let start = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
    let tail = was[start..].iter().rev().zip(is[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let part = |sign: &'static str, lines: &[&str]| {
        let middle = &lines[start..lines.len() - tail];
        middle.iter().flat_map(|line| [sign, " ", *line, "\n"]).collect::<String>()
    };
    format!("at line {}:\n{}{}", start + 1, part("-", &was), part("+", &is))
}
