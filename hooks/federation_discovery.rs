//! Asks all peers at once and writes the results into their status. The only writer of that status.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::api::values::Values;
use istio_federation::federation::conditions::{
    self, OWN_IDENTITY_ACCEPTED, PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY,
};
use istio_federation::federation::discovery::{
    AT_ONCE, Exchange, Exchanged, Fetch, Pace, StatusContext, TICK, due_peers, of_refused_trust_domain,
    record_refusals, report_anchors,
};
use istio_federation::federation::import::{Outcome, Routes};
use istio_federation::federation::offer::GatewayOffer;
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::refusal::Refusal;
use istio_federation::federation::roster::Roster;
use istio_federation::federation::trust::{AnchorReport, Judge, OwnChain, anchors_of_peers};
use istio_federation::hook::{Effects, Events, HookConfig, Input, Logger, Schedule};
use istio_federation::peer::{Limits, Panicked, PeerFetcher, SigningKey, bounded_parallel};
use jiff::{Timestamp, Unit};
use serde_json::json;

use crate::shared::federations::{self, Federations};
use crate::shared::steps::{Failure, In as _};
use crate::shared::{bindings, keypair, metrics, own_chain, patches, settings};

const QUEUE: &str = "/modules/istio/federation-discovery";
/// The whole status, with lists where Kubernetes leaves out empty ones.
const STATUS: &str = "(.status // {} | . + {conditions: (.conditions // []), refused: (.refused // [])})";

pub(crate) fn config() -> HookConfig {
    let mut kubernetes = vec![
        // Looks at spec alone, so that this hook's own writes do not start it.
        bindings::federations("specs", "null", Events::All, QUEUE),
        bindings::federations("federations", STATUS, Events::None, QUEUE),
        bindings::kube_system(QUEUE),
        bindings::owners_as_they_are(QUEUE),
        keypair::binding(QUEUE),
    ];
    kubernetes.extend(own_chain::bindings(QUEUE));
    HookConfig {
        schedule: vec![Schedule {
            name: "tick".to_owned(),
            crontab: format!("*/{TICK} * * * * *"),
            queue: Some(QUEUE.to_owned()),
        }],
        kubernetes,
        ..HookConfig::default()
    }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Failure> {
    let run_start = Instant::now();
    let Some(given) = read(input, log).within("read")? else { return Ok(Effects::default()) };
    let fetched = fetch(&given, run_start, log).within("fetch")?;
    let decided = decide(&given, fetched);
    emit(&given, &decided, log).within("emit")
}

struct Given {
    values: Values,
    ours: Ourselves,
    key: SigningKey,
    /// `None` while istiod has not published its root.
    own_chain: Option<OwnChain>,
    federations: Federations,
    now: Timestamp,
    pace: Pace,
}

/// `None` if there is nothing to do: federation is off, or the key that signs tokens does not exist yet.
fn read(input: &Input, log: &Logger) -> Result<Option<Given>, Failure> {
    let Some(values) = settings::values_if_enabled(input)? else { return Ok(None) };
    let Some(pair) =
        keypair::from_values(&values).map_or_else(|| keypair::from_secret(input), |pair| Ok(Some(pair)))?
    else {
        log.warn("there is no key pair yet: peers are asked once there is one", &[]);
        return Ok(None);
    };
    Ok(Some(Given {
        ours: settings::ourselves(input, &values)?,
        key: SigningKey::from_pem_pair(&pair.private, &pair.public)?,
        own_chain: own_chain::read(input, &values)?.map(|own| own.chain),
        federations: federations::read(input, "federations", log)?,
        now: Timestamp::now().round(Unit::Second)?,
        pace: settings::pace(input),
        values,
    }))
}

/// The peers' answers.
struct Fetched {
    /// The exchanges that came to an end, by federation.
    exchanges: BTreeMap<String, Exchange>,
    /// All federations, with the cluster UUIDs that they claimed.
    roster: Roster,
}

/// Fetches from the peers that are due.
fn fetch(given: &Given, run_start: Instant, log: &Logger) -> Result<Fetched, Failure> {
    let roster = Roster::new(&given.federations.readable, &given.ours);
    let has_trust_domain = |federation: &&IstioFederation| {
        roster.trust_domain_of(&federation.metadata.name).is_some_and(|trust_domain| trust_domain.is_ok())
    };
    let asked = due_peers(given.federations.readable.iter().filter(has_trust_domain), given.now, given.pace);
    let names: Vec<String> = asked.iter().map(|federation| federation.metadata.name.clone()).collect();
    let limits = Limits::default();
    // Each exchange has its own deadline; this one bounds them together, however many there are.
    let run_end = run_start + limits.exchange;
    let roster = Mutex::new(roster);
    let fetcher = PeerFetcher { key: &given.key, uuid: &given.ours.uuid, roster: &roster, now: given.now, limits };
    let answers = bounded_parallel(asked, AT_ONCE, |federation| fetcher.fetch(federation, run_end));
    let mut exchanges = BTreeMap::new();
    for (name, answer) in names.into_iter().zip(answers) {
        match answer {
            Ok(Some(exchange)) => {
                exchanges.insert(name, exchange);
            }
            Ok(None) => log.info(
                "there was no time left for the peer: it is asked at the next tick",
                &[("federation", json!(name))],
            ),
            Err(Panicked) => {
                log.error("asking the peer failed inside this hook: please report it", &[("federation", json!(name))]);
            }
        }
    }
    let mut roster = roster.into_inner().map_err(|_| "an exchange failed while it claimed a cluster UUID")?;
    // Once more, now that all claims are in: the order of the answers must not matter.
    for (name, exchange) in &mut exchanges {
        if let Fetch::Fresh { document, .. } = &exchange.public
            && let Err(error) = roster.claim(name, &document.cluster_uuid)
        {
            exchange.refuse(&error);
        }
    }
    Ok(Fetched { exchanges, roster })
}

/// A federation after the run.
struct Decided<'a> {
    /// Borrowed if nothing changed.
    federation: Cow<'a, IstioFederation>,
    /// How the exchange ended, if there was one.
    exchanged: Option<Exchanged>,
}

