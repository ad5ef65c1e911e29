//! Sources of objects, which feed changes into the index.

use std::future::Future;

use thiserror::Error;
use tokio::sync::mpsc;

use super::index::Event;

/// How many batches may wait for the index.
const QUEUE: usize = 16;

/// Why a source ended: nothing would change after that.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The index no longer takes changes: the exporter is stopping.
    #[error("the exporter is stopping")]
    Stopping,
    /// The source failed for good.
    #[error("{0}")]
    Broken(String),
}

/// Reads the cluster's objects and follows their changes.
pub(super) trait Source: Send + 'static {
    /// Feeds until it fails for good. Starts with an [`Event::Reset`] for every selection, in any order.
    fn run(self, feed: Feed) -> impl Future<Output = SourceError> + Send;
}

/// The sending end of the channel from a source to the index.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    events: mpsc::Sender<Vec<Event>>,
}

impl Feed {
    /// A feed, and the receiver for the index.
    #[must_use]
    pub(super) fn new() -> (Self, mpsc::Receiver<Vec<Event>>) {
        let (events, receiver) = mpsc::channel(QUEUE);
        (Self { events }, receiver)
    }

    /// Sends changes that belong together: no document shows only some of them.
    pub(super) async fn send(&self, events: Vec<Event>) -> Result<(), SourceError> {
        self.events.send(events).await.map_err(|_| SourceError::Stopping)
    }
}
