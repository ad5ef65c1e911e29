//! A stand-in for addon-operator on a real API server, with real Helm: everything that a module can observe. It knows nothing of this
//! module, and has the command line of the real operator. Where the two differ, the real one is right.
//!
//! It leaves out: global hooks, hooks that are not a batch executable, several modules, values.yaml files, patches of settings, the rate
//! limit of object patches, and the regular check for missing objects of the release. Delays after failures are shorter.

mod config_map;
mod crontab;
mod folder;
mod hooks;
mod http;
mod informer;
mod life;
mod log;
mod objects;
mod queues;
mod release;
mod schemas;
mod settings;

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use anyhow::Context;
use istio_federation_sim::operator::config::MAIN;
use istio_federation_sim::operator::metrics::Metrics;
use istio_federation_sim::operator::values::ModuleValues;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource};
use kube::runtime::watcher;
use kube::{Client, Config};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

use self::config_map::Configured;
use self::folder::Folder;
use self::life::Phase;
use self::objects::Patcher;
use self::queues::{Outcome, Queue, Queues, Task};
use self::release::Release;
use self::schemas::Schemas;
pub use self::settings::Cli;
use self::settings::{Command, Settings};

/// First line of the output.
const GREETING: &str = "This is a STAND-IN for addon-operator, made for tests. It behaves like the real one as far as the two were compared.";

/// Initial values of a module in `folder`: a user's settings (`global`, and the module's section under `key`) and the defaults of its
/// schemas.
pub(crate) fn first_values(folder: &Path, key: &str, settings: &Value) -> anyhow::Result<Value> {
    Ok(Schemas::read(folder, key)?.filler()(settings))
}

/// An operator with one module.
struct Operator {
    settings: Settings,
    client: Client,
    folder: Folder,
    release: Release,
    patcher: Patcher,
    configured: RefCell<Configured>,
    values: RefCell<ModuleValues>,
    metrics: RefCell<Metrics>,
    queues: Queues,
    phase: RefCell<Phase>,
    converged: Cell<bool>,
}

/// Runs the command line.
#[expect(clippy::print_stdout, reason = "the greeting, and Helm's manifests")]
pub fn main(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::PostRender => {
            let mut manifests = String::new();
            std::io::stdin().read_to_string(&mut manifests)?;
            print!("{}", release::post_render(&manifests)?);
            Ok(())
        }
        Command::Start(settings) => {
            println!("{GREETING}");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(LocalSet::new().run_until(start(settings)))
        }
    }
}

/// Runs until SIGTERM or SIGINT.
async fn start(settings: Settings) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    fs::create_dir_all(&settings.tmp_dir)?;
    fs::read_dir(&settings.global_hooks_dir).context("the folder of global hooks has to exist")?;
    let client = Client::try_from(Config::infer().await?)?;
    let folder = Folder::find(&settings.modules_dir)?;
    let config_map: Api<ConfigMap> = Api::namespaced(client.clone(), &settings.namespace);
    let config_map = config_map.get(&settings.config_map).await.context("the ConfigMap with the settings")?;
    let configured = Configured::read(&config_map, &folder.key)?;
    folder.schemas.check_config(&configured.sections).map_err(anyhow::Error::msg).context("settings")?;
    let values = ModuleValues::with_base(&folder.key, configured.sections.clone(), folder.schemas.filler());
    let operator = Rc::new(Operator {
        release: Release::new(client.clone(), &folder.name, &settings.namespace)?,
        patcher: Patcher::new(client.clone()),
        configured: RefCell::new(configured),
        values: RefCell::new(values),
        metrics: RefCell::default(),
        queues: Queues::default(),
        phase: RefCell::new(Phase::Off),
        converged: Cell::new(false),
        settings,
        client,
        folder,
    });
    http::serve(operator.clone()).await?;
    operator.queue(MAIN).push(Task::Converge);
    operator.watch_settings();
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    log::info("operator", "ends");
    Ok(())
}

impl Operator {
    /// The queue `name`, with a worker.
    fn queue(self: &Rc<Self>, name: &str) -> Rc<Queue> {
        let (queue, is_new) = self.queues.get(name);
        if is_new {
            let (operator, worked) = (self.clone(), queue.clone());
            spawn_local(async move { worked.work(async |task| operator.perform(task).await).await });
        }
        queue
    }

    async fn perform(self: &Rc<Self>, task: Task) -> anyhow::Result<Outcome> {
        match task {
            Task::Converge => self.converge().await,
            Task::Settings => self.read_settings().await,
            Task::ModuleRun => self.module_run().await,
            Task::Hook(run) => self.hook_run(&run).await,
        }
    }

    fn values_of(&self, sections: &Value) -> ModuleValues {
        ModuleValues::with_base(&self.folder.key, sections.clone(), self.folder.schemas.filler())
    }

    fn watch_settings(self: &Rc<Self>) {
        let api =
            Api::namespaced_with(self.client.clone(), &self.settings.namespace, &ApiResource::erase::<ConfigMap>(&()));
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.settings.config_map));
        let queue = self.queue(MAIN);
        informer::watch(api, config, move || queue.push_first(Task::Settings));
    }

    /// Reads changed settings. While they are refused, this is retried and blocks the queue `main`.
    async fn read_settings(self: &Rc<Self>) -> anyhow::Result<Outcome> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.settings.namespace);
        let config_map = api.get(&self.settings.config_map).await.context("the ConfigMap with the settings")?;
        let new = Configured::read(&config_map, &self.folder.key)?;
        let old = self.configured.borrow().clone();
        // As in the real operator: a change of the switch alone is noticed only with the next change of the section.
        if new.sections == old.sections {
            return Ok(Outcome::Done);
        }
        self.folder.schemas.check_config(&new.sections).map_err(anyhow::Error::msg).context("settings")?;
        self.values.borrow_mut().set_config(new.sections.clone())?;
        self.configured.replace(new);
        log::info("settings", "changed");
        self.queue(MAIN).push(Task::Converge);
        Ok(Outcome::Done)
    }
}
