//! Whether federation is on, and the facts about ourselves: from values, or from environment variables where there are none.

use istio_federation::api::values::{Federation, Istio, Values};
use istio_federation::federation::discovery::Pace;
use istio_federation::federation::ourselves::{Ourselves, enabled};
use istio_federation::hook::{Input, InputError};
use serde::Deserialize;

/// Under shell-operator: `true` switches federation on.
const ENABLED: &str = "ISTIO_FEDERATION_ENABLED";
/// Under shell-operator: our cluster domain.
const CLUSTER_DOMAIN: &str = "CLUSTER_DOMAIN";
/// Under shell-operator: our cluster UUID; by default the UID of namespace kube-system.
const CLUSTER_UUID: &str = "CLUSTER_UUID";
/// Under shell-operator: range of the imported hosts' addresses; by default 240.241.0.0/16.
const SERVICE_ADDRESS_RANGE: &str = "ISTIO_FEDERATION_SERVICE_ADDRESS_RANGE";
/// `eager` asks every peer in every run and writes every change at once.
const PACE: &str = "ISTIO_FEDERATION_PACE";

/// The module's values; without an operator that has any, what the environment says in their place.
pub(crate) fn values(input: &Input) -> Result<Values, InputError> {
    if input.has_values() {
        return input.values();
    }
    let variable = |name: &str| input.env(name).map(ToOwned::to_owned);
    let federation = Federation {
        enabled: Some(input.env(ENABLED) == Some("true")),
        cluster_domain: variable(CLUSTER_DOMAIN),
        cluster_uuid: variable(CLUSTER_UUID),
        service_address_range: variable(SERVICE_ADDRESS_RANGE),
        ..Federation::default()
    };
    Ok(Values { istio: Some(Istio { federation: Some(federation), ..Istio::default() }), ..Values::default() })
}

/// The values, where federation is on.
pub(crate) fn values_if_enabled(input: &Input) -> Result<Option<Values>, InputError> {
    values(input).map(|values| enabled(&values).then_some(values))
}

/// The facts about ourselves.
pub(crate) fn ourselves(input: &Input, values: &Values) -> Result<Ourselves, Box<dyn std::error::Error + Send + Sync>> {
    #[derive(Deserialize)]
    struct Namespace {
        uid: Option<String>,
    }
    let namespaces: Vec<Namespace> = input.snapshot("kube_system")?;
    let uid = namespaces.into_iter().find_map(|namespace| namespace.uid);
    Ok(Ourselves::from_values(values, uid.as_deref())?)
}

/// How patiently discovery goes about things.
pub(crate) fn pace(input: &Input) -> Pace {
    if input.env(PACE) == Some("eager") { Pace::Eager } else { Pace::Patient }
}
