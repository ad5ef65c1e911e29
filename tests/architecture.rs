//! Checks rules that no compiler checks: dependencies between rooms, crates of the executables, the form of files.
//!
//! The picture in `ARCHITECTURE.md` has the same arrows.
#![allow(clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

#[path = "architecture/circles.rs"]
mod circles;
mod common;
#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/paths.rs"]
mod paths;

use std::process::Command;

use files::SourceFile;
use paths::named;

/// Paths that a room must not use, and why.
struct Rule {
    /// Folder of the room.
    room: &'static str,
    forbidden: &'static [&'static str],
    why: &'static str,
}

/// I/O, clocks and randomness: pure rooms get their results as arguments, or do without.
const IMPURE: &[&str] = &[
    "std::collections::hash_map::RandomState",
    "std::env",
    "std::fs",
    "std::hash::RandomState",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::path",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "jiff::tz",
    "axum",
    "axum_server",
    "getrandom",
    "http",
    "hyper",
    "k8s_openapi",
    "kube",
    "notify",
    "rand",
    "rand_core",
    "reqwest",
    "ring::rand",
    "rustls",
    "rustls_native_certs",
    "tempfile",
    "tokio",
    "tower",
    "tower_http",
    "tracing",
    "ureq",
];

const RULES: &[Rule] = &[
    Rule { room: "src/api", forbidden: IMPURE, why: "types as they travel do nothing" },
    Rule {
        room: "src/api",
        forbidden: &["crate::cli", "crate::exporter", "crate::federation", "crate::hook", "crate::peer"],
        why: "api knows no other room",
    },
    Rule { room: "src/text.rs", forbidden: IMPURE, why: "text only formats" },
    Rule {
        room: "src/text.rs",
        forbidden: &["crate", "jiff", "serde"],
        why: "text is the lowest room: it uses no other",
    },
    Rule { room: "src/federation", forbidden: IMPURE, why: "the domain is pure: pass results of I/O as arguments" },
    Rule {
        room: "src/federation",
        forbidden: &["crate::cli", "crate::exporter", "crate::hook", "crate::peer"],
        why: "the domain knows api and text alone",
    },
    Rule {
        room: "src/hook",
        forbidden: &["crate::api", "crate::cli", "crate::exporter", "crate::federation", "crate::peer"],
        why: "the hook protocol knows nothing of Istio and could be a crate of its own",
    },
    Rule {
        room: "src/peer",
        forbidden: &["crate::cli", "crate::exporter", "crate::hook"],
        why: "peer is below exporter and hooks",
    },
    Rule { room: "src/exporter", forbidden: &["crate::cli", "crate::hook"], why: "exporter is below cli" },
    Rule {
        room: "src/exporter/index.rs",
        forbidden: &["axum", "k8s_openapi", "kube", "tokio::fs", "tokio::net", "tokio::sync", "tokio::task", "std::fs"],
        why: "the index is synchronous and knows nothing of where its objects come from",
    },
    Rule { room: "src/cli", forbidden: &[], why: "the highest room may use all others" },
    Rule {
        room: "hooks",
        forbidden: &["istio_federation::cli", "istio_federation::exporter"],
        why: "hooks link nothing of the program",
    },
    Rule {
        room: "tools/sim",
        forbidden: &["istio_federation"],
        why: "the stand-in for cluster and operator knows nothing of this module: it judges the hooks' work",
    },
    Rule {
        room: "tools/demo",
        forbidden: &["istio_federation::cli", "istio_federation::exporter", "istio_federation::hook"],
        why: "the demo starts the executables that ship, and links neither",
    },
];

/// Crates that the hook executable never links: it is started for every event, and has 5 ms.
const HEAVY: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "axum",
    "clap",
    "hyper",
    "jsonschema",
    "k8s-openapi",
    "kube",
    "native-tls",
    "notify",
    "openssl",
    "openssl-sys",
    "regex",
    "regex-automata",
    "reqwest",
    "schemars",
    "tokio",
    "tower",
];

/// Crates that the program never links, because it is exposed to the network: tools for tests, and second TLS stacks.
const NOT_SHIPPED: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "comfy-table",
    "istio-federation-sim",
    "jaq-core",
    "jaq-json",
    "jaq-std",
    "json-patch",
    "jsonschema",
    "native-tls",
    "openssl",
    "openssl-sys",
    "proptest",
    "rcgen",
    "reqwest",
    "tempfile",
];

/// Violations, one line per place.
fn broken(rules: &[Rule], files: &[SourceFile]) -> Vec<String> {
    let mut places = Vec::new();
    for file in files {
        for rule in
            rules.iter().filter(|rule| file.path == rule.room || file.path.starts_with(&format!("{}/", rule.room)))
        {
            for found in named(&file.text, &file.module()) {
                if let Some(target) = rule.forbidden.iter().find(|target| found.reaches(target)) {
                    let (path, line, why) = (&file.path, found.line, rule.why);
                    places.push(format!("{path}:{line}: {} ({target} is forbidden here: {why})", found.path));
                }
            }
        }
    }
    places
}

