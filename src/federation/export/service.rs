//! The rule for exporting a Service: one for the exporter's document and for the Gateways of the mesh.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::api::kubernetes::{PUBLIC_SERVICE_LABEL, Service, ServicePort};
use crate::api::metadata::{PublicService, PublicServicePort};
use crate::federation::names::{DnsName, NameError, is_dns_label, is_port_name};
use crate::federation::protocol::Protocol;

/// A Service that peers may call.
///
/// Headless ones are exported too: their service port works through the gateway like any other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportedService {
    host: DnsName,
    namespace: String,
    ports: Vec<ExportedPort>,
}

/// A port of an exported Service. TCP: Istio's gateways forward nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportedPort {
    /// Number, 1 to 65535.
    pub number: u16,
    /// Name, a DNS label; made from protocol and number where the Service gives none.
    pub name: String,
    pub protocol: Protocol,
}

/// Why a Service is not exported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotExported {
    /// It has no label that exports it.
    #[error("it has no label {PUBLIC_SERVICE_LABEL}")]
    NotLabelled,
    /// Only the empty value counts, as in Deckhouse.
    #[error("its label {PUBLIC_SERVICE_LABEL} has a value: leave the value empty to export the Service")]
    LabelValue,
    /// It only stands for a name outside the mesh.
    #[error("it is of type ExternalName: there is nothing in this mesh to export")]
    ExternalName,
    /// Name or namespace cannot be part of a host name.
    #[error("its name or namespace is not a DNS label")]
    Label,
    /// The host name would be invalid.
    #[error("its host name is not valid: {0}")]
    Host(#[from] NameError),
    /// It has no port that a gateway could forward.
    #[error("it has no TCP port with a valid number and name")]
    NoPorts,
}

impl ExportedService {
    /// Judges a Service of the cluster whose domain is `cluster_domain`.
    ///
    /// UDP and SCTP ports are left out, and so is a port whose number or name an earlier one has.
    pub fn vet(service: &Service, cluster_domain: &DnsName) -> Result<Self, NotExported> {
        match service.metadata.labels.get(PUBLIC_SERVICE_LABEL).map(String::as_str) {
            Some("") => {}
            Some(_) => return Err(NotExported::LabelValue),
            None => return Err(NotExported::NotLabelled),
        }
        if service.spec.type_ == "ExternalName" {
            return Err(NotExported::ExternalName);
        }
        let name = service.metadata.name.as_str();
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        if !is_dns_label(name) || !is_dns_label(namespace) {
            return Err(NotExported::Label);
        }
        let host = DnsName::parse(&format!("{name}.{namespace}.svc.{cluster_domain}"))?;
        let ports = exported_ports(&service.spec.ports);
        if ports.is_empty() {
            return Err(NotExported::NoPorts);
        }
        Ok(Self { host, namespace: namespace.to_owned(), ports })
    }

    /// `<name>.<namespace>.svc.<cluster domain>`.
    #[must_use]
    pub fn host(&self) -> &DnsName {
        &self.host
    }

    /// Namespace of the Service.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its ports by number; at least one, each number and each name once.
    #[must_use]
    pub fn ports(&self) -> &[ExportedPort] {
        &self.ports
    }

    /// As it stands in the private document.
    #[must_use]
    pub fn to_public_service(&self) -> PublicService {
        let ports = self.ports.iter().map(|port| PublicServicePort {
            name: port.name.clone(),
            port: u32::from(port.number),
            protocol: Some(port.protocol.as_str().to_owned()),
        });
        PublicService { hostname: self.host.to_string(), ports: ports.collect(), virtual_ip: None }
    }
}

fn exported_ports(ports: &[ServicePort]) -> Vec<ExportedPort> {
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut exported: Vec<_> = ports
        .iter()
        .filter_map(exported_port)
        .filter(|port| !names.contains(&port.name) && numbers.insert(port.number) && names.insert(port.name.clone()))
        .collect();
    exported.sort();
    exported
}

