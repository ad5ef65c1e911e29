//! The exporter's access to the API server: paths and selectors of its requests, and the RBAC rules that they need.

use super::super::inlet::Inlet;
use super::super::object::{GATEWAY_LABEL, Kind};
use super::super::selection::{By, Selection};
use crate::api::kubernetes::NAMESPACE;

/// The verbs of every permission.
pub const VERBS: [&str; 2] = ["list", "watch"];

/// A permission that the exporter needs, with [`VERBS`], in the core API group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// Namespace of the Role; `None` for the `ClusterRole`.
    pub namespace: Option<&'static str>,
    /// Plural name of the resource, such as `services`.
    pub resource: &'static str,
    /// Name of the only object; `None` for all of them.
    pub name: Option<&'static str>,
}

/// All permissions that the exporter needs, and no more.
#[must_use]
pub fn permissions(inlet: Inlet) -> Vec<Permission> {
    let mut all: Vec<Permission> = Selection::needed(inlet).map(permission).collect();
    // The Services of all namespaces include those of the gateway.
    let broad: Vec<&str> = all.iter().filter(|one| one.namespace.is_none()).map(|one| one.resource).collect();
    all.retain(|one| one.namespace.is_none() || !broad.contains(&one.resource));
    all.sort();
    all.dedup();
    all
}

/// The permission to read a selection.
#[must_use]
pub(super) fn permission(selection: Selection) -> Permission {
    let (namespace, name) = match selection.by() {
        By::Kind | By::Label(_) => (None, None),
        By::GatewayLabel => (Some(NAMESPACE), None),
        By::Name(name) => (Some(NAMESPACE), Some(name)),
    };
    let resource = match selection.kind() {
        Kind::Service => "services",
        Kind::Pod => "pods",
        Kind::Node => "nodes",
        Kind::ConfigMap => "configmaps",
        Kind::Secret => "secrets",
    };
    Permission { namespace, resource, name }
}

/// Label selector and field selector of a selection.
pub(super) fn selectors(selection: Selection) -> (Option<String>, Option<String>) {
    match selection.by() {
        By::Kind => (None, None),
        By::Label(label) => (Some(label.to_owned()), None),
        By::GatewayLabel => (Some(format!("{}={}", GATEWAY_LABEL.0, GATEWAY_LABEL.1)), None),
        // With this field selector, RBAC can allow a list or watch by resource name.
        By::Name(name) => (None, Some(format!("metadata.name={name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_as_few_as_the_inlet_needs() {
        let listed = |inlet| -> Vec<String> {
            let permissions = permissions(inlet).into_iter();
            permissions.map(|one| format!("{:?} {} {:?}", one.namespace, one.resource, one.name)).collect()
        };
        let data = [
            r#"Some("d8-istio") configmaps Some("istio-ca-root-cert")"#,
            r#"Some("d8-istio") configmaps Some("metadata-exporter-ingressgateway-advertise")"#,
            r#"Some("d8-istio") configmaps Some("metadata-exporter-intermediate-cas")"#,
            r#"Some("d8-istio") secrets Some("d8-remote-authn-keypair")"#,
            r#"Some("d8-istio") secrets Some("d8-remote-clusters-public-metadata")"#,
        ];
        let with = |first: &[&str], middle: &[&str]| -> Vec<String> {
            let (maps, secrets) = data.split_at(3);
            [first, maps, middle, secrets].concat().into_iter().map(str::to_owned).collect()
        };
        assert_eq!(listed(Inlet::LoadBalancer), with(&["None services None"], &[]));
        let pods = r#"Some("d8-istio") pods None"#;
        assert_eq!(listed(Inlet::NodePort), with(&["None nodes None", "None services None"], &[pods]));
    }
}
