//! Situations of a cluster: settings, facts from the operator, peers, exports.

use serde_json::{Value, json};

use crate::peers::Peer;

/// A cluster before its hooks run.
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    /// `global` values of the operator; null under plain addon-operator.
    pub(crate) global: Value,
    /// The module's settings.
    pub(crate) settings: Value,
    /// IstioFederations.
    pub(crate) peers: Vec<Value>,
    /// Exported Services: namespace and name.
    pub(crate) exported: Vec<(String, String)>,
}

const B: Peer = Peer {
    name: "cluster-b",
    domain: "cluster-b.local",
    services: &[("bar.xyz", &[("http", 80)]), ("db.data", &[("tcp-db", 5432), ("http", 9187)])],
    shared: false,
};
const C: Peer =
    Peer { name: "cluster-c", domain: "c.example", services: &[("api.shop", &[("http", 8080)])], shared: false };
const NEVER_REACHED: Peer = Peer { name: "cluster-d", domain: "d.example", services: &[], shared: false };
const PAIR: [Peer; 2] = [
    Peer { name: "east", domain: "pair.example", services: &[("cart.shop", &[("http", 80)])], shared: true },
    Peer { name: "west", domain: "pair.example", services: &[("cart.shop", &[("http", 80)])], shared: true },
];

/// Settings that every cluster under plain addon-operator needs.
fn settings(more: &Value) -> Value {
    let mut settings = json!({"federation": {
        "enabled": true, "clusterDomain": "cluster-a.local",
        "metadataExporter": {"image": "registry.example.com/istio-federation:v0.1.0"},
    }});
    merge(&mut settings, more);
    settings
}

fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn gateway(settings_of_gateway: &Value) -> Value {
    settings(&json!({"alliance": {"ingressGateway": settings_of_gateway}}))
}

fn exported(services: &[(&str, &str)]) -> Vec<(String, String)> {
    services.iter().map(|(namespace, name)| ((*namespace).to_owned(), (*name).to_owned())).collect()
}

fn of(name: &'static str, settings: Value) -> Situation {
    Situation { name, global: Value::Null, settings, peers: Vec::new(), exported: Vec::new() }
}

/// Deckhouse, whose `global` values replace most settings.
fn platform() -> Value {
    json!({
        "discovery": {
            "clusterDomain": "cluster-a.local", "clusterUUID": "6c1b3c0e-5b1f-4f0e-9a53-0d5a3f1c1a0a",
            "podSubnet": "10.111.0.0/16", "serviceSubnet": "10.222.0.0/16",
        },
        "enabledModules": ["cert-manager", "operator-prometheus", "priority-class"],
        "highAvailability": true,
        "modules": {
            "publicDomainTemplate": "%s.a.example", "ingressClass": "nginx",
            "https": {"mode": "CertManager", "certManager": {"clusterIssuerName": "letsencrypt"}},
        },
        "modulesImages": {
            "registry": {"base": "registry.example.com/platform"},
            "digests": {"istio": {"metadataExporter": format!("sha256:{}", "a".repeat(64))}},
        },
    })
}

/// All situations. The first is off.
pub(crate) fn all() -> Vec<Situation> {
    vec![
        of("off", json!({})),
        of("alone", settings(&json!({}))),
        Situation { peers: vec![B.federation()], ..of("one-peer", settings(&json!({}))) },
        Situation {
            peers: [B, C, NEVER_REACHED].iter().map(Peer::federation).collect(),
            exported: exported(&[("shop", "cart"), ("shop", "catalog"), ("xyz", "bar")]),
            ..of("three-peers-one-never-reached", settings(&json!({})))
        },
        Situation {
            peers: PAIR.iter().map(Peer::federation).collect(),
            ..of("a-pair-with-one-trust-domain", settings(&json!({})))
        },
        Situation {
            peers: vec![B.federation()],
            ..of(
                "stock-istio",
                settings(&json!({"federation": {
                    "clusterDomain": "a.example", "clusterUUID": "cluster-a", "meshNamespace": "istio-system",
                    "trustDomainAliases": ["old.example"], "serviceAddressRange": "240.242.0.0/20",
                }})),
            )
        },
        Situation {
            peers: vec![C.federation()],
            exported: exported(&[("xyz", "bar")]),
            global: platform(),
            ..of("platform", json!({"federation": {"enabled": true}}))
        },
        Situation {
            global: platform(),
            ..of(
                "node-port-of-the-servers-choice",
                json!({"federation": {"enabled": true}, "alliance": {"ingressGateway": {"inlet": "NodePort"}}}),
            )
        },
        of("node-port", gateway(&json!({"inlet": "NodePort", "nodePort": {"port": 30443}}))),
        of("another-node-port", gateway(&json!({"inlet": "NodePort", "nodePort": {"port": 30444}}))),
        of(
            "load-balancer-class",
            gateway(&json!({
                "loadBalancerClass": "example.com/internal",
                "serviceAnnotations": {"example.com/type": "nlb", "example.com/odd": "a: b # \"c\"\n- d"},
            })),
        ),
        of("another-load-balancer-class", gateway(&json!({"loadBalancerClass": "example.com/external"}))),
        of(
            "placed",
            settings(&json!({
                "highAvailability": true,
                "nodeSelector": {"node-role.example.com/system": ""},
                "tolerations": [{"operator": "Exists"}],
                "alliance": {"ingressGateway": {
                    "advertise": [{"address": "203.0.113.10", "port": 15443}, {"address": "gw.a.example", "port": 443}],
                    "nodeSelector": {"node-role.example.com/frontend": "yes"},
                    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "frontend", "effect": "NoExecute",
                                     "tolerationSeconds": 30}],
                    "gatewayPodAnnotations": {"proxy.istio.io/config": "{\"concurrency\": 4}",
                                              "inject.istio.io/templates": "sidecar"},
                }},
            })),
        ),
        of(
            "own-certificate",
            settings(&json!({
                "federation": {"metadataHost": "istio-metadata.a.example:8443",
                               "metadataExporter": {"imagePullSecrets": ["registry-credentials"]}},
                "https": {"mode": "CustomCertificate", "customCertificate": {"secretName": "istio-metadata"}},
                "ingressClass": "nginx",
            })),
        ),
        of(
            "gateway-api",
            settings(&json!({
                "federation": {"metadataHost": "istio-metadata.a.example"},
                "gatewayAPIGateway": {"name": "public", "namespace": "gateways"},
            })),
        ),
        of(
            "front-of-their-own",
            settings(&json!({
                "federation": {"metadataHost": "istio-metadata.a.example"}, "https": {"mode": "OnlyInURI"},
            })),
        ),
    ]
}