fn exported_port(port: &ServicePort) -> Option<ExportedPort> {
    if !matches!(port.protocol.as_str(), "" | "TCP") {
        return None;
    }
    let number = u16::try_from(port.port).ok().filter(|&number| number > 0)?;
    let protocol = port
        .app_protocol
        .as_deref()
        .and_then(Protocol::of_app_protocol)
        .unwrap_or_else(|| Protocol::of_port_name(&port.name));
    // Kubernetes lets a single port go unnamed, a ServiceEntry does not. This name says the same to a peer that
    // derives the protocol from it.
    let name = match port.name.as_str() {
        "" => format!("{}-{number}", protocol.as_str().to_ascii_lowercase()),
        name => name.to_owned(),
    };
    is_port_name(&name).then_some(ExportedPort { number, name, protocol })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kubernetes::{ObjectMeta, ServiceSpec};

    fn port(name: &str, number: u32) -> ServicePort {
        ServicePort { name: name.to_owned(), port: number, ..ServicePort::default() }
    }

    fn service(ports: Vec<ServicePort>) -> Service {
        Service {
            metadata: ObjectMeta {
                name: "bar".to_owned(),
                namespace: Some("xyz".to_owned()),
                labels: [(PUBLIC_SERVICE_LABEL.to_owned(), String::new())].into(),
                ..ObjectMeta::default()
            },
            spec: ServiceSpec { ports, ..ServiceSpec::default() },
            ..Service::default()
        }
    }

    fn vet(service: &Service) -> Result<ExportedService, NotExported> {
        ExportedService::vet(service, &DnsName::parse("cluster-b.local").unwrap())
    }

    fn offered(ports: Vec<ServicePort>) -> Vec<String> {
        let service = vet(&service(ports)).unwrap();
        service.ports().iter().map(|p| format!("{}/{}/{}", p.name, p.number, p.protocol)).collect()
    }

    #[test]
    fn a_labelled_service_is_exported_under_its_own_host() {
        let exported = vet(&service(vec![port("http", 80)])).unwrap();
        assert_eq!(exported.host().as_str(), "bar.xyz.svc.cluster-b.local");
        assert_eq!(exported.namespace(), "xyz");
        assert_eq!(
            serde_json::to_value(exported.to_public_service()).unwrap(),
            serde_json::json!({"hostname": "bar.xyz.svc.cluster-b.local",
                "ports": [{"name": "http", "port": 80, "protocol": "HTTP"}]})
        );
    }

    #[test]
    fn services_that_cannot_be_called_are_not_exported() {
        let good = || service(vec![port("http", 80)]);
        let changed = |change: fn(&mut Service)| {
            let mut service = good();
            change(&mut service);
            vet(&service).unwrap_err()
        };
        assert_eq!(changed(|s| s.metadata.labels.clear()), NotExported::NotLabelled);
        assert_eq!(
            changed(|s| s.metadata.labels.values_mut().for_each(|v| "true".clone_into(v))),
            NotExported::LabelValue
        );
        assert_eq!(changed(|s| "ExternalName".clone_into(&mut s.spec.type_)), NotExported::ExternalName);
        assert_eq!(changed(|s| s.metadata.namespace = None), NotExported::Label);
        assert_eq!(changed(|s| "a.b".clone_into(&mut s.metadata.name)), NotExported::Label);
        assert_eq!(changed(|s| s.spec.ports.clear()), NotExported::NoPorts);
        assert_eq!(changed(|s| "UDP".clone_into(&mut s.spec.ports[0].protocol)), NotExported::NoPorts);
        assert_eq!(changed(|s| s.spec.ports[0].port = 0), NotExported::NoPorts);
        assert_eq!(changed(|s| s.spec.ports[0].port = 65_536), NotExported::NoPorts);
        assert_eq!(changed(|s| "Not_A_Label".clone_into(&mut s.spec.ports[0].name)), NotExported::NoPorts);
        let long = DnsName::parse(&["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(55)].join(".")).unwrap();
        assert_eq!(ExportedService::vet(&good(), &long), Err(NotExported::Host(NameError::Long)));
    }

    #[test]
    fn ports_come_by_number_each_once_and_without_udp() {
        let udp = ServicePort { protocol: "UDP".to_owned(), ..port("dns", 53) };
        let sctp = ServicePort { protocol: "SCTP".to_owned(), ..port("sctp", 54) };
        let tcp = ServicePort { protocol: "TCP".to_owned(), ..port("dns-tcp", 53) };
        assert_eq!(
            offered(vec![port("grpc-z", 777), udp, sctp, tcp, port("http", 80), port("again", 80), port("http", 81)]),
            ["dns-tcp/53/TCP", "http/80/HTTP", "grpc-z/777/GRPC"]
        );
    }

    #[test]
    fn the_app_protocol_wins_over_the_name() {
        let with = |app: &str, name: &str| ServicePort { app_protocol: Some(app.to_owned()), ..port(name, 80) };
        assert_eq!(offered(vec![with("kubernetes.io/h2c", "http")]), ["http/80/HTTP2"]);
        assert_eq!(offered(vec![with("tcp", "http")]), ["http/80/TCP"]);
        assert_eq!(offered(vec![with("example.com/odd", "http")]), ["http/80/HTTP"]);
    }

    #[test]
    fn a_port_without_a_name_gets_one_from_its_protocol() {
        let with = |app: Option<&str>| ServicePort { app_protocol: app.map(str::to_owned), ..port("", 80) };
        for (app, expected) in
            [(None, "tcp-80/80/TCP"), (Some("http"), "http-80/80/HTTP"), (Some("grpc-web"), "grpc-web-80/80/GRPC-Web")]
        {
            let ports = offered(vec![with(app)]);
            assert_eq!(ports, [expected]);
            let (name, protocol) = (ports[0].split('/').next().unwrap(), ports[0].rsplit('/').next().unwrap());
            assert_eq!(Protocol::of_port_name(name).as_str(), protocol);
        }
    }
}
