//! Paths of the components that `make e2e-tools` installs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

const VERSIONS: &str = include_str!("../tools/versions");

/// The executables and CRD files of tests/e2e/tools/versions.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `etcd`.
    pub etcd: PathBuf,
    /// `kube-apiserver`.
    pub kube_apiserver: PathBuf,
    /// `kube-controller-manager`.
    pub kube_controller_manager: PathBuf,
    /// `helm`.
    pub helm: PathBuf,
    /// CRDs of Istio, Gateway API and Prometheus operator: YAML files.
    pub crds: Vec<PathBuf>,
}

impl Tools {
    /// The default set.
    ///
    /// # Errors
    /// A component is missing. The error names it, and the command that installs it.
    pub fn find() -> anyhow::Result<Self> {
        let kubernetes = folder("kubernetes", "KUBERNETES")?;
        let mut crds = Vec::new();
        for (name, version) in [
            ("istio-crds", "ISTIO"),
            ("gateway-api-crds", "GATEWAY_API"),
            ("prometheus-operator-crds", "PROMETHEUS_OPERATOR"),
        ] {
            crds.extend(yaml_files(&folder(name, version)?)?);
        }
        Ok(Self {
            etcd: in_path("etcd")?,
            kube_apiserver: kubernetes.join("bin/kube-apiserver"),
            kube_controller_manager: kubernetes.join("bin/kube-controller-manager"),
            helm: folder("helm", "HELM")?.join("bin/helm"),
            crds,
        })
    }

    /// shell-operator, of the set `make e2e-tools-operators`.
    pub fn shell_operator() -> anyhow::Result<PathBuf> {
        Ok(folder("shell-operator", "SHELL_OPERATOR")
            .context("needs make e2e-tools-operators")?
            .join("bin/shell-operator"))
    }

    /// Folder of pilot-discovery, pilot-agent (in `bin`) and `envoy_bootstrap.json`, of the set `make e2e-tools-mesh`.
    pub fn istio() -> anyhow::Result<PathBuf> {
        folder("istio", "ISTIO").context("needs make e2e-tools-mesh")
    }

    /// Folder of Envoy (in `bin`), of the same set.
    pub fn envoy() -> anyhow::Result<PathBuf> {
        folder("envoy", "ENVOY").context("needs make e2e-tools-mesh")
    }
}

/// The folder of a tool in the cache; `version` is a name in the file of versions.
pub(crate) fn folder(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let line = VERSIONS.lines().find_map(|line| line.strip_prefix(version)?.strip_prefix('='));
    let version = line.with_context(|| format!("tests/e2e/tools/versions has no {version}"))?;
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let folder = cache.join("istio-federation/tools").join(format!("{name}-{version}"));
    ensure!(folder.is_dir(), "{} does not exist: run make e2e-tools", folder.display());
    Ok(folder)
}

/// The YAML files of a folder, by name.
pub(crate) fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension() == Some(OsStr::new("yaml")));
    files.sort();
    Ok(files)
}

fn in_path(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.with_context(|| format!("{program} is not in PATH: run make e2e-tools"))
}
