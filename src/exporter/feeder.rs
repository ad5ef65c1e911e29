//! From events to documents: applies changes to the index and publishes the new documents.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::documents::{Document, Documents};
use super::identity::Identity;
use super::index::{Event, Index};
use super::metrics::Metrics;
use super::peers::PeerKeys;

/// The task that keeps the documents current.
#[derive(Debug)]
pub(super) struct Feeder {
    index: Index,
    identity: Identity,
    documents: watch::Sender<Arc<Documents>>,
    metrics: Metrics,
}

impl Feeder {
    /// A feeder with an empty index, and the receiver of its documents.
    #[must_use]
    pub(super) fn new(identity: Identity, metrics: Metrics) -> (Self, watch::Receiver<Arc<Documents>>) {
        let index = Index::default();
        let first = Documents::render(&index, &identity, Instant::now());
        metrics.rendered(&first, &first, Timestamp::now());
        let (documents, receiver) = watch::channel(Arc::new(first));
        (Self { index, identity, documents, metrics }, receiver)
    }

    /// Applies events until their source ends.
    pub(super) async fn follow(mut self, mut events: mpsc::Receiver<Vec<Event>>) {
        loop {
            let different = tokio::select! {
                batch = events.recv() => {
                    let Some(batch) = batch else { return };
                    let mut different = self.take(batch);
                    // Batches that have piled up meanwhile are rendered once.
                    while let Ok(batch) = events.try_recv() {
                        different |= self.take(batch);
                    }
                    different
                }
                () = self.became_stale() => true,
            };
            if different {
                self.publish(Timestamp::now());
            }
        }
    }

    fn take(&mut self, batch: Vec<Event>) -> bool {
        let different = batch.into_iter().map(|event| self.index.handle(event));
        different.fold(false, |one, other| one | other)
    }

    /// Waits until the published documents have become stale.
    async fn became_stale(&self) {
        match self.index.stale_from() {
            Some(from) if !self.documents.borrow().stale => sleep_until(from).await,
            _ => std::future::pending().await,
        }
    }

    fn publish(&self, now: Timestamp) {
        let after = Documents::render(&self.index, &self.identity, Instant::now());
        let before = Arc::clone(&self.documents.borrow());
        self.metrics.rendered(&before, &after, now);
        report(&before, &after);
        self.documents.send_replace(Arc::new(after));
    }
}

/// Logs the differences.
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
    if after.stale && !before.stale {
        tracing::warn!("cluster view is stale: the private document is no longer marked complete");
    }
    for entry in after.not_exported.iter().filter(|entry| !before.not_exported.contains(entry)) {
        tracing::warn!(service = entry.0, reason = %entry.1, "Service is labelled but not exported");
    }
    let left_out =
        |documents: &Documents| documents.peers.as_ref().map(PeerKeys::left_out).unwrap_or_default().to_vec();
    let known = left_out(before);
    for entry in left_out(after).iter().filter(|entry| !known.contains(entry)) {
        tracing::warn!(peer = entry, "this peer may not read our private metadata");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use istio_federation_testkit::manifests::{exported, gateway};
    use tokio::time::timeout;

    use super::super::index::{STALE_AFTER, WatchFailure};
    use super::super::inlet::Inlet;
    use super::super::object::Object;
    use super::super::selection::Selection;
    use super::super::source::Feed;
    use super::*;
    use crate::federation::names::OwnTrustDomain;

    /// A running feeder and its documents.
    struct Fed {
        feed: Feed,
        documents: watch::Receiver<Arc<Documents>>,
    }

    impl Fed {
        fn start() -> Self {
            let cluster_domain = OwnTrustDomain::parse("b.local").unwrap();
            let identity = Identity { cluster_uuid: "b".parse().unwrap(), cluster_domain, inlet: Inlet::LoadBalancer };
            let (feed, events) = Feed::new();
            let (feeder, documents) = Feeder::new(identity, Metrics::default());
            tokio::spawn(feeder.follow(events));
            Self { feed, documents }
        }

        /// The private document and the problems after the next publication.
        async fn next(&mut self) -> (String, Vec<String>) {
            timeout(Duration::from_mins(1), self.documents.changed()).await.expect("a publication").unwrap();
            let documents = Arc::clone(&self.documents.borrow_and_update());
            let text = String::from_utf8(documents.private.as_ref().unwrap().body.to_vec()).unwrap();
            (text, documents.failures.iter().map(|(_, failure)| failure.problem.clone()).collect())
        }
    }

    fn object(manifest: serde_json::Value) -> Object {
        Object::read(manifest).unwrap().unwrap()
    }

    #[tokio::test]
    async fn documents_are_published_when_they_differ_and_when_they_become_stale() {
        let mut fed = Fed::start();
        let objects = vec![object(gateway("10.0.0.1")), object(exported("xyz", "bar", "http", 80))];
        let all = |selection| Event::Reset(selection, objects.clone());
        fed.feed.send(Selection::ALL.into_iter().map(all).collect()).await.unwrap();
        let (complete, _) = fed.next().await;
        assert!(complete.contains("bar.xyz") && complete.ends_with(r#""complete":true}"#), "{complete}");

        let again = Event::Apply(Selection::ExportedServices, Box::new(objects[1].clone()));
        fed.feed.send(vec![again]).await.unwrap();
        let since = Instant::now().checked_sub(STALE_AFTER.saturating_sub(Duration::from_millis(200))).unwrap();
        let failing =
            |problem: &str| Event::Failing(Selection::Peers, WatchFailure { since, problem: problem.to_owned() });
        fed.feed.send(vec![failing("broken")]).await.unwrap();
        // Nothing was published for an unchanged object.
        assert_eq!(fed.next().await, (complete.clone(), vec!["broken".to_owned()]));
        let stale = complete.replace(r#","complete":true"#, "");
        assert_eq!(fed.next().await, (stale, vec!["broken".to_owned()]));
        fed.feed.send(vec![Event::Current(Selection::Peers)]).await.unwrap();
        assert_eq!(fed.next().await, (complete, vec![]));
    }
}
