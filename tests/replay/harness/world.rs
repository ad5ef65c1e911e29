//! What the hook is given, and how it changes by what the hook asks for.
//!
//! An item of a snapshot may be written as `{"object": ...}`: it gets the result of the binding's own jq filter, as from
//! an operator. A snapshot may be written as the name of another one: the same objects, seen through its own filter.

use std::collections::BTreeMap;

use istio_federation_sim::jq::Filter;
use serde_json::{Value, json};

use super::case::{Case, INPUTS, Input};
use super::fill::Fill;
use super::operator::{Operator, Outcome};

/// The inputs of a run.
#[derive(Clone)]
pub(crate) struct World<'a> {
    fill: &'a Fill,
    bindings: BTreeMap<String, (String, Option<String>)>,
    /// The binding contexts as they are written, where they are JSON.
    contexts: Option<Vec<Value>>,
    inputs: BTreeMap<&'static str, Input>,
}

impl<'a> World<'a> {
    pub(crate) fn read(case: &Case, fill: &'a Fill, operator: &Operator<'_>) -> Result<Self, String> {
        let mut inputs = BTreeMap::new();
        let mut contexts = None;
        for (file, _) in INPUTS {
            let mut input = case.input(file).clone();
            if let Input::Text(text) = &mut input
                && let Ok(mut document) = serde_json::from_str::<Value>(text)
            {
                fill.document(&mut document).map_err(|why| format!("{file}: {why}"))?;
                *text = document.to_string();
                if file == "binding_context.json" {
                    contexts = document.as_array().cloned();
                }
            }
            inputs.insert(file, input);
        }
        let bindings = operator.bindings.iter();
        let bindings = bindings.map(|binding| (binding.name.clone(), (binding.kind.clone(), binding.filter.clone())));
        let mut world = Self { fill, bindings: bindings.collect(), contexts, inputs };
        world.all_snapshots_are_there(case)?;
        world.render()?;
        Ok(world)
    }

    pub(crate) fn input(&self, file: &str) -> &Input {
        &self.inputs[file]
    }

    pub(crate) fn fill(&self, text: &str) -> Result<String, String> {
        self.fill.text(text)
    }

    /// An operator hands over a snapshot of each binding; cases where it is otherwise say why.
    fn all_snapshots_are_there(&self, case: &Case) -> Result<(), String> {
        let mut partial = false;
        for context in self.contexts.iter().flatten() {
            let Some(snapshots) = context["snapshots"].as_object() else { continue };
            let names: Vec<&String> = snapshots.keys().collect();
            if let Some(name) = names.iter().find(|name| !self.bindings.contains_key(**name)) {
                return Err(format!("binding_context.json: hook {} has no binding {name}", case.hook));
            }
            partial |= names.len() < self.bindings.len();
        }
        match (partial, &case.partial) {
            (true, None) => {
                Err("binding_context.json: snapshots are missing; case.json says why in `partial`".to_owned())
            }
            (false, Some(_)) => Err("case.json: `partial` is not true".to_owned()),
            _ => Ok(()),
        }
    }

    /// Writes the binding contexts as an operator does.
    fn render(&mut self) -> Result<(), String> {
        let Some(contexts) = &self.contexts else { return Ok(()) };
        let mut contexts = contexts.clone();
        for context in &mut contexts {
            let Some(snapshots) = context.get_mut("snapshots").and_then(Value::as_object_mut) else { continue };
            let written = snapshots.clone();
            for (name, snapshot) in snapshots {
                if let Value::String(other) = &snapshot {
                    *snapshot = written.get(other).cloned().ok_or_else(|| format!("no snapshot {other}"))?;
                }
                let filter = self.bindings[name].1.as_ref().map(|filter| Filter::compile(filter)).transpose();
                let filter = filter.map_err(|error| error.to_string())?;
                for item in snapshot.as_array_mut().into_iter().flatten() {
                    if let (Some(filter), Some(object)) = (&filter, item.get("object")) {
                        *item = json!({"filterResult": filter.result(object).map_err(|error| error.to_string())?});
                    }
                }
            }
        }
        self.inputs.insert("binding_context.json", Input::Text(Value::Array(contexts).to_string()));
        Ok(())
    }

