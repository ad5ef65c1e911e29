//! A mesh accepts leaves of B's root as identities of B only. Each leaf is tried against a sidecar of A and through A's gateway, signed by
//! the root and by an intermediate of it. Negative controls show that the test can fail.

mod anchors;
mod cases;
mod doors;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::mesh::{Host, Key, Mesh, Proxy, scenario_with};
use istio_federation_e2e::until;
use istio_federation_testkit::{Authority, CertifiedKey, Name};

use self::anchors::Anchor;
use self::cases::{Case, Expected, PAY, Part};
use self::doors::{DOORS, Outcome, knock};
use crate::given::{PATIENCE, answers, federated};

const SNI: &str = "outbound_.80_._.cart.shop.svc.cluster-a.local";

#[tokio::test]
async fn a_peer_with_an_ec_root_speaks_only_for_itself() -> Result<()> {
    confined("confinement-ec", Key::Ec).await
}

#[tokio::test]
async fn a_peer_with_an_rsa_root_speaks_only_for_itself() -> Result<()> {
    confined("confinement-rsa", Key::Rsa).await
}

async fn confined(name: &str, key: Key) -> Result<()> {
    scenario_with(name, key, async |mesh| {
        let apps = federated(mesh).await?;
        answers(&apps.bar, &["get", "cart.shop.svc.cluster-a.local:80"], "200 ").await?;
        let Mesh { a, b, timeline } = mesh;
        doors::hang(a).await?;
        let attacker = Attacker {
            host: b.host()?,
            ways: [
                ("sidecar", (apps.cart.host.address, 8080).into()),
                ("gateway", (a.gateways[0].host.address, 15443).into()),
            ],
        };
        let honest = a.root.sign(&[Name::Uri(PAY.to_owned())], None);
        attacker.until_doors_open(&honest).await?;
        // The module's policy names B once B is federated. Its change ends connections, so wait for it.
        policy_names_b(&apps.cart.sidecar).await?;
        timeline.seen("A's own pay opens every door of A's cart");

        let intermediate = b.root.intermediate("intermediate of B");
        timeline.cause("B's root signs");
        let cases = cases::all();
        let mut wrong = Vec::new();
        for case in &cases {
            let outcomes = attacker.tries(case, &[("root", &b.root), ("intermediate", &intermediate)]).await?;
            let is_right = outcomes.iter().all(|(_, outcome)| fits(case, outcome));
            for line in table(case, &outcomes) {
                timeline.seen(&line);
                if !is_right {
                    wrong.push(format!("{line}, not {:?}", case.expected));
                }
            }
        }
        timeline.seen(format!("{} leaves, each tried {} times", cases.len(), 2 * attacker.ways.len()));
        ensure!(wrong.is_empty(), "{} have another outcome:\n{}", wrong.len(), wrong.join("\n"));

        timeline.cause("A's operator is killed, and A's mesh gets other anchors");
        a.cluster.operator.kill();
        for (number, anchor) in (0x41..).zip(CONTROLS) {
            anchors::put(a, b, anchor, number, &[&apps.cart.sidecar]).await?;
            timeline.seen(format!("negative control: {anchor:?}"));
            let mut came_in = 0;
            for case in cases.iter().filter(|case| case.by.is_some_and(|part| anchor.lets_in(part))) {
                attacker.comes_in(case, &b.root).await.with_context(|| format!("{anchor:?}"))?;
                came_in += 1;
            }
            ensure!(came_in > 0, "{anchor:?} lets nothing in");
            timeline.seen(format!("{came_in} forgeries came in"));
            if anchor == Anchor::Plain {
                timeline.seen("outcome of each:");
                for case in &cases {
                    for line in table(case, &attacker.tries(case, &[("root", &b.root)]).await?) {
                        timeline.seen(line);
                    }
                }
            }
        }
        Ok(())
    })
    .await
}

