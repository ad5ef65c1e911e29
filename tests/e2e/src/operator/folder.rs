//! The module in the modules folder: schemas, CRDs, the script `enabled`, the hook executable, the chart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::schemas::Schemas;
use crate::read_yaml;

/// Prefixes of files in `crds/` that are not CRDs: translations, and parts that other files include.
const NO_CRDS: [&str; 2] = ["doc-", "_"];

/// A module.
pub(super) struct Folder {
    /// Its name, also of its Helm release.
    pub(super) name: String,
    /// Its key in values.
    pub(super) key: String,
    /// Its folder.
    pub(super) path: PathBuf,
    /// Its schemas.
    pub(super) schemas: Schemas,
}

impl Folder {
    /// The one module in `modules`: a folder `NNN-name` or `name`.
    pub(super) fn find(modules: &Path) -> anyhow::Result<Self> {
        let entries = fs::read_dir(modules).with_context(|| modules.display().to_string())?;
        let mut folders: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        folders.retain(|path| path.is_dir());
        let [path] = &folders[..] else {
            bail!("{}: the stand-in runs one module, not {}", modules.display(), folders.len());
        };
        let file_name = path.file_name().and_then(|name| name.to_str()).context("the module's folder has no name")?;
        let name = match file_name.split_once('-') {
            Some((number, name)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => file_name,
        };
        let key = camel_case(name);
        let schemas = Schemas::read(path, &key)?;
        Ok(Self { name: name.to_owned(), key, path: path.clone(), schemas })
    }

    /// The documents of `crds/`.
    pub(super) fn crds(&self) -> anyhow::Result<Vec<Value>> {
        let Ok(entries) = fs::read_dir(self.path.join("crds")) else { return Ok(Vec::new()) };
        let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.retain(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            file.extension().is_some_and(|extension| extension == "yaml")
                && !NO_CRDS.iter().any(|prefix| name.starts_with(prefix))
        });
        files.sort();
        let mut crds = Vec::new();
        for file in files {
            crds.extend(read_yaml(&file)?);
        }
        Ok(crds)
    }

    /// The script `enabled`, if it exists.
    pub(super) fn enabled_script(&self) -> Option<PathBuf> {
        Some(self.path.join("enabled")).filter(|path| is_executable(path))
    }

    /// The one executable in `hooks/`; files with a dot in their name do not count.
    pub(super) fn executable(&self) -> anyhow::Result<PathBuf> {
        let mut found = Vec::new();
        collect(&self.path.join("hooks"), &mut found)?;
        let [executable] = &found[..] else {
            bail!("the stand-in runs one batch executable in hooks/, not {}", found.len());
        };
        Ok(executable.clone())
    }

    /// Whether the module has a Helm chart.
    pub(super) fn has_chart(&self) -> bool {
        self.path.join("Chart.yaml").exists()
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && name != "lib" && name != "venv" {
                collect(&path, found)?;
            }
        } else if is_executable(&path) && !name.starts_with('.') {
            ensure!(!name.contains('.'), "{}: the stand-in runs batch executables only", path.display());
            found.push(path);
        }
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('-');
    let mut key = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        key.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        key.push_str(letters.as_str());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keys_are_camel_case() {
        assert_eq!(camel_case("istio"), "istio");
        assert_eq!(camel_case("my-dra-module"), "myDraModule");
    }
}
