//! Bad settings are refused with a message that names the field, and the code can use every accepted setting.

use istio_federation::exporter::advertised_list;
use istio_federation::federation::names::{ClusterUuid, DnsName};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::peer::host_of;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SCHEMAS, problems};

/// Settings that are refused, each with the field that the message names.
fn bad() -> Vec<(Value, &'static str)> {
    let federation = |name: &str, value: Value| json!({"federation": {name: value}});
    let gateway = |name: &str, value: Value| json!({"alliance": {"ingressGateway": {name: value}}});
    let advertise = |address: &str, port: i64| gateway("advertise", json!([{"address": address, "port": port}]));
    let exporter = |name: &str, value: Value| json!({"federation": {"metadataExporter": {name: value}}});
    let api = |name: &str, value: Value| {
        let mut gateway = json!({"name": "public", "namespace": "gateways"});
        gateway[name] = value;
        json!({"gatewayAPIGateway": gateway})
    };
    vec![
        (json!({"federations": {}}), "federations"),
        (json!({"internal": {}}), "internal"),
        (json!({"registry": {}}), "registry"),
        (json!({"federation": true}), "federation"),
        (federation("enabled", json!("true")), "enabled"),
        (federation("enable", json!(true)), "enable"),
        (federation("clusterDomain", json!("Cluster.local")), "clusterDomain"),
        (federation("clusterDomain", json!("cluster.local.")), "clusterDomain"),
        (federation("clusterDomain", json!("")), "clusterDomain"),
        (federation("clusterDomain", json!("a_b.local")), "clusterDomain"),
        (federation("clusterDomain", json!(format!("{}.local", "a".repeat(64)))), "clusterDomain"),
        (federation("clusterUUID", json!("two words")), "clusterUUID"),
        (federation("clusterUUID", json!("a".repeat(129))), "clusterUUID"),
        (federation("clusterUUID", json!("a\n")), "clusterUUID"),
        (federation("meshNamespace", json!("istio.system")), "meshNamespace"),
        (federation("metadataHost", json!("https://a.example")), "metadataHost"),
        (federation("metadataHost", json!("a.example/metadata")), "metadataHost"),
        (federation("metadataHost", json!("a.example:0")), "metadataHost"),
        (federation("metadataHost", json!("a.example:65536")), "metadataHost"),
        (federation("metadataHost", json!("203.0.113.7")), "metadataHost"),
        (federation("trustDomainAliases", json!("old.local")), "trustDomainAliases"),
        (federation("trustDomainAliases", json!(["*.local"])), "trustDomainAliases"),
        (federation("serviceAddressRange", json!("240.241.0.0")), "serviceAddressRange"),
        (federation("serviceAddressRange", json!("240.241.0.256/16")), "serviceAddressRange"),
        (federation("serviceAddressRange", json!("0.0.0.0/0")), "serviceAddressRange"),
        (federation("serviceAddressRange", json!("fd00::/108")), "serviceAddressRange"),
        (federation("operators", json!("boss")), "operators"),
        (federation("operators", json!([""])), "operators"),
        (exporter("image", json!("an image")), "image"),
        (exporter("image", json!("")), "image"),
        (exporter("imagePullSecrets", json!(["Secret"])), "imagePullSecrets"),
        (gateway("inlet", json!("HostPort")), "inlet"),
        (gateway("inlet", json!("loadBalancer")), "inlet"),
        (gateway("nodePort", json!(30443)), "nodePort"),
        (gateway("nodePort", json!({"port": 443})), "port"),
        (gateway("nodePort", json!({"port": 65536})), "port"),
        (gateway("nodePort", json!({"port": "30443"})), "port"),
        (gateway("nodePort", json!({"port": 30443.5})), "port"),
        (gateway("serviceAnnotations", json!({"a": 1})), "serviceAnnotations"),
        (gateway("serviceAnnotations", json!(["a"])), "serviceAnnotations"),
        (gateway("gatewayPodAnnotations", json!({"a": true})), "gatewayPodAnnotations"),
        (gateway("loadBalancerClass", json!("not a class")), "loadBalancerClass"),
        (gateway("loadBalancerClass", json!("a..b/c")), "loadBalancerClass"),
        (gateway("nodeSelector", json!({"a": "b/c"})), "nodeSelector"),
        (gateway("tolerations", json!([{"operator": "In"}])), "operator"),
        (gateway("tolerations", json!([{"effect": "NoRun"}])), "effect"),
        (gateway("tolerations", json!([{"tolerationSeconds": "1"}])), "tolerationSeconds"),
        (gateway("tolerations", json!([{"taint": "a"}])), "taint"),
        (gateway("tolerations", json!([{"key": "a key"}])), "key"),
        (gateway("tolerations", json!([{"key": "a", "value": "a/b"}])), "value"),
        (gateway("tolerations", json!([{"key": "a", "operator": "Exists", "value": "b"}])), "tolerations"),
        (gateway("tolerations", json!([{"operator": "Equal", "value": "b"}])), "tolerations"),
        (gateway("tolerations", json!([{"value": "b"}])), "tolerations"),
        (json!({"tolerations": [{}]}), "tolerations"),
        (advertise("gateway_a.example", 443), "address"),
        (advertise("2001:db8::g", 443), "address"),
        (advertise("", 443), "address"),
        (advertise("203.0.113.7", 0), "port"),
        (advertise("203.0.113.7", 65536), "port"),
        (gateway("advertise", json!([{"address": "203.0.113.7"}])), "port"),
        (gateway("advertise", json!([{"port": 443}])), "address"),
        (json!({"https": {"mode": "Disabled"}}), "mode"),
        (json!({"https": {"certManager": {"clusterIssuerName": "A"}}}), "clusterIssuerName"),
        (json!({"https": {"customCertificate": {"secretName": "a..b"}}}), "secretName"),
        (json!({"ingressClass": "Nginx"}), "ingressClass"),
        (json!({"gatewayAPIGateway": {"name": "public"}}), "namespace"),
        (api("name", json!("Public")), "name"),
        (api("namespace", json!("a.b")), "namespace"),
        (api("listener", json!("")), "listener"),
        (json!({"highAvailability": 2}), "highAvailability"),
        (json!({"nodeSelector": {"a": 1}}), "nodeSelector"),
        (json!({"tolerations": [{"operator": "Is"}]}), "operator"),
    ]
}

