//! Replays snapshots: runs the released hook executable on files like an operator's, against scripted peers with real
//! TLS, and compares its output with the expectation of the case. Other cases send requests to the released exporter.
//! See `tests/replay/README.md`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

mod common;
#[path = "replay/harness/mod.rs"]
mod harness;

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use harness::Used;

/// Cases mostly wait, for a process or for a slow peer.
const THREADS: usize = 4;

#[test]
fn every_case_replays() {
    let only = std::env::var("REPLAY").unwrap_or_default();
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let all = harness::case::names();
    let mut names: Vec<&String> = all.iter().filter(|name| name.contains(&only)).collect();
    assert!(!names.is_empty(), "no case in tests/replay has {only:?} in its name");
    // Slow cases first, so that the others run meanwhile.
    names.sort_by_key(|name| !harness::is_slow(name));

    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let all_used = Mutex::new(Used::default());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
                    match harness::replay(name, update) {
                        Ok(used) => {
                            let mut all = all_used.lock().unwrap();
                            all.named.extend(used.named);
                            all.files.extend(used.files);
                        }
                        Err(why) => failures.lock().unwrap().push(format!("== {name}\n{why}")),
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    if only.is_empty() && failures.is_empty() {
        let used = all_used.into_inner().unwrap();
        let unused: Vec<String> =
            harness::fill::fixtures().into_iter().filter(|name| !used.files.contains(name)).collect();
        assert!(unused.is_empty(), "no case uses these of tests/replay/fixtures: {unused:?}");
        let unused: Vec<String> =
            harness::fixtures::names().into_iter().filter(|name| !used.named.contains(name)).collect();
        assert!(unused.is_empty(), "no case uses these fixtures: {unused:?}");
    }
    assert!(failures.is_empty(), "{} of {} cases fail:\n{}", failures.len(), names.len(), failures.join("\n"));
    // Not captured by the test runner: the number of cases is worth a line after a success too.
    let done = if update { "updated" } else { "as expected" };
    writeln!(std::io::stderr(), "replay: {} of {} cases ran, all {done}", names.len(), all.len()).unwrap();
}
