//! The module's folder as an operator gets it: what the repository holds, and the hook executable.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{ApiServer, Helm, operator};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// What a package of the module holds, besides the hook executable.
const CONTENTS: [&str; 8] =
    ["Chart.yaml", ".helmignore", "module.yaml", "openapi", "crds", "templates", "monitoring", "enabled"];

/// Makes the folder in `modules`, with links into the repository.
pub(super) fn install(modules: &Path) -> anyhow::Result<()> {
    let folder = modules.join("110-istio");
    fs::create_dir_all(folder.join("hooks"))?;
    for name in CONTENTS {
        let source = Path::new(REPOSITORY).join(name);
        if source.exists() {
            copy(&source, &folder.join(name))?;
        }
    }
    program("istio-federation-hooks", &folder.join("hooks"))?;
    Ok(())
}

/// Applies the chart by Helm alone, with the values of a module that an operator has just loaded, for `settings`.
pub(super) async fn apply_chart(server: &ApiServer, namespace: &str, settings: &Value) -> anyhow::Result<()> {
    let folder = server.scratch().data().join("modules/110-istio");
    let values = operator::first_values(&folder, "istio", &json!({"global": {}, "istio": settings}))?;
    Helm::on(server)?.upgrade("istio", namespace, &folder, &values).await?;
    Ok(())
}

/// A folder with links to the hook executable, each named after a hook: its plain form.
pub(super) fn links(server: &ApiServer, hooks: &[&str]) -> anyhow::Result<PathBuf> {
    let data = server.scratch().data();
    let (program, folder) = (program("istio-federation-hooks", &data)?, data.join("plain-hooks"));
    fs::create_dir_all(&folder)?;
    for hook in hooks {
        symlink(&program, folder.join(hook))?;
    }
    Ok(folder)
}

/// A program of ours, built beside the test that runs: linked into `folder`, so that it stays what it is when it is built again.
pub(crate) fn program(name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let program = test.ancestors().nth(2).context("the test is nowhere")?.join(name);
    ensure!(program.exists(), "{} is missing: make scenarios or make mesh builds it", program.display());
    let link = folder.join(name);
    fs::hard_link(&program, &link).or_else(|_| fs::copy(&program, &link).map(drop))?;
    Ok(link)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| from.display().to_string())?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
