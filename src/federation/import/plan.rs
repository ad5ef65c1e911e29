//! From the routes and the ServiceEntries that exist to the smallest set of changes.
//!
//! A ServiceEntry goes only when its withdrawal was decided: what is merely unknown stays as it is.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::addresses::Addresses;
use super::existing::{Existing, Unreadable};
use super::routes::Routes;
use super::targets::{self, Targets};
use super::unknowns::{Unknowns, Verdict};
use crate::api::istio::{API_VERSION, ServiceEntry};
use crate::api::istio_federation::IstioFederation;
use crate::api::kubernetes::OwnerReference;
use crate::federation::objects::Changes;
use crate::federation::refusal::Refusal;
use crate::federation::roster::Roster;

/// Label of the ServiceEntries that are ours.
pub const LABEL: &str = "federation.istio.deckhouse.io/imported-service";
/// Annotation with the names of the contributing IstioFederations, sorted, separated by commas.
pub const FEDERATIONS: &str = "federation.istio.deckhouse.io/federations";

/// The changes that lead from what is to what should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to change.
    pub changes: Changes<ServiceEntry>,
    /// Ports that cannot be imported for want of an address.
    pub refused: Vec<Refusal>,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// All IstioFederations that could be read.
    pub federations: &'a [IstioFederation],
    /// Whether these are all there are: one that cannot be read keeps what it contributed.
    pub all_read: bool,
    /// The federations' standing.
    pub roster: &'a Roster,
    /// The ServiceEntries with our label: JSON with `metadata` and `spec`, each name once, sorted by name.
    pub existing: &'a [&'a str],
    /// The owner ConfigMaps that exist.
    pub owners: &'a [OwnerReference],
    /// Range of the hosts' addresses.
    pub range: Ipv4Net,
}

impl Plan {
    /// Compares. Without an owner there is no plan: federation is off, or not yet rendered. Fails on something among the
    /// existing that is no object.
    pub fn new(routes: &Routes<'_>, world: &World<'_>) -> Result<Self, Unreadable> {
        let mut plan = Self::default();
        if world.owners.is_empty() {
            return Ok(plan);
        }
        let unknowns = Unknowns::new(world);
        let mut targets = Targets::new(routes, world.owners);
        let mut addresses = Addresses::new(world.range, world.existing.len());
        let mut missing: Vec<bool> = vec![true; targets.routes.len()];
        // Neither is free: what an entry has that stays for another reason, and what was double.
        let mut foreign = Vec::new();
        let mut homeless = Vec::new();
        for text in world.existing {
            let entry = Existing::read(text)?;
            let decided = unknowns.verdict(entry.name(), entry.federations()) == Verdict::Decided;
            let Some(place) = targets.find(entry.name()) else {
                foreign.extend(entry.address());
                if decided {
                    plan.changes.delete.push(entry.name().to_owned());
                }
                continue;
            };
            missing[place] = false;
            let kept = entry.address().filter(|address| addresses.keep(*address));
            if kept.is_none() {
                foreign.extend(entry.address());
            }
            match (decided, kept) {
                (false, _) => {}
                (true, Some(_)) => plan.bring(&targets, place, kept, Some(entry))?,
                (true, None) => homeless.push((place, Some(entry))),
            }
        }
        addresses.reserve(foreign);
        homeless.extend(missing.iter().enumerate().filter(|(_, missing)| **missing).map(|(place, _)| (place, None)));
        homeless.sort_unstable_by_key(|(place, _)| targets.routes[*place].host);
        for (place, entry) in homeless {
            let address = addresses.find(targets.routes[place].host.as_str());
            plan.bring(&targets, place, address, entry)?;
        }
        let Changes { create, update, delete } = &mut plan.changes;
        create.sort_unstable_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        update.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        delete.sort_unstable();
        plan.refused.sort_unstable();
        Ok(plan)
    }

    /// Adds what brings the host at `place` there: nothing, where it is as it should be or nothing of it can be imported.
    fn bring(
        &mut self,
        targets: &Targets<'_>,
        place: usize,
        address: Option<Ipv4Addr>,
        existing: Option<Existing<'_>>,
    ) -> Result<(), Unreadable> {
        let route = targets.routes[place];
        let Some(spec) = targets::spec_of(route, address, &mut self.refused) else { return Ok(()) };
        match existing {
            Some(existing) => self.changes.update.extend(existing.update_to(&spec, route, targets)?),
            None => self.changes.create.push(ServiceEntry {
                api_version: API_VERSION.to_owned(),
                kind: "ServiceEntry".to_owned(),
                metadata: targets.metadata(route),
                spec,
            }),
        }
        Ok(())
    }
}

/// Cuts the changes to `limit`, of which each kind has a fifth for itself. What is left comes next time; `turn` moves
/// the cut, so that changes which always fail do not stand in the others' way.
#[must_use]
pub fn cut<T>(mut changes: Changes<T>, limit: usize, turn: usize) -> Changes<T> {
    let Changes { create, update, delete } = &mut changes;
    let share = limit / 5;
    let mut free = limit;
    for length in [create.len(), update.len(), delete.len()] {
        free -= length.min(share);
    }
    let mut quota = |length: usize| {
        let extra = length.saturating_sub(share).min(free);
        free -= extra;
        length.min(share) + extra
    };
    let quotas = (quota(create.len()), quota(update.len()), quota(delete.len()));
    take(create, quotas.0, turn);
    take(update, quotas.1, turn);
    take(delete, quotas.2, turn);
    changes
}

fn take<T>(items: &mut Vec<T>, quota: usize, turn: usize) {
    if items.len() > quota {
        let offset = turn.wrapping_mul(quota) % items.len();
        items.rotate_left(offset);
        items.truncate(quota);
    }
}

#[cfg(test)]
mod tests;
