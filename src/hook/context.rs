//! Binding contexts: why the operator started the hook.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::config::WatchEvent;
use super::snapshots::{Item, Items, Snapshots};

/// Why the hook runs, and the snapshots that came along.
///
/// Hooks of this executable get `OnStartup`, `Lifecycle` and `Group` contexts, from either operator; the others are here
/// because the protocol has them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BindingContext {
    /// The operator, or the module, starts. Never with snapshots.
    OnStartup,
    /// The clock.
    Schedule {
        /// Name of the binding.
        binding: String,
        /// What it includes.
        snapshots: Snapshots,
    },
    /// The first listing of a binding without group.
    Synchronization {
        /// Name of the binding.
        binding: String,
        /// What was found.
        objects: Items,
        /// What it includes.
        snapshots: Snapshots,
    },
    /// A change of an object in a binding without group.
    Event {
        /// Name of the binding.
        binding: String,
        /// What happened.
        watch_event: WatchEvent,
        /// To which object; for a deleted one, its last known state.
        item: Item,
        /// What it includes.
        snapshots: Snapshots,
    },
    /// Something happened in a binding with a group.
    Group {
        /// Name of the binding.
        binding: String,
        /// Name of the group.
        group: String,
        /// Of every binding of the group.
        snapshots: Snapshots,
    },
    /// A step in the life of a module.
    Lifecycle {
        /// Which one.
        step: Lifecycle,
        /// Of every binding of the hook.
        snapshots: Snapshots,
    },
    /// A question to an admission hook or a conversion hook; no such binding can be configured here.
    Review {
        /// Name of the binding.
        binding: String,
        /// What is asked.
        kind: ReviewKind,
        /// The question: an object with the member `request`.
        review: Item,
        /// What it includes.
        snapshots: Snapshots,
    },
    /// A context that this version does not know. Its snapshots count all the same.
    Unknown {
        /// Name of the binding, empty if it has none.
        binding: String,
        /// Its type, if it has one.
        kind: Option<String>,
        /// What came along.
        snapshots: Snapshots,
    },
}

/// What an admission or conversion hook is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewKind {
    /// Whether an object may be stored.
    Validating,
    /// How an object is to be changed before it is stored.
    Mutating,
    /// To bring objects into another version.
    Conversion {
        /// Their `group/version`.
        from: String,
        /// The wanted one.
        to: String,
    },
}

/// A step in the life of a module (the last two: of all modules, for global hooks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Before Helm.
    BeforeHelm,
    /// After Helm.
    AfterHelm,
    /// Before the release is deleted.
    BeforeDeleteHelm,
    /// After the release is deleted.
    AfterDeleteHelm,
    /// Before all modules.
    BeforeAll,
    /// After all modules.
    AfterAll,
}

impl Lifecycle {
    const ALL: [Self; 6] = [
        Self::BeforeHelm,
        Self::AfterHelm,
        Self::BeforeDeleteHelm,
        Self::AfterDeleteHelm,
        Self::BeforeAll,
        Self::AfterAll,
    ];

    /// The operator's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeHelm => "beforeHelm",
            Self::AfterHelm => "afterHelm",
            Self::BeforeDeleteHelm => "beforeDeleteHelm",
            Self::AfterDeleteHelm => "afterDeleteHelm",
            Self::BeforeAll => "beforeAll",
            Self::AfterAll => "afterAll",
        }
    }
}

impl BindingContext {
    /// Name of the binding.
    #[must_use]
    pub fn binding(&self) -> &str {
        match self {
            Self::OnStartup => "onStartup",
            Self::Lifecycle { step, .. } => step.as_str(),
            Self::Schedule { binding, .. }
            | Self::Synchronization { binding, .. }
            | Self::Event { binding, .. }
            | Self::Group { binding, .. }
            | Self::Review { binding, .. }
            | Self::Unknown { binding, .. } => binding,
        }
    }

    /// The snapshots that came along; none for `OnStartup`.
    #[must_use]
    pub fn snapshots(&self) -> Option<&Snapshots> {
        match self {
            Self::OnStartup => None,
            Self::Schedule { snapshots, .. }
            | Self::Synchronization { snapshots, .. }
            | Self::Event { snapshots, .. }
            | Self::Group { snapshots, .. }
            | Self::Lifecycle { snapshots, .. }
            | Self::Review { snapshots, .. }
            | Self::Unknown { snapshots, .. } => Some(snapshots),
        }
    }
}

impl<'de> Deserialize<'de> for BindingContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Element::deserialize(deserializer).map(Self::from)
    }
}

/// Everything that an element may have. Every member may be absent or null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    binding: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    group_name: Option<String>,
    watch_event: Option<String>,
    objects: Option<Items>,
    object: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "super::snapshots::even_null")]
    filter_result: Option<Box<RawValue>>,
    review: Option<Box<RawValue>>,
    from_version: Option<String>,
    to_version: Option<String>,
    snapshots: Option<Snapshots>,
}

impl From<Element> for BindingContext {
    fn from(element: Element) -> Self {
        let binding = element.binding.unwrap_or_default();
        let snapshots = element.snapshots.unwrap_or_default();
        let Some(kind) = element.kind else {
            if binding == "onStartup" {
                return Self::OnStartup;
            }
            return match Lifecycle::ALL.into_iter().find(|step| step.as_str() == binding) {
                Some(step) => Self::Lifecycle { step, snapshots },
                None => Self::Unknown { binding, kind: None, snapshots },
            };
        };
        let watch_event = match element.watch_event.as_deref() {
            Some("Added") => Some(WatchEvent::Added),
            Some("Modified") => Some(WatchEvent::Modified),
            Some("Deleted") => Some(WatchEvent::Deleted),
            _ => None,
        };
        match (kind.as_str(), watch_event, element.objects, element.review) {
            ("Schedule", ..) => Self::Schedule { binding, snapshots },
            ("Synchronization", _, Some(objects), _) => Self::Synchronization { binding, objects, snapshots },
            ("Event", Some(watch_event), ..) => {
                let item = Item::new(element.object, element.filter_result);
                Self::Event { binding, watch_event, item, snapshots }
            }
            ("Group", ..) => Self::Group { binding, group: element.group_name.unwrap_or_default(), snapshots },
            ("Validating", _, _, Some(review)) => {
                Self::Review { binding, kind: ReviewKind::Validating, review: Item::new(Some(review), None), snapshots }
            }
            ("Mutating", _, _, Some(review)) => {
                Self::Review { binding, kind: ReviewKind::Mutating, review: Item::new(Some(review), None), snapshots }
            }
            ("Conversion", _, _, Some(review)) => {
                let (from, to) = (element.from_version.unwrap_or_default(), element.to_version.unwrap_or_default());
                let kind = ReviewKind::Conversion { from, to };
                Self::Review { binding, kind, review: Item::new(Some(review), None), snapshots }
            }
            _ => Self::Unknown { binding, kind: Some(kind), snapshots },
        }
    }
}

#[cfg(test)]
#[path = "tests/context.rs"]
mod tests;