/// Waits until a proxy of A has the module's policy with B in it.
async fn policy_names_b(proxy: &Proxy) -> Result<()> {
    until("the proxy has the policy on identities of B", PATIENCE, async || {
        let listeners = proxy.admin("/config_dump?resource=dynamic_listeners").await?;
        ensure!(listeners.contains("\"spiffe://cluster-b.local/ns/\""), "not in its listeners");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

const CONTROLS: [Anchor; 6] = [
    Anchor::Plain,
    Anchor::UriOnly,
    Anchor::Without(Part::PermittedUri),
    Anchor::Without(Part::ExcludedDns),
    Anchor::Without(Part::ExcludedEmail),
    Anchor::Without(Part::ExcludedIp),
];

/// An attacker in B with the key of B's root.
struct Attacker {
    host: Host,
    ways: [(&'static str, SocketAddr); 2],
}

impl Attacker {
    async fn until_doors_open(&self, honest: &CertifiedKey) -> Result<()> {
        for (_, to) in self.ways {
            until("every door opens", PATIENCE, async || {
                let outcome = knock(&self.host, to, SNI, honest).await?;
                ensure!(matches!(&outcome, Outcome::Accepted(_, open) if *open == DOORS), "{outcome:?}");
                Ok::<_, anyhow::Error>(())
            })
            .await?;
        }
        Ok(())
    }

    /// Outcomes of a leaf, signed by each of these CAs, in each way.
    async fn tries(&self, case: &Case, signers: &[(&str, &Authority)]) -> Result<Vec<(String, Outcome)>> {
        let mut outcomes = Vec::new();
        for (by, authority) in signers {
            let identity = authority.sign(&case.names, case.common_name);
            for (way, to) in self.ways {
                outcomes.push((format!("{by}, {way}"), knock(&self.host, to, SNI, &identity).await?));
            }
        }
        Ok(outcomes)
    }

    /// Checks that a forgery succeeds.
    async fn comes_in(&self, case: &Case, authority: &Authority) -> Result<()> {
        let identity = authority.sign(&case.names, case.common_name);
        for (way, to) in self.ways {
            let outcome = knock(&self.host, to, SNI, &identity).await?;
            ensure!(matches!(outcome, Outcome::Accepted(..)), "{}, {way}: {}", case.title, describe(&outcome));
        }
        Ok(())
    }
}

/// One line if all tries have the same outcome, else one for each.
fn table(case: &Case, outcomes: &[(String, Outcome)]) -> Vec<String> {
    let line = |outcome: &Outcome| format!("{:38} {}", case.title, describe(outcome));
    match outcomes.split_first() {
        Some(((_, first), rest)) if rest.iter().all(|(_, other)| describe(other) == describe(first)) => {
            vec![line(first)]
        }
        _ => outcomes.iter().map(|(how, outcome)| format!("{} ({how})", line(outcome))).collect(),
    }
}

fn fits(case: &Case, outcome: &Outcome) -> bool {
    match (case.expected, outcome) {
        // A refused certificate, not a network that is down.
        (Expected::Refused, Outcome::Refused(why)) => why.contains("alert"),
        (Expected::Denied, Outcome::Denied) => true,
        (Expected::Own, Outcome::Accepted(client, open)) => {
            let own = case.names.iter().find_map(|name| if let Name::Uri(text) = name { Some(text) } else { None });
            open.is_empty()
                && own.is_some_and(|own| client.contains(&format!("URI={own}")))
                && !client.contains(&format!("URI={PAY}"))
        }
        _ => false,
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(why) => format!("refused: {}", why.rsplit(": ").next().unwrap_or_default()),
        Outcome::Denied => "403 by the module's policy".to_owned(),
        Outcome::Accepted(client, open) => {
            let uri = client.split_once("URI=").map_or(client.as_str(), |(_, uri)| uri);
            format!("seen as {uri:?}, opens {open:?}")
        }
    }
}
