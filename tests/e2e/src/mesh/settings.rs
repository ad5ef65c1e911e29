//! Configuration of the bench's istiod and proxies: the settings of docs/INSTALL.md, with the cluster's own domain in place of the example's,
//! and additional ones, each with its reason.

use serde_json::{Value, json};

use super::proxy::Kind;
use crate::Install;
use crate::bench::merge;

/// A setting of the bench that is not in docs/INSTALL.md.
pub struct Difference {
    /// Where it is set.
    pub target: Target,
    /// Name of the variable, or path in the configuration.
    pub name: &'static str,
    /// Its value; JSON unless it is a variable.
    pub value: &'static str,
    /// Why the bench needs it.
    pub why: &'static str,
}

/// Where a setting belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// istiod's environment.
    Istiod,
    /// The mesh configuration.
    Mesh,
    /// The environment of every proxy.
    Proxy,
    /// `PROXY_CONFIG` of every proxy.
    ProxyConfig,
}

const PLAIN_ENVOY: &str = "needs filters of Istio's own build of Envoy; the bench runs the Envoy project's build";

/// All of them; tests/e2e/README.md shows the list as a table.
pub const DIFFERENCES: &[Difference] = &[
    Difference { target: Target::Istiod, name: "PILOT_ENABLE_ALPN_FILTER", value: "false", why: PLAIN_ENVOY },
    Difference { target: Target::Istiod, name: "PILOT_ENABLE_METADATA_EXCHANGE", value: "false", why: PLAIN_ENVOY },
    Difference {
        target: Target::Istiod,
        name: "INJECTION_WEBHOOK_CONFIG_NAME",
        value: "",
        why: "no kubelet starts the Pods, so there is nothing to inject into: the bench starts the proxies itself",
    },
    Difference {
        target: Target::Istiod,
        name: "VALIDATION_WEBHOOK_CONFIG_NAME",
        value: "",
        why: "the API servers cannot reach istiod, which runs in a network namespace",
    },
    Difference {
        target: Target::Istiod,
        name: "LOCAL_CLUSTER_SECRET_WATCHER",
        value: "false",
        why: "istiod's own multi-cluster mode is not used",
    },
    Difference {
        target: Target::Mesh,
        name: "rootNamespace",
        value: "\"d8-istio\"",
        why: "istiod runs in the module's namespace, the default of `federation.meshNamespace`; INSTALL.md sets `istio-system`",
    },
    Difference { target: Target::Mesh, name: "defaultProviders", value: "{}", why: PLAIN_ENVOY },
    Difference { target: Target::Mesh, name: "accessLogFile", value: "\"\"", why: "nobody reads the access log" },
    Difference {
        target: Target::Proxy,
        name: "SECRET_TTL",
        value: "2m",
        why: "a run sees certificates renewed, which happens after half of it; istiod may be away for the other half",
    },
    Difference { target: Target::ProxyConfig, name: "concurrency", value: "1", why: "many proxies share two cores" },
    Difference {
        target: Target::ProxyConfig,
        name: "binaryPath",
        value: "\"/run/envoy/bin/envoy\"",
        why: "there is no image: the files are where `container.sh` mounts them",
    },
    Difference {
        target: Target::ProxyConfig,
        name: "configPath",
        value: "\"./etc/istio/proxy\"",
        why: "there is no image: the files are where `container.sh` mounts them",
    },
];

fn of(target: Target) -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.iter().filter(move |difference| difference.target == target)
}

fn variables(target: Target) -> impl Iterator<Item = (String, String)> {
    of(target).map(|difference| (difference.name.to_owned(), difference.value.to_owned()))
}

/// Adds the settings of `target` to a configuration.
fn configure(config: &mut Value, target: Target) -> anyhow::Result<()> {
    for difference in of(target) {
        config[difference.name] = serde_json::from_str(difference.value)?;
    }
    Ok(())
}

/// istiod's environment.
pub(super) fn istiod_environment() -> anyhow::Result<Vec<(String, String)>> {
    Ok(Install::read()?.istiod_environment()?.into_iter().chain(variables(Target::Istiod)).collect())
}

/// The cluster domain of istiod and the proxies.
pub(super) fn cluster_domain(domain: &str) -> anyhow::Result<String> {
    Ok(Install::of_cluster(domain)?.cluster_domain()?.to_owned())
}

/// The mesh configuration, as Istio's chart writes it: the chart's own values, and over them those of the page.
pub(super) fn mesh_config(domain: &str, discovery: &str) -> anyhow::Result<Value> {
    let mut config = json!({"trustDomain": "cluster.local", "defaultConfig": {"discoveryAddress": discovery}});
    merge(&mut config, Install::of_cluster(domain)?.mesh_config()?);
    configure(&mut config, Target::Mesh)?;
    Ok(config)
}

/// Environment that istiod's injection and the module's `DaemonSet` add to every proxy of this kind.
pub(super) fn proxy_environment(kind: Kind) -> anyhow::Result<Vec<(String, String)>> {
    let install = Install::read()?.proxy_environment()?;
    let gateway = (kind == Kind::Gateway).then(|| ("ISTIO_META_ROUTER_MODE".to_owned(), "sni-dnat".to_owned()));
    Ok(install.into_iter().chain(variables(Target::Proxy)).chain(gateway).collect())
}

/// `PROXY_CONFIG`, as istiod's injection makes it of the mesh's `defaultConfig`.
pub(super) fn proxy_config(mesh: &Value) -> anyhow::Result<Value> {
    let mut config = mesh["defaultConfig"].clone();
    configure(&mut config, Target::ProxyConfig)?;
    Ok(config)
}

/// Environment of istio-iptables, which redirects DNS if the mesh captures it.
pub(super) fn capture_environment() -> anyhow::Result<Vec<(String, String)>> {
    Install::read()?.proxy_environment()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_table() {
        let readme = include_str!("../../README.md");
        for Difference { target, name, value, why } in DIFFERENCES {
            let target = match target {
                Target::Istiod => "istiod",
                Target::Mesh => "mesh configuration",
                Target::Proxy => "proxies",
                Target::ProxyConfig => "proxies, `PROXY_CONFIG`",
            };
            let value = if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") };
            let row = format!("| {target} | `{name}` | {value} | {why} |\n");
            assert!(readme.contains(&row), "tests/e2e/README.md lacks this row:\n{row}");
        }
    }

    #[test]
    fn what_install_says_reaches_istiod_and_proxies() -> anyhow::Result<()> {
        let mesh = mesh_config("a.example", "10.0.0.1:15012")?;
        assert_eq!(mesh["trustDomain"], "a.example");
        assert_eq!(cluster_domain("a.example")?, "a.example");
        assert_eq!(mesh["defaultConfig"]["discoveryAddress"], "10.0.0.1:15012");
        let metadata = &mesh["defaultConfig"]["proxyMetadata"];
        assert_eq!(proxy_config(&mesh)?["proxyMetadata"], *metadata);
        for kind in [Kind::Sidecar, Kind::Gateway] {
            for (name, value) in proxy_environment(kind)? {
                assert!(metadata.get(&name).is_none_or(|said| *said == value), "{name}");
            }
        }
        assert_eq!(metadata.as_object().map(serde_json::Map::len), Some(capture_environment()?.len()));
        Ok(())
    }
}
