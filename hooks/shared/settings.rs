//! The settings: whether federation is on, and the facts about ourselves. From values, or without values from the environment.

use istio_federation::api::values::{Federation, Istio, Values};
use istio_federation::federation::discovery::Pace;
use istio_federation::federation::ourselves::{Ourselves, enabled};
use istio_federation::hook::{Input, InputError};
use serde::Deserialize;

use super::bindings;
use super::steps::Failure;

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

/// The module's values; under shell-operator, which has none, made from environment variables.
fn values(input: &Input) -> Result<Values, InputError> {
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

/// The values, if federation is on.
pub(crate) fn values_if_enabled(input: &Input) -> Result<Option<Values>, InputError> {
    values(input).map(|values| enabled(&values).then_some(values))
}

/// The values that addon-operator gives, if federation is on. For hooks that write values.
pub(crate) fn module_values_if_enabled(input: &Input) -> Result<Option<Values>, InputError> {
    if input.has_values() { values_if_enabled(input) } else { Ok(None) }
}

/// The facts about ourselves, from the snapshots `kube_system` and `owners` as well. Refuses a new identity that peers
/// would refuse.
pub(crate) fn ourselves(input: &Input, values: &Values) -> Result<Ourselves, Failure> {
    #[derive(Deserialize)]
    struct Namespace {
        uid: Option<String>,
    }
    let namespaces: Vec<Namespace> = input.snapshot("kube_system")?;
    let uid = namespaces.into_iter().find_map(|namespace| namespace.uid);
    let ours = Ourselves::from_values(values, uid.as_deref())?;
    Ok(ours.with_identity_in_use(&bindings::read_identities(input)?)?)
}

/// How fast discovery repeats requests and writes.
pub(crate) fn pace(input: &Input) -> Pace {
    if input.env(PACE) == Some("eager") { Pace::Eager } else { Pace::Patient }
}
