//! The module's folder as an operator gets it: what the repository holds, and the hook executable.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{ApiServer, Helm, operator};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const HOOKS: &str = "istio-federation-hooks";
/// What a package of the module holds, besides the hook executable.
const CONTENTS: [&str; 8] =
    ["Chart.yaml", ".helmignore", "module.yaml", "openapi", "crds", "templates", "monitoring", "enabled"];

/// The module of some commit: its files, and its hook executable.
#[derive(Clone, Debug)]
pub struct Module {
    repository: PathBuf,
    hooks: PathBuf,
}

impl Module {
    /// As it is in the working tree, with the hook executable that `HOOKS` names where it is not the one built beside the test.
    pub fn current() -> anyhow::Result<Self> {
        let hooks = std::env::var_os("HOOKS").map_or_else(|| built(HOOKS), |named| Ok(named.into()))?;
        Ok(Self { repository: REPOSITORY.into(), hooks })
    }

    /// As it was before the last commit that changed it, or at the commit that `PREVIOUS` names; `None` where there is no such
    /// commit, as in a shallow clone. Its hooks are built where that was not done before.
    pub fn previous() -> anyhow::Result<Option<(String, Self)>> {
        let commit = match std::env::var("PREVIOUS") {
            Ok(named) => output(git().args(["rev-parse", "--short", &named]))?,
            Err(_) => match before_last_change() {
                Ok(commit) => commit,
                Err(_) => return Ok(None),
            },
        };
        let all = Path::new(REPOSITORY).join("target/e2e-previous");
        let repository = all.join(&commit);
        let hooks = repository.join(HOOKS);
        if !hooks.exists() {
            fs::create_dir_all(&repository)?;
            let archive = all.join(format!("{commit}.tar"));
            output(git().arg("archive").arg("--output").arg(&archive).arg(&commit))?;
            output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&repository))?;
            fs::remove_file(&archive)?;
            let target = all.join("target");
            let mut build = Command::new("cargo");
            build.current_dir(&repository).env("CARGO_TARGET_DIR", &target);
            output(build.args(["build", "--locked", "--package", HOOKS]))?;
            fs::rename(target.join("debug").join(HOOKS), &hooks)?;
        }
        Ok(Some((commit, Self { repository, hooks })))
    }

    /// Makes its folder in `modules`, in the place of another version of it.
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
}

/// The commit before the last one that changed what the module consists of: with changes that are in no commit, the last one.
fn before_last_change() -> anyhow::Result<String> {
    let parts: Vec<&str> = CONTENTS.into_iter().chain(["hooks", "src"]).filter(|&part| part != "module.yaml").collect();
    let is_clean = git().args(["diff", "--quiet", "HEAD", "--"]).args(&parts).status()?.success();
    if !is_clean {
        return output(git().args(["rev-parse", "--short", "HEAD"]));
    }
    let last = output(git().args(["log", "-1", "--format=%h", "--"]).args(&parts))?;
    output(git().args(["rev-parse", "--short", &format!("{last}^")]))
}

fn git() -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(REPOSITORY);
    command
}

/// What a command says, if it ends well.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, stderr.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
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
    let (program, folder) = (data.join(HOOKS), data.join("plain-hooks"));
    link(&Module::current()?.hooks, &program)?;
    fs::create_dir_all(&folder)?;
    for hook in hooks {
        symlink(&program, folder.join(hook))?;
    }
    Ok(folder)
}

/// A program of ours, built beside the test that runs: linked into `folder`, so that it stays what it is when it is built again.
pub(crate) fn program(name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let place = folder.join(name);
    link(&built(name)?, &place)?;
    Ok(place)
}

fn built(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let program = test.ancestors().nth(2).context("the test is nowhere")?.join(name);
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
