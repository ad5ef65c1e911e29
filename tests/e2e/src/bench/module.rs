//! The module's folder as an operator gets it: what the repository holds, and the hook executable.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

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
    symlink(program("istio-federation-hooks")?, folder.join("hooks/istio-federation-hooks"))?;
    Ok(())
}

/// A program of ours, built beside the test that runs.
pub(super) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("the test is nowhere")?;
    let program = folder.join(name);
    ensure!(program.exists(), "{} is missing: make scenarios builds it", program.display());
    Ok(program)
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
