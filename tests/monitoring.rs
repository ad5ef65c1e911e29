//! Checks that alerts use existing metrics: hooks or exporter expose every series in `monitoring/` and its tests.
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Label names by metric name.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 2] = ["job", "pod"];
const PATIENCE: Duration = Duration::from_mins(1);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(file: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn files(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The hooks' metrics in the replay cases, where the real executable is checked to give exactly these.
fn of_hooks() -> Metrics {
    let mut metrics = Metrics::new();
    let folders = files("tests/replay").into_iter().filter(|path| path.is_dir());
    let cases = folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    for case in cases.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let case = yaml(&case);
        let metrics_of_case = case["expect"]["metrics"].as_array().into_iter().flatten();
        for metric in metrics_of_case.filter(|metric| metric.is_string() || metric["action"] == "set") {
            let (name, labels) = expected(metric);
            metrics.entry(name).or_default().extend(labels);
        }
    }
    metrics
}

/// Name and label names of a metric in a case: an operation, or its short form (`tests/replay/README.md`) such as
/// `b public endpoints_fetch_error_count 0.0`.
fn expected(metric: &Value) -> (String, Vec<String>) {
    if let Some(short) = metric.as_str() {
        let rest = short.split(' ').nth(2).unwrap_or_else(|| panic!("{short} has no name"));
        let labels = ["endpoint", "federation_name"].map(str::to_owned);
        return (format!("d8_istio_federation_metadata_{rest}"), labels.to_vec());
    }
    let labels = metric["labels"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    (metric["name"].as_str().unwrap_or_default().to_owned(), labels.collect())
}

/// An exporter that ends with the test.
struct Exporter(Child);

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The metrics of the shipped exporter, after a request without a token.
fn of_exporter() -> Metrics {
    let temporary = tempfile::tempdir().unwrap();
    let ports = temporary.path().join("ports.json");
    let mut command = Command::new(common::program());
    command.args([
        "exporter",
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--cluster-domain",
        "b.local",
    ]);
    command
        .args(["--cluster-uuid", "uuid-b", "--inlet", "NodePort", "--manifests"])
        .arg(root().join("examples/cluster-b/manifests"));
    command.arg("--port-file").arg(&ports).stderr(Stdio::null());
    let _exporter = Exporter(command.spawn().unwrap());

    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the exporter exposes no metrics of its documents");
        std::thread::sleep(Duration::from_millis(20));
        let Ok(text) = fs::read_to_string(&ports) else { continue };
        let Ok(addresses) = serde_json::from_str::<BTreeMap<String, String>>(&text) else { continue };
        let Ok(refused) = get(&addresses["metadata"], "/metadata/private/federation.json") else { continue };
        // Until it has read everything, it answers 503 before it checks the token.
        if refused.starts_with("HTTP/1.1 503") {
            continue;
        }
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
        let metrics = exposed(&get(&addresses["metrics"], "/metrics").unwrap());
        if metrics.contains_key("d8_istio_metadata_exporter_document_available") {
            return metrics;
        }
    }
}

/// Metrics of a text in Prometheus' format.
fn exposed(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| line.starts_with("d8_")) {
        let (name, labels) = named(line);
        metrics.entry(name).or_default().extend(labels);
    }
    metrics
}

/// Name and label names of a series such as `name{a="b",c="d"} 1`.
fn named(series: &str) -> (String, BTreeSet<String>) {
    let end = series.find(|c: char| !is_of_a_name(c)).unwrap_or(series.len());
    let (name, rest) = series.split_at(end);
    // Every second part between quotes is a value.
    let labels = rest.split('"').step_by(2).filter_map(|part| {
        let part = part.trim_end_matches(['=', '~', '!']);
        let label: String = part.chars().rev().take_while(|&c| is_of_a_name(c)).collect();
        (!label.is_empty() && part.contains(['{', ','])).then(|| label.chars().rev().collect())
    });
    (name.to_owned(), labels.collect())
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Every series of ours in an expression.
fn series_in(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    expression
        .match_indices("d8_")
        .map(|(at, _)| {
            let rest = &expression[at..];
            let name = rest.find(|c: char| !is_of_a_name(c)).unwrap_or(rest.len());
            let end = if rest[name..].starts_with('{') { rest.find('}').unwrap() + 1 } else { name };
            named(&rest[..end])
        })
        .collect()
}

#[test]
fn alerts_use_existing_metrics() {
    let mut existing = of_hooks();
    existing.extend(of_exporter());
    let known = |series: &str, (name, labels): &(String, BTreeSet<String>)| {
        let has = existing
            .get(name)
            .unwrap_or_else(|| panic!("{series}: neither hooks nor exporter have {name}: {existing:#?}"));
        let unknown: Vec<_> =
            labels.iter().filter(|label| !has.contains(*label) && !OF_PROMETHEUS.contains(&label.as_str())).collect();
        assert!(unknown.is_empty(), "{series}: {name} has no label {unknown:?}, but {has:?}");
    };

    let mut alerts = 0;
    for file in files("monitoring/prometheus-rules") {
        for rule in
            yaml(&file)["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
        {
            let expression = rule["expr"].as_str().unwrap();
            let series = series_in(expression);
            assert!(!series.is_empty() || expression.contains("up{"), "{expression}: no metric of ours");
            for series in &series {
                known(expression, series);
            }
            alerts += 1;
        }
    }
    assert!(alerts > 0);
    let tests = yaml(&root().join("tests/monitoring/rules.yaml"));
    for test in tests["tests"].as_array().unwrap() {
        for series in test["input_series"].as_array().unwrap() {
            let text = series["series"].as_str().unwrap();
            if !text.starts_with("up{") {
                known(text, &named(text));
            }
        }
    }
}

#[test]
fn series_are_read() {
    let labels = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(named(r#"a_b{c="d,e{",f=~"g"} 1"#), ("a_b".to_owned(), labels(&["c", "f"])));
    assert_eq!(named("a 1"), ("a".to_owned(), labels(&[])));
    let found = series_in(r#"max by (x) (d8_a{b!="c"}) > rate(d8_d[5m])"#);
    assert_eq!(found, [("d8_a".to_owned(), labels(&["b"])), ("d8_d".to_owned(), labels(&[]))]);
}
