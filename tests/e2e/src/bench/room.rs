//! A network namespace for one container: no conflicts of ports, and no change to the machine's network. A thread in the namespace
//! creates sockets, because a socket keeps the namespace that it was created in.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Time limit for a connection within this machine.
const PATIENCE: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace with only a loopback device. It ends when dropped, and with the process.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    jobs: Sender<Job>,
    file: PathBuf,
}

impl Room {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        let (ready, wait) = mpsc::channel();
        thread::spawn(move || {
            let made = make();
            let failed = made.is_err();
            if ready.send(made).is_err() || failed {
                return;
            }
            for job in work {
                job();
            }
        });
        let file = wait.recv()?.context("cannot make a network namespace (it needs root)")?;
        Ok(Self { jobs, file })
    }

    /// The namespace as `nsenter --net=` takes it.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Connects from inside to a port of its loopback.
    pub(crate) async fn connect(&self, port: u16) -> anyhow::Result<TcpStream> {
        self.connect_to((Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// Connects from inside.
    pub(crate) async fn connect_to(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        let socket = self.inside(TcpSocket::new_v4).await??;
        Ok(timeout(PATIENCE, socket.connect(address)).await.with_context(|| format!("no answer from {address}"))??)
    }

    /// Forwards a port of its loopback to the same port of ours, for the life of the runtime.
    pub(crate) async fn show(&self, port: u16) -> anyhow::Result<()> {
        let listener = self.inside(move || TcpListener::bind((Ipv4Addr::LOCALHOST, port))).await??;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(async move {
            while let Ok((mut inner, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // On failure the connection is closed, as if the machine were down.
                    if let Ok(mut outer) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                        copy_bidirectional(&mut inner, &mut outer).await.ok();
                    }
                });
            }
        });
        Ok(())
    }

    async fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
        let (done, wait) = oneshot::channel();
        let job = Box::new(move || drop(done.send(job())));
        self.jobs.send(job).map_err(|_| anyhow!("the network namespace is gone"))?;
        Ok(wait.await?)
    }
}

fn make() -> anyhow::Result<PathBuf> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("ip")?;
    ensure!(status.success(), "ip: {status}");
    Ok(format!("/proc/{}/task/{}/ns/net", std::process::id(), gettid()).into())
}
