//! From the routes and the ServiceEntries that exist to the smallest set of changes.
//!
//! A ServiceEntry is deleted only if its withdrawal was decided. If its peer's services are unknown, it stays as it is.

use std::net::Ipv4Addr;

use super::addresses::Addresses;
use super::existing::{Existing, Unreadable};
use super::input::PlanInput;
use super::routes::Routes;
use super::targets::{self, Targets};
use super::unknowns::{Unknowns, Verdict};
use crate::api::istio::{API_VERSION, ServiceEntry};
use crate::federation::managed::Changes;
use crate::federation::refusal::Refusal;

/// The changes that lead from the existing ServiceEntries to the right ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub changes: Changes<ServiceEntry>,
    /// Ports that cannot be imported because no address is left for their host.
    pub refused: Vec<Refusal>,
}

impl Plan {
    /// Compares. Without an owner the plan is empty: federation is off, or not rendered yet. Fails if an existing
    /// ServiceEntry is not a Kubernetes object.
    pub fn new(routes: &Routes<'_>, input: &PlanInput<'_>) -> Result<Self, Unreadable> {
        let mut plan = Self::default();
        if input.owners.is_empty() {
            return Ok(plan);
        }
        let unknowns = Unknowns::new(input);
        let mut targets = Targets::new(routes, input.owners);
        let mut addresses = Addresses::new(input.range, input.existing.len());
        let mut missing: Vec<bool> = vec![true; targets.routes.len()];
        // Addresses that are not free: those of entries that stay for another reason, and those that two entries have.
        let mut reserved = Vec::new();
        let mut needs_address = Vec::new();
        for text in input.existing {
            let entry = Existing::read(text)?;
            let decided = unknowns.verdict(entry.name(), entry.federations()) == Verdict::Decided;
            let Some(index) = targets.find(entry.name()) else {
                reserved.extend(entry.address());
                if decided {
                    plan.changes.delete.push(entry.name().to_owned());
                }
                continue;
            };
            missing[index] = false;
            let kept = entry.address().filter(|address| addresses.keep(*address));
            if kept.is_none() {
                reserved.extend(entry.address());
            }
            match (decided, kept) {
                (false, _) => {}
                (true, Some(_)) => plan.push_change(&targets, index, kept, Some(entry))?,
                (true, None) => needs_address.push((index, Some(entry))),
            }
        }
        addresses.reserve(reserved);
        needs_address
            .extend(missing.iter().enumerate().filter(|(_, missing)| **missing).map(|(index, _)| (index, None)));
        needs_address.sort_unstable_by_key(|(index, _)| targets.routes[*index].host);
        for (index, entry) in needs_address {
            let address = addresses.find(targets.routes[index].host.as_str());
            plan.push_change(&targets, index, address, entry)?;
        }
        let Changes { create, update, delete } = &mut plan.changes;
        create.sort_unstable_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        update.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        delete.sort_unstable();
        plan.refused.sort_unstable();
        Ok(plan)
    }

    /// Adds the change for the route at `index`: none if its ServiceEntry is right already, or if no port can be imported.
    fn push_change(
        &mut self,
        targets: &Targets<'_>,
        index: usize,
        address: Option<Ipv4Addr>,
        existing: Option<Existing<'_>>,
    ) -> Result<(), Unreadable> {
        let route = targets.routes[index];
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

/// Cuts the changes to `limit`, a fifth of which is reserved for each kind. The rest comes in the next run; `turn` moves
/// the cut, so that changes that always fail do not block the others.
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