#[test]
fn addresses_of_every_kind_can_be_advertised() {
    for address in ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7", "gw.example", "GW-1.example.com", "gw"] {
        let settings = json!({"alliance": {"ingressGateway": {"advertise": [{"address": address, "port": 443}]}}});
        assert!(is_let_through(&settings) && is_advertised(address), "{address}");
    }
}

#[test]
fn taints_of_every_kind_can_be_tolerated() {
    for toleration in [
        json!({"operator": "Exists"}),
        json!({"operator": "Exists", "key": "dedicated.example.com/node", "effect": "NoExecute", "tolerationSeconds": 5}),
        json!({"operator": "Exists", "key": "", "value": ""}),
        json!({"operator": "Equal", "key": "a", "value": ""}),
        json!({"key": "a", "value": "b"}),
        json!({"key": "a"}),
    ] {
        assert!(is_let_through(&json!({"tolerations": [toleration]})), "{toleration}");
    }
}

#[test]
fn bad_settings_are_refused_with_the_name_of_the_field() {
    for (settings, field) in bad() {
        let errors = problems(&SCHEMAS.config, &settings);
        assert!(!errors.is_empty(), "accepted: {settings}");
        let names = |problem: &String| problem.split(['/', ':', ' ', '"', '\'', '(', ')']).any(|word| word == field);
        assert!(errors.iter().all(names), "{field} is not named for {settings}: {errors:?}");
        assert!(!problems(&SCHEMAS.values, &settings).is_empty() || field == "internal" || field == "registry");
    }
}

/// Whether the exporter accepts the advertised address in its ConfigMap.
fn is_advertised(address: &str) -> bool {
    let list = json!([{"address": address, "port": 443}]).to_string();
    advertised_list("gateways.json", &list).is_ok()
}

fn is_range(range: &str) -> bool {
    let values = json!({"istio": {"federation": {"clusterDomain": "a", "serviceAddressRange": range}}});
    Ourselves::from_values(&serde_json::from_value(values).unwrap(), Some("uid")).is_ok()
}

/// Texts near the limits: dots, hyphens, both cases, digits, and sometimes other characters.
fn near_a_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.-]{0,12}",
        "[a-zA-Z0-9._:\\n é-]{0,8}",
        "[a-z]{60,66}",
        "([a-z]{50}\\.){4}[a-z]{45,60}",
        "[0-9.]{1,12}",
    ]
}

fn near_an_address() -> impl Strategy<Value = String> {
    prop_oneof![
        near_a_name(),
        "[0-9a-f:]{1,20}",
        "([0-9a-f]{1,4}:){6,8}[0-9a-g]{0,4}",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3,4}"
    ]
}

fn is_let_through(settings: &Value) -> bool {
    problems(&SCHEMAS.config, settings).is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepted_domains_are_those_that_the_code_accepts(name in near_a_name()) {
        let taken = DnsName::parse(&name).is_ok();
        prop_assert_eq!(is_let_through(&json!({"federation": {"clusterDomain": name}})), taken);
        prop_assert_eq!(is_let_through(&json!({"federation": {"trustDomainAliases": [name]}})), taken);
    }

    #[test]
    fn an_accepted_uuid_is_accepted_by_the_exporter(uuid in prop_oneof!["[!-~]{1,130}", "\\PC{0,3}", near_a_name()]) {
        let taken = ClusterUuid::in_use(&uuid).is_ok();
        prop_assert_eq!(is_let_through(&json!({"federation": {"clusterUUID": uuid}})), taken);
    }

    #[test]
    fn the_exporter_accepts_every_accepted_advertised_address(address in near_an_address()) {
        let settings = json!({"alliance": {"ingressGateway": {"advertise": [{"address": address, "port": 443}]}}});
        let fits = !is_let_through(&settings) || is_advertised(&address);
        prop_assert!(fits);
    }

    #[test]
    fn an_accepted_range_is_valid(range in "[0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}") {
        let settings = json!({"federation": {"serviceAddressRange": range}});
        let fits = !is_let_through(&settings) || is_range(&range);
        prop_assert!(fits);
    }

    #[test]
    fn an_accepted_metadata_host_is_valid(host in near_a_name(), port in "(:[0-9]{1,6})?") {
        let host = format!("{host}{port}");
        let settings = json!({"federation": {"metadataHost": host}});
        let fits = !is_let_through(&settings) || host_of(&format!("https://{host}")).is_ok();
        prop_assert!(fits);
    }
}
