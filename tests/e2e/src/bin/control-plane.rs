//! A control plane for people, with all CRDs: prints the KUBECONFIG for kubectl and helm, and lasts until Ctrl-C.

use istio_federation_e2e::{ApiServer, install_crds};

#[expect(clippy::print_stdout, reason = "prints the path")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "control-plane".to_owned());
    let server = ApiServer::start(&name).await?;
    install_crds(&server.client().await?).await?;
    println!("export KUBECONFIG={}", server.kubeconfig().display());
    tokio::signal::ctrl_c().await?;
    server.stop();
    Ok(())
}
