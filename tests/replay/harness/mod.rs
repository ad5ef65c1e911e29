//! Runs one case, from its file to the verdict.

pub(crate) mod case;
mod expected;
mod exporter;
pub(crate) mod fill;
pub(crate) mod fixtures;
mod normal;
mod operator;
mod peers;
mod short;
mod world;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use case::{Case, EXPORTER, File};
use expected::Found;
use fill::Fill;
use fixtures::Defaults;
use istio_federation::federation::pem::{self, Limits};
use operator::{Operator, Outcome};
use world::World;

/// The parts of a case: fixtures of `defaults.yaml` and files of `fixtures`.
#[derive(Default)]
pub(crate) struct Used {
    pub(crate) named: BTreeSet<String>,
    pub(crate) files: BTreeSet<String>,
}

/// Runs a case and compares the result with its expectation.
pub(crate) fn replay(name: &str, update: bool) -> Result<Used, String> {
    let file = File::read(name)?;
    let (folder, _) = name.split_once('/').ok_or("a case is in a folder")?;
    let defaults = Defaults::read(folder)?;
    let files = if folder == EXPORTER {
        exporter::replay(&file, &defaults, update)?
    } else {
        replay_hook(&Case::read(name, &file, &defaults)?, &file, update)?
    };
    Ok(Used { named: defaults.used(), files })
}

/// Whether a case is slow.
pub(crate) fn is_slow(name: &str) -> bool {
    let case = || -> Result<Case, String> {
        let (folder, _) = name.split_once('/').ok_or("a case is in a folder")?;
        Case::read(name, &File::read(name)?, &Defaults::read(folder)?)
    };
    case().is_ok_and(|case| case.is_slow())
}

fn replay_hook(case: &Case, case_file: &File, update: bool) -> Result<BTreeSet<String>, String> {
    let peers = peers::start(case)?;
    let fill = Fill::new(&peers);
    peers.set_scripts(case, &fill)?;
    let operator = Operator::new(case)?;
    let mut world = World::read(case, operator.hook, &fill)?;

    let outcome = operator.run(&world, &fill)?;
    let found = Found::new(case, &outcome, peers.take_requests(&fill), &fill)?;
    expected::compare(case_file, &case.expect, &found, update)?;
    if outcome.failure.is_none() {
        if case.skip.reversed.is_none() && world.can_be_reversed() {
            in_any_order(&operator, case, &mut world, &found, &fill)?;
        }
        if case.skip.twice.is_none() && world.can_be_changed() {
            twice_is_once(&operator, case, world, &outcome, &fill)?;
        }
    }
    Ok(fill.used())
}

/// The operator sorts snapshots, but nothing may depend on it.
fn in_any_order(
    operator: &Operator<'_>,
    case: &Case,
    world: &mut World<'_>,
    found: &Found,
    fill: &Fill,
) -> Result<(), String> {
    world.reverse()?;
    let reversed = Found::new(case, &operator.run(world, fill)?, BTreeMap::default(), fill)?;
    for name in ["values", "patches", "metrics"] {
        if reversed.member(name) != found.member(name) {
            let [was, is] = [found, &reversed].map(|found| expected::text(name, found.member(name)));
            let difference = expected::difference(&was, &is);
            return Err(format!("with its snapshots in reverse order, {name} differ:\n{difference}"));
        }
    }
    Ok(())
}

/// A second run, after the effects of the first were applied, has nothing left to do.
fn twice_is_once(
    operator: &Operator<'_>,
    case: &Case,
    mut world: World<'_>,
    outcome: &Outcome,
    fill: &Fill,
) -> Result<(), String> {
    world.apply(outcome)?;
    let again = Found::new(case, &operator.run(&world, fill)?, BTreeMap::default(), fill)?;
    for name in ["values", "patches", "error"] {
        if let Some(member) = again.member(name) {
            let text = expected::text(name, Some(member));
            return Err(format!("run again after its patches were applied, it gives {name} again:\n{text}"));
        }
    }
    Ok(())
}

/// The content of the only block of a PEM text.
fn pem_content(text: &str) -> Result<Vec<u8>, String> {
    let limits = Limits { bytes: 4096, blocks: 1 };
    pem::blocks(text, limits).remove(0).map(|block| block.content).map_err(|error| error.to_string())
}
