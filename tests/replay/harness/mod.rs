//! The harness: one case, from its files to the verdict.

pub(crate) mod case;
mod expected;
mod exporter;
pub(crate) mod fill;
mod normal;
mod operator;
mod peers;
mod world;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use case::Case;
use expected::Found;
use fill::Fill;
use operator::{Operator, Outcome};
use world::World;

/// Runs a case and holds it against what it expects. Tells which fixtures it used, or what is wrong.
pub(crate) fn replay(name: &str, update: bool) -> Result<BTreeSet<String>, String> {
    if exporter::is_case(name) { exporter::replay(name, update) } else { replay_hook(&Case::load(name)?, update) }
}

fn replay_hook(case: &Case, update: bool) -> Result<BTreeSet<String>, String> {
    let peers = peers::start(case)?;
    let fill = Fill::new(&peers);
    peers.set_scripts(case, &fill)?;
    let operator = Operator::new(case)?;
    let world = World::read(case, &fill, &operator)?;

    let outcome = operator.run(&world)?;
    let found = Found::new(&outcome, peers.take_requests(&fill), &fill)?;
    expected::compare(&case.folder, &found, update)?;
    if outcome.failure.is_none() {
        if case.skip.reversed.is_none() && world.can_be_reversed() {
            in_any_order(&operator, &world, &found, &fill)?;
        }
        if case.skip.twice.is_none() && world.can_be_changed() {
            twice_is_once(&operator, world, &outcome, &fill)?;
        }
    }
    Ok(fill.used())
}

/// The operator sorts snapshots, but nothing may hang on it.
fn in_any_order(operator: &Operator<'_>, world: &World, found: &Found, fill: &Fill) -> Result<(), String> {
    let reversed = Found::new(&operator.run(&world.reversed())?, BTreeMap::default(), fill)?;
    for name in ["values.json", "objects.json", "metrics.json"] {
        if reversed.file(name) != found.file(name) {
            let [was, is] = [found, &reversed].map(|found| found.file(name).unwrap_or_default());
            return Err(format!(
                "with its snapshots in reverse order, {name} differs:\n{}",
                expected::difference(was, is)
            ));
        }
    }
    Ok(())
}

/// Once everything is done that was asked for, there is nothing left to do.
fn twice_is_once(operator: &Operator<'_>, mut world: World, outcome: &Outcome, fill: &Fill) -> Result<(), String> {
    world.apply(outcome)?;
    let again = Found::new(&operator.run(&world)?, BTreeMap::default(), fill)?;
    for name in ["values.json", "objects.json", "error.txt"] {
        if let Some(text) = again.file(name) {
            return Err(format!("run again after its patches were applied, it gives {name} once more:\n{text}"));
        }
    }
    Ok(())
}
