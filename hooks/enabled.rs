//! The answer of the script `enabled` (not a hook): the module is off while a kind of Istio is missing.
//!
//! The hooks watch these kinds, and an operator that cannot watch one of them stops working for all modules. If the API server does not
//! answer, the module is on: a no removes everything that it has.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use istio_federation::api::istio_federation::MetadataTls;
use istio_federation::hook;
use istio_federation::peer::{Answer, Client, FetchFault, Limits, ServerTrust};

/// The CRDs of the objects that the hooks watch and the chart renders.
const NEEDED: [&str; 4] = [
    "serviceentries.networking.istio.io",
    "gateways.networking.istio.io",
    "destinationrules.networking.istio.io",
    "authorizationpolicies.security.istio.io",
];
/// Kubernetes mounts the address and credentials of the API server here.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Answers in the operator's files. Also prints the reason of a no, because addon-operator logs only stdout.
pub(crate) fn main() -> ExitCode {
    hook::main_of(run)
}

#[expect(clippy::print_stdout, reason = "lines on stdout are log lines")]
fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let missing = ask().unwrap_or_default();
    let reason = match missing.as_slice() {
        [] => String::new(),
        missing => format!(
            "Istio's CRDs are missing: {}; install Istio first, the module starts at the next converge after that",
            missing.join(", ")
        ),
    };
    if !reason.is_empty() {
        println!("{}", serde_json::json!({"level": "warn", "msg": reason}));
    }
    answer("MODULE_ENABLED_RESULT", if missing.is_empty() { "true" } else { "false" })?;
    if !reason.is_empty() {
        answer("MODULE_ENABLED_REASON", &reason)?;
    }
    Ok(())
}

fn answer(variable: &str, text: &str) -> Result<(), String> {
    let file =
        std::env::var(variable).map_err(|_| format!("enabled: {variable} is not set: addon-operator sets it"))?;
    fs::write(&file, text).map_err(|error| format!("enabled: {variable} ({file}): {error}"))
}

/// The CRDs that the API server lacks; `None` if there is no answer.
fn ask() -> Option<Vec<&'static str>> {
    let (host, port) = (std::env::var("KUBERNETES_SERVICE_HOST").ok()?, std::env::var("KUBERNETES_SERVICE_PORT").ok()?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let read = |name: &str| fs::read_to_string(Path::new(CREDENTIALS).join(name)).ok();
    let (token, ca) = (read("token")?, read("ca.crt")?);
    let trust = ServerTrust::from_spec(Some(&MetadataTls { ca: Some(ca), insecure_skip_verify: None })).ok()?;
    let limits = Limits::default();
    let client = Client::new(&trust, limits).ok()?;
    let end = Instant::now() + limits.exchange;
    // The CRD objects themselves: the list of served kinds is incomplete while an API server starts.
    let url = |crd: &str| format!("https://{host}:{port}/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}");
    let mut missing = Vec::new();
    for crd in NEEDED {
        match client.get(&url(crd), Some(token.trim()), None, end) {
            Ok(Answer::Document { .. } | Answer::NotModified) => {}
            Err(error) if matches!(error.fault, FetchFault::Status { status: 404 }) => missing.push(crd),
            Err(_) => return None,
        }
    }
    Some(missing)
}
