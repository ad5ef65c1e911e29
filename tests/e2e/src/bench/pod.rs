//! Environment of a Pod: the API server's address, and the service account's token in the usual place.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};

use crate::ApiServer;

/// Below `/run`, which `/var/run` links to.
const CREDENTIALS: &str = "secrets/kubernetes.io/serviceaccount";

/// The variables that name the API server.
pub(super) fn environment(server: &ApiServer) -> anyhow::Result<Vec<(&'static str, String)>> {
    let url = server.url();
    let (host, port) =
        url.strip_prefix("https://").and_then(|rest| rest.rsplit_once(':')).context("not a URL with a port")?;
    Ok(vec![("KUBERNETES_SERVICE_HOST", host.to_owned()), ("KUBERNETES_SERVICE_PORT", port.to_owned())])
}

/// Writes the files of a service account into `folder`.
pub(super) async fn write_credentials(
    client: &Client,
    namespace: &str,
    account: &str,
    ca: &Path,
    folder: &Path,
) -> anyhow::Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("token"), answer.status.context("the API server returned no token")?.token)?;
    fs::write(folder.join("namespace"), namespace)?;
    fs::copy(ca, folder.join("ca.crt"))?;
    Ok(())
}

/// Path of the program in its mount namespace, where any user can start it.
pub(super) const PROGRAM: &str = "/run/program";

/// A command that runs its further arguments in a mount namespace with its own `/run`, which has the files of `credentials`, and
/// `program` as [`PROGRAM`].
pub(super) fn command(credentials: &Path, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-ec"]);
    command.arg(format!(
        "mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/{CREDENTIALS}; cp \"$1\"/* /run/{CREDENTIALS}; \
         chmod 444 /run/{CREDENTIALS}/*; touch {PROGRAM}; mount --bind \"$2\" {PROGRAM}; shift 2; exec \"$@\""
    ));
    command.arg("sh").arg(credentials).arg(program);
    command
}
