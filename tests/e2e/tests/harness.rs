//! The harness itself, which the other tests rely on.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use istio_federation_e2e::{ApiServer, Helm, Part, apply, create, install_crds, until};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::DeleteParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_mins(1);

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "team"}, "data": {"key": "value"}})
}

#[tokio::test]
async fn controllers_collect_garbage_and_finish_namespaces() -> Result<()> {
    let server = ApiServer::start("harness-controllers").await?;
    let client = server.client().await?;
    install_crds(&client).await?;

    let made = apply(&client, &[namespace("team"), config_map("owner")]).await?;
    let mut owned = config_map("owned");
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": made[1].metadata.uid}]);
    apply(&client, &[owned]).await?;

    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "team");
    config_maps.delete("owner", &DeleteParams::default()).await?;
    until("the owned ConfigMap is collected", DEADLINE, async || match config_maps.get_opt("owned").await? {
        None => Ok(()),
        Some(_) => bail!("it is there"),
    })
    .await?;

    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete("team", &DeleteParams::default()).await?;
    until("the namespace is gone", DEADLINE, async || match namespaces.get_opt("team").await? {
        None => Ok(()),
        Some(namespace) => bail!("{:?}", namespace.status),
    })
    .await?;
    server.stop();
    Ok(())
}

#[tokio::test]
async fn restart_and_death_keep_the_data() -> Result<()> {
    let mut server = ApiServer::start("harness-restart").await?;
    let client = server.client().await?;
    apply(&client, &[namespace("team"), config_map("kept")]).await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client, "team");

    server.restart_api_server().await?;
    config_maps.get("kept").await.context("after a restart")?;

    for part in [Part::Server, Part::Etcd] {
        server.kill(part);
        // Without etcd the server does not refuse: it waits for a minute.
        let answer = tokio::time::timeout(Duration::from_secs(2), config_maps.get("kept")).await;
        ensure!(!matches!(answer, Ok(Ok(_))), "it answers without its {part:?}");
        server.start_again(part).await?;
        config_maps.get("kept").await.with_context(|| format!("after the death of its {part:?}"))?;
    }
    server.stop();
    Ok(())
}

#[tokio::test]
async fn writes_are_strict_and_audited_by_user() -> Result<()> {
    let server = ApiServer::start("harness-writes").await?;
    let client = server.client().await?;
    apply(&client, &[namespace("team")]).await?;

    let mut unknown = config_map("unknown-field");
    unknown["datta"] = json!({});
    for refusal in [create(&client, &unknown).await, apply(&client, &[unknown]).await.map(|mut all| all.remove(0))] {
        let refusal = format!("{:#}", refusal.expect_err("an unknown field was accepted"));
        ensure!(refusal.contains("datta"), "{refusal}");
    }

    // The same account, by impersonation and by token.
    let user = "system:serviceaccount:team:nobody";
    let impersonated = server.client_as(user, &["system:serviceaccounts", "system:authenticated"]).await?;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": "team"}});
    apply(&client, &[account]).await?;
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig_of("team", "nobody").await?)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    for nobody in [impersonated, Client::try_from(config)?] {
        create(&nobody, &namespace("other")).await.expect_err("it has no rights");
        let refusal = format!("{:#}", create(&nobody, &config_map("by-nobody")).await.expect_err("it has no rights"));
        ensure!(refusal.contains("forbidden") && refusal.contains(user), "{refusal}");
    }

    let writes = server.audit()?;
    let by_nobody = writes.iter().filter(|event| event.user == user);
    let denied: Vec<_> = by_nobody.map(|event| (event.verb.as_str(), event.resource.as_str(), event.code)).collect();
    ensure!(denied == [("create", "namespaces", 403), ("create", "configmaps", 403)].repeat(2), "{denied:?}");
    ensure!(
        writes.iter().any(|event| event.user == "admin"
            && event.resource == "namespaces"
            && event.name == "team"
            && event.code == 201),
        "{writes:?}"
    );
    server.stop();
    Ok(())
}

#[tokio::test]
async fn helm_renders_installs_and_uninstalls() -> Result<()> {
    let server = ApiServer::start("harness-helm").await?;
    let client = server.client().await?;
    let chart = tempfile::tempdir()?;
    std::fs::create_dir(chart.path().join("templates"))?;
    std::fs::write(
        chart.path().join("Chart.yaml"),
        "apiVersion: v2\nname: probe\nversion: 0.1.0\nicon: https://example.com/icon.png\n",
    )?;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: probe\n  namespace: {{ .Release.Namespace }}\ndata:\n  key: {{ .Values.key | quote }}\n  \
        has: {{ .Capabilities.APIVersions.Has \"example.com/v1/Probe\" | quote }}\n";
    std::fs::write(chart.path().join("templates/probe.yaml"), template)?;
    let values = json!({"key": "va\"lue"});

    let offline = Helm::offline()?;
    offline.lint("default", chart.path(), &values).await?;
    let rendered = offline.template("probe", "default", chart.path(), &values, &["example.com/v1/Probe"]).await?;
    ensure!(rendered.len() == 1 && rendered[0]["data"] == json!({"key": "va\"lue", "has": "true"}), "{rendered:?}");

    let helm = Helm::on(&server)?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client, "default");
    for value in ["one", "two"] {
        helm.upgrade("probe", "default", chart.path(), &json!({"key": value})).await?;
        let data = config_maps.get("probe").await?.data.context("no data")?;
        ensure!(data["key"] == value, "{data:?}");
    }
    helm.uninstall("probe", "default").await?;
    ensure!(config_maps.get_opt("probe").await?.is_none(), "the ConfigMap is still there");
    server.stop();
    Ok(())
}

#[tokio::test]
async fn death_of_the_process_ends_everything() -> Result<()> {
    let mut victim =
        Command::new(env!("CARGO_BIN_EXE_control-plane")).arg("harness-victim").stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(victim.stdout.take().context("no stdout")?).lines();
    lines.next().context("it did not come up")??;
    let mut running = children(victim.id())?;
    ensure!(running.len() == 3, "not etcd, kube-apiserver and kube-controller-manager: {running:?}");

    victim.kill()?;
    victim.wait()?;
    until("all have ended", DEADLINE, async || {
        running.retain(|process| is_running(*process));
        ensure!(running.is_empty(), "still running: {running:?}");
        Ok(())
    })
    .await
}

#[test]
fn a_missing_tool_is_an_error_that_names_the_command_to_get_it() -> Result<()> {
    let empty = tempfile::tempdir()?;
    let output = Command::new(env!("CARGO_BIN_EXE_control-plane")).env("XDG_CACHE_HOME", empty.path()).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && error.contains("make e2e-tools"), "{}: {error}", output.status);
    Ok(())
}

/// Child processes of all threads of a process.
fn children(process: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let children = std::fs::read_to_string(task?.path().join("children"))?;
        found.extend(children.split_whitespace().map(str::parse::<u32>).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

fn is_running(process: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
