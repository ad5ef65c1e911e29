//! The hooks of an enabled module: their informers and schedules, and their runs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use istio_federation_sim::operator::config::{Hook, Lifecycle};
use istio_federation_sim::operator::{Executable, Inputs, context, patches};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::crontab::Crontab;
use super::informer::{self, Store};
use super::queues::{HookRun, Task};
use super::{Operator, log};

/// The hooks of an enabled module. Dropping them ends their informers and schedules.
pub(super) struct Hooks {
    executable: Executable,
    all: Vec<Rc<Hook>>,
    stores: RefCell<Vec<Vec<Rc<Store>>>>,
    /// First runs that the module waits for.
    pub(super) awaited: Cell<usize>,
    tasks: RefCell<JoinSet<()>>,
}

impl Hooks {
    /// Loads the executable.
    pub(super) async fn load(operator: &Operator) -> anyhow::Result<Self> {
        let executable = Executable::new(&operator.folder.executable()?, &[]);
        let hooks: Vec<Rc<Hook>> = executable.hooks().await?.into_iter().map(Rc::new).collect();
        let names: Vec<&str> = hooks.iter().map(|hook| hook.name.as_str()).collect();
        log::info("hooks", format!("{}: {}", hooks.len(), names.join(", ")));
        let (stores, awaited, tasks) = (RefCell::default(), Cell::new(0), RefCell::default());
        Ok(Self { executable, all: hooks, stores, awaited, tasks })
    }

    /// Hooks of a lifecycle binding, by order, then by name.
    pub(super) fn bound_to(&self, order: impl Fn(Lifecycle) -> Option<u32>) -> Vec<usize> {
        let orders = self.all.iter().filter_map(|hook| Some((order(hook.lifecycle)?, &hook.name, hook.index)));
        let mut bound: Vec<_> = orders.collect();
        bound.sort();
        bound.into_iter().map(|(_, _, index)| index).collect()
    }

    /// Starts all informers, and waits until they have listed.
    pub(super) async fn listen(&self, operator: &Rc<Operator>) -> anyhow::Result<()> {
        self.tasks.borrow_mut().abort_all();
        let mut all = Vec::new();
        for hook in &self.all {
            let mut stores = Vec::new();
            for (index, binding) in hook.bindings.iter().enumerate() {
                let (queue, on_event) = (operator.queue(&binding.queue), binding.on_event);
                let event = HookRun { hook: hook.index, binding: binding.name.clone(), awaited: 0, is_first: false };
                let notify = move || {
                    if on_event {
                        queue.push(Task::Hook(event.clone()));
                    }
                };
                stores.push(informer::start(&operator.client, hook, index, &self.tasks, Rc::new(notify)).await?);
            }
            all.push(stores);
        }
        self.stores.replace(all);
        Ok(())
    }

    /// Queues each binding's first run, on the existing objects.
    pub(super) fn synchronize(&self, operator: &Rc<Operator>) {
        for hook in &self.all {
            for binding in hook.bindings.iter().filter(|binding| binding.on_synchronization) {
                let awaited = usize::from(binding.waited_for);
                self.awaited.set(self.awaited.get() + awaited);
                let first = HookRun { hook: hook.index, binding: binding.name.clone(), awaited, is_first: true };
                operator.queue(&binding.queue).push(Task::Hook(first));
            }
        }
    }

    /// Starts the schedules; they fire once the operator has converged.
    pub(super) fn start_schedules(&self, operator: &Rc<Operator>) -> anyhow::Result<()> {
        for hook in &self.all {
            for schedule in &hook.schedules {
                let crontab = Crontab::parse(&schedule.crontab)?;
                let (operator, queue) = (operator.clone(), operator.queue(&schedule.queue));
                let run = HookRun { hook: hook.index, binding: schedule.name.clone(), awaited: 0, is_first: false };
                self.tasks.borrow_mut().spawn_local(async move {
                    loop {
                        let now = Timestamp::now();
                        let left = 1_000_000_000 - now.subsec_nanosecond();
                        tokio::time::sleep(Duration::from_nanos(left.unsigned_abs().into())).await;
                        let second = Timestamp::now().to_zoned(TimeZone::UTC).datetime();
                        if operator.converged.get() && crontab.fires_at(second) {
                            queue.push(Task::Hook(run.clone()));
                        }
                    }
                });
            }
        }
        Ok(())
    }

    /// Runs a hook for a kubernetes or schedule binding. Returns whether the values changed.
    pub(super) async fn run_group(&self, operator: &Operator, run: &HookRun) -> anyhow::Result<bool> {
        let changed =
            self.run(operator, run.hook, &run.binding, context::group(&run.binding, self.snapshots(run.hook))).await?;
        self.awaited.set(self.awaited.get().saturating_sub(run.awaited));
        Ok(changed)
    }

    /// Runs the hooks of a lifecycle binding, one after the other. Returns whether the values changed.
    pub(super) async fn run_lifecycle(
        &self,
        operator: &Operator,
        binding: &str,
        order: impl Fn(Lifecycle) -> Option<u32>,
    ) -> anyhow::Result<bool> {
        let mut changed = false;
        for hook in self.bound_to(order) {
            let context = match binding {
                "onStartup" => context::on_startup(),
                _ => context::lifecycle(binding, self.snapshots(hook)),
            };
            changed |= self.run(operator, hook, binding, context).await?;
        }
        Ok(changed)
    }

    fn snapshots(&self, hook: usize) -> Map<String, Value> {
        let stores = self.stores.borrow();
        let stores = stores.get(hook).into_iter().flatten();
        let bindings = self.all[hook].bindings.iter();
        bindings.zip(stores).map(|(binding, store)| (binding.name.clone(), store.snapshot())).collect()
    }

    async fn run(&self, operator: &Operator, hook: usize, cause: &str, context: Value) -> anyhow::Result<bool> {
        let hook = &self.all[hook];
        // The files of the last run for each cause stay, for debugging.
        let files = operator.settings.tmp_dir.join(format!("{}.{}", hook.name, cause).replace('/', "-"));
        let (values, config_values) = {
            let values = operator.values.borrow();
            (values.document().clone(), values.config_document())
        };
        let inputs = Inputs { module: &operator.folder.name, context, values: &values, config_values };
        let outputs = self.executable.run(hook, &files, inputs).await?;
        for line in outputs.log.lines() {
            log::info(&format!("{} ({cause})", hook.name), line);
        }
        let operations = patches::parse(&outputs.objects).with_context(|| hook.name.clone())?;
        operator.metrics.borrow_mut().apply(&hook.name, &outputs.metrics).map_err(anyhow::Error::msg)?;
        let mut failures = Vec::new();
        for operation in &operations {
            if let Err(why) = operator.patcher.apply(operation).await {
                failures.push(format!("{why:#}"));
            }
        }
        if !operations.is_empty() {
            let done = operations.len() - failures.len();
            log::info(&format!("{} ({cause})", hook.name), format!("{done} of {} object patches", operations.len()));
        }
        if !failures.is_empty() {
            bail!("hook {}: {}", hook.name, failures.join("; "));
        }
        if !outputs.config_values.is_empty() {
            bail!("hook {} changes settings: the stand-in cannot", hook.name);
        }
        let schemas = &operator.folder.schemas;
        let changed = operator
            .values
            .borrow_mut()
            .patch_checked(&outputs.values, |values| schemas.check_values(values))
            .with_context(|| hook.name.clone())?;
        if changed {
            log::info(&format!("{} ({cause})", hook.name), "changed the values");
        }
        Ok(changed)
    }
}
