//! The operators' bench: two clusters with real control planes, an operator with the module in each, and their surroundings. Stand-ins are
//! the kubelet (for the exporter only), the ingress, the cloud's load balancers, and the root that istiod publishes.

mod addon_operator;
mod cloud;
mod cluster;
mod front;
mod harm;
mod kubelet;
mod module;
mod peer;
mod pod;
mod room;
mod timeline;
mod usage;

pub use self::addon_operator::{AddonOperator, NAMESPACE as OPERATOR_NAMESPACE};
pub(crate) use self::cluster::Istio;
use self::cluster::Plan;
pub(crate) use self::cluster::merge;
pub use self::cluster::{Cluster, Id, MESH_CONFIG, MODULE_NAMESPACE, PATIENCE};
pub use self::front::{Front, Manner, Rewrite};
pub use self::harm::{identities, is_loss, unharmed};
pub use self::module::Module;
pub(crate) use self::module::program;
pub use self::peer::{Peer, Reader};
pub(crate) use self::room::Room;
pub use self::timeline::Timeline;
pub use self::usage::Usage;

/// Names of clusters, and addresses of their load balancers, from documentation ranges.
const CLUSTERS: [(&str, &str); 3] = [("a", "203.0.113.10"), ("b", "198.51.100.10"), ("c", "192.0.2.10")];

/// Two clusters, and the timeline of the scenario.
pub struct Bench {
    scenario: String,
    /// Cluster A.
    pub a: Cluster,
    /// Cluster B.
    pub b: Cluster,
    /// Cluster C, if the scenario has one.
    pub c: Option<Cluster>,
    /// The timeline.
    pub timeline: Timeline,
}

impl Bench {
    /// Starts cluster C, with its own trust domain or that of another cluster.
    pub async fn add(&mut self, domain: &str) -> anyhow::Result<()> {
        let c = Cluster::start(&self.scenario, &plan(2, Some(domain), Istio::Played)).await?;
        self.timeline.seen("a third one is up");
        self.c = Some(c);
        Ok(())
    }
}

fn plan(index: usize, domain: Option<&str>, istio: Istio) -> Plan {
    let (name, gateway) = CLUSTERS[index];
    let domain = domain.map_or_else(|| format!("cluster-{name}.local"), str::to_owned);
    Plan { name, domain, gateway, istio }
}

/// Whether this is a long run: `make e2e-long`.
#[must_use]
pub fn is_long() -> bool {
    std::env::var_os("E2E_LONG").is_some()
}

/// Runs a scenario on two fresh clusters whose operators have not started. If it fails, logs, values and objects are kept.
///
/// # Errors
/// Errors of the scenario, and failures to start a component.
pub async fn scenario(name: &str, body: impl AsyncFnOnce(&mut Bench) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_clusters(name, Istio::Played, body).await
}

/// As [`scenario`], on clusters without Istio's CRDs.
pub async fn scenario_without_istio(
    name: &str,
    body: impl AsyncFnOnce(&mut Bench) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    with_clusters(name, Istio::None, body).await
}

#[expect(clippy::print_stderr, reason = "the first line names the operator")]
pub(crate) async fn with_clusters(
    name: &str,
    istio: Istio,
    body: impl AsyncFnOnce(&mut Bench) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    eprintln!("{}", AddonOperator::kind());
    let timeline = Timeline::new(name);
    let plans = [plan(0, None, istio), plan(1, None, istio)];
    let clusters = tokio::try_join!(Cluster::start(name, &plans[0]), Cluster::start(name, &plans[1]))?;
    timeline.seen("two clusters are up");
    let (a, b) = clusters;
    let mut bench = Bench { scenario: name.to_owned(), a, b, c: None, timeline };
    let result = body(&mut bench).await;
    let Bench { a, b, c, timeline, .. } = bench;
    let mut clusters: Vec<Cluster> = [a, b].into_iter().chain(c).collect();
    if result.is_err() {
        for cluster in &clusters {
            if let Err(why) = cluster.dump(&cluster.server.scratch().logs()).await {
                timeline.seen(format!("objects of cluster {} cannot be kept: {why:#}", cluster.name));
            }
        }
        return result;
    }
    for cluster in &mut clusters {
        cluster.operator.stop().await?;
        cluster.kubelet.kill();
    }
    timeline.seen("passed");
    for cluster in clusters {
        cluster.server.stop();
    }
    Ok(())
}
