//! Metrics of a federation: the results of fetching its documents.

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::api::metadata::{PRIVATE_PATH, PUBLIC_PATH};
use istio_federation::federation::conditions::{PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY};
use istio_federation::federation::discovery::Exchanged;
use istio_federation::federation::roster::current_cache_of;
use istio_federation::hook::MetricOperation;
use istio_federation::peer::endpoint;
use jiff::Timestamp;

/// 1 while the last request failed, else 0; Deckhouse's name, although it counts nothing.
const ERROR_METRIC: &str = "d8_istio_federation_metadata_endpoints_fetch_error_count";
/// When a request last succeeded, in seconds since 1970; while it fails, when the failure was found. Absent if none ever did.
const SUCCESS_METRIC: &str = "d8_istio_federation_metadata_last_success_timestamp_seconds";

/// Group of a federation's metrics: one each, so that metrics of a peer that is not due stay.
fn group(federation: &str) -> String {
    format!("federation_discovery/{federation}")
}

/// Ends the metrics of the federations in `before` that are not in `now`.
pub(crate) fn of_deleted<'a>(
    before: impl IntoIterator<Item = &'a String>,
    now: &[&str],
) -> impl Iterator<Item = MetricOperation> {
    let deleted = before.into_iter().filter(|name| !now.contains(&name.as_str()));
    deleted.map(|name| MetricOperation::expire(&group(name)))
}

/// The metrics after an exchange.
pub(crate) fn of_exchange(federation: &IstioFederation, exchanged: Exchanged, now: Timestamp) -> Vec<MetricOperation> {
    let name = federation.metadata.name.as_str();
    let since = |type_: &str| federation.condition(type_)?.last_transition_time;
    let cache = current_cache_of(federation);
    let (public, private) =
        (cache.and_then(|cache| cache.public.as_ref()), cache.and_then(|cache| cache.private.as_ref()));
    let mut metrics = Vec::new();
    for (type_, path, good, ever) in [
        (PUBLIC_EXCHANGE_READY, PUBLIC_PATH, exchanged.public, public.is_some()),
        (PRIVATE_EXCHANGE_READY, PRIVATE_PATH, exchanged.private, private.is_some()),
    ] {
        let Some(good) = good else { continue };
        let url = endpoint(&federation.spec.metadata_endpoint, path);
        let labels = [("federation_name", name), ("endpoint", url.as_str())];
        let mut set = |metric: &str, value: f64| {
            metrics.push(MetricOperation::set(metric, value, &labels, &group(name)));
        };
        set(ERROR_METRIC, if good { 0.0 } else { 1.0 });
        let succeeded = if good { Some(now) } else { since(type_).filter(|_| ever) };
        if let Some(time) = succeeded {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 52 bits")]
            set(SUCCESS_METRIC, time.as_second() as f64);
        }
    }
    metrics
}
