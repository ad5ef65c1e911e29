//! Tests of the demo as people run it, with the released program and hook executable: real HTTP, TLS and tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../../tests/common/hook_build.rs"]
mod hook_build;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hook_build::{built_program, hook_executable};
use serde_json::{Value, json};

/// How long a line may take to appear. Generous: it only ends a failing test.
const PATIENCE: Duration = Duration::from_mins(1);

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// The program with the exporter: PROGRAM, where it was built together with this test, or a new build.
fn program() -> PathBuf {
    std::env::var_os("PROGRAM").map_or_else(built_program, PathBuf::from)
}

/// The demo with these options, and its temporary files where the test can see them.
fn demo(hooks: &Path, examples: &Path, temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_istio-federation-demo"));
    command
        .arg("--program")
        .arg(program())
        .arg("--hooks")
        .arg(hooks)
        .arg("--examples")
        .arg(examples)
        .env("TMPDIR", temporary);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn manifest(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))).unwrap()
}

/// Every file below `folder`, with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// The examples, to be changed.
fn copied_examples(to: &Path) -> PathBuf {
    for (path, content) in files(&examples()) {
        let copy = to.join(path.strip_prefix(examples()).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(copy, content).unwrap();
    }
    to.to_owned()
}

/// The exporters whose arguments name their cluster's folder.
fn exporters_of(cluster: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let arguments = processes.filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok());
    let of_cluster = |line: &String| line.contains("\0exporter\0") && line.contains(cluster.to_str().unwrap());
    arguments.map(|line| text(&line)).filter(of_cluster).collect()
}

fn no_exporter_is_left(cluster: &Path) {
    let left = exporters_of(cluster);
    assert!(left.is_empty(), "this outlived the demo: {left:?}");
}