#[test]
fn arrows_between_rooms_only_go_down() {
    let places = broken(RULES, &files::production_sources());
    assert!(places.is_empty(), "{}", places.join("\n"));
}

#[test]
fn every_room_has_a_rule() {
    for file in files::production_sources() {
        let is_door = ["src/lib.rs", "src/main.rs"].contains(&file.path.as_str());
        let has_rule =
            RULES.iter().any(|rule| file.path == rule.room || file.path.starts_with(&format!("{}/", rule.room)));
        assert!(is_door || has_rule, "{}: decide in tests/architecture.rs what this room may name", file.path);
    }
}

#[test]
fn the_scan_finds_forbidden_paths() {
    for (source, expected) in [
        ("use std::fs;", "std::fs"),
        ("use std::{collections::BTreeMap, fs::{self, File}};", "std::fs"),
        ("use std::{fmt, time::{Duration, SystemTime}};", "std::time::SystemTime"),
        ("use std::time::*;", "std::time::*"),
        ("use std as s;\nfn f() { s::env::var(\"A\"); }", "std::env::var"),
        ("fn f() { ::std::thread::sleep(d) }", "std::thread::sleep"),
        ("use std::time;\nfn f() -> time::Instant { time::Instant::now() }", "std::time::Instant"),
        ("use jiff::Timestamp;\nfn f() { Timestamp::now(); }", "jiff::Timestamp::now"),
        ("use jiff::Timestamp as T; fn f() { let now = T::now; }", "jiff::Timestamp::now"),
        ("fn f() { getrandom::fill(&mut key) }", "getrandom::fill"),
        ("use std::net::{IpAddr, ToSocketAddrs as _};", "std::net::ToSocketAddrs"),
        ("use std::hash::{BuildHasher, RandomState};", "std::hash::RandomState"),
        ("use ring::{digest, rand::SystemRandom};", "ring::rand::SystemRandom"),
        ("async fn f() { tokio::select! {} }", "tokio::select"),
        ("pub use crate::hook::Input;", "crate::hook::Input"),
        ("use crate::{api, hook};", "crate::hook"),
        ("use super::super::peer::Client;", "crate::peer::Client"),
        ("use crate::*;", "crate::*"),
        ("type C = Vec<crate::exporter::Index>;", "crate::exporter::Index"),
        ("#[cfg(test)]\nmod tests { use std::fs; }\nuse std::env;", "std::env"),
        ("const A: char = '\\''; const B: &str = \"\\\"\"; use std::fs;", "std::fs"),
        ("const A: &str = r#\"\"\"#; use std::fs;", "std::fs"),
        ("/* /* */ */ use std::fs;", "std::fs"),
    ] {
        let file = SourceFile::new("src/federation/names.rs", source);
        let places = broken(RULES, &[file]);
        assert!(places.iter().any(|place| place.contains(&format!(": {expected} ("))), "{source}: {places:?}");
    }
}

#[test]
fn the_scan_leaves_the_rest_alone() {
    for source in [
        "//! Like std::fs, but pure.\n/* std::env */ const A: &str = \"std::fs\"; const B: &str = r#\"use std::fs;\"#;",
        "use std::net::{IpAddr, Ipv4Addr}; use std::time::Duration; use jiff::{SignedDuration, Timestamp};",
        "use super::names::TrustDomain; use crate::api::metadata::PublicMetadata; use self::hook::A;",
        "fn f(rand: &Peer) { rand.http.kube(); self.tokio(); } struct S<'a> { fs: &'a str }",
        "#[cfg(test)]\nmod tests {\n use std::fs;\n fn f() { crate::hook::run(); }\n}",
        "#[cfg(test)]\n#[allow(dead_code)]\nuse std::fs;",
    ] {
        let file = SourceFile::new("src/federation/names.rs", source);
        assert_eq!(broken(RULES, &[file]), [""; 0], "{source}");
    }
}

#[test]
fn each_room_is_judged_by_its_own_rules() {
    for (path, source, count) in [
        ("src/text.rs", "use crate::api::values; use std::fmt;", 1),
        ("src/text.rs", "use std::env;", 1),
        ("src/api/values.rs", "use crate::federation::names;", 1),
        ("src/federation/names.rs", "use crate::api::values;", 0),
        ("src/hook/input.rs", "use crate::api::values; use crate::federation::names;", 2),
        ("src/hook/input.rs", "use std::fs; use super::patch;", 0),
        ("src/peer/client.rs", "use crate::federation::names; use crate::hook::Input;", 1),
        ("src/exporter/gate.rs", "use crate::peer::token; use crate::cli::crd;", 1),
        ("src/exporter/index.rs", "use kube::Client; use tokio::time::Instant;", 1),
        ("src/cli/check.rs", "use crate::exporter; use crate::hook;", 0),
        ("tools/sim/src/operator/config.rs", "use istio_federation::hook; use crate::jq;", 1),
        ("tools/demo/src/side.rs", "use istio_federation::{api, hook}; use istio_federation_sim::jq;", 1),
        ("hooks/trust_anchors.rs", "use istio_federation::{exporter::Index, federation::trust, hook};", 1),
        ("src/main.rs", "use istio_federation::cli; use std::env;", 0),
    ] {
        let places = broken(RULES, &[SourceFile::new(path, source)]);
        assert_eq!(places.len(), count, "{path}: {source}: {places:?}");
    }
}

