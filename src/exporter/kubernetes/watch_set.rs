//! The set of watches that feeds the index from the Kubernetes API.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;
use tokio::task::JoinSet;

use super::super::inlet::Inlet;
use super::super::selection::Selection;
use super::super::source::{Feed, Source, SourceError};
use super::reflector::{Reflector, WatchTimes};

/// Connect timeout of the API server.
const CONNECT: Duration = Duration::from_secs(10);

/// Why there is no connection to an API server.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The kubeconfig file cannot be used.
    #[error("kubeconfig {path}: {why}")]
    Kubeconfig {
        path: String,
        /// The reason.
        why: kube::config::KubeconfigError,
    },
    /// No kubeconfig file, and not in a cluster.
    #[error("no Kubernetes API found (set --kubeconfig or KUBECONFIG, or run in a cluster): {0}")]
    Unknown(#[from] kube::config::InferConfigError),
    /// The client cannot be built.
    #[error("the Kubernetes API cannot be used: {0}")]
    Client(#[from] kube::Error),
}

/// All watches of a cluster that the exporter needs.
#[derive(Clone)]
pub(in crate::exporter) struct WatchSet {
    pub(super) client: Client,
    pub(super) inlet: Inlet,
    pub(super) times: WatchTimes,
}

impl WatchSet {
    /// For the cluster of a kubeconfig file, else of `KUBECONFIG`, else our own. Sends no request yet.
    pub(in crate::exporter) async fn connect(kubeconfig: Option<&Path>, inlet: Inlet) -> Result<Self, ConnectError> {
        let mut config = match kubeconfig {
            Some(path) => {
                let failed = |why| ConnectError::Kubeconfig { path: path.display().to_string(), why };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)?
            }
            None => Config::infer().await?,
        };
        config.connect_timeout = Some(CONNECT);
        // A retry inside the client would hide a failure.
        config.default_retry = false;
        Ok(Self { client: Client::try_from(config)?, inlet, times: WatchTimes::default() })
    }
}

impl Source for WatchSet {
    async fn run(self, feed: Feed) -> SourceError {
        let mut reflectors = JoinSet::new();
        for selection in Selection::needed(self.inlet) {
            let reflector = Reflector::new(self.client.clone(), selection, self.times, feed.clone());
            reflectors.spawn(reflector.run());
        }
        match reflectors.join_next().await {
            Some(Ok(ended)) => ended,
            _ => SourceError::Broken("watching the cluster was interrupted".to_owned()),
        }
    }
}