/// The error of a demo that fails.
fn failure(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = text(&stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Every line of the README's output is in this one; `...` stands for omitted text, and numbers are ignored.
fn the_readme_shows(output: &str) {
    let without_numbers = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(shown.lines().count() >= 6, "{shown}");
    for shown in shown.lines() {
        let is_shown = |line: &str| {
            let mut rest = without_numbers(line);
            shown.split("...").all(|part| {
                let part = without_numbers(part);
                let Some(at) = rest.find(&part) else { return false };
                rest.drain(..at + part.len());
                true
            })
        };
        assert!(output.lines().any(is_shown), "README.md shows a line that is not in the output:\n{shown}\n{output}");
    }
}

#[test]
fn two_clusters_federate() {
    let temporary = tempfile::tempdir().unwrap();
    let before = files(&examples());
    let out = temporary.path().join("kept");
    let Output { status, stdout, stderr } =
        demo(&hook_executable(), &examples(), temporary.path()).arg("--out").arg(&out).output().unwrap();
    let said = text(&stdout);
    assert!(status.success(), "{said}\n{}", text(&stderr));
    assert!(said.contains("OK: 2 clusters federated in"), "{said}");
    assert!(said.contains("2 confined trust anchors, 4 services imported, 3 Gateways."), "{said}");
    for line in [
        "cluster-a  pulled the root CA of cluster-b: O=Example B, CN=Istio root of cluster B",
        "cluster-b  pulled the root CA of cluster-a: O=Example A, CN=Istio root of cluster A",
        "confined O=Example B, CN=Istio root of cluster B: may sign URI cluster-b.local",
        "any DNS name, any e-mail, any IPv4, any IPv6",
    ] {
        assert!(said.contains(line), "{line} is not in:\n{said}");
    }
    the_readme_shows(&said);
    assert_eq!(files(&examples()), before, "examples are only read");

    let entries = |cluster: &str| -> Vec<(String, Value, Value)> {
        let names = files(&out.join(cluster).join("manifests"));
        let paths =
            names.keys().filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("serviceentry_"));
        paths
            .map(|path| {
                let entry = manifest(path);
                assert_eq!(entry["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(2), "{entry}");
                let spec = &entry["spec"];
                assert_eq!((&spec["resolution"], &spec["location"]), (&json!("STATIC"), &json!("MESH_INTERNAL")));
                (spec["hosts"][0].as_str().unwrap().to_owned(), spec["ports"].clone(), spec["endpoints"].clone())
            })
            .collect()
    };
    let nodes = |port: &str| json!([{"address": "198.51.100.11", "ports": {port: 30443}}, {"address": "198.51.100.12", "ports": {port: 30443}}]);
    assert_eq!(
        entries("cluster-a"),
        [
            (
                "bar.xyz.svc.cluster-b.local".to_owned(),
                json!([{"name": "http", "number": 80, "protocol": "HTTP"}]),
                nodes("http")
            ),
            (
                "database.data.svc.cluster-b.local".to_owned(),
                json!([{"name": "tcp-5432", "number": 5432, "protocol": "TCP"}]),
                nodes("tcp-5432")
            ),
        ]
    );
    let balancer = |ports: &[&str]| {
        let ports: BTreeMap<&str, u32> = ports.iter().map(|port| (*port, 15443)).collect();
        json!([{"address": "203.0.113.10", "ports": ports}])
    };
    assert_eq!(
        entries("cluster-b"),
        [
            (
                "cart.shop.svc.cluster-a.local".to_owned(),
                json!([{"name": "grpc-api", "number": 9000, "protocol": "GRPC"}, {"name": "metrics", "number": 9090, "protocol": "HTTP"}]),
                balancer(&["grpc-api", "metrics"])
            ),
            (
                "catalog.shop.svc.cluster-a.local".to_owned(),
                json!([{"name": "http", "number": 80, "protocol": "HTTP"}]),
                balancer(&["http"])
            ),
        ]
    );
    for (cluster, peer) in [("cluster-a", "cluster-b"), ("cluster-b", "cluster-a")] {
        let folder = out.join(cluster);
        let federation = manifest(&folder.join(format!("manifests/istiofederation_{peer}.yaml")));
        let conditions = federation["status"]["conditions"].as_array().unwrap();
        assert!(conditions.iter().all(|condition| condition["status"] == "True"), "{conditions:?}");
        let root = fs::read_to_string(examples().join(peer).join("manifests/root-ca.yaml")).unwrap();
        let mesh = fs::read_to_string(folder.join("manifests/configmap_d8-istio_istio-federation-mesh.yaml")).unwrap();
        let line = |text: &str, number| {
            text.lines().map(str::trim).skip_while(|line| !line.contains("BEGIN")).nth(number).map(str::to_owned)
        };
        assert!(mesh.contains("BEGIN CERTIFICATE"), "{mesh}");
        assert_ne!(line(&mesh, 1), line(&root, 1), "a peer's root never enters the mesh as it is");
        assert!(folder.join("runs/0001-authn_keypair/binding_context.json").exists());
        no_exporter_is_left(&folder);
    }
    let rest: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(rest, std::slice::from_ref(&out), "nothing else is left behind");

    let again = demo(&hook_executable(), &examples(), temporary.path()).arg("--out").arg(&out).output().unwrap();
    assert!(!again.status.success() && text(&again.stderr).contains("is not empty"), "{}", text(&again.stderr));
}

#[test]
fn a_missing_file_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let said = failure(demo(Path::new("/nowhere/hooks"), &examples(), temporary.path()));
    assert!(said.contains("/nowhere/hooks") && said.contains("make demo"), "{said}");
    let said = failure(demo(&hook_executable(), Path::new("/nowhere"), temporary.path()));
    assert!(said.contains("/nowhere/cluster-a/values.yaml"), "{said}");
}

#[test]
fn a_failing_hook_fails_the_demo_with_its_message_and_keeps_the_files() {
    let temporary = tempfile::tempdir().unwrap();
    let examples = copied_examples(&temporary.path().join("examples"));
    // A stored pair whose halves do not belong together.
    let [one, other] = [(), ()].map(|()| rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "d8-remote-authn-keypair", "namespace": "d8-istio"},
        "data": {"pub.pem": base64(&one.public_key_pem()), "priv.pem": base64(&other.serialize_pem())},
    });
    fs::write(examples.join("cluster-b/manifests/key.json"), secret.to_string()).unwrap();
    let said = failure(demo(&hook_executable(), &examples, temporary.path()));
    assert!(said.contains("cluster-b: hook authn_keypair failed: "), "{said}");
    assert!(said.contains("d8-remote-authn-keypair"), "{said}");
    let private: Vec<String> = other.serialize_pem().lines().map(str::to_owned).collect();
    assert!(!said.contains(&private[1]), "the private key is shown");

    let (_, rest) = said.split_once("its files are in ").unwrap();
    let kept = PathBuf::from(rest.split_once(')').unwrap().0);
    assert!(kept.starts_with(temporary.path()), "{}", kept.display());
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o700, "keys are in there");
    assert!(kept.join("cluster-b/runs").is_dir() && kept.join("cluster-a/exporter.log").is_file());
    no_exporter_is_left(&kept.join("cluster-a"));
    no_exporter_is_left(&kept.join("cluster-b"));
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn clusters_that_do_not_know_each_other_fail_the_demo() {
    let temporary = tempfile::tempdir().unwrap();
    let examples = copied_examples(&temporary.path().join("examples"));
    let path = examples.join("cluster-b/manifests/istio-federation.yaml");
    let other =
        fs::read_to_string(&path).unwrap().replace("trustDomain: cluster-a.local", "trustDomain: cluster-c.local");
    fs::write(&path, other).unwrap();
    let said = failure(demo(&hook_executable(), &examples, temporary.path()));
    assert!(said.contains("cluster-b has no IstioFederation") && said.contains("cluster-a.local"), "{said}");
}

