//! The demo: two clusters on this machine that federate, each with the real hooks and the real exporter.
//!
//! Kubernetes and the operator are stand-ins ([`istio_federation_sim`]), and so is the chart ([`chart`]); the demo says so.
//! HTTP, TLS, tokens, hooks and exporters are what ships.

pub mod chart;
pub mod expect;
mod exporter;
pub mod facts;
mod report;
mod screen;
mod side;
mod story;
mod watch;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::screen::{say, say_of};
use crate::side::{Executables, Side, Work};
use istio_federation_sim::operator::{Executable, Step};

/// How long the clusters may take to federate.
const DEADLINE: Duration = Duration::from_mins(1);
/// Pause before looking again, while an exporter reads the latest changes.
const PAUSE: Duration = Duration::from_millis(100);
/// Mode of our folder: there are private keys in it.
const PRIVATE: u32 = 0o700;
/// Folders of the two clusters, in the examples and in the output.
const NAMES: [&str; 2] = ["cluster-a", "cluster-b"];
/// The executables that ship, next to ours.
const HOOKS: &str = "istio-federation-hooks";
const PROGRAM: &str = "istio-federation";

/// Shows two clusters that federate, on this machine: real hooks, real exporters, manifests to read and edit
#[derive(Clone, Debug, Parser)]
#[command(name = "istio-federation-demo", version)]
pub struct Demo {
    /// The hook executable [default: istio-federation-hooks next to this program]
    #[arg(long, value_name = "FILE")]
    hooks: Option<PathBuf>,
    /// The program that has the exporter [default: istio-federation next to this program]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Folder with cluster-a and cluster-b: values.yaml and manifests of each; only read
    #[arg(long, value_name = "DIR", default_value = "examples")]
    examples: PathBuf,
    /// Empty or new folder that keeps every file: manifests, input and output of hooks, logs
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep running: edit the manifests and see the effects
    #[arg(long)]
    watch: bool,
}

/// Folder for the files of a demo.
enum Out {
    /// Named by the user; it is kept.
    Kept(PathBuf),
    /// Deleted after a success.
    Temporary(tempfile::TempDir),
}

impl Out {
    fn new(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = named else {
            let folder = tempfile::Builder::new()
                .prefix("istio-federation-demo-")
                .permissions(fs::Permissions::from_mode(PRIVATE))
                .tempdir();
            return Ok(Self::Temporary(folder.context("cannot make a temporary folder")?));
        };
        let failed = || format!("cannot use {}", path.display());
        fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(&path).with_context(failed)?;
        if fs::read_dir(&path).with_context(failed)?.next().is_some() {
            bail!("{} is not empty: name a new folder with --out", path.display());
        }
        Ok(Self::Kept(path.canonicalize().with_context(failed)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn keep(self) -> PathBuf {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.keep(),
        }
    }
}

impl Demo {
    /// Runs the demo. When it fails, its files stay, and the error says where.
    pub fn run(self) -> anyhow::Result<()> {
        let hooks = executable(self.hooks.as_ref(), HOOKS, "hooks")?;
        let program = executable(self.program.as_ref(), PROGRAM, "program")?;
        let hooks = Executable::new(&hooks, &[("ISTIO_FEDERATION_PACE", "eager"), ("LOG_LEVEL", "info")]);
        let executables = Executables { hooks, program };
        let out = Out::new(self.out.clone())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        // Whichever way this ends, its processes end with it: they are killed when their handles are dropped.
        match runtime.block_on(self.until_interrupted(&executables, out.path())) {
            Ok(()) => {
                if let Out::Kept(path) = &out {
                    say(format_args!("All files are in {}", path.display()));
                }
                Ok(())
            }
            Err(why) => Err(why.context(format!("the demo failed (its files are in {})", out.keep().display()))),
        }
    }

    async fn until_interrupted(&self, executables: &Executables, out: &Path) -> anyhow::Result<()> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut settled = false;
        tokio::select! {
            ended = self.play(executables, out, &mut settled) => return ended,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if settled { Ok(()) } else { bail!("interrupted") }
    }

    async fn play(&self, executables: &Executables, out: &Path, settled: &mut bool) -> anyhow::Result<()> {
        let begin = Instant::now();
        say("Two clusters on this machine. Real: hook executable, exporters, HTTP, TLS, keys, tokens.");
        say("Stand-ins: Kubernetes (manifests in a folder), the operator, and the chart: the Secrets and ConfigMaps");
        say("that Helm would render from values are written by this program. Not as in a cluster: hooks run one after");
        say("another without pause, and a peer that refused is asked again at once (ISTIO_FEDERATION_PACE=eager).\n");
        let [a, b] = NAMES.map(|name| (self.examples.join(name), out.join(name)));
        let mut sides = [Side::prepare(&a.0, &a.1, executables).await?, Side::prepare(&b.0, &b.1, executables).await?];
        introduce(&mut sides)?;
        say("\nWhat happened:");
        federate(&mut sides).await?;
        let seconds = begin.elapsed().as_secs_f64();
        say("\nA second full round of all hooks changed nothing.\n");
        for side in &sides {
            say(format_args!("{}, status and imported services:", side.name));
            say(report::federations(&side.facts));
            say(report::imported(&side.facts));
        }
        let count = |count: fn(&facts::Facts) -> usize| sides.iter().map(|side| count(&side.facts)).sum::<usize>();
        say(format_args!(
            "\nOK: 2 clusters federated in {seconds:.1} s: {} confined trust anchors, {} services imported, {} Gateways.",
            count(|facts| facts.anchors.len()),
            count(|facts| facts.imported.len()),
            count(|facts| facts.gateways.len()),
        ));
        *settled = true;
        if self.watch {
            watch::watch(&mut sides).await?;
        }
        Ok(())
    }
}

/// The executable that the user named, or the one next to ours.
fn executable(named: Option<&PathBuf>, name: &str, option: &str) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("cannot find our own program")?.with_file_name(name),
    };
    if !path.is_file() {
        bail!(
            "executable {} does not exist: run `make demo`, which builds it, or name it with --{option}",
            path.display()
        );
    }
    Ok(path)
}