/// Gateways and certificates vetted for the status of single federations, by their names.
#[derive(Default)]
struct Vetted<'a> {
    /// Refused certificates.
    certificates: BTreeMap<&'a str, Vec<Refusal>>,
    gateways: BTreeMap<&'a str, GatewayOffer>,
}

/// The status of every federation after the run.
fn decide(given: &Given, fetched: Fetched) -> Vec<Decided<'_>> {
    let Fetched { mut exchanges, roster } = fetched;
    let judge = given.own_chain.as_ref().map(Judge::new);
    let context = StatusContext { ours: &given.ours, judge: judge.as_ref(), now: given.now, pace: given.pace };
    let before = &given.federations.readable;
    let mut vetted = Vetted::default();
    let mut after: Vec<Decided<'_>> = Vec::new();
    for was in before {
        let name = was.metadata.name.as_str();
        let mut exchanged = None;
        let status = match roster.trust_domain_of(name) {
            Some(Ok(trust_domain)) => exchanges.remove(name).map(|exchange| {
                let next = context.next_status(was, trust_domain, exchange);
                exchanged = Some(next.exchanged);
                vetted.certificates.extend(next.refused_certificates.map(|refused| (name, refused)));
                vetted.gateways.extend(next.gateways.map(|gateways| (name, gateways)));
                next.status
            }),
            Some(Err(refused)) => {
                let mut status = was.status.clone().unwrap_or_default();
                let updates = of_refused_trust_domain(refused);
                status.conditions = conditions::merge(&status.conditions, &updates, was.metadata.generation, given.now);
                Some(status)
            }
            None => None,
        };
        let federation = match status {
            Some(status) if was.status.as_ref() != Some(&status) => Cow::Owned(IstioFederation {
                metadata: was.metadata.clone(),
                spec: was.spec.clone(),
                status: Some(status),
            }),
            _ => Cow::Borrowed(was),
        };
        after.push(Decided { federation, exchanged });
    }
    judge_together(given, judge.as_ref(), &roster, &mut after, vetted);
    after
}

/// Adds the results of judging all federations together: anchors, imported services and refusals.
fn judge_together(
    given: &Given,
    judge: Option<&Judge<'_>>,
    roster: &Roster,
    after: &mut [Decided<'_>],
    Vetted { mut certificates, gateways }: Vetted<'_>,
) {
    let federations = || after.iter().map(|decided| decided.federation.as_ref());
    let report = judge.map(|judge| AnchorReport::from(anchors_of_peers(federations(), roster, judge)));
    let routes = Routes::with_gateways(federations(), roster, &given.ours, gateways);
    let mut outcomes: BTreeMap<String, Outcome> =
        routes.outcomes.into_iter().map(|(name, outcome)| (name.to_owned(), outcome)).collect();
    for (decided, was) in after.iter_mut().zip(&given.federations.readable) {
        if given.ours.refused_by_peers.is_none() {
            conditions::remove(&mut decided.federation, OWN_IDENTITY_ACCEPTED);
        }
        let name = was.metadata.name.as_str();
        if let Some(report) = &report {
            report_anchors(report, &mut decided.federation, was, given.now);
        }
        let anchors = report.as_ref().map(|report| report.refused(name));
        let (outcome, refused) = (outcomes.remove(name), certificates.remove(name));
        record_refusals(&mut decided.federation, outcome, refused.as_deref(), anchors);
    }
}

fn emit(given: &Given, decided: &[Decided<'_>], log: &Logger) -> Result<Effects, Failure> {
    let mut effects = Effects::default();
    for (was, is) in given.federations.readable.iter().zip(decided) {
        if let Cow::Owned(is) = &is.federation {
            effects.objects.extend(patches::status_of(was, is)?);
        }
        if let Some(exchanged) = is.exchanged {
            effects.metrics.extend(metrics::of_exchange(&is.federation, exchanged, given.now));
            log_failures(&is.federation, log);
        }
    }
    if given.federations.all_read {
        let names: Vec<&str> = given.federations.readable.iter().map(|one| one.metadata.name.as_str()).collect();
        let before = given.values.internal().and_then(|internal| internal.federation_names.as_ref());
        effects.metrics.extend(metrics::of_deleted(before.into_iter().flatten(), &names));
    }
    Ok(effects)
}

/// Logs which documents could not be fetched. Everything else is in status, and would be logged every 15 seconds here.
fn log_failures(federation: &IstioFederation, log: &Logger) {
    for type_ in [PUBLIC_EXCHANGE_READY, PRIVATE_EXCHANGE_READY] {
        let Some(condition) = federation.condition(type_).filter(|condition| condition.status == "False") else {
            continue;
        };
        let fields = [
            ("federation", json!(federation.metadata.name)),
            ("condition", json!(condition.type_)),
            ("reason", json!(condition.reason)),
            ("error", json!(condition.message)),
        ];
        log.warn("IstioFederation is not ready", &fields);
    }
}
