//! How the work of deciding on imports grows with the number of peers, inside one process.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Instant;

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::federation::import::plan::{Plan, World};
use istio_federation::federation::import::routes::Routes;
use istio_federation::federation::objects::Stored;
use istio_federation::federation::roster::Roster;

use crate::worlds::{federation, ourselves, owners, service_entries};

/// Repetitions; the fastest counts, since noise only adds.
const RUNS: usize = 7;
const SERVICES: usize = 1000;

/// Times of 10 and 100 peers with 1 000 services each, and their ratio.
pub(crate) fn report() -> Result<String, Box<dyn Error>> {
    let (small, large) = (seconds(10)?, seconds(100)?);
    let ratio = large / small;
    let mut report = String::from(
        "\nMerge and plan of peers with 1 000 services each, all as it should be (budget: 11 times for 10 times):\n\n",
    );
    writeln!(report, "| 10 peers | 100 peers | ratio |\n| --- | --- | --- |")?;
    writeln!(report, "| {:.1} ms | {:.1} ms | {ratio:.1} |", small * 1000.0, large * 1000.0)?;
    Ok(report)
}

fn seconds(peers: usize) -> Result<f64, Box<dyn Error>> {
    let ours = ourselves()?;
    let owners = owners();
    let federations: Vec<IstioFederation> =
        (0..peers).map(|peer| federation(peer, SERVICES)).collect::<Result<_, _>>()?;
    let existing: Vec<Stored> = service_entries(&federations)?
        .into_iter()
        .map(|entry| serde_json::from_str(&entry.to_string()))
        .collect::<Result<_, _>>()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        let roster = Roster::new(&federations, &ours);
        let routes = Routes::new(&federations, &roster, &ours);
        let world = World {
            federations: &federations,
            all_read: true,
            roster: &roster,
            existing: &existing,
            owners: &owners,
            range: ours.service_range,
        };
        let plan = Plan::new(&routes, &world);
        fastest = fastest.min(start.elapsed().as_secs_f64());
        assert_eq!(plan, Plan::default(), "{} services are as they should be", routes.by_host.len());
        assert_eq!(routes.by_host.len(), peers * SERVICES);
    }
    Ok(fastest)
}
