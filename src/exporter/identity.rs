//! The configured facts about this cluster that its documents contain.

use super::inlet::Inlet;
use crate::federation::names::{ClusterUuid, OwnTrustDomain};

/// This cluster, as the operator configured it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster_uuid: ClusterUuid,
    /// Domain of the cluster, which is its trust domain.
    pub cluster_domain: OwnTrustDomain,
    /// How traffic from outside reaches the gateway.
    pub inlet: Inlet,
}

impl Identity {
    /// Why peers may refuse this cluster: a UUID or domain that was in use before they had their rules stays in use.
    pub(crate) fn problems(&self) -> Vec<String> {
        let uuid = ClusterUuid::parse(self.cluster_uuid.as_str()).err().map(|error| error.to_string());
        let domain = OwnTrustDomain::parse(self.cluster_domain.as_str()).err().map(|error| error.to_string());
        let named = |setting: &str, problem: Option<String>| problem.map(|problem| format!("{setting}: {problem}"));
        [named("cluster UUID", uuid), named("cluster domain", domain)].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_peers_may_refuse_are_reported() {
        let problems = |uuid: &str, domain: &str| {
            let cluster_uuid = ClusterUuid::in_use(uuid).unwrap();
            let cluster_domain = OwnTrustDomain::in_use(domain).unwrap();
            Identity { cluster_uuid, cluster_domain, inlet: Inlet::default() }.problems()
        };
        assert_eq!(problems("deadbeef-mycluster", "b.local"), Vec::<String>::new());
        let both = problems("prod:eu", "10.0.0.1");
        assert!(both.len() == 2 && both[0].starts_with("cluster UUID: ") && both[1].starts_with("cluster domain: "));
    }
}