/// Writes the real endpoint of each cluster into the other.
fn introduce(sides: &mut [Side; 2]) -> anyhow::Result<()> {
    let [a, b] = sides;
    say(format_args!("Hooks: {}", a.hooks().join(", ")));
    for side in [&*a, &*b] {
        say_of(&side.name, format_args!("is {}, its exporter answers at {}", side.facts.domain, side.endpoint()));
    }
    for (name, places) in [(a.name.clone(), a.meet(b)?), (b.name.clone(), b.meet(a)?)] {
        for place in places {
            say_of(&name, format_args!("IstioFederation {place}: put in the address of that exporter, and its CA"));
        }
    }
    Ok(())
}

/// Lets both operators work in turn until both clusters are federated and nothing changes.
async fn federate(sides: &mut [Side; 2]) -> anyhow::Result<()> {
    let end = Instant::now() + DEADLINE;
    let mut work = Work::Start;
    loop {
        let steps = both(sides, work).await?;
        work = Work::Round;
        let [a, b] = &*sides;
        let missing = [expect::missing(&a.facts, &b.facts), expect::missing(&b.facts, &a.facts)].concat();
        let noise: Vec<&Step> = steps.iter().filter(|step| !step.is_silent()).collect();
        match (noise.as_slice(), missing.as_slice()) {
            ([], []) => return Ok(()),
            ([], missing) if Instant::now() >= end => {
                bail!("nothing changes, but after {DEADLINE:?}:\n  - {}", missing.join("\n  - "))
            }
            (noise, _) if Instant::now() >= end => {
                let noise: Vec<String> = noise.iter().map(|step| noisy(step)).collect();
                bail!("after {DEADLINE:?} these still change something:\n  - {}", noise.join("\n  - "))
            }
            // An exporter takes a moment to read the latest changes.
            ([], _) => sleep(PAUSE).await,
            _ => {}
        }
    }
}

async fn both(sides: &mut [Side; 2], work: Work) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for side in sides {
        let worked = side.work(work, &mut steps).await;
        for line in side.news()? {
            say_of(&side.name, line);
        }
        worked?;
    }
    Ok(steps)
}

fn noisy(step: &Step) -> String {
    let changes: Vec<String> = step.changes.iter().map(ToString::to_string).collect();
    format!("{step}: {} object patches; {}", step.operations, changes.join(", "))
}
