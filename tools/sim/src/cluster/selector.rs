//! Selects the objects of a binding: kind, names, namespaces, labels, fields (`kubernetes[]` of the hook protocol).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Key, labels_of};

/// The selecting members of a `kubernetes` binding.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Group and version; absent means any group that has the kind.
    pub api_version: Option<String>,
    /// Kind or plural, in any case.
    pub kind: String,
    pub name_selector: Option<Names>,
    pub label_selector: Option<Labels>,
    pub field_selector: Option<Fields>,
    pub namespace: Option<Namespaces>,
}

/// `matchNames`; an empty list selects all names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Names {
    pub match_names: Vec<String>,
}

/// A Kubernetes label selector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Labels {
    /// Labels with their values.
    pub match_labels: BTreeMap<String, String>,
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement of a label selector.
#[derive(Clone, Debug, Deserialize)]
pub struct LabelRequirement {
    /// Label.
    pub key: String,
    /// Relation.
    pub operator: LabelOperator,
    /// Values for `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// Relation of a label to a requirement's values.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum LabelOperator {
    /// The value is one of them.
    In,
    /// The value is not among them, or the label is absent.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// A field selector; its requirements all have to hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fields {
    pub match_expressions: Vec<FieldRequirement>,
}

/// A requirement of a field selector.
#[derive(Clone, Debug, Deserialize)]
pub struct FieldRequirement {
    /// Path with dots.
    pub field: String,
    /// Relation.
    pub operator: FieldOperator,
    pub value: String,
}

/// Relation of a field to a requirement's value.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum FieldOperator {
    #[serde(alias = "=", alias = "==")]
    Equals,
    #[serde(alias = "!=")]
    NotEquals,
}

/// Namespaces by name or by the labels of their Namespace object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Namespaces {
    pub name_selector: Option<Names>,
    pub label_selector: Option<Labels>,
}

impl Selector {
    /// Whether `object` is selected; `namespace` gives the Namespace object of a name.
    pub(super) fn matches<'a>(&self, key: &Key, object: &Value, namespace: impl Fn(&str) -> Option<&'a Value>) -> bool {
        key.is_of(self.api_version.as_deref(), &self.kind)
            && self.name_selector.as_ref().is_none_or(|names| names.match_name(&key.name))
            && self.label_selector.as_ref().is_none_or(|labels| labels.match_object(object))
            && self.field_selector.as_ref().is_none_or(|fields| fields.match_object(object))
            && self.namespace.as_ref().is_none_or(|namespaces| {
                namespaces.name_selector.as_ref().is_none_or(|names| names.match_name(&key.namespace))
                    && namespaces
                        .label_selector
                        .as_ref()
                        .is_none_or(|labels| namespace(&key.namespace).is_some_and(|found| labels.match_object(found)))
            })
    }
}

impl Names {
    fn match_name(&self, name: &str) -> bool {
        self.match_names.is_empty() || self.match_names.iter().any(|wanted| wanted == name)
    }
}

impl Labels {
    fn match_object(&self, object: &Value) -> bool {
        let labels = labels_of(object);
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.match_labels.iter().all(|(key, value)| label(key) == Some(value))
            && self.match_expressions.iter().all(|wanted| {
                let value = label(&wanted.key);
                let listed = value.is_some_and(|value| wanted.values.iter().any(|one| one == value));
                match wanted.operator {
                    LabelOperator::In => listed,
                    LabelOperator::NotIn => !listed,
                    LabelOperator::Exists => value.is_some(),
                    LabelOperator::DoesNotExist => value.is_none(),
                }
            })
    }
}

impl Fields {
    fn match_object(&self, object: &Value) -> bool {
        self.match_expressions.iter().all(|wanted| {
            let found = wanted.field.split('.').try_fold(object, |value, member| value.get(member));
            let equal = found.and_then(Value::as_str).unwrap_or_default() == wanted.value;
            match wanted.operator {
                FieldOperator::Equals => equal,
                FieldOperator::NotEquals => !equal,
            }
        })
    }
}
