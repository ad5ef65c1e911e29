//! What the API server says was written to it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// Who writes without being asked: the API server's lease and defaults, and the controllers.
const OWN: [&str; 2] = ["system:apiserver", "system:kube-controller-manager"];

/// Logs writes only, each once, when it was answered.
pub(crate) const POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
  "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]}]
}"#;

/// A write that was asked for, granted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Who: the impersonated user where there is one.
    pub user: String,
    /// API group, empty for the core group.
    pub group: String,
    /// `services`, or with a sub-resource `services/status`.
    pub resource: String,
    /// Empty for what has none.
    pub namespace: String,
    /// Empty for a collection, and where the server made the name.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// When it came in: RFC 3339.
    pub at: String,
}

impl AuditEvent {
    /// Whether a component of the API server's own wrote: its lease, namespaces' defaults, garbage collection.
    #[must_use]
    pub fn is_own(&self) -> bool {
        OWN.contains(&self.user.as_str())
    }
}

pub(crate) fn read(log: &Path) -> anyhow::Result<Vec<AuditEvent>> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    // The last line may be half written.
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
