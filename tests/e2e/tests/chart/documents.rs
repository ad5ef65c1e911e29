//! Random documents of peers and random Services, near the limits on both sides.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use istio_federation::api::kubernetes::PUBLIC_SERVICE_LABEL;
use istio_federation::peer::SigningKey;
use istio_federation_testkit::Authority;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Namespaces of exported Services.
pub(crate) const NAMESPACES: [&str; 4] =
    ["xyz", "0", "a-b-c", "sixty-three-characters-are-the-most-that-a-namespace-may-have-x"];

/// Strings that break YAML, Go templates, JSON, DNS or readers.
const HOSTILE: [&str; 16] = [
    "",
    "*",
    "-",
    ".",
    "..",
    "a..b",
    "{{ .Values }}",
    "\"}}\n---\nkind: Namespace\n",
    "null",
    "~",
    "\u{0}",
    "\u{202e}",
    "é",
    "xn--e1afmkfd",
    "1e3",
    "a\n",
];

/// A peer's answers, and the addresses that its gateway names resolve to.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) public: String,
    pub(crate) private: String,
    pub(crate) resolved: BTreeMap<String, Vec<String>>,
}

/// Mostly values of this strategy.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    weight: u32,
    good: impl Strategy<Value = T> + 'static,
    bad: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![weight => good, 1 => bad]
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![select(&HOSTILE[..]).prop_map(str::to_owned), "\\PC{0,8}", "[A-Za-z0-9_.-]{1,70}"]
}

fn label() -> impl Strategy<Value = String> {
    mostly(12, prop_oneof![4 => "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", 1 => "[a-z0-9]{62,64}"], hostile())
}

/// The trust domain in a peer's spec: its own, or any other that the CRD accepts.
pub(crate) fn trust_domain(peer: &str) -> impl Strategy<Value = String> + use<> {
    let own = format!("{peer}.example");
    let long = format!("{}.{own}", ["x".repeat(63), "y".repeat(63), "z".repeat(40)].join("."));
    let others = [
        "cluster-a.local",
        "CLUSTER-B.local",
        "local",
        "a.cluster-a.local",
        "b.local.",
        "10.0.0.1",
        "_",
        "cluster.local",
    ];
    prop_oneof![12 => Just(own), 1 => Just(long), 1 => select(others.to_vec()).prop_map(str::to_owned)]
}

fn host(domain: &str) -> impl Strategy<Value = String> + use<> {
    let (domain, other) = (domain.to_owned(), "cluster-a.local".to_owned());
    let of = |domain: String| {
        (label(), label()).prop_map(move |(name, namespace)| format!("{name}.{namespace}.svc.{domain}"))
    };
    mostly(12, of(domain), prop_oneof![of(other), hostile()])
}

fn number() -> impl Strategy<Value = Value> {
    let odd = [json!(0), json!(65535), json!(65536), json!(-1), json!(1.5), json!(1e300), json!(u64::MAX), Value::Null];
    mostly(12, (1u16..).prop_map(|port| json!(port)), select(odd.to_vec()))
}

fn port_name() -> impl Strategy<Value = String> {
    mostly(
        12,
        prop_oneof!["(http|http2|grpc|grpc-web|tcp|tls|https|mongo|udp)(-[a-z0-9]{1,6})?", "[a-z0-9]{1,3}"],
        label(),
    )
}

fn protocol() -> impl Strategy<Value = Value> {
    let known = ["HTTP", "HTTP2", "GRPC", "GRPC-Web", "TLS", "HTTPS", "MONGO", "TCP"];
    let known = prop_oneof![select(known.to_vec()).prop_map(|known| json!(known)), Just(Value::Null)];
    mostly(12, known, prop_oneof![Just(json!("UDP")), Just(json!("http")), hostile().prop_map(|text| json!(text))])
}

fn port() -> impl Strategy<Value = Value> {
    (port_name(), number(), protocol())
        .prop_map(|(name, port, protocol)| json!({"name": name, "port": port, "protocol": protocol}))
}

fn offered(domain: &str) -> impl Strategy<Value = Value> + use<> {
    let ports = prop_oneof![12 => vec(port(), 1..5), 1 => vec(port(), 60..70), 1 => Just(Vec::new())];
    (host(domain), ports)
        .prop_map(|(hostname, ports)| json!({"hostname": hostname, "ports": ports, "virtualIP": "169.254.0.1"}))
}

fn address() -> impl Strategy<Value = String> {
    let public = (1u8..224, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d).to_string());
    let name = "[a-z]{1,8}\\.example\\.?";
    let odd = prop_oneof![
        any::<Ipv4Addr>().prop_map(|address| format!("::ffff:{address}")),
        any::<Ipv4Addr>().prop_map(|address| address.to_string()),
        "fe80::1%eth0|127\\.1|0x7f000001|01\\.2\\.3\\.4|\\[2001:db8::1\\]|2130706433",
        hostile(),
    ];
    prop_oneof![8 => public, 2 => any::<Ipv6Addr>().prop_map(|address| address.to_string()), 2 => name, 2 => odd]
}

