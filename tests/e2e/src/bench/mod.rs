//! The operators' bench: two clusters with real control planes, an operator with the module in each, and what is around them. Played
//! are the kubelet (of the exporter alone), the ingress, the cloud's load balancers, and the root that istiod publishes.

mod addon_operator;
mod cloud;
mod cluster;
mod front;
mod kubelet;
mod module;
mod pod;
mod room;
mod timeline;

pub use self::addon_operator::{AddonOperator, NAMESPACE as OPERATOR_NAMESPACE};
pub use self::cloud::root;
pub use self::cluster::{Cluster, Id, MODULE_NAMESPACE, PATIENCE};
pub use self::front::{Front, Manner, Rewrite};
pub use self::timeline::Timeline;

/// Addresses of the clusters' load balancers: from ranges that are nobody's.
const GATEWAYS: [&str; 2] = ["203.0.113.10", "198.51.100.10"];

/// Two clusters, and the story of what is done to them.
pub struct Bench {
    /// Cluster A.
    pub a: Cluster,
    /// Cluster B.
    pub b: Cluster,
    /// The story.
    pub timeline: Timeline,
}

/// Runs a scenario on two fresh clusters whose operators have not started. Where it fails, logs, values and objects stay.
///
/// # Errors
/// Those of the scenario, and whatever cannot be brought up.
pub async fn scenario(name: &str, body: impl AsyncFnOnce(&mut Bench) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_clusters(name, true, body).await
}

/// As [`scenario`], on clusters without Istio's CRDs.
pub async fn scenario_without_istio(
    name: &str,
    body: impl AsyncFnOnce(&mut Bench) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    with_clusters(name, false, body).await
}

#[expect(clippy::print_stderr, reason = "which operator it is, is said first")]
async fn with_clusters(
    name: &str,
    with_istio: bool,
    body: impl AsyncFnOnce(&mut Bench) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    eprintln!("{}", AddonOperator::kind());
    let timeline = Timeline::new(name);
    let (a, b) = tokio::try_join!(
        Cluster::start(name, "a", GATEWAYS[0], with_istio),
        Cluster::start(name, "b", GATEWAYS[1], with_istio),
    )?;
    timeline.seen("two clusters are up");
    let mut bench = Bench { a, b, timeline };
    let result = body(&mut bench).await;
    let Bench { mut a, mut b, timeline } = bench;
    if result.is_err() {
        for cluster in [&a, &b] {
            if let Err(why) = cluster.dump(&cluster.server.scratch().logs()).await {
                timeline.seen(format!("objects of cluster {} cannot be kept: {why:#}", cluster.name));
            }
        }
        return result;
    }
    for cluster in [&mut a, &mut b] {
        cluster.operator.stop().await?;
        cluster.kubelet.kill();
    }
    timeline.seen("passed");
    a.server.stop();
    b.server.stop();
    Ok(())
}
