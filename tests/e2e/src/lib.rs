//! The harness: starts and stops real components, waits for conditions, and keeps logs of failures.

mod api_server;
mod audit;
pub mod bench;
mod component;
mod helm;
mod identity;
mod install;
pub mod mesh;
mod objects;
pub mod operator;
mod ports;
mod scratch;
mod shell_operator;
mod tools;
mod wait;

pub use api_server::{ApiServer, Part};
pub use audit::AuditEvent;
pub use component::Component;
pub use helm::Helm;
pub use install::Install;
pub use objects::{
    accepts, accepts_status, apply, create, install_crds, install_crds_of_others, parse_yaml, read_yaml,
};
pub use ports::free_port;
pub use scratch::Scratch;
pub use shell_operator::ShellOperator;
pub use tools::Tools;
pub use wait::until;
