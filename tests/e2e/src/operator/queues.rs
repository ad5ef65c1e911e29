//! Queues of tasks, with one worker each. A task that fails stays at the head of its queue and is retried.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::log;

/// Delay of a retry; the real operator waits 5 s to 32 s.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// Delay before a task that waits for others is tried again.
const TICK: Duration = Duration::from_millis(125);
/// Above this length, tasks of one hook are merged even if others are between them.
const CROWDED: usize = 100;

/// A task.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Bring the cluster to the state of the settings.
    Converge,
    /// Read the settings again.
    Settings,
    /// Hooks before Helm, Helm, hooks after Helm.
    ModuleRun,
    /// A run of a hook.
    Hook(HookRun),
}

/// A run of a hook, with its snapshots at the time of the run.
#[derive(Clone, Debug)]
pub(super) struct HookRun {
    /// Index of the hook.
    pub(super) hook: usize,
    /// The last binding that queued it.
    pub(super) binding: String,
    /// Number of first runs, which the module waits for, that are merged in it.
    pub(super) awaited: usize,
    /// Whether it is a binding's first run, on objects that existed before.
    pub(super) is_first: bool,
}

/// Result of a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It must wait for others.
    Again,
}

/// All queues, by name.
#[derive(Default)]
pub(super) struct Queues {
    queues: RefCell<BTreeMap<String, Rc<Queue>>>,
}

impl Queues {
    /// The queue `name`, and whether it is new: then the caller must start its worker.
    pub(super) fn get(&self, name: &str) -> (Rc<Queue>, bool) {
        let mut queues = self.queues.borrow_mut();
        if let Some(queue) = queues.get(name) {
            return (queue.clone(), false);
        }
        let queue = Rc::new(Queue::new(name));
        queues.insert(name.to_owned(), queue.clone());
        (queue, true)
    }

    /// Drops all runs of hooks that have not started.
    pub(super) fn forget_hooks(&self) {
        for queue in self.queues.borrow().values() {
            queue.tasks.borrow_mut().retain(|(_, task)| !matches!(task, Task::Hook(_)));
        }
    }
}

/// One queue.
pub(super) struct Queue {
    name: String,
    tasks: RefCell<VecDeque<(u64, Task)>>,
    next: Cell<u64>,
    added: Notify,
}

impl Queue {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), tasks: RefCell::default(), next: Cell::new(0), added: Notify::new() }
    }

    pub(super) fn push(&self, task: Task) {
        let mut tasks = self.tasks.borrow_mut();
        if let (Task::Hook(run), true) = (&task, tasks.len() > CROWDED) {
            let waiting = tasks.iter_mut().skip(1).find_map(|(_, other)| match other {
                Task::Hook(other) if other.hook == run.hook => Some(other),
                _ => None,
            });
            if let Some(waiting) = waiting {
                waiting.merge(run);
                return;
            }
        }
        let id = self.next.replace(self.next.get() + 1);
        tasks.push_back((id, task));
        self.added.notify_one();
    }

    /// Adds a task at the head, even before a failing task.
    pub(super) fn push_first(&self, task: Task) {
        let id = self.next.replace(self.next.get() + 1);
        self.tasks.borrow_mut().push_front((id, task));
        self.added.notify_one();
    }

    /// Adds a run of the module, unless one is waiting.
    pub(super) fn push_module_run(&self) {
        let waits = self.tasks.borrow().iter().skip(1).any(|(_, task)| matches!(task, Task::ModuleRun));
        if !waits {
            self.push(Task::ModuleRun);
        }
    }

    /// Performs one task after the other, forever.
    pub(super) async fn work(&self, perform: impl AsyncFn(Task) -> anyhow::Result<Outcome>) {
        let mut failing: Option<(u64, Duration)> = None;
        loop {
            let Some((id, task)) = self.head() else {
                self.added.notified().await;
                continue;
            };
            match perform(task).await {
                Ok(Outcome::Done) => {
                    self.tasks.borrow_mut().retain(|(other, _)| *other != id);
                }
                Ok(Outcome::Again) => tokio::time::sleep(TICK).await,
                Err(why) => {
                    let delay = match failing {
                        Some((same, delay)) if same == id => (delay * 2).min(LONGEST_DELAY),
                        _ => FIRST_DELAY,
                    };
                    failing = Some((id, delay));
                    log::error(&format!("queue {}", self.name), format!("retry in {delay:?}: {why:#}"));
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    /// The head, merged with the runs of the same hook right behind it.
    fn head(&self) -> Option<(u64, Task)> {
        let mut tasks = self.tasks.borrow_mut();
        while let Some((_, Task::Hook(second))) = tasks.get(1).cloned()
            && let Some((_, Task::Hook(first))) = tasks.front_mut()
            && first.hook == second.hook
        {
            first.merge(&second);
            tasks.remove(1);
        }
        tasks.front().cloned()
    }
}

impl HookRun {
    fn merge(&mut self, later: &Self) {
        self.binding.clone_from(&later.binding);
        self.awaited += later.awaited;
        // First runs merged with an event are an event.
        self.is_first &= later.is_first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(hook: usize, binding: &str) -> Task {
        Task::Hook(HookRun { hook, binding: binding.to_owned(), awaited: 1, is_first: true })
    }

    async fn done(queue: &Queue, count: usize) -> Vec<String> {
        let (done, failed) = (RefCell::new(Vec::new()), Cell::new(false));
        let work = queue.work(async |task| {
            let text = match task {
                Task::Hook(run) => format!("{}{}x{}", run.hook, run.binding, run.awaited),
                other => format!("{other:?}"),
            };
            done.borrow_mut().push(text);
            if !failed.replace(true) {
                anyhow::bail!("once");
            }
            Ok(Outcome::Done)
        });
        let enough = async {
            while done.borrow().len() < count {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = enough => {}
        }
        done.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_task_stays_first_and_neighbouring_runs_of_a_hook_merge() {
        let queue = Queue::new("q");
        for task in [run(0, "a"), run(0, "b"), run(1, "c"), run(0, "d")] {
            queue.push(task);
        }
        assert_eq!(done(&queue, 4).await, ["0bx2", "0bx2", "1cx1", "0dx1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_module_run_is_not_repeated_and_settings_go_first() {
        let queue = Queue::new("main");
        queue.push(Task::Converge);
        queue.push_module_run();
        queue.push_module_run();
        queue.push_first(Task::Settings);
        assert_eq!(done(&queue, 4).await, ["Settings", "Settings", "Converge", "ModuleRun"]);
    }
}
