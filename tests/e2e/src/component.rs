//! A component: a child process that never outlives this process, with its output in a file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::until;

/// Number of log lines that an error quotes.
const TAIL: usize = 15;

type Order = (Command, Sender<io::Result<Child>>);

/// Thread that starts children: Linux ties a child's death signal to its starting thread, and this thread lives as long as the process.
static STARTER: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (sender, orders) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in orders {
            let _ = answer.send(command.spawn());
        }
    });
    sender
});

/// A running process. It is killed when dropped, and by Linux when this process ends for any reason.
#[derive(Debug)]
pub struct Component {
    name: String,
    command: Command,
    log: PathBuf,
    child: Child,
}

impl Component {
    /// Starts `command` (program, arguments, environment, folder) with its output appended to `<logs>/<name>.log`.
    pub fn start(name: &str, logs: &Path, command: Command) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let child = spawn(&command, &log)
            .with_context(|| format!("cannot start {name} ({})", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), command, log, child })
    }

    /// Starts it again, after [`Component::kill`] or [`Component::stop`].
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.child = spawn(&self.command, &self.log).with_context(|| format!("cannot start {} again", self.name))?;
        Ok(())
    }

    /// Fails with the end of the log if the process has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        bail!("{} ended with {status}; the end of {}:\n{}", self.name, self.log.display(), self.tail())
    }

    /// Waits until `ready` succeeds; fails at once if the process has ended.
    pub async fn ready<T>(
        &mut self,
        deadline: Duration,
        mut ready: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let what = format!("{} is ready", self.name);
        let answer = until(&what, deadline, async || match self.check() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => ready().await.map(Ok),
        });
        let answer: anyhow::Result<anyhow::Result<T>> = answer.await;
        answer.map_err(|why| anyhow!("{why}; the end of {}:\n{}", self.log.display(), self.tail()))?
    }

    /// SIGTERM, as a kubelet ends it; SIGKILL after `patience`.
    pub async fn stop(&mut self, patience: Duration) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill(self.pid()?, Signal::SIGTERM)?;
        let ended = until("ended by SIGTERM", patience, async || {
            self.child.try_wait().map_err(|why| why.to_string())?.ok_or("still running".to_owned())
        });
        if ended.await.is_err() {
            self.kill();
        }
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its output so far.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    fn tail(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: &Command, log: &Path) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let (sender, answer) = mpsc::channel();
    STARTER.send((wrapped, sender)).map_err(|_| anyhow!("the thread that starts processes is gone"))?;
    Ok(answer.recv()??)
}
