//! The bindings that a hook reports to the operator.

/// The bindings of one hook. `None` or an empty list is not bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookConfig {
    /// Order among the hooks that run before Helm; addon-operator only.
    pub before_helm: Option<u32>,
    /// Runs on a schedule.
    pub schedule: Vec<Schedule>,
    /// Runs on changes of objects; also the source of the snapshots.
    pub kubernetes: Vec<KubernetesBinding>,
}

/// A run on a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Name of the binding.
    pub name: String,
    /// Five fields, or six with leading seconds, or `@every 1m`.
    pub crontab: String,
    /// Queue of the run; `main` when absent.
    pub queue: Option<String>,
}

/// Objects to watch. Their first listing starts the hook, and the module waits for that run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesBinding {
    /// Name of the binding, unique in the hook: the key of its snapshot.
    pub name: String,
    /// `group/version`, or `version` for the core group.
    pub api_version: String,
    /// Kind, as `ConfigMap`.
    pub kind: String,
    /// Only objects with one of these names; all when empty.
    pub match_names: Vec<String>,
    /// Only objects in these namespaces; in all when empty.
    pub namespaces: Vec<String>,
    /// Only objects with these labels.
    pub labels: Vec<(String, String)>,
    /// The part of each object that the snapshot keeps. With a filter the operator drops the full objects.
    pub jq_filter: Option<String>,
    /// Which events start the hook.
    pub events: Events,
    /// Queue of the run; `main` when absent.
    pub queue: Option<String>,
}

/// Which events of a binding start the hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Events {
    /// Every event.
    #[default]
    All,
    /// None: the binding is there for its snapshot.
    None,
}
