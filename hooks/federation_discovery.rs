//! Asks every peer, all at once, and writes what it learned into their status. The only writer of that status.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Mutex;
use std::time::Instant;

use istio_federation::api::istio_federation::{API_VERSION, IstioFederation, IstioFederationStatus, KIND};
use istio_federation::api::kubernetes::Condition;
use istio_federation::api::metadata::{PRIVATE_PATH, PUBLIC_PATH};
use istio_federation::api::values::Values;
use istio_federation::federation::conditions::{self, OWNED, PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY};
use istio_federation::federation::discovery::absorb::{Exchanged, Judge};
use istio_federation::federation::discovery::due::{self, AT_ONCE};
use istio_federation::federation::discovery::rendered::{self, Rendered};
use istio_federation::federation::discovery::{Exchange, Fetch, Pace, findings, refusals};
use istio_federation::federation::import::routes::{Outcome, Routes};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::refusal::Refusal;
use istio_federation::federation::roster::{Roster, cache_of, is_same_endpoint};
use istio_federation::federation::trust::OwnChain;
use istio_federation::hook::{
    Effects, Events, HookConfig, Input, Logger, MetricOperation, ObjectPatch, ObjectRef, Schedule, diff,
};
use istio_federation::peer::exchange::Caller;
use istio_federation::peer::{Limits, Panicked, SigningKey, bounded_parallel, endpoint};
use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use crate::shared::federations::{self, Federations};
use crate::shared::{bindings, facts, keypair, own_chain};

const QUEUE: &str = "/modules/istio/federation-discovery";
/// The whole status, with lists where Kubernetes leaves out empty ones.
const STATUS: &str = "(.status // {} | . + {conditions: (.conditions // []), refused: (.refused // [])})";
/// 1 while the last request failed, else 0; Deckhouse's name, though it counts nothing.
const ERROR_METRIC: &str = "d8_istio_federation_metadata_endpoints_fetch_error_count";
/// When a request last succeeded, in seconds since 1970; while it fails, when that was found. Absent if none ever did.
const SUCCESS_METRIC: &str = "d8_istio_federation_metadata_last_success_timestamp_seconds";

type Failure = Box<dyn Error + Send + Sync>;

pub(crate) fn config() -> HookConfig {
    let mut kubernetes = vec![
        // Looks at spec alone: what this hook writes does not wake it.
        bindings::federations("specs", "null", Events::All, QUEUE),
        bindings::federations("federations", STATUS, Events::None, QUEUE),
        bindings::kube_system(QUEUE),
        keypair::binding(QUEUE),
    ];
    kubernetes.extend(own_chain::bindings(QUEUE));
    HookConfig {
        schedule: vec![Schedule {
            name: "tick".to_owned(),
            crontab: format!("*/{} * * * * *", due::TICK),
            queue: Some(QUEUE.to_owned()),
            ..Schedule::default()
        }],
        kubernetes,
        ..HookConfig::default()
    }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Failure> {
    let run_start = Instant::now();
    let Some(world) = read(input, log)? else { return Ok(Effects::default()) };
    let roster = Roster::new(&world.federations.readable, &world.ours);
    let (exchanges, roster) = fetch(&world, roster, run_start, log)?;
    let judge = Judge { ours: &world.ours, own_chain: world.own_chain.as_ref(), now: world.now, pace: world.pace };
    let after = decide(&judge, &roster, &world.federations.readable, exchanges);
    emit(&world, &after, log)
}

/// What a run is based on.
struct World {
    values: Values,
    ours: Ourselves,
    key: SigningKey,
    own_chain: Option<OwnChain>,
    federations: Federations,
    now: Timestamp,
    pace: Pace,
}

/// `None` where there is nothing to do: federation is off, or nobody could check our tokens yet.
fn read(input: &Input, log: &Logger) -> Result<Option<World>, Failure> {
    let Some(values) = facts::values_if_enabled(input)? else { return Ok(None) };
    let Some(pair) =
        keypair::from_values(&values).map_or_else(|| keypair::from_secret(input), |pair| Ok(Some(pair)))?
    else {
        log.warn("there is no key pair yet: peers are asked once it is there", &[]);
        return Ok(None);
    };
    Ok(Some(World {
        ours: facts::ourselves(input, &values)?,
        key: SigningKey::from_pem_pair(&pair.private, &pair.public)?,
        own_chain: own_chain::read(input, &values)?.map(|own| own.chain),
        federations: federations::read(input, "federations", log)?,
        now: Timestamp::now().round(Unit::Second)?,
        pace: facts::pace(input),
        values,
    }))
}

/// Asks the peers whose turn it is. The exchanges that came to an end, by federation, and the roster with what they claimed.
fn fetch(
    world: &World,
    roster: Roster,
    run_start: Instant,
    log: &Logger,
) -> Result<(BTreeMap<String, Exchange>, Roster), Failure> {
    let is_fit = |federation: &&IstioFederation| {
        roster.standing(&federation.metadata.name).is_some_and(|standing| standing.is_ok())
    };
    let asked = due::in_order(world.federations.readable.iter().filter(is_fit), world.now, world.pace);
    let names: Vec<String> = asked.iter().map(|federation| federation.metadata.name.clone()).collect();
    let limits = Limits::default();
    // Each exchange is bounded by itself; this bounds them together, however many there are.
    let run_end = run_start + limits.exchange;
    let roster = Mutex::new(roster);
    let caller = Caller { key: &world.key, uuid: &world.ours.uuid, roster: &roster, now: world.now, limits };
    let answers = bounded_parallel(asked, AT_ONCE, |federation| caller.exchange(federation, run_end));
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
    // Once more, now that all claims are in: who answered first must not matter.
    for (name, exchange) in &mut exchanges {
        if let Fetch::Fresh { document, .. } = &exchange.public
            && let Err(error) = roster.claim(name, &document.cluster_uuid)
        {
            exchange.refuse(&error);
        }
    }
    Ok((exchanges, roster))
}

/// A federation after the run.
struct Decided<'a> {
    /// Borrowed where it is as before.
    federation: Cow<'a, IstioFederation>,
    /// How the exchange went, where there was one.
    ended: Option<Exchanged>,
}