/// A running demo, and its lines as they come. It ends with the test.
struct Watched {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}

impl Watched {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines }
    }

    /// Waits until a line with each of these was shown, in any order.
    fn wait_for(&self, wanted: &[&str]) {
        let (mut seen, mut missing) = (Vec::new(), wanted.to_vec());
        while !missing.is_empty() {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|why| panic!("{why} waiting for {missing:?} after:\n{}", seen.join("\n")));
            missing.retain(|wanted| !line.contains(wanted));
            seen.push(line);
        }
    }

    /// Ctrl-C. The exit code.
    fn interrupt(&mut self) -> Option<i32> {
        Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().ok()?;
        self.process.wait().ok()?.code()
    }
}

#[test]
fn an_edited_manifest_has_its_effect_in_the_other_cluster() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path().join("kept");
    let mut command = demo(&hook_executable(), &examples(), temporary.path());
    command.arg("--watch").arg("--out").arg(&out);
    let mut demo = Watched::start(command);
    demo.wait_for(&["Ctrl-C ends the demo"]);

    let foo = out.join("cluster-b/manifests/service_xyz_foo.yaml");
    let plain = fs::read_to_string(&foo).unwrap();
    let labels = "metadata:\n  labels:\n    federation.istio.deckhouse.io/public-service: \"\"\n";
    fs::write(&foo, plain.replacen("metadata:\n", labels, 1)).unwrap();
    demo.wait_for(&["cluster-b  you changed Service xyz/foo", "cluster-a  ServiceEntry foo.xyz.svc.cluster-b.local: "]);
    assert!(out.join("cluster-a/manifests/serviceentry_d8-istio_foo.xyz.svc.cluster-b.local.yaml").exists());

    fs::write(&foo, "kind: [").unwrap();
    demo.wait_for(&["cluster-b  PROBLEM: "]);
    fs::write(&foo, &plain).unwrap();
    demo.wait_for(&["cluster-a  ServiceEntry foo.xyz.svc.cluster-b.local is gone"]);

    fs::remove_file(out.join("cluster-a/manifests/istiofederation_cluster-b.yaml")).unwrap();
    let gone = "cluster-a  ServiceEntry bar.xyz.svc.cluster-b.local is gone";
    demo.wait_for(&["cluster-a  you deleted IstioFederation cluster-b", gone]);

    assert_eq!(demo.interrupt(), Some(0), "after the clusters have federated, Ctrl-C is a success");
    no_exporter_is_left(&out.join("cluster-a"));
    no_exporter_is_left(&out.join("cluster-b"));
}

#[test]
fn a_killed_demo_takes_its_exporters_along() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path().join("kept");
    let mut command = demo(&hook_executable(), &examples(), temporary.path());
    command.arg("--watch").arg("--out").arg(&out);
    let mut demo = Watched::start(command);
    demo.wait_for(&["IstioFederation cluster-a: put in the address of that exporter"]);
    if Path::new("/proc").exists() {
        assert_eq!(exporters_of(&out).len(), 2, "else this proves nothing");
    }
    demo.process.kill().unwrap();
    demo.process.wait().unwrap();
    let end = Instant::now() + PATIENCE;
    while !exporters_of(&out).is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    no_exporter_is_left(&out);
}
