//! From the answers of a peer to its status: the cache, the conditions and their messages.

mod anchors;
mod exchange;
mod messages;
mod refusals;
mod schedule;
mod status;

pub use anchors::report_anchors;
pub use exchange::{Exchange, Fetch, Pace, PrivateAnswer};
pub use messages::of_refused_trust_domain;
pub use refusals::record_refusals;
pub use schedule::{AT_ONCE, TICK, due_peers};
pub use status::{Exchanged, NextStatus, StatusContext};
