//! Tests of gateway discovery: the cases of Deckhouse's exporter, and our deliberate differences.

use serde_json::{Value, json};

use super::super::inlet::UnknownInlet;
use super::super::object::Object;
use super::*;

const LABELS: &str = r#"{"app": "ingressgateway"}"#;

fn labels() -> Value {
    serde_json::from_str(LABELS).unwrap()
}

fn service(name: &str, ports: &Value, ingress: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "d8-istio", "labels": labels()},
        "spec": {"ports": ports}, "status": {"loadBalancer": {"ingress": ingress}}})
}

fn pod(name: &str, node: &str, phase: &str, ready: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "d8-istio", "labels": labels()}, "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}})
}

fn node(name: &str, addresses: &[(&str, &str)]) -> Value {
    let addresses: Vec<_> = addresses.iter().map(|(kind, ip)| json!({"type": kind, "address": ip})).collect();
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn advertise(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "metadata-exporter-ingressgateway-advertise", "namespace": "d8-istio"}})
}

fn found(inlet: Inlet, manifests: Vec<Value>) -> Result<Vec<String>, GatewayError> {
    let mut index = Index::default();
    let objects: Vec<_> = manifests.into_iter().filter_map(|manifest| Object::read(manifest).unwrap()).collect();
    for selection in Selection::ALL {
        index.reset(selection, objects.clone());
    }
    Ok(discover(&index, inlet)?.iter().map(|g| format!("{} {}", g.address, g.port)).collect())
}

fn tls(port: u32) -> Value {
    json!([{"name": "http", "port": 80}, {"name": "tls", "port": port}])
}

fn tls_node_port(port: u32) -> Value {
    json!([{"name": "hbone", "port": 15008, "nodePort": 30002}, {"name": "tls", "port": 15443, "nodePort": port}])
}

#[test]
fn load_balancer() {
    let balanced = |services: Vec<Value>| found(Inlet::LoadBalancer, services).unwrap();
    assert_eq!(balanced(vec![service("a", &tls(443), &json!([{"ip": "10.0.0.1"}]))]), ["10.0.0.1 443"]);
    let without = json!([{"name": "http", "port": 80}]);
    assert!(balanced(vec![service("a", &without, &json!([{"hostname": "example.com"}]))]).is_empty());
    // Deckhouse takes the first entry only.
    let two = json!([{"hostname": "backup.example.com"}, {"ip": "10.0.0.2"}]);
    assert_eq!(balanced(vec![service("a", &tls(8443), &two)]), ["10.0.0.2 8443", "backup.example.com 8443"]);
    let both = json!([{"ip": "10.0.0.2", "hostname": "a.example.com"}]);
    assert_eq!(balanced(vec![service("a", &tls(8443), &both)]), ["10.0.0.2 8443"]);
    let pending = vec![service("a", &tls(443), &Value::Null), service("b", &tls(443), &json!([{"ip": "10.0.0.3"}]))];
    assert_eq!(balanced(pending), ["10.0.0.3 443"]);
    let odd = json!([{"hostname": "LB.Example.com."}, {"hostname": "not a name"}, {"ip": "x_y"}, {}, {"ip": "::1:0"}]);
    assert_eq!(balanced(vec![service("a", &tls(443), &odd)]), ["::1:0 443", "lb.example.com 443"]);
    assert!(balanced(vec![service("a", &tls(0), &json!([{"ip": "10.0.0.1"}]))]).is_empty());
    assert!(balanced(vec![service("a", &tls(65_536), &json!([{"ip": "10.0.0.1"}]))]).is_empty());
}

#[test]
fn load_balancer_takes_only_services_of_the_gateway() {
    let mut other = service("a", &tls(443), &json!([{"ip": "10.0.0.1"}]));
    other["metadata"]["namespace"] = json!("default");
    other["metadata"]["labels"]["federation.istio.deckhouse.io/public-service"] = json!("");
    assert!(found(Inlet::LoadBalancer, vec![other]).unwrap().is_empty());
}

