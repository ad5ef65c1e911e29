//! Keeps the metrics of hooks (`METRICS_PATH`) in groups, like an operator.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// A metric with its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name of the metric.
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// Current values, by group.
#[derive(Debug, Default)]
pub struct Metrics {
    groups: BTreeMap<String, BTreeMap<Series, f64>>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    name: String,
    action: String,
    value: Option<f64>,
    labels: Option<BTreeMap<String, String>>,
    buckets: Option<Vec<f64>>,
    group: Option<String>,
}

impl Metrics {
    pub fn series(&self) -> impl Iterator<Item = (&Series, f64)> {
        self.groups.values().flatten().map(|(series, value)| (series, *value))
    }

    /// Takes the output of `hook`: the old series of every group in it end. An error names the wrong operation.
    pub fn apply(&mut self, hook: &str, text: &str) -> Result<(), String> {
        let operations: Vec<Operation> = serde_json::Deserializer::from_str(text)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|why| format!("metrics: {why}"))?;
        for Operation { name, action, value, buckets, group, .. } in &operations {
            let complete = match action.as_str() {
                "add" | "set" => !name.is_empty() && value.is_some(),
                "observe" => !name.is_empty() && value.is_some() && buckets.is_some(),
                "expire" => group.is_some(),
                _ => return Err(format!("metrics: unknown action {action:?}")),
            };
            if !complete {
                return Err(format!("metrics: {action} of {name:?} lacks something"));
            }
        }
        let group_of = |operation: &Operation| operation.group.clone().unwrap_or_else(|| hook.to_owned());
        for group in operations.iter().map(group_of).collect::<BTreeSet<_>>() {
            self.groups.remove(&group);
        }
        for operation in operations {
            let group = group_of(&operation);
            let Some(value) = operation.value.filter(|_| operation.action != "expire") else { continue };
            let series = Series { name: operation.name, labels: operation.labels.unwrap_or_default() };
            let stored = self.groups.entry(group).or_default().entry(series).or_default();
            *stored = if operation.action == "add" { *stored + value } else { value };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_series_of_a_group_end_and_errors_name_the_operation() {
        let mut metrics = Metrics::default();
        let shown = |metrics: &Metrics| {
            metrics.series().map(|(series, value)| format!("{}={value}", series.name)).collect::<Vec<_>>().join(" ")
        };
        metrics
            .apply("h", r#"{"name":"a","action":"set","value":1,"group":"g"} {"name":"b","action":"add","value":2}"#)
            .unwrap();
        metrics.apply("h", r#"{"name":"c","action":"set","value":3,"group":"g","labels":null}"#).unwrap();
        assert_eq!(shown(&metrics), "c=3 b=2");
        metrics.apply("h", r#"{"action":"expire","group":"g"}"#).unwrap();
        assert_eq!(shown(&metrics), "b=2");
        metrics.apply("h", "").unwrap();
        for bad in [
            "[]",
            "{",
            r#"{"action":"set","name":"a"}"#,
            r#"{"action":"sett","name":"a","value":1}"#,
            r#"{"action":"expire"}"#,
        ] {
            assert!(metrics.apply("h", bad).is_err(), "{bad}");
        }
        assert_eq!(shown(&metrics), "b=2");
    }
}
