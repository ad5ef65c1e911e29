//! Where the objects come from: something that feeds changes into the index.

use std::future::Future;

use thiserror::Error;
use tokio::sync::mpsc;

use super::index::Event;
use super::metrics::Metrics;

/// How many batches may wait for the index.
const QUEUE: usize = 16;

/// A source ended: nothing would ever change any more.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Nobody takes the changes any more: the exporter is stopping.
    #[error("the exporter is stopping")]
    Stopping,
    /// The source cannot go on.
    #[error("{0}")]
    Broken(String),
}

/// Something that sees the cluster's objects and how they change.
pub trait Source: Send + 'static {
    /// Feeds until it cannot go on. It starts with an [`Event::Reset`] for every kind, in any order.
    fn run(self, feed: Feed) -> impl Future<Output = SourceError> + Send;
}

/// The way from a source into the index.
#[derive(Clone, Debug)]
pub struct Feed {
    events: mpsc::Sender<Vec<Event>>,
    metrics: Metrics,
}

impl Feed {
    /// A feed, and the end that the index is fed from.
    #[must_use]
    pub fn new(metrics: Metrics) -> (Self, mpsc::Receiver<Vec<Event>>) {
        let (events, receiver) = mpsc::channel(QUEUE);
        (Self { events, metrics }, receiver)
    }

    /// Hands over changes that belong together: no document shows only some of them.
    pub async fn send(&self, events: Vec<Event>) -> Result<(), SourceError> {
        self.metrics.source_failing(false);
        self.events.send(events).await.map_err(|_| SourceError::Stopping)
    }

    /// The source cannot be read at the moment. What is known stays.
    pub fn failing(&self) {
        self.metrics.source_failing(true);
    }
}
