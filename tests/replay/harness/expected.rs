//! Compares the output of a run with the expectation of its case, or writes it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Map, Value, json};

use super::case::{Case, File};
use super::fill::Fill;
use super::operator::Outcome;
use super::{normal, short, yaml};

/// The output, in the form of `expect`. Empty members are absent.
pub(crate) struct Found(Map<String, Value>);

/// In this order they are written.
const MEMBERS: [&str; 7] = ["error", "requests", "metrics", "values", "patches", "log", "responses"];

impl Found {
    pub(crate) fn new(
        case: &Case,
        outcome: &Outcome,
        requests: BTreeMap<String, Vec<Value>>,
        fill: &Fill,
    ) -> Result<Self, String> {
        let output = |name: &str| outcome.outputs.get(name).map(String::as_str).unwrap_or_default();
        if !output("config_values").is_empty() {
            return Err("a hook changes the user's settings".to_owned());
        }
        let mut members = Map::new();
        let mut insert = |name: &str, found: Vec<Value>, short: &dyn Fn(&Value) -> Value| {
            if !found.is_empty() {
                members.insert(name.to_owned(), found.iter().map(short).collect());
            }
        };
        insert("values", normal::values(output("values"), fill)?, &short::values);
        insert("patches", normal::objects(output("objects"), fill)?, &short::patch);
        insert("metrics", normal::metrics(output("metrics"), fill)?, &short::metric);
        insert("log", normal::log(&outcome.stdout, fill)?, &|line| short::log(&case.hook, line));
        if !requests.is_empty() {
            let list = |(peer, requests): (String, Vec<Value>)| {
                let mut requests = Value::Array(requests);
                fill.empty_document(&mut requests);
                let requests = requests.as_array().into_iter().flatten();
                let list = requests.map(|request| short::request(&peer, request)).collect();
                (peer, list)
            };
            members.insert("requests".to_owned(), Value::Object(requests.into_iter().map(list).collect()));
        }
        if let Some(message) = &outcome.failure {
            members.insert("error".to_owned(), json!(fill.empty_text(message)));
        }
        Ok(Self(members))
    }

    /// Output with one member.
    pub(crate) fn of(name: &str, member: Value) -> Self {
        Self(Map::from_iter([(name.to_owned(), member)]))
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// A member of `expect`, as YAML.
pub(crate) fn text(name: &str, member: Option<&Value>) -> String {
    member.map_or_else(String::new, |member| yaml::text(&json!({name: member})))
}

/// Compares, or writes.
pub(crate) fn compare(file: &File, expect: &Value, found: &Found, update: bool) -> Result<(), String> {
    let expect = expect.as_object().ok_or("`expect` is a mapping; {} for no output")?;
    if let Some(name) = expect.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(format!("expect: unknown member {name}"));
    }
    if *expect == found.0 {
        return Ok(());
    }
    if update {
        return write(file, found);
    }
    let difference_in = |name: &&str| {
        let (was, is) = (expect.get(*name), found.member(name));
        (was != is).then(|| format!("{name}, {}", difference(&text(name, was), &text(name, is))))
    };
    let differences: String = MEMBERS.iter().filter_map(difference_in).collect();
    Err(format!(
        "the expectation (-) differs from the output (+):\n{differences}\nIf this is right: UPDATE=1 cargo test --test replay"
    ))
}

/// Writes `expect`, which ends the file, and leaves the rest as it is.
fn write(file: &File, found: &Found) -> Result<(), String> {
    let members: String = MEMBERS.iter().map(|name| text(name, found.member(name))).collect();
    let expect = match members.as_str() {
        "" => " {}\n".to_owned(),
        members => members.lines().flat_map(|line| ["\n  ", line]).chain(["\n"]).collect(),
    };
    let text = format!("{}\nexpect:{expect}", file.before_expect());
    let back: Value = serde_saphyr::from_str(&text).map_err(|error| format!("cannot be read back: {error}"))?;
    if back["expect"] != Value::Object(found.0.clone()) {
        return Err(format!("it reads back differently: {}", back["expect"]));
    }
    fs::write(&file.path, text).map_err(|error| format!("{}: {error}", file.path.display()))
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
