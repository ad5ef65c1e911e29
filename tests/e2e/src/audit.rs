//! Write requests, from the API server's audit log.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// Users of the control plane's own writes: the API server's lease and defaults, and the controllers.
const OWN: [&str; 2] = ["system:apiserver", "system:kube-controller-manager"];

/// Audit policy: writes only, each once, when it is answered.
pub(crate) const POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
  "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]}]
}"#;

/// A write request, granted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The user; the impersonated one if there is one.
    pub user: String,
    /// API group, empty for the core group.
    pub group: String,
    /// `services`, or with a sub-resource `services/status`.
    pub resource: String,
    /// Empty for cluster scope.
    pub namespace: String,
    /// Empty for a collection, and if the server generated the name.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// Time of the request: RFC 3339.
    pub at: String,
}

impl AuditEvent {
    /// Whether the control plane itself wrote: its lease, defaults of namespaces, garbage collection.
    #[must_use]
    pub fn is_own(&self) -> bool {
        OWN.contains(&self.user.as_str())
    }
}

pub(crate) fn read(log: &Path) -> anyhow::Result<Vec<AuditEvent>> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    // The last line may be incomplete.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| Ok(serde_json::from_str::<Logged>(line)?.into())).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logged {
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl From<Logged> for AuditEvent {
    fn from(logged: Logged) -> Self {
        let object = logged.object_ref;
        Self {
            verb: logged.verb,
            user: logged.impersonated_user.unwrap_or(logged.user).username,
            group: object.api_group,
            resource: if object.subresource.is_empty() {
                object.resource
            } else {
                format!("{}/{}", object.resource, object.subresource)
            },
            namespace: object.namespace,
            name: object.name,
            code: logged.response_status.code,
            at: logged.request_received_timestamp,
        }
    }
}
