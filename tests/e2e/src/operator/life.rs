//! The life cycle of a module: on, off, and a run for every change of its values.

use std::process::Stdio;
use std::rc::Rc;
use std::{fs, mem};

use anyhow::{Context, bail, ensure};
use istio_federation_sim::operator::config::MAIN;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::{Error, ResourceExt};
use serde_json::{Value, json};
use tokio::process::Command;

use super::hooks::Hooks;
use super::queues::{HookRun, Outcome};
use super::{Operator, log};

/// State of a module.
#[derive(Clone)]
pub(super) enum Phase {
    /// It is off.
    Off,
    /// Its hooks have to be loaded and synchronized.
    Startup,
    /// The first runs of hooks are in progress.
    Synchronizing(Rc<Hooks>),
    /// Runs of the module begin with hooks before Helm.
    On(Rc<Hooks>),
}

impl Phase {
    fn hooks(&self) -> Option<&Rc<Hooks>> {
        match self {
            Self::Off | Self::Startup => None,
            Self::Synchronizing(hooks) | Self::On(hooks) => Some(hooks),
        }
    }
}

impl Operator {
    /// Switches the module on or off, according to the settings and its own script.
    pub(super) async fn converge(self: &Rc<Self>) -> anyhow::Result<Outcome> {
        let is_on = !matches!(*self.phase.borrow(), Phase::Off);
        if self.is_enabled().await? {
            if !is_on {
                self.ensure_crds().await?;
                self.phase.replace(Phase::Startup);
                log::info("module", "on");
            }
            self.queue(MAIN).push_module_run();
            return Ok(Outcome::Done);
        }
        if is_on || self.release.exists().await? {
            self.delete().await?;
        }
        self.converged.set(true);
        Ok(Outcome::Done)
    }

    /// One step of a run of the module.
    pub(super) async fn module_run(self: &Rc<Self>) -> anyhow::Result<Outcome> {
        let phase = self.phase.borrow().clone();
        match phase {
            Phase::Off => Ok(Outcome::Done),
            Phase::Startup => {
                let hooks = Rc::new(Hooks::load(self).await?);
                hooks.run_lifecycle(self, "onStartup", |lifecycle| lifecycle.on_startup).await?;
                hooks.listen(self).await?;
                self.phase.replace(Phase::Synchronizing(hooks.clone()));
                hooks.synchronize(self);
                Ok(Outcome::Again)
            }
            Phase::Synchronizing(hooks) => {
                if hooks.awaited.get() == 0 {
                    hooks.start_schedules(self)?;
                    self.phase.replace(Phase::On(hooks));
                }
                Ok(Outcome::Again)
            }
            Phase::On(hooks) => {
                hooks.run_lifecycle(self, "beforeHelm", |lifecycle| lifecycle.before_helm).await?;
                if self.folder.has_chart() {
                    let values = self.values.borrow().document().clone();
                    let check = self.folder.schemas.check_helm(&values);
                    check.map_err(anyhow::Error::msg).context("values before Helm")?;
                    self.release.upgrade(&self.folder.path, &values).await?;
                }
                if hooks.run_lifecycle(self, "afterHelm", |lifecycle| lifecycle.after_helm).await? {
                    return Ok(Outcome::Again);
                }
                if !self.converged.replace(true) {
                    log::info("module", "converged");
                }
                Ok(Outcome::Done)
            }
        }
    }

    /// A run of a hook; if it changes values, a run of the module follows.
    pub(super) async fn hook_run(self: &Rc<Self>, run: &HookRun) -> anyhow::Result<Outcome> {
        let hooks = self.phase.borrow().hooks().cloned();
        // A hook of a module that is off, or not loaded again yet.
        let Some(hooks) = hooks else { return Ok(Outcome::Done) };
        if hooks.run_group(self, run).await? && !run.is_first {
            self.queue(MAIN).push_module_run();
        }
        Ok(Outcome::Done)
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let hooks = self.phase.borrow().hooks().cloned();
        if let Some(hooks) = &hooks {
            hooks.run_lifecycle(self, "beforeDeleteHelm", |lifecycle| lifecycle.before_delete_helm).await?;
        }
        if self.release.exists().await? {
            self.release.uninstall().await?;
        }
        if let Some(hooks) = &hooks {
            hooks.run_lifecycle(self, "afterDeleteHelm", |lifecycle| lifecycle.after_delete_helm).await?;
        }
        drop(mem::replace(&mut *self.phase.borrow_mut(), Phase::Off));
        self.queues.forget_hooks();
        self.values.replace(self.values_of(&self.configured.borrow().sections));
        log::info("module", "off");
        Ok(())
    }

    /// Whether the settings and the module's script both enable it.
    async fn is_enabled(&self) -> anyhow::Result<bool> {
        if !self.configured.borrow().enabled {
            return Ok(false);
        }
        let Some(script) = self.folder.enabled_script() else { return Ok(true) };
        let (values, config) = {
            let values = self.values.borrow();
            (values.document().clone(), values.config_document())
        };
        let mut values: Value = values;
        values["global"]["enabledModules"] = json!([]);
        let file = |name: &str| self.settings.tmp_dir.join(format!("enabled.{name}"));
        fs::write(file("values.json"), values.to_string())?;
        fs::write(file("config_values.json"), config.to_string())?;
        for name in ["result", "reason"] {
            fs::write(file(name), "")?;
        }
        let output = Command::new(&script)
            .env("VALUES_PATH", file("values.json"))
            .env("CONFIG_VALUES_PATH", file("config_values.json"))
            .env("MODULE_ENABLED_RESULT", file("result"))
            .env("MODULE_ENABLED_REASON", file("reason"))
            .stdin(Stdio::null())
            .output()
            .await
            .with_context(|| script.display().to_string())?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}: {}", script.display(), output.status, stderr.trim());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            log::info("enabled", line);
        }
        // As in the real operator, the reason file is for programs; a message for people must be on stdout.
        match fs::read_to_string(file("result"))?.trim() {
            "true" => Ok(true),
            "false" => {
                log::info("module", "disabled by its script");
                Ok(false)
            }
            other => bail!("{} printed {other:?}, neither true nor false", script.display()),
        }
    }

    /// Applies the module's CRDs.
    async fn ensure_crds(&self) -> anyhow::Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for document in self.folder.crds()? {
            let mut crd: CustomResourceDefinition = serde_json::from_value(document)?;
            crd.labels_mut().insert("heritage".to_owned(), "addon-operator".to_owned());
            let name = crd.name_any();
            match api.create(&PostParams::default(), &crd).await {
                Err(Error::Api(status)) if status.code == 409 => {
                    let old = api.get(&name).await?;
                    crd.metadata.resource_version = old.metadata.resource_version;
                    crd.spec.conversion = old.spec.conversion;
                    api.replace(&name, &PostParams::default(), &crd).await?;
                }
                created => drop(created?),
            }
            log::info("module", format!("ensured CRD {name}"));
        }
        Ok(())
    }
}
