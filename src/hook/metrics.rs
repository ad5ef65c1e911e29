//! Metrics that a hook hands to the operator, which serves them at `/metrics/hooks`.

use std::collections::BTreeMap;

use serde::Serialize;

/// One operation. The group is always written: the operator drops a group's metrics when the next run mentions that group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricOperation {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    group: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Set,
    Expire,
}

impl MetricOperation {
    /// A gauge gets this value.
    #[must_use]
    pub fn set(name: &str, value: f64, labels: &[(&str, &str)], group: &str) -> Self {
        Self::new(Action::Set, name, Some(value), labels, group)
    }

    /// All metrics of the group end.
    #[must_use]
    pub fn expire(group: &str) -> Self {
        Self::new(Action::Expire, "", None, &[], group)
    }

    fn new(action: Action, name: &str, value: Option<f64>, labels: &[(&str, &str)], group: &str) -> Self {
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { name: name.into(), action, value, labels, group: group.into() }
    }

    /// A reason for the operator to refuse this. Checked when the run ends, so that a hook need not handle it in each place.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.group.is_empty() {
            Some("has no group")
        } else if self.name.is_empty() && self.action != Action::Expire {
            Some("has no name")
        } else if self.value.is_some_and(|value| !value.is_finite()) {
            Some("has a value that JSON has no number for")
        } else {
            None
        }
    }

    /// Name and group, for an error message.
    pub(super) fn title(&self) -> String {
        format!("metric {:?} of group {:?}", self.name, self.group)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(operation: &MetricOperation) -> Value {
        serde_json::to_value(operation).unwrap()
    }

    #[test]
    fn every_action_has_the_members_that_the_operator_needs() {
        let rows = [
            (
                MetricOperation::set("peers", 3.0, &[("name", "b")], "all"),
                json!({"name": "peers", "action": "set", "value": 3.0, "labels": {"name": "b"}, "group": "all"}),
            ),
            (MetricOperation::expire("gone"), json!({"action": "expire", "group": "gone"})),
        ];
        for (operation, expected) in rows {
            assert_eq!(line(&operation), expected);
            assert_eq!(operation.problem(), None);
        }
    }

    #[test]
    fn an_operation_that_the_operator_would_refuse_is_a_problem() {
        for operation in [
            MetricOperation::set("", 1.0, &[], "g"),
            MetricOperation::set("n", 1.0, &[], ""),
            MetricOperation::expire(""),
            MetricOperation::set("n", f64::NAN, &[], "g"),
            MetricOperation::set("n", f64::INFINITY, &[], "g"),
        ] {
            assert!(operation.problem().is_some(), "{operation:?}");
        }
    }
}
