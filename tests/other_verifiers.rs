//! Tests confined anchors with other verifiers: OpenSSL and Go's crypto/x509, if they are installed.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

// Certificates come from the same code as in the room's own tests.
#[allow(dead_code, unreachable_pub, reason = "shared: not everything is used here")]
#[path = "../src/federation/trust/tests/maker.rs"]
mod maker;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use istio_federation::api::istio_federation::CertificateRole;
use istio_federation::federation::names::TrustDomain;
use istio_federation::federation::pem::encode_certificate as to_pem;
use istio_federation::federation::trust::{Judge, OwnChain, PeerCertificates, admit_document, build_anchors};
use maker::{CN, Ca, DC, IA5, Key, O, PRINTABLE, San, Template, UTF8, name, names_and_verdicts, organization};

/// 2026-12-01.
const NOW: i64 = 1_796_083_200;

/// A list of anchors, a chain (without one, the list is only parsed), and the expected verdict.
struct Case {
    list: String,
    chain: Option<String>,
    accepted: bool,
}

/// The anchors of one peer, through admission and rendering.
fn list(roots: &[&[u8]], intermediates: &[&[u8]], trust_domain: &str, own: &OwnChain) -> String {
    let text = |ders: &[&[u8]]| ders.iter().map(|der| to_pem(der)).collect::<String>();
    let below = text(intermediates);
    let now = jiff::Timestamp::from_second(NOW).unwrap();
    let admission = admit_document(&text(roots), Some(&below), &Judge::new(own), &[], now);
    assert_eq!(admission.refused, []);
    let trust_domain = TrustDomain::vet(trust_domain, &[]).unwrap();
    let peer = PeerCertificates { federation: "b", trust_domain: &trust_domain, certificates: &admission.certificates };
    assert!(admission.certificates.iter().any(|certificate| certificate.role == CertificateRole::Root));
    let made = build_anchors(&[peer], &Judge::new(own));
    assert_eq!(made.refused, []);
    made.entries.iter().map(|entry| entry.pem.as_str()).collect()
}

fn cases(verifier: &str) -> Vec<Case> {
    let ours = Ca::root("cluster.local");
    let own = OwnChain::read(&to_pem(&ours.der)).unwrap();
    let mut cases = Vec::new();
    for key in [Key::p256(), Key::p384(), Key::rsa()] {
        // With the name of our own root.
        let root = Ca::root_with(key, "cluster.local", true);
        let confined = list(&[&root.der], &[], "b.local", &own);
        let plain = to_pem(&ours.der);
        for (names, accepted) in names_and_verdicts() {
            let chain = Some(to_pem(&root.leaf(&names)));
            // Go takes the host after the user information, which is the peer's own.
            if matches!(names[..], [San::Uri(uri)] if uri.contains('@')) && verifier == "go" {
                continue;
            }
            cases.push(Case { list: confined.clone() + &plain, chain, accepted });
        }
        for list in [confined.clone() + &plain, plain + &confined] {
            cases.push(Case { list, chain: Some(to_pem(&ours.workload("a.local"))), accepted: true });
        }
        // Control: the plain root accepts these.
        let forged = Some(to_pem(&root.workload("a.local")));
        cases.push(Case { list: to_pem(&root.der), chain: forged, accepted: true });
        // Istio's plug-in CA, whose intermediate has a DNS name.
        let dns = maker::subject_alternative_names(&[San::Dns("istiod.istio-system.svc")]);
        let below = root.intermediate("below", true, &[dns]);
        let both = list(&[&root.der], &[&below.der], "b.local", &own);
        let chain = |domain: &str| Some(to_pem(&below.workload(domain)) + &to_pem(&below.der));
        cases.push(Case { list: confined, chain: chain("b.local"), accepted: false });
        cases.push(Case { list: both.clone(), chain: chain("b.local"), accepted: true });
        cases.push(Case { list: both, chain: chain("a.local"), accepted: false });
    }
    cases.extend(odd_anchors(&own).into_iter().map(|list| Case { list, chain: None, accepted: true }));
    cases
}

