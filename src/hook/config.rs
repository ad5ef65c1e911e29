//! What a hook tells the operator about itself: its bindings and settings.

use std::time::Duration;

/// The bindings of one hook. What is `None` or empty is not bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookConfig {
    /// Order among the hooks that run once when the operator, or the module, starts.
    pub on_startup: Option<u32>,
    /// Order among the hooks that run before Helm. This and the next three: addon-operator only.
    pub before_helm: Option<u32>,
    /// Order among the hooks that run after Helm.
    pub after_helm: Option<u32>,
    /// Order among the hooks that run before the release is deleted.
    pub before_delete_helm: Option<u32>,
    /// Order among the hooks that run after the release is deleted.
    pub after_delete_helm: Option<u32>,
    /// Runs by the clock.
    pub schedule: Vec<Schedule>,
    /// Runs by changes of objects; also the source of the snapshots.
    pub kubernetes: Vec<KubernetesBinding>,
    /// Limit on how often the hook runs.
    pub settings: Option<Settings>,
}

/// A run by the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Name of the binding.
    pub name: String,
    /// Five fields, or six with leading seconds, or `@every 1m`.
    pub crontab: String,
    /// Queue of the run; `main` when absent.
    pub queue: Option<String>,
    /// Whether a failed run counts as done. Addon-operator does not know it for schedules of batch hooks.
    pub allow_failure: bool,
    /// Further kubernetes bindings whose snapshots this one gets. All of the hook's own come by themselves.
    pub include_snapshots_from: Vec<String>,
}

/// Objects to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Only objects in namespaces with these labels.
    pub namespace_labels: Vec<(String, String)>,
    /// Only objects with these labels.
    pub labels: Vec<(String, String)>,
    /// Only objects whose labels satisfy all of these.
    pub label_expressions: Vec<LabelExpression>,
    /// Only objects whose fields satisfy all of these.
    pub fields: Vec<FieldSelector>,
    /// What the snapshot keeps of each object. With it the operator drops the full objects.
    pub jq_filter: Option<String>,
    /// Which events start the hook.
    pub events: Events,
    /// Whether the first listing starts the hook.
    pub on_synchronization: bool,
    /// Whether the module waits for the first run. `false` works only together with `queue`.
    pub wait_for_synchronization: bool,
    /// Queue of the run; `main` when absent.
    pub queue: Option<String>,
    /// Whether a failed run counts as done.
    pub allow_failure: bool,
    /// Further kubernetes bindings whose snapshots this one gets. All of the hook's own come by themselves.
    pub include_snapshots_from: Vec<String>,
}

impl Default for KubernetesBinding {
    /// The operators' defaults: every event and the first listing start the hook, and the module waits for it.
    fn default() -> Self {
        Self {
            name: String::new(),
            api_version: String::new(),
            kind: String::new(),
            match_names: Vec::new(),
            namespaces: Vec::new(),
            namespace_labels: Vec::new(),
            labels: Vec::new(),
            label_expressions: Vec::new(),
            fields: Vec::new(),
            jq_filter: None,
            events: Events::All,
            on_synchronization: true,
            wait_for_synchronization: true,
            queue: None,
            allow_failure: false,
            include_snapshots_from: Vec::new(),
        }
    }
}

/// Which events of a binding start the hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Events {
    /// Every event.
    #[default]
    All,
    /// None: the binding is there for its snapshot.
    None,
    /// These. The batch form knows only all or none: any event here means all there.
    Only(Vec<WatchEvent>),
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// It appeared.
    Added,
    /// It, or what the filter shows of it, changed.
    Modified,
    /// It is gone.
    Deleted,
}

impl WatchEvent {
    /// The operator's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "Added",
            Self::Modified => "Modified",
            Self::Deleted => "Deleted",
        }
    }
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelExpression {
    /// The label has one of the values.
    In(String, Vec<String>),
    /// The label is absent or has none of the values.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
}

/// A condition on a field that the API server can select by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSelector {
    /// As `metadata.name`.
    pub field: String,
    /// How it compares.
    pub operator: FieldOperator,
    /// With what.
    pub value: String,
}

/// How a field compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOperator {
    /// It is equal.
    Equals,
    /// It differs.
    NotEquals,
}

/// Limit on how often a hook runs: a token bucket. A run that waits for a token holds up its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// One token comes after each such interval.
    pub execution_min_interval: Duration,
    /// Tokens the bucket holds.
    pub execution_burst: u32,
}
