//! The Kubernetes API as a source: a list and a watch for each selection, for ever.
//!
//! Each selection is a [`reflector`] of its own: it lists, then watches from there, resumes a watch that ended, and lists
//! anew when it cannot resume. What it sees is cut down to what is needed while it is read ([`decode`]). Why not a
//! ready-made watcher: it hides when a watch is good again, and that is what decides whether a document is stale.

pub mod access;
mod backoff;
mod decode;
mod fault;
mod lines;
mod reflector;
mod requests;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;
use tokio::task::JoinSet;

use self::reflector::{Pace, Reflector};
use super::gateways::Inlet;
use super::selection::Selection;
use super::source::{Feed, Source, SourceError};

/// Time for a connection to the API server.
const CONNECT: Duration = Duration::from_secs(10);

/// No way to the API server is known.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The named file cannot be used.
    #[error("kubeconfig {path}: {why}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: kube::config::KubeconfigError,
    },
    /// Nothing was named, and nothing was found.
    #[error("no Kubernetes API is known (name a file with --kubeconfig or KUBECONFIG, or run in a cluster): {0}")]
    Unknown(#[from] kube::config::InferConfigError),
    /// It cannot be used.
    #[error("the Kubernetes API cannot be used: {0}")]
    Client(#[from] kube::Error),
}

/// The objects of a cluster.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    inlet: Inlet,
    pace: Pace,
}

impl Kubernetes {
    /// The cluster that a kubeconfig file leads to; without one, that of `KUBECONFIG` or the one that we run in. Nothing
    /// is asked yet.
    pub async fn connect(kubeconfig: Option<&Path>, inlet: Inlet) -> Result<Self, ConnectError> {
        let mut config = match kubeconfig {
            Some(path) => {
                let failed = |why| ConnectError::Kubeconfig { path: path.display().to_string(), why };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)?
            }
            None => Config::infer().await?,
        };
        config.connect_timeout = Some(CONNECT);
        // A repeated request would hide that something fails.
        config.default_retry = false;
        Ok(Self { client: Client::try_from(config)?, inlet, pace: Pace::default() })
    }
}

impl Source for Kubernetes {
    async fn run(self, feed: Feed) -> SourceError {
        let mut reflectors = JoinSet::new();
        for selection in Selection::needed(self.inlet) {
            let reflector = Reflector::new(self.client.clone(), selection, self.pace, feed.clone());
            reflectors.spawn(reflector.run());
        }
        match reflectors.join_next().await {
            Some(Ok(ended)) => ended,
            _ => SourceError::Broken("watching the cluster was interrupted".to_owned()),
        }
    }
}
