//! From status to ServiceEntries: one object patch per host that changed.

use istio_federation::api::kubernetes::OwnerReference;
use istio_federation::federation::import::{LABEL, Plan, PlanInput, Routes, cut};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::roster::Roster;
use istio_federation::hook::{Effects, Events, HookConfig, Input, Logger};
use jiff::Timestamp;
use serde_json::json;

use crate::shared::federations::{self, Federations};
use crate::shared::steps::{Failure, In as _};
use crate::shared::{bindings, patches, settings};

const QUEUE: &str = "/modules/istio/federation-imports";
const STATUS: &str = "{metadataCache: {source: .status.metadataCache.source, private: .status.metadataCache.private}}";
/// Most changes of a run: at the operator's usual rate they take seconds; the events that they cause start the next run.
const LIMIT: usize = 500;
/// How long the same part of a cut plan comes first, in seconds.
const TURN: i64 = 10;

pub(crate) fn config() -> HookConfig {
    HookConfig {
        kubernetes: vec![
            bindings::federations("federations", STATUS, Events::All, QUEUE),
            bindings::kube_system(QUEUE),
            bindings::owners(QUEUE),
            bindings::written_objects("service_entries", "ServiceEntry", LABEL, QUEUE),
        ],
        ..HookConfig::default()
    }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Failure> {
    let Some(given) = read(input, log).within("read")? else { return Ok(Effects::default()) };
    let plan = decide(&given).within("decide")?;
    emit(plan, log).within("emit")
}

struct Given<'a> {
    ours: Ourselves,
    federations: Federations,
    existing: Vec<&'a str>,
    owners: Vec<OwnerReference>,
    /// Which part of a cut plan comes first.
    turn: usize,
}

fn read<'a>(input: &'a Input, log: &Logger) -> Result<Option<Given<'a>>, Failure> {
    let Some(values) = settings::values_if_enabled(input)? else { return Ok(None) };
    Ok(Some(Given {
        ours: settings::ourselves(input, &values)?,
        federations: federations::read(input, "federations", log)?,
        existing: input.snapshot_texts("service_entries")?,
        owners: bindings::read_owners(input)?,
        turn: usize::try_from(Timestamp::now().as_second().div_euclid(TURN)).unwrap_or_default(),
    }))
}

fn decide(given: &Given<'_>) -> Result<Plan, Failure> {
    let Given { ours, federations, existing, owners, turn } = given;
    let roster = Roster::new(&federations.readable, ours);
    let routes = Routes::new(&federations.readable, &roster, ours);
    let input = PlanInput {
        federations: &federations.readable,
        all_read: federations.all_read,
        roster: &roster,
        existing,
        owners,
        range: ours.service_range,
    };
    let Plan { changes, refused } = Plan::new(&routes, &input)?;
    Ok(Plan { changes: cut(changes, LIMIT, *turn), refused })
}

fn emit(plan: Plan, log: &Logger) -> Result<Effects, Failure> {
    for refusal in &plan.refused {
        log.warn("a port is not imported", &[("host", json!(refusal.name)), ("reason", json!(refusal.reason))]);
    }
    patches::effects_of("ServiceEntry", plan.changes)
}
