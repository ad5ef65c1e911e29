//! The parts of the cluster that the exporter reads. Each has one list, one watch and one permission.

use std::fmt;

use super::inlet::Inlet;
use super::object::{
    ADVERTISE_CONFIG_MAP, GATEWAY_LABEL, INTERMEDIATES_CONFIG_MAP, KEYPAIR_SECRET, Kind, Object, PEERS_SECRET,
    ROOT_CONFIG_MAP, is_gateway,
};
use crate::api::kubernetes::{NAMESPACE, PUBLIC_SERVICE_LABEL};

/// A set of objects that are listed and watched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Selection {
    /// Services that carry the label, in all namespaces.
    ExportedServices,
    /// Services of the east-west gateway.
    GatewayServices,
    /// Pods of the east-west gateway.
    GatewayPods,
    Nodes,
    /// The mesh's root certificates.
    Roots,
    /// Gateway addresses that an operator set.
    AdvertisedGateways,
    KeyPair,
    /// The peers' public documents.
    Peers,
    /// The mesh's own intermediate certificates.
    Intermediates,
}

/// Which objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// All objects of the kind.
    Kind,
    /// Those with a label, in all namespaces.
    Label(&'static str),
    /// Those of the gateway, in the module's namespace.
    GatewayLabel,
    /// The one of that name, in the module's namespace.
    Name(&'static str),
}

impl Selection {
    pub(super) const ALL: [Self; 9] = [
        Self::ExportedServices,
        Self::GatewayServices,
        Self::GatewayPods,
        Self::Nodes,
        Self::Roots,
        Self::AdvertisedGateways,
        Self::KeyPair,
        Self::Peers,
        Self::Intermediates,
    ];

    /// Those that the documents depend on. With a load balancer as the inlet, Pods and Nodes are not needed.
    pub(super) fn needed(inlet: Inlet) -> impl Iterator<Item = Self> {
        let of_nodes = |selection: &Self| matches!(selection, Self::GatewayPods | Self::Nodes);
        Self::ALL.into_iter().filter(move |selection| inlet == Inlet::NodePort || !of_nodes(selection))
    }

    /// Metric label.
    #[must_use]
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::ExportedServices => "exported_services",
            Self::GatewayServices => "gateway_services",
            Self::GatewayPods => "gateway_pods",
            Self::Nodes => "nodes",
            Self::Roots => "roots",
            Self::AdvertisedGateways => "advertised_gateways",
            Self::KeyPair => "key_pair",
            Self::Peers => "peers",
            Self::Intermediates => "intermediates",
        }
    }

    /// Kind of its objects.
    #[must_use]
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::ExportedServices | Self::GatewayServices => Kind::Service,
            Self::GatewayPods => Kind::Pod,
            Self::Nodes => Kind::Node,
            Self::Roots | Self::AdvertisedGateways | Self::Intermediates => Kind::ConfigMap,
            Self::KeyPair | Self::Peers => Kind::Secret,
        }
    }

    /// Which objects of the kind.
    #[must_use]
    pub(super) fn by(self) -> By {
        match self {
            Self::ExportedServices => By::Label(PUBLIC_SERVICE_LABEL),
            Self::GatewayServices | Self::GatewayPods => By::GatewayLabel,
            Self::Nodes => By::Kind,
            Self::Roots => By::Name(ROOT_CONFIG_MAP.0),
            Self::AdvertisedGateways => By::Name(ADVERTISE_CONFIG_MAP),
            Self::KeyPair => By::Name(KEYPAIR_SECRET.0),
            Self::Peers => By::Name(PEERS_SECRET.0),
            Self::Intermediates => By::Name(INTERMEDIATES_CONFIG_MAP.0),
        }
    }

    /// Whether an object belongs to it.
    #[must_use]
    pub(super) fn holds(self, object: &Object) -> bool {
        let labelled = |label: &str| match object {
            Object::Service(service) => service.metadata.labels.contains_key(label),
            _ => false,
        };
        let of_gateway = || match object {
            Object::Service(service) => is_gateway(&service.metadata),
            Object::Pod(pod) => is_gateway(&pod.metadata),
            _ => false,
        };
        let named = |name: &str| matches!(object, Object::Data(data) if data.key.name == name);
        object.kind() == self.kind()
            && match self.by() {
                By::Kind => true,
                By::Label(label) => labelled(label),
                By::GatewayLabel => of_gateway(),
                By::Name(name) => named(name),
            }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self.by() {
            By::Kind => write!(f, "{kind}s"),
            By::Label(label) => write!(f, "{kind}s with label {label}"),
            By::GatewayLabel => write!(f, "{kind}s in {NAMESPACE} with label {}={}", GATEWAY_LABEL.0, GATEWAY_LABEL.1),
            By::Name(name) => write!(f, "{kind} {NAMESPACE}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit::manifests::{data, exported, gateway};
    use serde_json::json;

    use super::*;

    fn of(manifest: serde_json::Value) -> Vec<Selection> {
        let object = Object::read(manifest).unwrap().unwrap();
        Selection::ALL.into_iter().filter(|selection| selection.holds(&object)).collect()
    }

    #[test]
    fn an_object_belongs_to_its_selections() {
        assert_eq!(of(exported("xyz", "bar", "http", 80)), [Selection::ExportedServices]);
        assert_eq!(of(gateway("10.0.0.1")), [Selection::GatewayServices]);
        let mut both = gateway("10.0.0.1");
        both["metadata"]["labels"][PUBLIC_SERVICE_LABEL] = json!("");
        assert_eq!(of(both), [Selection::ExportedServices, Selection::GatewayServices]);
        let intermediates = data("ConfigMap", "metadata-exporter-intermediate-cas", "intermediate-cas.pem", "x");
        assert_eq!(of(intermediates), [Selection::Intermediates]);
        assert_eq!(of(data("ConfigMap", "istio-ca-root-cert", "root-cert.pem", "x")), [Selection::Roots]);
        assert_eq!(of(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}})), [Selection::Nodes]);
    }

    #[test]
    fn a_load_balancer_needs_neither_pods_nor_nodes() {
        assert_eq!(Selection::needed(Inlet::NodePort).collect::<Vec<_>>(), Selection::ALL);
        let without: Vec<_> = Selection::needed(Inlet::LoadBalancer).collect();
        assert_eq!(without.len(), Selection::ALL.len() - 2);
        assert!(!without.contains(&Selection::Nodes) && !without.contains(&Selection::GatewayPods));
    }

    #[test]
    fn the_display_names_the_objects() {
        let shown: Vec<String> = Selection::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(shown[0], "Services with label federation.istio.deckhouse.io/public-service");
        assert_eq!(shown[2], "Pods in d8-istio with label app=ingressgateway");
        assert_eq!(shown[3], "Nodes");
        assert_eq!(shown[6], "Secret d8-istio/d8-remote-authn-keypair");
    }
}
