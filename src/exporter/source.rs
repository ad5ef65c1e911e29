//! Where the objects come from: something that feeds changes into the index.

use std::future::Future;

use thiserror::Error;
use tokio::sync::mpsc;

use super::index::Event;

/// How many batches may wait for the index.
const QUEUE: usize = 16;

/// A source ended: nothing would change from now on.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Nobody takes the changes: the exporter is stopping.
    #[error("the exporter is stopping")]
    Stopping,
    /// The source cannot go on.
    #[error("{0}")]
    Broken(String),
}

/// Something that sees the cluster's objects and how they change.
pub(super) trait Source: Send + 'static {
    /// Feeds until it cannot go on. It starts with an [`Event::Reset`] for every selection, in any order.
    fn run(self, feed: Feed) -> impl Future<Output = SourceError> + Send;
}

/// The way from a source into the index.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    events: mpsc::Sender<Vec<Event>>,
}

impl Feed {
    /// A feed, and the end that the index is fed from.
    #[must_use]
    pub(super) fn new() -> (Self, mpsc::Receiver<Vec<Event>>) {
        let (events, receiver) = mpsc::channel(QUEUE);
        (Self { events }, receiver)
    }

    /// Hands over changes that belong together: no document shows only some of them.
    pub(super) async fn send(&self, events: Vec<Event>) -> Result<(), SourceError> {
        self.events.send(events).await.map_err(|_| SourceError::Stopping)
    }
}
