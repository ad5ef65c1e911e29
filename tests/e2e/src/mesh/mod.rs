//! The mesh bench: on top of the operators' bench, a real istiod, real gateways and real sidecars in each cluster, on a network of its
//! own. Nothing here is about federation: the meshes know of each other only through the module.

mod ca;
mod container;
mod http;
mod istiod;
mod network;
mod proxy;
mod settings;
mod side;
mod tls;
mod workload;

use std::rc::Rc;

use istio_federation_testkit::Authority;

pub use self::ca::{Key, RENEWED};
pub use self::istiod::Istiod;
pub use self::network::Host;
use self::network::Network;
pub use self::proxy::Proxy;
pub use self::settings::{DIFFERENCES, Difference, Target};
pub use self::side::{Gateway, Side};
pub use self::tls::Client;
pub use self::workload::{Load, Workload};
use crate::bench::{self, Bench, Istio, Timeline};

/// Networks of the clusters' hosts, which contain the addresses of the bench's load balancers.
const RANGES: [[u8; 3]; 2] = [[203, 0, 113], [198, 51, 100]];

/// Two clusters with meshes.
pub struct Mesh<'a> {
    /// Cluster A.
    pub a: Side<'a>,
    /// Cluster B.
    pub b: Side<'a>,
    /// The timeline.
    pub timeline: &'a mut Timeline,
}

/// Runs a scenario on two fresh clusters with istiod; their operators have not started.
///
/// # Errors
/// Errors of the scenario, and failures to start a component.
pub async fn scenario(name: &str, body: impl AsyncFnOnce(&mut Mesh<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    scenario_with(name, Key::Ec, body).await
}

/// As [`scenario`], with a root of this kind in B.
pub async fn scenario_with(
    name: &str,
    key: Key,
    body: impl AsyncFnOnce(&mut Mesh<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    bench::with_clusters(&format!("mesh-{name}"), Istio::Real, async |bench| {
        let Bench { a, b, timeline, .. } = bench;
        let network = Rc::new(Network::new()?);
        let [range_a, range_b] = RANGES;
        let (root_a, root_b) = (Authority::root(&a.domain), Authority::root_with(&b.domain, key.generate()?, |_| {}));
        let (a, b) = tokio::try_join!(
            Side::start(a, network.clone(), range_a, root_a),
            Side::start(b, network.clone(), range_b, root_b)
        )?;
        timeline.seen("istiod runs in both");
        let mut mesh = Mesh { a, b, timeline };
        let result = body(&mut mesh).await;
        if result.is_err() {
            mesh.a.dump().await;
            mesh.b.dump().await;
        }
        result
    })
    .await
}
