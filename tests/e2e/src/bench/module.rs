//! A version of the module: the folder with the hook executable for the operator, and the exporter's image for the kubelet.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{ApiServer, Helm, operator};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const HOOKS: &str = "istio-federation-hooks";
const PROGRAM: &str = "istio-federation";
/// Contents of the module's package, in addition to the hook executable.
const CONTENTS: [&str; 8] =
    ["Chart.yaml", ".helmignore", "module.yaml", "openapi", "crds", "templates", "monitoring", "enabled"];

/// The module at some commit: its files, its hook executable, and its exporter.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its commit, or `current`. Also the tag of its image.
    pub version: String,
    repository: PathBuf,
    hooks: PathBuf,
    program: PathBuf,
}

impl Module {
    /// The module of the working tree, with the hook executable in `HOOKS`, by default the one built with the test.
    pub fn current() -> anyhow::Result<Self> {
        let hooks = std::env::var_os("HOOKS").map_or_else(|| built(HOOKS), |named| Ok(named.into()))?;
        Ok(Self { version: "current".to_owned(), repository: REPOSITORY.into(), hooks, program: built(PROGRAM)? })
    }

    /// The module before the last commit that changed it, or at the commit in `PREVIOUS`; built if it was not built before.
    /// `None` if this clone has no earlier commit.
    pub fn previous() -> anyhow::Result<Option<Self>> {
        let output = output(&mut Command::new(Path::new(REPOSITORY).join("tests/e2e/tools/previous")))?;
        let folder = output.lines().last().unwrap_or_default();
        if folder == "none" {
            return Ok(None);
        }
        let repository = PathBuf::from(folder);
        let (_, commit) = folder.rsplit_once("/previous-").context("tools/previous prints no folder")?;
        let (hooks, program) = (repository.join("bin").join(HOOKS), repository.join("bin").join(PROGRAM));
        Ok(Some(Self { version: commit.to_owned(), repository, hooks, program }))
    }

    /// Makes its folder in `modules`, replacing another version of it.
    pub(super) fn install(&self, modules: &Path) -> anyhow::Result<()> {
        let folder = modules.join("110-istio");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("hooks"))?;
        for name in CONTENTS {
            let source = self.repository.join(name);
            if source.exists() {
                copy(&source, &folder.join(name))?;
            }
        }
        link(&self.hooks, &folder.join("hooks").join(HOOKS))
    }

    /// Adds its image to a folder of programs, each named after a tag.
    pub(super) fn push_image(&self, images: &Path, tag: &str) -> anyhow::Result<()> {
        fs::create_dir_all(images)?;
        let image = images.join(tag);
        if image.exists() { Ok(()) } else { link(&self.program, &image) }
    }
}

/// Output of a command that succeeds.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, stderr.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Applies the chart with Helm alone, with the initial values of a module for `settings`.
pub(super) async fn apply_chart(server: &ApiServer, namespace: &str, settings: &Value) -> anyhow::Result<()> {
    let folder = server.scratch().data().join("modules/110-istio");
    let values = operator::first_values(&folder, "istio", &json!({"global": {}, "istio": settings}))?;
    Helm::on(server)?.upgrade("istio", namespace, &folder, &values).await?;
    Ok(())
}

/// A folder with links to the hook executable, each named after a hook.
pub(super) fn links(server: &ApiServer, hooks: &[&str]) -> anyhow::Result<PathBuf> {
    let data = server.scratch().data();
    let (program, folder) = (data.join(HOOKS), data.join("plain-hooks"));
    link(&Module::current()?.hooks, &program)?;
    fs::create_dir_all(&folder)?;
    for hook in hooks {
        symlink(&program, folder.join(hook))?;
    }
    Ok(folder)
}

/// A program of ours, built with the running test. It is linked into `folder`, so that a later build does not change it.
pub(crate) fn program(name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let place = folder.join(name);
    link(&built(name)?, &place)?;
    Ok(place)
}

fn built(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let program = test.ancestors().nth(2).context("the test has no path")?.join(name);
    ensure!(program.exists(), "{} is missing: make scenarios or make mesh builds it", program.display());
    Ok(program)
}

fn link(program: &Path, place: &Path) -> anyhow::Result<()> {
    fs::hard_link(program, place).or_else(|_| fs::copy(program, place).map(drop))?;
    Ok(())
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
