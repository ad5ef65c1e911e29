//! From status to ServiceEntries: one object patch per host that changed.

use std::error::Error;

use istio_federation::federation::import::plan::{LABEL, Plan, World, cut};
use istio_federation::federation::import::routes::Routes;
use istio_federation::federation::roster::Roster;
use istio_federation::hook::{Effects, Events, HookConfig, Input, Logger};
use jiff::Timestamp;
use serde_json::json;

use crate::shared::{bindings, facts, federations, objects};

const QUEUE: &str = "/modules/istio/federation-imports";
const STATUS: &str = "{metadataCache: {source: .status.metadataCache.source, private: .status.metadataCache.private}}";
/// Most changes of a run: at the operator's usual rate they take seconds; the events that they cause start the next run.
const LIMIT: usize = 500;
/// How long the changes of a cut plan keep their turn, in seconds.
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

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Box<dyn Error + Send + Sync>> {
    let Some(values) = facts::values_if_enabled(input)? else { return Ok(Effects::default()) };
    let ours = facts::ourselves(input, &values)?;
    let federations = federations::read(input, "federations", log)?;
    let existing = input.snapshot_texts("service_entries")?;
    let owners = bindings::read_owners(input)?;

    let roster = Roster::new(&federations.readable, &ours);
    let routes = Routes::new(&federations.readable, &roster, &ours);
    let plan = Plan::new(
        &routes,
        &World {
            federations: &federations.readable,
            all_read: federations.all_read,
            roster: &roster,
            existing: &existing,
            owners: &owners,
            range: ours.service_range,
        },
    )?;
    for refusal in &plan.refused {
        log.warn("a port is not imported", &[("host", json!(refusal.name)), ("reason", json!(refusal.reason))]);
    }
    let turn = usize::try_from(Timestamp::now().as_second().div_euclid(TURN)).unwrap_or_default();
    objects::emit("ServiceEntry", cut(plan.changes, LIMIT, turn))
}
