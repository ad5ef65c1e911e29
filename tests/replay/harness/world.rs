//! Makes the input of a run, and applies the effects of the hook to it: a cluster in memory, and snapshots of it for the
//! bindings of the hook.

use istio_federation_sim::cluster::Cluster;
use istio_federation_sim::operator::config::{Binding, Hook};
use istio_federation_sim::operator::patches::{self, Operation};
use istio_federation_sim::operator::{context, values::ModuleValues};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::case::{Case, Context, Input};
use super::fill::Fill;
use super::operator::Outcome;

/// The inputs of a run.
pub(crate) struct World<'a> {
    case: &'a Case,
    hook: &'a Hook,
    cluster: Cluster,
    /// Contexts that are written by hand.
    written: Option<Vec<Value>>,
    context: Input,
    values: Input,
    config_values: Input,
}

impl<'a> World<'a> {
    pub(crate) fn read(case: &'a Case, hook: &'a Hook, fill: &Fill) -> Result<Self, String> {
        let given = &case.given;
        let mut cluster = Cluster::new("replay", Timestamp::now);
        // Hooks write there, and an object needs its namespace.
        let ours = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "d8-istio"}});
        cluster.restore(ours).map_err(|error| error.to_string())?;
        let mut restore = |object: &Value| {
            let mut object = object.clone();
            fill.document(&mut object)?;
            cluster.restore(object).map_err(|error| error.to_string())
        };
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for (binding, objects) in &given.objects {
            for object in objects {
                wanted.push((binding, restore(object)?));
            }
        }
        for object in &given.unselected {
            unwanted.push(restore(object)?);
        }
        let written = match &given.context {
            Context::Written(contexts) => {
                let mut contexts = Value::Array(contexts.clone());
                fill.document(&mut contexts)?;
                contexts.as_array().cloned()
            }
            _ => None,
        };
        let context = match &given.context {
            Context::Input(input) => filled(input, fill)?,
            _ => Input::Missing,
        };
        let (values, config_values) = (filled(&given.values, fill)?, filled(&given.config_values, fill)?);
        let mut world = Self { case, hook, cluster, written, context, values, config_values };
        for (name, key) in wanted {
            let binding = hook.bindings.iter().find(|binding| binding.name == *name);
            let binding = binding.ok_or_else(|| format!("hook {} has no binding {name}", hook.name))?;
            if !world.cluster.list(&binding.selector).iter().any(|(found, _)| **found == key) {
                return Err(format!("binding {name} does not select {key}: no operator would send it"));
            }
        }
        for key in unwanted {
            let selects =
                |binding: &&Binding| world.cluster.list(&binding.selector).iter().any(|(found, _)| **found == key);
            if let Some(binding) = hook.bindings.iter().find(selects) {
                return Err(format!("binding {} selects {key}", binding.name));
            }
        }
        world.render(false)?;
        Ok(world)
    }

    pub(crate) fn context(&self) -> &Input {
        &self.context
    }

    pub(crate) fn values(&self) -> &Input {
        &self.values
    }

    pub(crate) fn config_values(&self) -> &Input {
        &self.config_values
    }

    /// Writes the binding contexts as an operator does.
    fn render(&mut self, reversed: bool) -> Result<(), String> {
        let mut snapshots = context::snapshots(self.hook, &self.cluster).map_err(|error| error.to_string())?;
        if reversed {
            snapshots.values_mut().filter_map(Value::as_array_mut).for_each(|items| items.reverse());
        }
        let contexts = match (&self.case.given.context, &self.written) {
            (Context::Input(_), _) => return Ok(()),
            (_, Some(written)) => written.iter().map(|context| with_snapshots(context, &snapshots)).collect(),
            _ => match self.case.run.as_str() {
                "onStartup" => context::on_startup(),
                lifecycle @ ("beforeHelm" | "afterHelm" | "beforeDeleteHelm" | "afterDeleteHelm") => {
                    context::lifecycle(lifecycle, snapshots)
                }
                binding => {
                    let schedules = self.hook.schedules.iter().map(|schedule| &schedule.name);
                    if !self
                        .hook
                        .bindings
                        .iter()
                        .map(|binding| &binding.name)
                        .chain(schedules)
                        .any(|name| name == binding)
                    {
                        return Err(format!("hook {} is not bound to {binding}", self.hook.name));
                    }
                    context::group(binding, snapshots)
                }
            },
        };
        self.context = Input::Text(contexts.to_string());
        Ok(())
    }

    /// Whether some snapshot has more than one object.
    pub(crate) fn can_be_reversed(&self) -> bool {
        let is_made = !matches!(self.case.given.context, Context::Input(_));
        is_made && self.hook.bindings.iter().any(|binding| self.cluster.list(&binding.selector).len() > 1)
    }

    /// From now on, every snapshot is in reverse.
    pub(crate) fn reverse(&mut self) -> Result<(), String> {
        self.render(true)
    }

    /// Whether patches can be applied.
    pub(crate) fn can_be_changed(&self) -> bool {
        !matches!(self.case.given.context, Context::Input(_))
    }

    /// Applies the effects of a run, as the operator and the API server do.
    pub(crate) fn apply(&mut self, outcome: &Outcome) -> Result<(), String> {
        let output = |name: &str| outcome.outputs.get(name).map(String::as_str).unwrap_or_default();
        if !output("values").is_empty() {
            let Input::Text(text) = &self.values else { return Err("a patch of no values".to_owned()) };
            let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let mut values = ModuleValues::with_base("istio", Value::Null, move |_| document.clone());
            values.patch(output("values")).map_err(|error| error.to_string())?;
            self.values = Input::Text(values.document().to_string());
        }
        for operation in patches::parse(output("objects")).map_err(|error| error.to_string())? {
            let target = match &operation {
                Operation::CreateIfNotExists(_) => None,
                Operation::DeleteInBackground(target) => Some(target),
                Operation::JQPatch(patch) => Some(&patch.target),
                Operation::MergePatch(patch) => Some(&patch.target),
                other => return Err(format!("no hook of ours has a reason for {other:?}")),
            };
            if let Some(target) = target
                && self
                    .cluster
                    .find(target.api_version.as_deref(), &target.kind, &target.namespace, &target.name)
                    .is_none()
            {
                return Err(format!("a patch of a missing object: {target}"));
            }
            operation.apply(&mut self.cluster).map_err(|error| error.to_string())?;
        }
        self.render(false)
    }
}

/// A file, with its placeholders filled in where it is JSON.
fn filled(input: &Input, fill: &Fill) -> Result<Input, String> {
    let Input::Text(text) = input else { return Ok(input.clone()) };
    let Ok(mut document) = serde_json::from_str::<Value>(text) else { return Ok(input.clone()) };
    fill.document(&mut document)?;
    Ok(Input::Text(document.to_string()))
}

/// A context that is written by hand, with the snapshots that it does not write itself.
fn with_snapshots(context: &Value, snapshots: &Map<String, Value>) -> Value {
    let mut context = context.clone();
    match context.get_mut("snapshots") {
        Some(all @ Value::String(_)) => *all = Value::Object(snapshots.clone()),
        Some(Value::Object(written)) => {
            for (name, snapshot) in written.iter_mut().filter(|(_, snapshot)| snapshot.is_string()) {
                *snapshot = snapshots.get(name).cloned().unwrap_or_default();
            }
        }
        _ => {}
    }
    context
}
