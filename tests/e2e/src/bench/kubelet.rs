//! A stand-in for the kubelet: runs the container of a Deployment with the rendered command, arguments, environment and user, in its own
//! network namespace, with the token of its service account in the usual place.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use kube::Client;
use kube::api::Api;

use super::pod;
use super::room::Room;
use crate::{ApiServer, Component};

const PAUSE: Duration = Duration::from_millis(200);

/// Runs one Deployment, one replica, on one cluster.
pub struct Kubelet {
    /// Its network namespace.
    pub(crate) room: Room,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    held: bool,
    running: Option<(PodSpec, Component)>,
}

impl Kubelet {
    /// Runs the Deployment `namespace`/`name` whenever it exists. `images` has a program for each tag of its image.
    pub(super) async fn start(
        server: &ApiServer,
        room: &Room,
        (namespace, name): (&str, &str),
        images: &Path,
    ) -> anyhow::Result<Self> {
        let client = server.client().await?;
        room.show(server.url().rsplit(':').next().context("no port")?.parse()?).await?;
        let node = Node {
            deployments: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            images: images.to_owned(),
            room: room.file().to_owned(),
            server: pod::environment(server)?,
            data: server.scratch().data(),
            logs: server.scratch().logs(),
            ca: server.ca_file(),
        };
        let state = Arc::new(Mutex::new(State::default()));
        let (name, shared) = (name.to_owned(), state.clone());
        tokio::spawn(async move {
            loop {
                if let Err(why) = node.step(&name, &shared).await {
                    say(&format!("{why:#}"));
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { room: room.clone(), state })
    }

    /// Kills it with SIGKILL. It stays down until [`Kubelet::release`].
    pub fn kill(&self) {
        let mut state = lock(&self.state);
        state.held = true;
        state.running = None;
    }

    /// Starts it again.
    pub fn release(&self) {
        lock(&self.state).held = false;
    }

    /// The image that it runs.
    #[must_use]
    pub fn image(&self) -> Option<String> {
        lock(&self.state).running.as_ref().and_then(|(spec, _)| spec.containers.first()?.image.clone())
    }

    /// Its process ID, for measurements.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        lock(&self.state).running.as_ref().map(|(_, component)| component.id())
    }
}

struct Node {
    client: Client,
    deployments: Api<Deployment>,
    namespace: String,
    images: PathBuf,
    room: PathBuf,
    server: Vec<(&'static str, String)>,
    data: PathBuf,
    logs: PathBuf,
    ca: PathBuf,
}

impl Node {
    /// Brings the running container to the desired state.
    async fn step(&self, name: &str, state: &Mutex<State>) -> anyhow::Result<()> {
        // While the API server is down, the container keeps running.
        let Ok(deployment) = self.deployments.get_opt(name).await else { return Ok(()) };
        let wanted = deployment.and_then(|deployment| deployment.spec?.template.spec);
        let current = {
            let mut state = lock(state);
            let is_alive = state.running.as_mut().is_none_or(|(_, component)| component.check().is_ok());
            if !is_alive || state.running.as_ref().map(|(spec, _)| spec) != wanted.as_ref() {
                state.running = None;
            }
            state.held || state.running.is_some()
        };
        let (false, Some(wanted)) = (current, wanted) else { return Ok(()) };
        let command = self.command(name, &wanted).await?;
        let component = Component::start(name, &self.logs, command)?;
        lock(state).running = Some((wanted, component));
        Ok(())
    }

    async fn command(&self, name: &str, spec: &PodSpec) -> anyhow::Result<Command> {
        let [container] = &spec.containers[..] else { bail!("{name}: {} containers", spec.containers.len()) };
        let credentials = self.data.join(format!("account-of-{name}"));
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        pod::write_credentials(&self.client, &self.namespace, account, &self.ca, &credentials).await?;
        let user = |read: fn(&k8s_openapi::api::core::v1::PodSecurityContext) -> Option<i64>| {
            spec.security_context.as_ref().and_then(read).unwrap_or_default().to_string()
        };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.room.display()));
        let image = container.image.as_deref().unwrap_or_default();
        let program = self.images.join(image.rsplit(':').next().unwrap_or_default());
        ensure!(program.is_file(), "{name}: no image {image}");
        let inner = pod::command(&credentials, &program);
        command.arg("--").arg(inner.get_program()).args(inner.get_args());
        command.args(["setpriv", "--reuid", &user(|user| user.run_as_user), "--regid"]);
        command.args([&user(|user| user.run_as_group), "--clear-groups", "--pdeathsig", "KILL", "--"]);
        command.args(["env", "-i"]).args(self.server.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(environment(container)?);
        match container.command.as_deref() {
            None | Some([]) => command.arg(pod::PROGRAM),
            Some(command_line) => command.args(command_line),
        };
        command.args(container.args.iter().flatten());
        Ok(command)
    }
}

fn environment(container: &Container) -> anyhow::Result<Vec<String>> {
    let variables = container.env.iter().flatten();
    variables
        .map(|variable| match &variable.value_from {
            None => Ok(format!("{}={}", variable.name, variable.value.as_deref().unwrap_or_default())),
            Some(_) => bail!("{}: this kubelet supports plain values only", variable.name),
        })
        .collect()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stderr, reason = "a failure here explains a missing exporter")]
fn say(what: &str) {
    eprintln!("kubelet: {what}");
}