/// What every status should be. Pure: the answers are in.
fn decide<'a>(
    judge: &Judge<'_>,
    roster: &Roster,
    before: &'a [IstioFederation],
    mut exchanges: BTreeMap<String, Exchange>,
) -> Vec<Decided<'a>> {
    let mut refused_certificates: BTreeMap<&str, Vec<Refusal>> = BTreeMap::new();
    let mut after: Vec<Decided<'_>> = Vec::new();
    for was in before {
        let name = was.metadata.name.as_str();
        let mut ended = None;
        let status = match roster.standing(name) {
            Some(Ok(trust_domain)) => exchanges.remove(name).map(|exchange| {
                let absorbed = judge.absorb(was, trust_domain, exchange);
                ended = Some(absorbed.exchanged);
                refused_certificates.extend(absorbed.refused_certificates.map(|refused| (name, refused)));
                absorbed.status
            }),
            Some(Err(unfit)) => {
                let mut status = was.status.clone().unwrap_or_default();
                let found = findings::of_unfit(unfit);
                status.conditions = conditions::merge(&status.conditions, &found, was.metadata.generation, judge.now);
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
        after.push(Decided { federation, ended });
    }
    let federations = || after.iter().map(|decided| decided.federation.as_ref());
    let rendered = judge.own_chain.map(|own| Rendered::from(rendered::anchors(federations(), roster, own)));
    let routes = Routes::new(federations(), roster, judge.ours);
    let mut outcomes: BTreeMap<String, Outcome> =
        routes.outcomes.into_iter().map(|(name, outcome)| (name.to_owned(), outcome)).collect();
    for (decided, was) in after.iter_mut().zip(before) {
        let name = was.metadata.name.as_str();
        if let Some(rendered) = &rendered {
            rendered.tell(&mut decided.federation, was, judge.now);
        }
        let anchors = rendered.as_ref().map(|rendered| rendered.refused(name));
        let (outcome, certificates) = (outcomes.remove(name), refused_certificates.remove(name));
        refusals::record(&mut decided.federation, outcome, certificates.as_deref(), anchors);
    }
    after
}

fn emit(world: &World, after: &[Decided<'_>], log: &Logger) -> Result<Effects, Failure> {
    let mut effects = Effects::default();
    for (was, is) in world.federations.readable.iter().zip(after) {
        if let Cow::Owned(is) = &is.federation {
            effects.objects.extend(status_patches(was, is)?);
        }
        if let Some(exchanged) = is.ended {
            effects.metrics.extend(metrics(&is.federation, exchanged, world.now));
            report(&is.federation, log);
        }
    }
    if world.federations.all_read {
        effects.metrics.extend(ended_metrics(&world.values, &world.federations.readable));
    }
    Ok(effects)
}

/// One patch for the data, one for the conditions; none where nothing changed.
fn status_patches(was: &IstioFederation, is: &IstioFederation) -> Result<Vec<ObjectPatch>, Failure> {
    let target = ObjectRef::new(API_VERSION, KIND, None, &was.metadata.name);
    let (old, new) = (was.status.clone().unwrap_or_default(), is.status.clone().unwrap_or_default());
    let data = |status: &IstioFederationStatus| {
        serde_json::to_value(IstioFederationStatus { conditions: Vec::new(), ..status.clone() })
    };
    let mut patches = Vec::new();
    if let Some(changed) = diff(&data(&old)?, &data(&new)?) {
        patches.push(ObjectPatch::merge_patch(target.clone(), json!({ "status": changed }))?);
    }
    let [old, new] = [&old, &new].map(|status| conditions::owned(&status.conditions));
    if old != new {
        patches.push(ObjectPatch::jq_patch(target, &conditions_filter(&new)?)?);
    }
    Ok(patches.into_iter().map(|patch| patch.subresource("/status").ignore_missing_object()).collect())
}

/// Replaces our conditions and keeps those of others, whatever they have become since the snapshot.
fn conditions_filter(owned: &[Condition]) -> Result<String, Failure> {
    let ours: Vec<String> = OWNED.iter().map(|type_| format!(".type != {}", Value::from(*type_))).collect();
    let others = format!("[.status.conditions[]? | select({})]", ours.join(" and "));
    // Works on an object without status in every jq, also in those that do not assign through null.
    Ok(format!(".status += {{conditions: ({} + {others})}}", serde_json::to_string(owned)?))
}

/// Group of a peer's metrics: one each, so that a peer that was not asked keeps its own.
pub(crate) fn metric_group(name: &str) -> String {
    format!("federation_discovery/{name}")
}

fn metrics(federation: &IstioFederation, exchanged: Exchanged, now: Timestamp) -> Vec<MetricOperation> {
    let name = federation.metadata.name.as_str();
    let conditions = federation.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let since = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_)?.last_transition_time;
    let cache = cache_of(federation).filter(|cache| is_same_endpoint(cache, &federation.spec));
    let (public, private) =
        (cache.and_then(|cache| cache.public.as_ref()), cache.and_then(|cache| cache.private.as_ref()));
    let mut metrics = Vec::new();
    for (type_, path, good, ever) in [
        (PUBLIC_EXCHANGE_READY, PUBLIC_PATH, exchanged.public, public.is_some()),
        (PRIVATE_EXCHANGE_READY, PRIVATE_PATH, exchanged.private, private.is_some()),
    ] {
        let Some(good) = good else { continue };
        let url = endpoint(&federation.spec.metadata_endpoint, path);
        let labels = [("federation_name", name), ("endpoint", url.as_str())];
        let mut set = |metric: &str, value: f64| {
            metrics.push(MetricOperation::set(metric, value, &labels, &metric_group(name)));
        };
        set(ERROR_METRIC, if good { 0.0 } else { 1.0 });
        let succeeded = if good { Some(now) } else { since(type_).filter(|_| ever) };
        if let Some(time) = succeeded {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 52 bits for ever")]
            set(SUCCESS_METRIC, time.as_second() as f64);
        }
    }
    metrics
}

/// Ends the metrics of federations that were there when the values were last computed and are gone.
fn ended_metrics(values: &Values, present: &[IstioFederation]) -> Vec<MetricOperation> {
    let internal = values.istio.as_ref().and_then(|istio| istio.internal.as_ref());
    let known = internal.and_then(|internal| internal.federation_names.as_ref()).into_iter().flatten();
    let gone = known.filter(|name| !present.iter().any(|federation| federation.metadata.name == **name));
    gone.map(|name| MetricOperation::expire(&metric_group(name))).collect()
}

/// Tells which documents could not be had. What else is amiss stands in status, and would be told every 15 seconds here.
fn report(federation: &IstioFederation, log: &Logger) {
    let conditions = federation.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is_exchange =
        |condition: &&Condition| [PUBLIC_EXCHANGE_READY, PRIVATE_EXCHANGE_READY].contains(&condition.type_.as_str());
    for condition in conditions.iter().filter(is_exchange).filter(|condition| condition.status == "False") {
        let told = [
            ("federation", json!(federation.metadata.name)),
            ("condition", json!(condition.type_)),
            ("reason", json!(condition.reason)),
            ("error", json!(condition.message)),
        ];
        log.warn("IstioFederation is not ready", &told);
    }
}
