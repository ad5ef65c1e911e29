//! The YAML blocks of docs/INSTALL.md. Tests apply them unchanged, so that the page and the tests cannot differ.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};

use crate::parse_yaml;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/INSTALL.md");

/// The documents of all YAML blocks on the page, in order.
pub struct Install(Vec<Value>);

impl Install {
    /// Reads the page.
    ///
    /// # Errors
    /// The page cannot be read, or a block is not YAML.
    pub fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(Path::new(PAGE)).context(PAGE)?;
        Self::parse(&text)
    }

    /// Reads the page for a cluster with this domain, which replaces the example's.
    ///
    /// # Errors
    /// As [`Install::read`], or the page sets no cluster domain.
    pub fn of_cluster(domain: &str) -> anyhow::Result<Self> {
        let text = fs::read_to_string(Path::new(PAGE)).context(PAGE)?;
        let example = Self::parse(&text)?;
        Self::parse(&text.replace(example.cluster_domain()?, domain))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let (mut documents, mut lines) = (Vec::new(), text.lines());
        while let Some(begin) = lines.find(|line| line.trim_start() == "```yaml") {
            let indent = begin.len() - begin.trim_start().len();
            let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let text: Vec<&str> = block.map(|line| line.get(indent..).unwrap_or_default()).collect();
            documents.extend(parse_yaml(&text.join("\n"))?);
        }
        Ok(Self(documents))
    }

    /// The Kubernetes objects.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        self.0.iter().filter(|document| document.get("kind").is_some()).cloned().collect()
    }

    /// Environment of the operator's container: names and values.
    ///
    /// # Errors
    /// The page has no such block.
    pub fn operator_environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        let block = self.with("env")?["env"].as_array().context("env is not a list")?;
        let text = |variable: &Value, name| variable[name].as_str().map(str::to_owned).context("not a variable");
        block.iter().map(|variable| Ok((text(variable, "name")?, text(variable, "value")?))).collect()
    }

    /// The cluster domain of istiod and the proxies.
    ///
    /// # Errors
    /// The page has no such block.
    pub fn cluster_domain(&self) -> anyhow::Result<&str> {
        self.with("global")?["global"]["proxy"]["clusterDomain"].as_str().context("no clusterDomain")
    }

    /// Environment of istiod: names and values.
    ///
    /// # Errors
    /// The page has no such block.
    pub fn istiod_environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        variables(&self.with("pilot")?["pilot"]["env"])
    }

    /// Its additions to the mesh configuration.
    ///
    /// # Errors
    /// The page has no such block.
    pub fn mesh_config(&self) -> anyhow::Result<&Value> {
        Ok(&self.with("meshConfig")?["meshConfig"])
    }

    /// Environment of every proxy: istiod's injection writes it into each.
    ///
    /// # Errors
    /// The page has no such block.
    pub fn proxy_environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        variables(&self.mesh_config()?["defaultConfig"]["proxyMetadata"])
    }

    /// The only document with this member.
    fn with(&self, member: &str) -> anyhow::Result<&Value> {
        self.0.iter().find(|document| document.get(member).is_some()).with_context(|| format!("{PAGE}: no {member}"))
    }
}

fn variables(map: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let map: &Map<String, Value> = map.as_object().with_context(|| format!("not a map: {map}"))?;
    let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("not a string: {value}"));
    map.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_block() -> anyhow::Result<()> {
        let install = Install::read()?;
        assert!(install.objects().len() > 5, "{} objects", install.objects().len());
        assert_eq!(install.operator_environment()?.len(), 2);
        let names =
            |variables: Vec<(String, String)>| -> Vec<String> { variables.into_iter().map(|(name, _)| name).collect() };
        assert_eq!(names(install.istiod_environment()?), ["ISTIO_MULTIROOT_MESH", "SHARED_MESH_CONFIG"]);
        assert_eq!(names(install.proxy_environment()?), ["ISTIO_META_DNS_CAPTURE", "PROXY_CONFIG_XDS_AGENT"]);
        Ok(())
    }

    #[test]
    fn the_page_has_one_domain_in_every_place() -> anyhow::Result<()> {
        for (install, domain) in
            [(Install::read()?, "cluster-a.local"), (Install::of_cluster("b.example")?, "b.example")]
        {
            assert_eq!(install.cluster_domain()?, domain);
            assert_eq!(install.mesh_config()?["trustDomain"], domain);
            let settings =
                install.objects().into_iter().find_map(|object| Some(object["data"]["istio"].as_str()?.to_owned()));
            let settings = parse_yaml(&settings.context("no settings")?)?;
            assert_eq!(settings[0]["federation"]["clusterDomain"], domain);
        }
        Ok(())
    }

    #[test]
    fn indented_blocks_are_read_to_their_end() -> anyhow::Result<()> {
        let install = Install::parse("1. a\n\n   ```yaml\n   pilot:\n     env: {A: b}\n   ```\n\n```sh\nls\n```\n")?;
        assert_eq!(install.istiod_environment()?, [("A".to_owned(), "b".to_owned())]);
        assert!(install.mesh_config().is_err());
        Ok(())
    }
}