#[test]
fn node_port() {
    let gateway = |change: fn(&mut Value, &mut Value, &mut Value)| {
        let mut service = service("gateway", &tls_node_port(30_000), &Value::Null);
        let mut pod = pod("gateway-1", "node1", "Running", "True");
        let mut node = node("node1", &[("InternalIP", "10.0.0.1"), ("ExternalIP", "192.168.1.1")]);
        change(&mut service, &mut pod, &mut node);
        found(Inlet::NodePort, vec![service, pod, node])
    };
    let none: Result<Vec<String>, GatewayError> = Ok(vec![]);
    assert_eq!(gateway(|_, _, _| {}).unwrap(), ["192.168.1.1 30000"]);
    assert_eq!(
        gateway(|_, _, n| n["status"]["addresses"][1] = json!({"type": "Hostname", "address": "node1"})),
        Ok(vec!["10.0.0.1 30000".to_owned()])
    );
    assert_eq!(gateway(|_, _, n| n["status"]["addresses"] = json!([])), none);
    assert_eq!(gateway(|s, _, _| s["spec"]["ports"][1]["name"] = json!("http")), Err(GatewayError::NoNodePort));
    assert_eq!(gateway(|s, _, _| s["spec"]["ports"][1]["nodePort"] = json!(0)), Err(GatewayError::NoNodePort));
    assert_eq!(gateway(|s, _, _| s["metadata"]["labels"] = json!({})), Err(GatewayError::NoNodePort));
    assert_eq!(gateway(|_, _, n| n["status"]["conditions"][0]["status"] = json!("False")), none);
    assert_eq!(gateway(|_, _, n| n["status"]["conditions"][0]["status"] = json!("Unknown")), none);
    assert_eq!(gateway(|_, _, n| n["status"]["conditions"] = json!([])).unwrap(), ["192.168.1.1 30000"]);
    assert_eq!(
        gateway(|_, _, n| n["spec"] = json!({"taints": [{"key": UNSCHEDULABLE, "effect": "NoSchedule"}]})),
        none
    );
    assert_eq!(gateway(|_, _, n| n["spec"] = json!({"taints": [{"key": "other"}]})).unwrap().len(), 1);
    // Deckhouse counts a Pod in any state.
    assert_eq!(gateway(|_, p, _| p["status"]["phase"] = json!("Pending")), none);
    assert_eq!(gateway(|_, p, _| p["status"]["conditions"][0]["status"] = json!("False")), none);
    assert_eq!(gateway(|_, p, _| p["status"]["conditions"] = json!([])), none);
    assert_eq!(gateway(|_, p, _| p["spec"]["nodeName"] = json!("node2")), none);
    assert_eq!(gateway(|_, p, _| p["metadata"]["namespace"] = json!("default")), none);
}

#[test]
fn node_port_takes_the_first_service_by_name_with_a_node_port() {
    let manifests = vec![
        service("c", &tls_node_port(30_003), &Value::Null),
        service("b", &tls_node_port(30_001), &Value::Null),
        service("a", &json!([{"name": "http", "port": 80, "nodePort": 30_009}]), &Value::Null),
        pod("gateway-1", "node1", "Running", "True"),
        pod("gateway-2", "node1", "Running", "True"),
        node("node1", &[("ExternalIP", "5.6.7.8")]),
    ];
    for rotation in 0..manifests.len() {
        let mut manifests = manifests.clone();
        manifests.rotate_left(rotation);
        assert_eq!(found(Inlet::NodePort, manifests).unwrap(), ["5.6.7.8 30001"]);
    }
}

#[test]
fn addresses_of_the_advertise_config_map_win() {
    let named = |data: Value| {
        let balanced = service("a", &tls(443), &json!([{"ip": "10.0.0.1"}]));
        found(Inlet::LoadBalancer, vec![advertise(&data), balanced])
    };
    let new = r#"[{"address":"192.168.1.1","port":30000}]"#;
    let old = r#"[{"address":"192.168.1.2","port":30000}]"#;
    assert_eq!(named(json!({"gateways.json": new})).unwrap(), ["192.168.1.1 30000"]);
    assert_eq!(named(json!({"ingressgateways-array.json": old})).unwrap(), ["192.168.1.2 30000"]);
    assert_eq!(named(json!({"gateways.json": new, "ingressgateways-array.json": old})).unwrap(), ["192.168.1.1 30000"]);
    assert_eq!(
        named(json!({"gateways.json": r#"[{"address":"2001:DB8::1","port":1},{"address":"a.example.com","port":2}]"#}))
            .unwrap(),
        ["2001:db8::1 1", "a.example.com 2"]
    );
    assert_eq!(named(json!({"gateways.json": "[]"})).unwrap(), ["10.0.0.1 443"]);
    assert_eq!(named(json!({"other": "[]"})), Err(GatewayError::NoAdvertiseKey));
    assert_eq!(named(Value::Null), Err(GatewayError::NoAdvertiseKey));
    for bad in ["", "not json", "{}", r#"[{"address":"a"}]"#, r#"[{"address":"a","port":-1}]"#] {
        assert!(
            matches!(
                named(json!({"gateways.json": bad})),
                Err(GatewayError::BadAdvertise { key: "gateways.json", .. })
            ),
            "{bad}"
        );
    }
    for bad in [r#"[{"address":"","port":1}]"#, r#"[{"address":"a","port":0}]"#, r#"[{"address":"a_b","port":70000}]"#]
    {
        assert!(matches!(named(json!({"gateways.json": bad})), Err(GatewayError::BadAdvertised { .. })), "{bad}");
    }
}

#[test]
fn addresses_are_sorted_and_unique() {
    let list = r#"[{"address":"192.168.1.28","port":1},{"address":"192.168.1.25","port":2},
        {"address":"192.168.1.25","port":1},{"address":"192.168.1.28","port":1}]"#;
    assert_eq!(
        found(Inlet::NodePort, vec![advertise(&json!({"gateways.json": list}))]).unwrap(),
        ["192.168.1.25 1", "192.168.1.25 2", "192.168.1.28 1"]
    );
}

#[test]
fn an_inlet_is_read_exactly() {
    for inlet in [Inlet::LoadBalancer, Inlet::NodePort] {
        assert_eq!(inlet.to_string().parse(), Ok(inlet));
    }
    for bad in ["", "loadbalancer", "HostPort"] {
        assert_eq!(bad.parse::<Inlet>(), Err(UnknownInlet));
    }
}
