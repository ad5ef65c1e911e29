//! Metrics of the exporter.

use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::documents::{Document, Documents};
use super::gate::Rejection;
use super::selection::Selection;

/// Prefix of every metric, the same as of Deckhouse's exporter.
const PREFIX: &str = "d8_istio_metadata_exporter";
/// Media type of [`Metrics::encode`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DocumentLabels {
    document: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WatchLabels {
    watch: &'static str,
}

/// All metrics. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    rejected: Family<ReasonLabels, Counter>,
    changed: Family<DocumentLabels, Gauge>,
    available: Family<DocumentLabels, Gauge>,
    synced: Family<WatchLabels, Gauge>,
    failing: Family<WatchLabels, Gauge>,
    failing_since: Family<WatchLabels, Gauge>,
    stale: Gauge,
    services: Gauge,
    not_exported: Gauge,
    gateways: Gauge,
    peers: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let (requests, rejected) = (Family::default(), Family::default());
        let (changed, available, synced) = (Family::default(), Family::default(), Family::default());
        let (failing, failing_since) = (Family::default(), Family::default());
        let (stale, services, not_exported) = (Gauge::default(), Gauge::default(), Gauge::default());
        let (gateways, peers) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests answered, by route and status code", Clone::clone(&requests));
        registry.register("rejected_tokens", "Requests for the private document refused", Clone::clone(&rejected));
        registry.register(
            "document_last_change_timestamp_seconds",
            "When a document last changed",
            Clone::clone(&changed),
        );
        registry.register("document_available", "Whether a document can be served", Clone::clone(&available));
        registry.register(
            "watch_synced",
            "Whether the watched objects have been read as a whole",
            Clone::clone(&synced),
        );
        registry.register("watch_failing", "Whether the watched objects cannot be read", Clone::clone(&failing));
        registry.register(
            "watch_failing_since_timestamp_seconds",
            "When the watch last worked; 0 while it works",
            Clone::clone(&failing_since),
        );
        registry.register("stale", "Whether the private document is not marked complete", stale.clone());
        registry.register("exported_services", "Services in the private document", services.clone());
        registry.register("not_exported_services", "Labelled Services that cannot be exported", not_exported.clone());
        registry.register("gateways", "Gateways in the private document", gateways.clone());
        registry.register("peers", "Clusters that may read the private document", peers.clone());
        Self {
            registry: Arc::new(registry),
            requests,
            rejected,
            changed,
            available,
            synced,
            failing,
            failing_since,
            stale,
            services,
            not_exported,
            gateways,
            peers,
        }
    }
}

impl Metrics {
    /// A request was answered. `route` is one of a few fixed words, never the requested path.
    pub(super) fn answered(&self, route: &'static str, code: u16) {
        self.requests.get_or_create(&RequestLabels { route, code }).inc();
    }

    /// Counts a refused request for the private document.
    pub(super) fn rejected(&self, reason: &Rejection) {
        self.rejected.get_or_create(&ReasonLabels { reason: reason.label() }).inc();
    }

    /// Records documents rendered at `now`; `before` are the documents that they replace.
    pub(super) fn rendered(&self, before: &Documents, after: &Documents, now: Timestamp) {
        self.document("public", &before.public, &after.public, now);
        self.document("spiffe", &before.spiffe, &after.spiffe, now);
        self.document("private", &before.private, &after.private, now);
        for selection in Selection::ALL {
            let labels = WatchLabels { watch: selection.label() };
            let failure = after.failures.iter().find(|(failing, _)| *failing == selection);
            let since = failure.map_or(0, |(_, failure)| (now - failure.since.elapsed()).as_second());
            self.synced.get_or_create(&labels).set(i64::from(!after.unsynced.contains(&selection)));
            self.failing.get_or_create(&labels).set(i64::from(failure.is_some()));
            self.failing_since.get_or_create(&labels).set(since);
        }
        self.stale.set(i64::from(after.stale));
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.services.set(count(after.services));
        self.not_exported.set(count(after.not_exported.len()));
        self.gateways.set(count(after.gateways));
        self.peers.set(count(after.peers.as_ref().map_or(0, super::peers::PeerKeys::len)));
    }

    fn document(&self, document: &'static str, before: &Document, after: &Document, now: Timestamp) {
        let labels = DocumentLabels { document };
        self.available.get_or_create(&labels).set(i64::from(after.is_ok()));
        if after.is_ok() && before != after {
            self.changed.get_or_create(&labels).set(now.as_second());
        }
    }

    /// Everything as text in the `OpenMetrics` form; empty if it cannot be written.
    #[must_use]
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(),
        }
    }
}