#[test]
fn executables_link_no_forbidden_crates() {
    for (package, needed, forbidden) in
        [("istio-federation-hooks", "ureq", HEAVY), ("istio-federation", "kube", NOT_SHIPPED)]
    {
        let crates = crates_of(package);
        // Control: it is the tree of the right package.
        assert!(crates.iter().any(|name| name == needed), "not the tree of {package}: {crates:?}");
        let found: Vec<&String> = crates.iter().filter(|name| forbidden.contains(&name.as_str())).collect();
        assert!(found.is_empty(), "{found:?}; to see why: cargo tree -p {package} -e normal -i NAME");
    }
}

/// The crates that are linked into an executable.
fn crates_of(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--package", package])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn tests_run_the_hook_executable_that_ships() {
    let build = common::hook_build();
    assert!(build.executable.is_file(), "{} is not a file", build.executable.display());
    assert_eq!(build.library_features, [""; 0], "the library was built for the hooks with features of the program");
    assert_ne!(common::hook_executable(), common::program());
}

#[test]
fn no_two_files_of_a_room_use_each_other() {
    let files = files::production_sources();
    for room in ["src/api/", "src/federation/", "src/hook/", "src/peer/", "src/exporter/"] {
        let of_room: Vec<SourceFile> = files
            .iter()
            .filter(|file| file.path.starts_with(room))
            .map(|file| SourceFile::new(&file.path, &file.text))
            .collect();
        let circles = circles::circles(&of_room);
        assert!(circles.is_empty(), "{room}: {circles:?}; move what both need into a third file below them");
    }
}

/// `config`, `read`, `decide` and `emit` (and `fetch` where a peer is asked), chained by `run`.
#[test]
fn every_hook_has_the_same_steps() {
    for (name, file) in hooks() {
        for step in ["config", "run", "read", "decide", "emit"] {
            let function = format!("fn {step}");
            let has = file.text.lines().any(|line| {
                let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
                line.strip_prefix(&function).is_some_and(|rest| rest.starts_with(['(', '<']))
            });
            assert!(has, "hook {name} has no function {step}");
        }
    }
}

#[test]
fn no_hook_uses_another() {
    let names: Vec<String> = hooks().into_iter().map(|(name, _)| name).collect();
    for (name, file) in hooks() {
        for path in named(&file.text, &file.module()) {
            let other = names.iter().find(|other| **other != name && path.reaches(&format!("crate::{other}")));
            assert!(other.is_none(), "hook {name} uses {}: move it to hooks/shared", path.path);
        }
    }
}

/// The hooks that `hooks/main.rs` lists, with their files.
fn hooks() -> Vec<(String, SourceFile)> {
    let files = files::production_sources();
    let main = files.iter().find(|file| file.path == "hooks/main.rs").unwrap();
    let found: Vec<(String, SourceFile)> = files
        .iter()
        .filter_map(|file| {
            let name = file.path.strip_prefix("hooks/")?.strip_suffix(".rs")?;
            let is_hook = main.text.contains(&format!("name: \"{name}\""));
            is_hook.then(|| (name.to_owned(), SourceFile::new(&file.path, &file.text)))
        })
        .collect();
    assert_eq!(found.len(), main.text.matches("Hook {").count(), "a hook of hooks/main.rs has no file of its name");
    found
}

#[test]
fn every_file_begins_with_its_purpose() {
    for file in files::sources() {
        assert!(
            file.text.starts_with("//! "),
            "{}: the first line must be a `//!` with the purpose of the file",
            file.path
        );
    }
}

/// Files have fewer than 400 lines; tables of tests may be longer.
#[test]
fn no_file_is_too_long() {
    const LIMIT: usize = 600;
    let mut lengths: Vec<(usize, String)> =
        files::production_sources().into_iter().map(|file| (file.text.lines().count(), file.path)).collect();
    lengths.sort();
    let median = lengths[lengths.len() / 2].0;
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LIMIT).collect();
    assert!(long.is_empty(), "above {LIMIT} lines: {long:?}; the median is {median}, and should stay below 150");
}

#[test]
fn no_test_is_ignored_without_a_reason() {
    let bare = concat!("#[", "ignore]");
    for file in files::sources() {
        assert!(!file.text.contains(bare), "{}: {bare} says neither why nor how to run it", file.path);
    }
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let homes = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    for path in files::tracked() {
        let Ok(text) = std::fs::read_to_string(files::root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let home = homes.iter().find(|home| files::starts_a_path(line, home));
            assert!(home.is_none(), "{path}:{}: {line}", number + 1);
        }
    }
}
