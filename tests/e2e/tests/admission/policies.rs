//! A cluster with the policies of the chart, and dry runs in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::{ApiServer, Helm, apply, install_crds, until};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::api::ListParams;
use kube::client::Body;
use kube::core::Request;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::cases::{Answer, Attempt, Case, Table};
use super::openapi::Schemas;

const PATIENCE: Duration = Duration::from_mins(1);
const SUFFIX: &str = ".federation.istio.deckhouse.io";

/// A control plane where all policies are active.
pub(crate) struct Cluster<'a> {
    pub(crate) server: ApiServer,
    pub(crate) admin: Client,
    table: &'a Table,
}

impl<'a> Cluster<'a> {
    /// Applies the table's objects, then the policies.
    pub(crate) async fn with(table: &'a Table) -> Result<Self> {
        let server = ApiServer::start(&format!("admission-{}", table.name)).await?;
        let admin = server.client().await?;
        install_crds(&admin).await?;
        apply(&admin, &table.given).await?;
        apply(&admin, &rendered(table).await?).await?;
        let cluster = Self { server, admin, table };
        cluster.policies_are_active().await?;
        Ok(cluster)
    }

    /// Sends a case as a dry run.
    pub(crate) async fn try_out(&self, case: &Case) -> Result<Answer> {
        let client = match &case.by {
            None => self.admin.clone(),
            Some(by) => {
                let user = self.table.users.get(by).with_context(|| format!("no user {by}"))?;
                let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
                self.server.client_as(&user.name, &groups).await?
            }
        };
        try_out(&client, case.attempt()?).await.with_context(|| case.it.clone())
    }

    /// Waits until each policy stops the first of its cases; fails if the API server warns of an expression.
    async fn policies_are_active(&self) -> Result<()> {
        let stops = |case: &&Case| case.refused_by.is_some() || case.warned_by.is_some();
        let mut seen = BTreeSet::new();
        for case in self.table.cases.iter().filter(stops) {
            if seen.insert(case.refused_by.as_ref().or(case.warned_by.as_ref())) {
                until("the policy is active", PATIENCE, async || {
                    let answer = self.try_out(case).await?;
                    ensure!(answer != Answer::Accepted, "{} is accepted", case.it);
                    anyhow::Ok(())
                })
                .await?;
            }
        }
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(self.admin.clone());
        let policies = until("all policies are type-checked", PATIENCE, async || {
            let policies = policies.list(&ListParams::default()).await?.items;
            for policy in &policies {
                let observed = policy.status.as_ref().and_then(|status| status.observed_generation);
                ensure!(observed == policy.metadata.generation, "{} is not type-checked yet", policy.name_any());
            }
            Ok(policies)
        })
        .await?;
        for policy in policies.iter().filter(|policy| policy.name_any().ends_with(SUFFIX)) {
            let checked = policy.status.as_ref().and_then(|status| status.type_checking.as_ref());
            let warnings = checked.and_then(|checked| checked.expression_warnings.as_ref());
            ensure!(warnings.is_none(), "{}: {warnings:?}", policy.name_any());
        }
        Ok(())
    }
}

/// First labels of the names of all policies of the chart.
pub(crate) fn names() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(chart().join("templates/validations"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".yaml").map(str::to_owned));
    }
    Ok(names)
}

/// Sends a request as a dry run.
pub(crate) async fn try_out(client: &Client, attempt: Attempt) -> Result<Answer> {
    let Attempt { method, path, body } = attempt;
    let mut request = Request::new(path.as_str()).list(&ListParams::default())?.map(Body::from);
    *request.uri_mut() = format!("{path}?dryRun=All").parse()?;
    *request.method_mut() = method.parse()?;
    if method != "DELETE" {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        request.headers_mut().insert("content-type", kind.parse()?);
        *request.body_mut() = serde_json::to_vec(&body)?.into();
    }
    let response = client.send(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    if status.is_success() {
        let warnings: Vec<String> =
            headers.get_all("warning").iter().map(|text| warning(text.to_str())).collect::<Result<_>>()?;
        return Ok(if warnings.is_empty() { Answer::Accepted } else { Answer::Warned(warnings) });
    }
    let body = response.into_body().collect_bytes().await?;
    let message = serde_json::from_slice::<Value>(&body)?["message"].as_str().context("no message")?.to_owned();
    let from = message.find("ValidatingAdmissionPolicy").unwrap_or_default();
    Ok(Answer::Refused(message[from..].to_owned()))
}

/// The text of a header `299 - "text"`.
fn warning<E: std::error::Error + Send + Sync + 'static>(header: std::result::Result<&str, E>) -> Result<String> {
    let quoted = header?.strip_prefix("299 - ").context("not a Kubernetes warning")?;
    Ok(serde_json::from_str(quoted)?)
}

/// The policies and their bindings, rendered by Helm.
async fn rendered(table: &Table) -> Result<Vec<Value>> {
    let mut federation = table.federation.clone();
    federation["metadataExporter"] = json!({"image": "registry.example.com/istio-federation:v0.1.0"});
    let internal = json!({"clusterUUID": "uuid-a", "remoteAuthnKeypair": {"pub": "", "priv": ""}, "federations": [],
        "remotePublicMetadata": {}, "federationTrustAnchors": []});
    let schemas = Schemas::read(&chart()).map_err(anyhow::Error::msg)?;
    let settings = schemas.filled(json!({"federation": federation, "internal": internal}));
    let values = json!({"global": table.global, "istio": settings});
    let mut objects = Helm::offline()?.template("istio", "operators", &chart(), &values, &[]).await?;
    objects.retain(|object| object["kind"].as_str().is_some_and(|kind| kind.starts_with("ValidatingAdmissionPolicy")));
    ensure!(objects.len() == 2 * names()?.len(), "{} objects", objects.len());
    Ok(objects)
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
