//! The user's settings, from the operator's ConfigMap.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

/// Settings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Configured {
    /// Whether the user switches the module on; absent means off.
    pub(super) enabled: bool,
    /// `global` and the module's section; null if absent.
    pub(super) sections: Value,
}

impl Configured {
    /// Reads the ConfigMap, for the module with the values key `key`.
    pub(super) fn read(config_map: &ConfigMap, key: &str) -> anyhow::Result<Self> {
        let empty = BTreeMap::new();
        let data = config_map.data.as_ref().unwrap_or(&empty);
        let section = |name: &str| -> anyhow::Result<Value> {
            let Some(text) = data.get(name) else { return Ok(Value::Null) };
            let value: Value = serde_saphyr::from_str(text).map_err(|why| anyhow!("{name}: {why}"))?;
            if !value.is_object() && !value.is_null() {
                bail!("{name} is not a map");
            }
            Ok(value)
        };
        let enabled = match data.get(&format!("{key}Enabled")).map(String::as_str) {
            Some("true") => true,
            Some("false") | None => false,
            Some(other) => bail!("{key}Enabled is {other:?}, neither \"true\" nor \"false\""),
        };
        Ok(Self { enabled, sections: json!({"global": section("global")?, key: section(key)?}) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[(&str, &str)]) -> anyhow::Result<Configured> {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Configured::read(&ConfigMap { data: Some(data), ..ConfigMap::default() }, "istio")
    }

    #[test]
    fn sections_are_yaml_and_absent_ones_null() {
        let on = read(&[("istioEnabled", "true"), ("istio", "a: {b: 1}\n")]).unwrap();
        assert_eq!(on, Configured { enabled: true, sections: json!({"global": null, "istio": {"a": {"b": 1}}}) });
        assert!(!read(&[("global", "{}")]).unwrap().enabled);
        for (bad, why) in
            [(("istio", "a: ["), "istio"), (("istio", "1"), "map"), (("istioEnabled", "yes"), "istioEnabled")]
        {
            let error = format!("{:#}", read(&[bad]).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
