//! The Kubernetes API as a source of objects: a list and a watch for each selection.
//!
//! Each selection has a [`reflector`]: it lists, watches from there, resumes a watch that ended, and lists again when it
//! cannot resume. While reading, [`decode`] keeps only the members that we need. kube's own watcher hides when a watch
//! has recovered, which decides whether a document is stale, so it is not used.

pub mod access;
mod backoff;
mod decode;
mod reflector;
mod requests;
#[cfg(test)]
mod tests;
mod watch_fault;
mod watch_set;
mod watch_stream;

pub use watch_set::ConnectError;
pub(super) use watch_set::WatchSet;
