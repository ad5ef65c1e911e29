//! Runs the hook executable many times on one set of files, and measures time and peak memory.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use crate::SCENARIO;
use crate::worlds::World;

/// Number of runs of a scenario; the large one has fewer, because it takes longer.
const RUNS: usize = 300;
const LARGE_RUNS: usize = 30;

/// Cost of a scenario.
pub(crate) struct Measured {
    pub(crate) median_ms: f64,
    pub(crate) fastest_ms: f64,
    /// Largest resident set of any run.
    pub(crate) memory_mb: f64,
    /// Operations in the object patches of a run.
    pub(crate) patches: usize,
}

/// Measures scenarios with one executable.
pub(crate) struct Figures<'a> {
    hooks: &'a Path,
    folder: &'a Path,
}

impl<'a> Figures<'a> {
    pub(crate) fn new(hooks: &'a Path, folder: &'a Path) -> Self {
        Self { hooks, folder }
    }

    /// Measures a hook on a world, or the executable with `args`.
    pub(crate) fn run(&self, name: &str, args: &[&str], world: Option<&World>) -> Result<Measured, Box<dyn Error>> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let mut runs = RUNS;
        if let Some(world) = world {
            let context = world.contexts.get(name).ok_or("no context for this hook")?;
            if context.len() > 1_000_000 {
                runs = LARGE_RUNS;
            }
            fs::write(folder.join("context"), context)?;
            fs::write(folder.join("values"), &world.values)?;
            args = ["hook", "run", &index_of(self.hooks, name)?].map(ToOwned::to_owned).to_vec();
        }
        let mut child = Command::new(std::env::current_exe()?);
        child.arg(SCENARIO).arg(self.hooks).arg(&folder).arg(runs.to_string()).args(&args);
        let output = child.stderr(Stdio::inherit()).output()?;
        let report = String::from_utf8(output.stdout)?;
        let mut words = report.split_whitespace();
        let mut number = || -> Result<f64, Box<dyn Error>> { Ok(words.next().ok_or("nothing was measured")?.parse()?) };
        let (median_ms, fastest_ms, memory_mb) = (number()?, number()?, number()?);
        let patches = fs::read_to_string(folder.join("objects"))?.lines().count();
        Ok(Measured { median_ms, fastest_ms, memory_mb, patches })
    }
}

fn index_of(hooks: &Path, name: &str) -> Result<String, Box<dyn Error>> {
    let list = String::from_utf8(Command::new(hooks).args(["hook", "list"]).output()?.stdout)?;
    let line = list.lines().find(|line| line.ends_with(&format!(" - {name}"))).ok_or("no such hook")?;
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

/// The measuring process: `HOOKS FOLDER RUNS ARGS...`. It stays small, because a child counts its parent's memory until exec.
#[expect(clippy::print_stdout, reason = "its answer")]
pub(crate) fn measure(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [hooks, folder, runs, args @ ..] = args else { return Err("too few arguments".into()) };
    let file = |name: &str| -> PathBuf { Path::new(folder).join(name) };
    let outputs = ["objects", "metrics", "values-patch", "config-values-patch"];
    let mut times = Vec::new();
    for _ in 0..runs.parse::<usize>()? {
        for name in outputs {
            fs::write(file(name), "")?;
        }
        let mut command = Command::new(hooks);
        command.args(args).env("BINDING_CONTEXT_PATH", file("context")).env("VALUES_PATH", file("values"));
        command.env("KUBERNETES_PATCH_PATH", file("objects")).env("METRICS_PATH", file("metrics"));
        command.env("VALUES_JSON_PATCH_PATH", file("values-patch")).stdout(Stdio::null());
        command.env("CONFIG_VALUES_JSON_PATCH_PATH", file("config-values-patch"));
        let start = Instant::now();
        let status = command.status()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        if !status.success() {
            return Err(format!("{args:?} failed").into());
        }
    }
    times.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "kilobytes")]
    let memory_mb = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() as f64 / 1024.0;
    println!("{} {} {memory_mb}", times[times.len() / 2], times[0]);
    Ok(())
}
