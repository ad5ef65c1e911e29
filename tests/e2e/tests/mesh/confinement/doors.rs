//! Policies of A's app `shop/cart`: one of every kind, each for its own path (a door).

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use istio_federation_e2e::mesh::{Client, Host, Side};
use istio_federation_testkit::CertifiedKey;
use serde_json::{Value, json};

/// Doors for A's `pay` only. The last is closed to identities of B, and open to all others.
pub(crate) const DOORS: [&str; 5] = ["exact", "prefix", "suffix", "namespace", "not-b"];

pub(crate) async fn hang(a: &Side<'_>) -> Result<()> {
    let to = |path: &str| json!([{"operation": {"paths": [format!("/{path}")]}}]);
    let rule = |path: &str, source: Value| json!({"from": [{"source": source}], "to": to(path)});
    let policy = |name: &str, action: &str, rules: Value| {
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {"action": action, "rules": rules},
        })
    };
    let allow = json!([
        {"to": to("any")},
        {"to": to("not-b")},
        rule("exact", json!({"principals": ["cluster-a.local/ns/pay/sa/pay"]})),
        rule("prefix", json!({"principals": ["cluster-a.local/*"]})),
        rule("suffix", json!({"principals": ["*cluster-a.local/ns/pay/sa/pay"]})),
        rule("namespace", json!({"namespaces": ["pay"], "trustDomains": ["cluster-a.local"]})),
    ]);
    let deny = json!([rule("not-b", json!({"principals": ["cluster-b.local/*"]}))]);
    a.cluster.apply(&[policy("doors", "ALLOW", allow), policy("not-b", "DENY", deny)]).await
}

/// Outcome of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No connection; the client's error.
    Refused(String),
    /// A connection, but even the door for everybody is closed.
    Denied,
    /// The client's identity that the app saw, and the open doors.
    Accepted(String, Vec<&'static str>),
}

/// Tries all doors.
pub(crate) async fn knock(host: &Host, to: SocketAddr, sni: &str, identity: &CertifiedKey) -> Result<Outcome> {
    let (mut client, (status, body)) = match first(host, to, sni, identity).await {
        Ok(first) => first,
        Err(why) => return Ok(Outcome::Refused(format!("{why:#}"))),
    };
    if status == 403 {
        return Ok(Outcome::Denied);
    }
    ensure!(status == 200, "HTTP status {status}: {body}");
    let answer: Value = serde_json::from_str(&body)?;
    let mut open = Vec::new();
    for door in DOORS {
        let is_open = match opens(&mut client, door).await {
            // Envoy ends connections between two requests when its configuration has changed.
            Err(_) => {
                client = Client::connect(host, to, sni, identity).await?;
                opens(&mut client, door).await?
            }
            answer => answer?,
        };
        if is_open {
            open.push(door);
        }
    }
    Ok(Outcome::Accepted(answer["client"].as_str().unwrap_or_default().to_owned(), open))
}

async fn opens(client: &mut Client, door: &str) -> Result<bool> {
    match client.get(&format!("/{door}")).await.with_context(|| format!("door {door}"))?.0 {
        200 => Ok(true),
        403 => Ok(false),
        other => bail!("door {door}: HTTP status {other}"),
    }
}

async fn first(host: &Host, to: SocketAddr, sni: &str, identity: &CertifiedKey) -> Result<(Client, (u16, String))> {
    let mut client = Client::connect(host, to, sni, identity).await?;
    let answer = client.get("/any").await?;
    Ok((client, answer))
}