    fn snapshots(&mut self) -> impl Iterator<Item = (&String, &mut Value)> {
        let snapshots = self.contexts.iter_mut().flatten().filter_map(|context| context.get_mut("snapshots"));
        snapshots.filter_map(Value::as_object_mut).flatten()
    }

    /// Whether some snapshot has more than one object.
    pub(crate) fn can_be_reversed(&self) -> bool {
        self.clone().snapshots().any(|(_, snapshot)| snapshot.as_array().is_some_and(|items| items.len() > 1))
    }

    /// The same with every snapshot in reverse.
    pub(crate) fn reversed(&self) -> Self {
        let mut world = self.clone();
        for (_, snapshot) in world.snapshots() {
            if let Value::Array(items) = snapshot {
                items.reverse();
            }
        }
        world.render().expect("it was rendered before");
        world
    }

    /// Whether every object is there as a whole, so that patches can be applied.
    pub(crate) fn can_be_changed(&self) -> bool {
        let whole = |snapshot: &Value| {
            snapshot.is_string()
                || snapshot.as_array().is_some_and(|items| items.iter().all(|item| item.get("object").is_some()))
        };
        self.contexts.is_some() && self.clone().snapshots().all(|(_, snapshot)| whole(snapshot))
    }

    /// Does what the hook wants done, as the operator and the API server would.
    pub(crate) fn apply(&mut self, outcome: &Outcome) -> Result<(), String> {
        let values = outcome.outputs.get("values").map(String::as_str).unwrap_or_default();
        if !values.is_empty() {
            let Input::Text(text) = &self.inputs["values.json"] else { return Err("a patch of no values".to_owned()) };
            let mut document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let patch: json_patch::Patch = serde_json::from_str(values).map_err(|error| error.to_string())?;
            json_patch::patch(&mut document, &patch).map_err(|error| format!("the values patch: {error}"))?;
            self.inputs.insert("values.json", Input::Text(document.to_string()));
        }
        for line in outcome.outputs["objects"].lines() {
            let operation: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            self.apply_to_object(&operation)?;
        }
        self.render()
    }

    fn apply_to_object(&mut self, operation: &Value) -> Result<(), String> {
        let verb = operation["operation"].as_str().unwrap_or_default();
        if verb == "CreateIfNotExists" {
            let object = &operation["object"];
            let kinds = self.bindings.clone();
            for (name, snapshot) in self.snapshots() {
                let is_there =
                    |items: &[Value]| items.iter().any(|item| is(item, &object["kind"], &object["metadata"]["name"]));
                if let Value::Array(items) = snapshot
                    && object["kind"] == *kinds[name].0
                    && !is_there(items)
                {
                    items.push(json!({"object": object}));
                }
            }
            return Ok(());
        }
        let mut found = false;
        for (_, snapshot) in self.snapshots() {
            let Value::Array(items) = snapshot else { continue };
            let wanted = |item: &Value| is(item, &operation["kind"], &operation["name"]);
            if verb == "DeleteInBackground" {
                let before = items.len();
                items.retain(|item| !wanted(item));
                found |= items.len() < before;
                continue;
            }
            for item in items.iter_mut().filter(|item| wanted(item)) {
                found = true;
                let object = &mut item["object"];
                match verb {
                    "MergePatch" => json_patch::merge(object, &operation["mergePatch"]),
                    "JQPatch" => {
                        let filter = Filter::compile(operation["jqFilter"].as_str().unwrap_or_default());
                        *object = filter.and_then(|filter| filter.result(object)).map_err(|error| error.to_string())?;
                    }
                    _ => return Err(format!("no hook of ours has a reason for {verb}")),
                }
            }
        }
        if found { Ok(()) } else { Err(format!("{verb} of an object that no snapshot has: {operation}")) }
    }
}

fn is(item: &Value, kind: &Value, name: &Value) -> bool {
    item["object"]["kind"] == *kind && item["object"]["metadata"]["name"] == *name
}
