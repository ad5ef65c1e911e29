//! Failures of lists and watches, in words that name the cure.

use std::fmt;
use std::time::Duration;

use kube::core::Status;

use super::super::selection::Selection;
use super::access::permission;
use crate::text::{error_chain, printable_within};

/// Most characters of a message of the API server or the system.
const LENGTH_LIMIT: usize = 400;

/// The request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    List,
    Watch,
}

/// Why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// An error status of the API server.
    Refused {
        code: u16,
        message: String,
        retry_after: Option<Duration>,
    },
    /// The API server no longer has the changes since our version (410): only a list helps.
    Expired,
    Unreachable(String),
    /// No answer within this time.
    Mute(Duration),
    /// The answer was cut off.
    Broken(String),
    /// A watch that ended at once, without an event.
    Short,
    /// A watch without events or bookmarks for this time.
    Quiet(Duration),
    /// A line or page over the limit in bytes.
    TooLong(usize),
    /// Not an answer of an API server.
    Unreadable(String),
}

/// A failed list or watch of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchFault {
    pub(super) selection: Selection,
    pub(super) verb: Verb,
    pub(super) cause: Cause,
}

impl Cause {
    pub(super) fn of_status(status: &Status) -> Self {
        if status.code == 410 {
            return Self::Expired;
        }
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        Self::Refused { code: status.code, message: printable_within(&status.message, LENGTH_LIMIT), retry_after }
    }

    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            other => Self::Unreachable(printable_within(&error_chain(other), LENGTH_LIMIT)),
        }
    }
}

impl fmt::Display for WatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            Verb::List => "list",
            Verb::Watch => "watch",
        };
        write!(f, "cannot {verb} {}: ", self.selection)?;
        match &self.cause {
            Cause::Refused { code: 403, message, .. } => {
                let role = match permission(self.selection).namespace {
                    Some(namespace) => format!("Role in namespace {namespace}"),
                    None => "ClusterRole".to_owned(),
                };
                write!(
                    f,
                    "forbidden: the {role} that allows it is missing, or not bound to our ServiceAccount ({message})"
                )
            }
            Cause::Refused { code: 401, message, .. } => {
                write!(f, "unauthorized: the API server does not accept our token or certificate ({message})")
            }
            Cause::Refused { code, message, .. } => write!(f, "the API server answers {code}: {message}"),
            Cause::Expired => f.write_str("the API server no longer has the changes since our version; listing again"),
            Cause::Unreachable(why) => write!(f, "the API server cannot be reached: {why}"),
            Cause::Mute(time) => write!(f, "the API server did not answer within {} s", time.as_secs()),
            Cause::Broken(why) => write!(f, "the connection to the API server broke: {why}"),
            Cause::Short => f.write_str("the API server ended the watch at once"),
            Cause::Quiet(time) => write!(f, "the API server has been silent for {} s", time.as_secs()),
            Cause::TooLong(limit) => write!(f, "the API server sends more than {limit} bytes at once"),
            Cause::Unreadable(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(selection: Selection, verb: Verb, cause: Cause) -> String {
        WatchFault { selection, verb, cause }.to_string()
    }

    #[test]
    fn a_fault_names_the_verb_the_selection_and_the_cure() {
        let refused = |code| Cause::Refused { code, message: "no".to_owned(), retry_after: None };
        assert_eq!(
            fault(Selection::KeyPair, Verb::List, refused(403)),
            "cannot list Secret d8-istio/d8-remote-authn-keypair: forbidden: the Role in namespace d8-istio that allows it \
             is missing, or not bound to our ServiceAccount (no)"
        );
        let nodes = fault(Selection::Nodes, Verb::Watch, refused(403));
        assert!(
            nodes.starts_with("cannot watch Nodes: forbidden: the ClusterRole that allows it is missing"),
            "{nodes}"
        );
        assert!(fault(Selection::Nodes, Verb::Watch, refused(401)).contains("does not accept our token"));
        assert_eq!(
            fault(Selection::Nodes, Verb::Watch, refused(500)),
            "cannot watch Nodes: the API server answers 500: no"
        );
    }

    #[test]
    fn foreign_messages_are_cut_and_printable() {
        let status: Status =
            serde_json::from_value(serde_json::json!({"code": 500, "message": format!("a\nb{}", "x".repeat(1000))}))
                .unwrap();
        let Cause::Refused { message, .. } = Cause::of_status(&status) else { panic!() };
        assert!(message.starts_with("a?bx") && message.len() == LENGTH_LIMIT, "{message}");
        let gone: Status = serde_json::from_value(serde_json::json!({"code": 410, "reason": "Expired"})).unwrap();
        assert_eq!(Cause::of_status(&gone), Cause::Expired);
    }
}