/// The most unusual root that is admitted.
fn odd_anchors(own: &OwnChain) -> Vec<String> {
    let key = Key::p256();
    let long = "x".repeat(63);
    let longest = [&long[..], &long, &long, &long[..61]].join(".");
    let subjects = [
        organization(" 'a' (b)+,-./:=?"),
        name(&[(DC, IA5, b"corp"), (DC, IA5, b"my-example"), (CN, PRINTABLE, b"Root")]),
        name(&[(O, UTF8, "Ä\u{10fffd}\u{e000}\u{202e}\u{300}".as_bytes())]),
        name(&[(O, UTF8, "x".repeat(239).as_bytes())]),
        name(&[(&[0x55, 4, 6], PRINTABLE, b"Germany"), (&[0x55, 4, 5], UTF8, b"1_2")]),
    ];
    let subjects = subjects.iter().map(|subject| Template::root(subject, &key));
    let mut templates: Vec<_> = subjects.collect();
    for serial in [&[0][..], &[0xff], &[0x7f; 20], &[0x7f; 21], &[0, 0x80]] {
        let mut template = Template::root(&organization("serial"), &key);
        template.serial = serial.to_vec();
        templates.push(template);
    }
    let mut template = Template::root(&organization("dates"), &key);
    template.validity = [maker::generalized_time("19700101000000Z"), maker::generalized_time("99991231235959Z")];
    templates.push(template);
    let mut made: Vec<_> =
        templates.iter().map(|template| list(&[&template.sign(&key)], &[], "b.local", own)).collect();
    for domain in ["0.9", "1.2.3", "b", &longest, "xn--nxasmq6b.example"] {
        made.push(list(&[&Template::root(&organization("domain"), &key).sign(&key)], &[], domain, own));
    }
    made
}

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: confined anchors in {program}, which is not installed");
    }
    found
}

/// Writes a case into two files.
fn write(folder: &Path, number: usize, case: &Case) -> (PathBuf, Option<PathBuf>) {
    let file = |kind: &str, text: &str| {
        let path = folder.join(format!("{number}.{kind}.pem"));
        fs::write(&path, text).unwrap();
        path
    };
    (file("list", &case.list), case.chain.as_ref().map(|chain| file("chain", chain)))
}

#[test]
fn openssl_agrees() {
    if !installed("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (number, case) in cases("openssl").iter().enumerate() {
        let (list, chain) = write(folder.path(), number, case);
        // Without -partial_chain, an anchor must be the end of a chain; with it, any certificate may be an anchor.
        for partial in [&[][..], &["-partial_chain"]] {
            let mut command = Command::new("openssl");
            match &chain {
                None => command.args(["x509", "-noout", "-text", "-in"]).arg(&list),
                Some(chain) => command
                    .args(["verify", "-no-CApath", "-no-CAstore", "-attime", &NOW.to_string()])
                    .args(partial)
                    .arg("-CAfile")
                    .arg(&list)
                    .arg("-untrusted")
                    .arg(chain)
                    .arg(chain),
            };
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.success(), case.accepted, "{partial:?} {said}\n{}\n{:?}", case.list, case.chain);
        }
    }
}

#[test]
fn go_agrees() {
    if !installed("go") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases = cases("go");
    let mut lines = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let (list, chain) = write(folder.path(), number, case);
        lines.push(format!("{} {}\n", list.display(), chain.unwrap_or_default().display()));
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_verifiers/verify.go");
    let mut go =
        Command::new("go").args(["run", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    go.stdin.take().unwrap().write_all(lines.concat().as_bytes()).unwrap();
    let output = go.wait_with_output().unwrap();
    let verdicts = String::from_utf8(output.stdout).unwrap();
    assert_eq!(verdicts.lines().count(), cases.len());
    for (case, verdict) in cases.iter().zip(verdicts.lines()) {
        assert_eq!(verdict == "accepted", case.accepted, "{verdict}\n{}\n{:?}", case.list, case.chain);
    }
}
