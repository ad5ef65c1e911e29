//! The crowd: healthy, dead and hostile peers.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use istio_federation_e2e::bench::{Cluster, Manner, Peer, Reader};
use istio_federation_testkit::Authority;
use serde_json::json;

/// Number of services of a hostile peer.
const OF_HOSTILE: usize = 5;

/// A way to be dead or hostile.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Killed,
    Closes,
    NoTls,
    Drips,
    Fails,
    Garbage,
    /// Offers hosts that are not its own.
    Liar,
    /// Claims the UUID of another cluster.
    Impostor,
    NewRoots,
    NewTags,
}

const WAYS: [Way; 10] = [
    Way::Liar,
    Way::Drips,
    Way::Impostor,
    Way::Killed,
    Way::NewRoots,
    Way::Closes,
    Way::NoTls,
    Way::Fails,
    Way::Garbage,
    Way::NewTags,
];

impl Way {
    /// Whether its services are imported although it is odd.
    fn is_imported(self) -> bool {
        matches!(self, Self::NewRoots | Self::NewTags)
    }

    /// Whether a condition reports it: its public document cannot be fetched.
    pub(crate) fn is_reported(self) -> bool {
        !self.is_imported() && !matches!(self, Self::Liar | Self::Impostor)
    }

    fn take(self, peer: &mut Peer, uuid: &str) {
        let uuid = uuid.to_owned();
        peer.front.set(match self {
            Self::Killed => return peer.kill(),
            Self::Closes => Manner::Closed,
            Self::NoTls => Manner::BrokenTls,
            Self::Drips => Manner::Drips,
            Self::Fails => Manner::Says("500 Internal Server Error", "{}"),
            Self::Garbage => Manner::Says("200 OK", "{\"clusterUUID\": ["),
            Self::NewTags => Manner::Changes(Arc::new(|_, _| {})),
            Self::Liar => Manner::Changes(Arc::new(|path, document| {
                if path.ends_with("federation.json") {
                    let hosts = (0..2_000).map(|number| format!("lie-{number}.crowd.svc.cluster-b.local"));
                    let hosts = hosts.chain(["cart.shop.svc.cluster-a.local".to_owned(), "example.com".to_owned()]);
                    let ports = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
                    document["publicServices"] = hosts.map(|host| json!({"hostname": host, "ports": ports})).collect();
                }
            })),
            Self::Impostor => Manner::Changes(Arc::new(move |path, document| {
                if path.ends_with("public.json") {
                    document["clusterUUID"] = json!(uuid);
                }
            })),
            Self::NewRoots => Manner::Changes(Arc::new(|path, document| {
                if path.ends_with("public.json") {
                    let own = document["rootCA"].as_str().unwrap_or_default().to_owned();
                    document["rootCA"] = json!(format!("{own}{}", Authority::root("another one").pem()));
                }
            })),
        });
    }
}

/// All peers but B.
pub(crate) struct Crowd {
    pub(crate) well: Vec<Peer>,
    pub(crate) hostile: Vec<(Way, Peer)>,
    /// Hosts to import from them.
    pub(crate) hosts: BTreeSet<String>,
}

impl Crowd {
    /// `count` peers, B among them, a quarter of them dead or hostile; the others export `services` Services together.
    pub(crate) async fn start(a: &Cluster, count: usize, services: usize) -> Result<Self> {
        let reader = Reader::of(a).await?;
        let status = a.federation("cluster-b").await?.status.context("no status")?;
        let of_b =
            status.metadata_cache.and_then(|cache| cache.public).context("no public document of B")?.cluster_uuid;
        let (hostile_count, mut hostile, mut well) = (count / 4, Vec::new(), Vec::new());
        let mut hosts = BTreeSet::new();
        let well_count = count - hostile_count - 1;
        for number in 0..well_count {
            let peer = Peer::start(a, &reader, number, services.div_ceil(well_count)).await?;
            hosts.extend(peer.hosts());
            well.push(peer);
        }
        for (number, way) in (well_count..well_count + hostile_count).zip(WAYS.into_iter().cycle()) {
            let mut peer = Peer::start(a, &reader, number, OF_HOSTILE).await?;
            if way.is_imported() {
                hosts.extend(peer.hosts());
            }
            way.take(&mut peer, &of_b);
            hostile.push((way, peer));
        }
        Ok(Self { well, hostile, hosts })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
        self.well.iter().chain(self.hostile.iter().map(|(_, peer)| peer))
    }
}
