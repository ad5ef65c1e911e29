//! The command line: the flags of addon-operator that tests use, so that one command starts either operator.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Stand-in for addon-operator
#[derive(Debug, Parser)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the module of the modules folder, until SIGTERM
    Start(Settings),
    /// Helm's post-renderer: sets the operator's label on all rendered objects
    #[command(hide = true)]
    PostRender,
}

/// The module, and where to run it. The cluster is that of `KUBECONFIG`.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Folder with the module's folder
    #[arg(long)]
    pub(super) modules_dir: PathBuf,
    /// Folder of global hooks, which must be empty
    #[arg(long)]
    pub(super) global_hooks_dir: PathBuf,
    /// Folder for the files of hooks
    #[arg(long)]
    pub(super) tmp_dir: PathBuf,
    /// Namespace of the settings and of the Helm release
    #[arg(long)]
    pub(super) namespace: String,
    /// ConfigMap with the settings
    #[arg(long, default_value = "addon-operator")]
    pub(super) config_map: String,
    #[arg(long, default_value = "127.0.0.1")]
    prometheus_listen_address: IpAddr,
    #[arg(long)]
    prometheus_listen_port: u16,
    /// Accepted and ignored
    #[arg(long)]
    debug_unix_socket: Option<PathBuf>,
}

impl Settings {
    /// Address of readiness and metrics.
    pub(super) fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.prometheus_listen_address, self.prometheus_listen_port)
    }
}
