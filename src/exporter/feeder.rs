//! From events to documents: takes changes into the index and publishes what follows from them.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::documents::{Document, Documents};
use super::identity::Identity;
use super::index::{Event, Index};
use super::metrics::Metrics;
use super::peers::PeerKeys;

/// Documents that follow the events, and the task's parts.
#[derive(Debug)]
pub struct Feeder {
    index: Index,
    identity: Identity,
    documents: watch::Sender<Arc<Documents>>,
    metrics: Metrics,
}

impl Feeder {
    /// A feeder that knows nothing yet, and the documents that follow it.
    #[must_use]
    pub fn new(identity: Identity, metrics: Metrics) -> (Self, watch::Receiver<Arc<Documents>>) {
        let index = Index::default();
        let first = Documents::render(&index, &identity);
        metrics.rendered(&first, &first, Timestamp::now());
        let (documents, receiver) = watch::channel(Arc::new(first));
        (Self { index, identity, documents, metrics }, receiver)
    }

    /// Follows the events until their source ends.
    pub async fn follow(mut self, mut events: mpsc::Receiver<Vec<Event>>) {
        while let Some(batch) = events.recv().await {
            self.take(batch);
            // What has piled up meanwhile is rendered once.
            while let Ok(batch) = events.try_recv() {
                self.take(batch);
            }
            self.publish(Timestamp::now());
        }
    }

    fn take(&mut self, batch: Vec<Event>) {
        for event in batch {
            self.index.handle(event);
        }
    }

    fn publish(&self, now: Timestamp) {
        let after = Documents::render(&self.index, &self.identity);
        let before = Arc::clone(&self.documents.borrow());
        self.metrics.rendered(&before, &after, now);
        report(&before, &after);
        self.documents.send_replace(Arc::new(after));
    }
}

/// Logs what became different, and only that.
fn report(before: &Documents, after: &Documents) {
    let documents: [(&str, &Document, &Document); 3] = [
        ("public", &before.public, &after.public),
        ("spiffe", &before.spiffe, &after.spiffe),
        ("private", &before.private, &after.private),
    ];
    for (document, before, after) in documents {
        match after {
            _ if before == after => {}
            Ok(rendered) => tracing::info!(document, etag = rendered.etag, "document changed"),
            Err(reason) => tracing::warn!(document, %reason, "document cannot be served"),
        }
    }
    for entry in after.not_exported.iter().filter(|entry| !before.not_exported.contains(entry)) {
        tracing::warn!(service = entry.0, reason = %entry.1, "Service is labelled but not exported");
    }
    let left_out =
        |documents: &Documents| documents.peers.as_ref().map(PeerKeys::left_out).unwrap_or_default().to_vec();
    let known = left_out(before);
    for entry in left_out(after).iter().filter(|entry| !known.contains(entry)) {
        tracing::warn!(peer = entry, "a peer's key cannot be used: it may not read our private metadata");
    }
}