fn gateway() -> impl Strategy<Value = Value> {
    (address(), number()).prop_map(|(address, port)| json!({"address": address, "port": port}))
}

/// Documents that are broken as a whole.
fn broken() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&["", "null", "[]", "{}", "{", "<html>", r#"{"ingressGateways": null, "publicServices": []}"#][..])
            .prop_map(str::to_owned),
        Just(r#"{"ingressGateways": [], "publicServices": [{"hostname": 7}]}"#.to_owned()),
        Just(r#"{"clusterUUID": "u", "authnKeyPub": "k"}"#.to_owned()),
    ]
}

fn private(domain: &str) -> impl Strategy<Value = String> + use<> {
    let gateways = prop_oneof![12 => vec(gateway(), 1..4), 1 => vec(gateway(), 30..40), 1 => Just(Vec::new())];
    let document = (gateways, vec(offered(domain), 0..6), any::<bool>()).prop_map(|(gateways, services, complete)| {
        json!({"ingressGateways": gateways, "publicServices": services, "complete": complete, "new": {}}).to_string()
    });
    mostly(8, document, broken())
}

/// Keys and roots, made once because that takes a while.
static KEYS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..4).map(|_| SigningKey::generate().unwrap().to_pem().public).collect());
static ROOTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let long = "x".repeat(300);
    let subjects = [
        "cluster.local",
        "Ünïcode",
        "a\"b'c`d",
        "{{ x }}",
        "# - : &a *a !b",
        "a, O=b/CN=c\\",
        "Our own root",
        &long,
        "",
    ];
    let alone: Vec<String> = subjects.map(|subject| Authority::root(subject).pem()).to_vec();
    let both = format!("{}{}", alone[0], alone[1]);
    let many = alone.join("");
    alone.into_iter().chain([both, many]).collect()
});

fn public(peer: &str) -> impl Strategy<Value = String> + use<> {
    let own = format!("uuid-of-{peer}");
    let uuid =
        mostly(8, prop_oneof![Just(own), "[A-Za-z0-9._-]{1,128}"], prop_oneof![Just("ours".to_owned()), hostile()]);
    let key = mostly(8, select(KEYS.as_slice()), prop_oneof![hostile(), Just(ROOTS[0].clone())]);
    let roots = mostly(4, select(ROOTS.as_slice()), prop_oneof![hostile(), Just(KEYS[0].clone())]);
    let document = (uuid, key, roots).prop_map(|(uuid, key, roots)| {
        json!({"clusterUUID": uuid, "authnKeyPub": key, "rootCA": roots, "allianceRef": {"kind": "x"}}).to_string()
    });
    mostly(8, document, broken())
}

/// A document of a peer with this name and trust domain.
pub(crate) fn document(peer: &str, domain: &str) -> impl Strategy<Value = Document> + use<> {
    (public(peer), private(domain), vec(address(), 0..3)).prop_map(|(public, private, found)| {
        let listed: Value = serde_json::from_str(&private).unwrap_or_default();
        let names = listed["ingressGateways"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|gateway| gateway["address"].as_str());
        // A resolver returns addresses in their usual spelling.
        let found: Vec<String> = found
            .iter()
            .filter_map(|text| text.parse::<std::net::IpAddr>().ok())
            .map(|address| address.to_string())
            .collect();
        Document { resolved: names.map(|name| (name.to_owned(), found.clone())).collect(), public, private }
    })
}

/// A labelled Service of ours.
pub(crate) fn service(number: usize) -> impl Strategy<Value = Value> {
    let protocols = prop_oneof![8 => Just("TCP"), 1 => Just("UDP"), 1 => Just("SCTP")];
    let app_protocols = prop_oneof![4 => Just(Value::Null), 2 => port_name().prop_map(|name| json!(name)), 1 => Just(json!("kubernetes.io/h2c"))];
    let port =
        (port_name(), number_of_port(), protocols, app_protocols).prop_map(|(name, port, protocol, app_protocol)| {
            let mut port = json!({"name": name, "port": port, "protocol": protocol});
            if !app_protocol.is_null() {
                port["appProtocol"] = app_protocol;
            }
            port
        });
    let name = mostly(8, "[a-z]([a-z0-9-]{0,50}[a-z0-9])?", label());
    let kinds = prop_oneof![8 => Just("ClusterIP"), 1 => Just("ExternalName"), 1 => Just("LoadBalancer")];
    (name, select(&NAMESPACES[..]), vec(port, 1..4), kinds).prop_map(move |(name, namespace, ports, kind)| {
        let mut spec = json!({"type": kind, "ports": ports});
        if kind == "ExternalName" {
            spec["externalName"] = json!(format!("number-{number}.example"));
        }
        json!({
            "apiVersion": "v1", "kind": "Service", "spec": spec,
            "metadata": {"name": name, "namespace": namespace, "labels": {PUBLIC_SERVICE_LABEL: ""}},
        })
    })
}

fn number_of_port() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 1u16.., 1 => Just(80u16)]
}
