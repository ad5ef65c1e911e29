//! Measures how the import decision grows with the number of peers, inside one process.

use std::error::Error;
use std::time::Instant;

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::federation::import::{Plan, PlanInput, Routes};
use istio_federation::federation::roster::Roster;

use crate::worlds::{federation, ourselves, owners, service_entries};

/// Number of repetitions. The fastest counts, because noise only adds time.
const RUNS: usize = 7;
const SERVICES: usize = 1000;

/// Milliseconds for the merge of the offers of `peers` peers (1 000 services each), and for the plan after it, which changes nothing.
pub(crate) fn merge_and_plan(peers: usize) -> Result<[f64; 2], Box<dyn Error>> {
    let ours = ourselves()?;
    let owners = owners();
    let federations: Vec<IstioFederation> =
        (0..peers).map(|peer| federation(peer, SERVICES)).collect::<Result<_, _>>()?;
    let entries: Vec<String> = service_entries(&federations)?.iter().map(ToString::to_string).collect();
    let existing: Vec<&str> = entries.iter().map(String::as_str).collect();
    let mut fastest = [f64::INFINITY; 2];
    for _ in 0..RUNS {
        let start = Instant::now();
        let roster = Roster::new(&federations, &ours);
        let routes = Routes::new(&federations, &roster, &ours);
        let merged = Instant::now();
        let input = PlanInput {
            federations: &federations,
            all_read: true,
            roster: &roster,
            existing: &existing,
            owners: &owners,
            range: ours.service_range,
        };
        let plan = Plan::new(&routes, &input)?;
        let seconds = [merged.duration_since(start), merged.elapsed()].map(|time| time.as_secs_f64());
        fastest = [fastest[0].min(seconds[0]), fastest[1].min(seconds[1])];
        assert_eq!(plan, Plan::default(), "all is as it should be");
        let imported: usize = routes.outcomes.values().map(|outcome| outcome.imported).sum();
        assert_eq!(imported, peers * SERVICES);
    }
    Ok(fastest.map(|seconds| seconds * 1000.0))
}
