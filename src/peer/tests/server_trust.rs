//! Which certificates are accepted: handshakes with real servers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use istio_federation_testkit::{Authority, CertifiedKey, HttpsServer, server_for};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls::RootCertStore;

use super::super::certificate_fault::CertificateFault;
use super::super::client::{Answer, Client, Limits};
use super::super::connector::TlsConnector;
use super::super::fetch_fault::{FetchError, FetchFault};
use super::super::resolve;
use super::super::server_trust::{self, ServerTrust, ServerTrustError};
use super::keys::PRIVATE;
use crate::api::istio_federation::MetadataTls;
use crate::federation::pem::PemError;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Generous, because the machine may be busy: only tests about time have short ones.
pub(super) fn patient() -> Limits {
    Limits { connect: Duration::from_secs(20), exchange: Duration::from_secs(30), ..Limits::default() }
}

fn fetch(identity: &CertifiedKey, trust: &ServerTrust) -> Result<Answer, FetchError> {
    let server = HttpsServer::fixed(identity, OK);
    let answer = Client::new(trust, patient()).unwrap().get(&server.url("/x"), None, None, soon());
    assert_eq!(server.requests().is_empty(), answer.is_err(), "a refused server gets no request");
    answer
}

fn verdict(identity: &CertifiedKey, trust: &ServerTrust) -> Result<(), CertificateFault> {
    match fetch(identity, trust) {
        Ok(Answer::Document { body, etag: None }) if body == b"{}" => Ok(()),
        Err(FetchError { fault: FetchFault::Certificate(fault), .. }) => Err(fault),
        other => panic!("{other:?}"),
    }
}

fn only(pem: &str) -> ServerTrust {
    ServerTrust::only(pem).unwrap()
}

fn localhost() -> CertificateParams {
    server_for(&["localhost"])
}

fn dated(from: i32, to: i32) -> CertificateParams {
    let mut params = localhost();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 1, 2), rcgen::date_time_ymd(to, 1, 3));
    params
}

fn as_ca(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
}

#[test]
fn a_chain_to_a_configured_ca_passes() {
    let (ca, other) = (Authority::root("ca"), Authority::root("other"));
    let leaf = ca.issue(&localhost());
    assert_eq!(verdict(&leaf, &only(&ca.pem())), Ok(()));
    assert_eq!(verdict(&leaf, &only(&format!("{}\n{}", other.pem(), ca.pem()))), Ok(()));
    let below = ca.intermediate("below");
    assert_eq!(verdict(&below.issue_with_chain(&localhost()), &only(&ca.pem())), Ok(()));
    assert_eq!(verdict(&below.issue(&localhost()), &only(&below.pem())), Ok(()), "an intermediate is enough");
    assert_eq!(verdict(&leaf, &only(&other.pem())), Err(CertificateFault::UnknownIssuer { configured: true }));
}

#[test]
fn a_configured_server_certificate_passes_as_itself() {
    let plain = CertifiedKey::self_signed(&localhost());
    assert_eq!(verdict(&plain, &only(&plain.pem)), Ok(()));
    // `openssl req -x509` makes a CA.
    let ca_too = CertifiedKey::self_signed(&as_ca(localhost()));
    assert_eq!(verdict(&ca_too, &only(&ca_too.pem)), Ok(()));
    // From an unknown CA and not for servers: accepted because this certificate itself is configured.
    let mut for_clients = localhost();
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let issued = Authority::root("unknown").issue(&for_clients);
    assert_eq!(verdict(&issued, &only(&issued.pem)), Ok(()));
    let ca = Authority::root("ca");
    assert_eq!(verdict(&issued, &only(&format!("{}{}", ca.pem(), issued.pem))), Ok(()));
}

#[test]
fn another_self_signed_certificate_does_not_pass() {
    for server in [CertifiedKey::self_signed(&localhost()), CertifiedKey::self_signed(&as_ca(localhost()))] {
        let other = CertifiedKey::self_signed(&localhost());
        assert_eq!(verdict(&server, &only(&other.pem)), Err(CertificateFault::SelfSigned { configured: true }));
        let ca = Authority::root("ca");
        assert_eq!(verdict(&server, &only(&ca.pem())), Err(CertificateFault::SelfSigned { configured: true }));
    }
}

#[test]
fn a_configured_server_certificate_does_not_become_a_ca() {
    // The holder of a leaf makes a certificate with it as the issuer.
    let mut leaf = localhost();
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "leaf");
    let mut no_signing = as_ca(leaf.clone());
    no_signing.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    for params in [leaf, no_signing] {
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = Authority::root_with("leaf", key, |leaf| *leaf = params);
        assert_eq!(
            verdict(&issuer.issue_with_chain(&localhost()), &only(&issuer.pem())),
            Err(CertificateFault::UnknownIssuer { configured: true })
        );
    }
}

#[test]
fn dates_are_checked_unless_verification_is_off() {
    let ca = Authority::root("ca");
    let (old, new) = (dated(2025, 2026), dated(2990, 2999));
    for server in [CertifiedKey::self_signed(&old), CertifiedKey::self_signed(&as_ca(old.clone()))] {
        assert_eq!(verdict(&server, &only(&server.pem)), Err(CertificateFault::Expired("2026-01-03".into())));
        assert_eq!(verdict(&server, &only(&ca.pem())), Err(CertificateFault::Expired("2026-01-03".into())));
        assert_eq!(verdict(&server, &ServerTrust::Insecure), Ok(()));
    }
    assert_eq!(verdict(&ca.issue(&old), &only(&ca.pem())), Err(CertificateFault::Expired("2026-01-03".into())));
    assert_eq!(verdict(&ca.issue(&new), &only(&ca.pem())), Err(CertificateFault::NotYetValid("2990-01-02".into())));
    let server = CertifiedKey::self_signed(&new);
    assert_eq!(verdict(&server, &only(&server.pem)), Err(CertificateFault::NotYetValid("2990-01-02".into())));
}

#[test]
fn names_are_checked_unless_verification_is_off() {
    let ca = Authority::root("ca");
    let elsewhere = server_for(&["b.example", "*.b.example", "10.0.0.1", "2001:db8::1"]);
    let shown = CertificateFault::Name("b.example, *.b.example, 10.0.0.1, 2001:db8::1".into());
    let pinned = CertifiedKey::self_signed(&elsewhere);
    assert_eq!(verdict(&pinned, &only(&pinned.pem)), Err(shown.clone()));
    assert_eq!(verdict(&ca.issue(&elsewhere), &only(&ca.pem())), Err(shown));
    assert_eq!(verdict(&pinned, &ServerTrust::Insecure), Ok(()));
    let mut nameless = server_for(&[]);
    nameless.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    let nameless = CertifiedKey::self_signed(&nameless);
    let none = CertificateFault::Name("none (it has no subject alternative names)".into());
    assert_eq!(verdict(&nameless, &only(&nameless.pem)), Err(none));
}

#[test]
fn addresses_can_be_names() {
    let server = CertifiedKey::self_signed(&server_for(&["127.0.0.1"]));
    let listening = HttpsServer::fixed(&server, OK);
    let url = format!("https://{}/", listening.address);
    let get = |pem: &str| Client::new(&only(pem), patient()).unwrap().get(&url, None, None, soon());
    assert!(get(&server.pem).is_ok());
    let fault = get(&CertifiedKey::self_signed(&localhost()).pem).unwrap_err().fault;
    assert_eq!(fault, CertificateFault::SelfSigned { configured: true }.into());
}

/// Fetches with these roots as the system's.
fn with_system(
    identity: &CertifiedKey,
    trust: &ServerTrust,
    roots: impl FnOnce() -> Arc<RootCertStore>,
) -> Result<(), FetchFault> {
    let server = HttpsServer::fixed(identity, OK);
    let tls = TlsConnector(server_trust::config_with(trust, roots).unwrap());
    let answer = Client::with_parts(tls, resolve::system, patient()).get(&server.url("/"), None, None, soon());
    answer.map(|_| ()).map_err(|error| error.fault)
}

#[test]
fn a_configured_ca_replaces_the_systems() {
    let (system, configured) = (Authority::root("system"), Authority::root("configured"));
    let roots = || {
        let mut roots = RootCertStore::empty();
        roots.add(system.der().clone()).unwrap();
        Arc::new(roots)
    };
    let unknown = |configured| Err(CertificateFault::UnknownIssuer { configured }.into());
    assert_eq!(with_system(&system.issue(&localhost()), &ServerTrust::System, roots), Ok(()));
    assert_eq!(with_system(&configured.issue(&localhost()), &ServerTrust::System, roots), unknown(false));
    assert_eq!(with_system(&system.issue(&localhost()), &only(&configured.pem()), roots), unknown(true));
    let self_signed = CertifiedKey::self_signed(&localhost());
    assert_eq!(
        with_system(&self_signed, &ServerTrust::System, roots),
        Err(CertificateFault::SelfSigned { configured: false }.into())
    );
}

#[test]
fn the_systems_roots_are_loaded_only_when_needed() {
    let server = CertifiedKey::self_signed(&localhost());
    for trust in [only(&server.pem), ServerTrust::Insecure] {
        assert_eq!(with_system(&server, &trust, || panic!("{trust:?} does not need them")), Ok(()));
    }
    let empty = server_trust::config_with(&ServerTrust::System, || Arc::new(RootCertStore::empty()));
    assert_eq!(empty.err(), Some(ServerTrustError::NoSystemRoots));
}

#[test]
fn the_systems_roots_come_from_the_system() {
    // A variable names the system's roots, and variables belong to the process: so this test runs itself in a new one.
    const URL: &str = "ISTIO_FEDERATION_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let client = Client::new(&ServerTrust::System, patient()).unwrap();
        assert!(client.get(&url, None, None, soon()).is_ok());
        return;
    }
    let ca = Authority::root("system");
    let server = HttpsServer::fixed(&ca.issue(&localhost()), OK);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca.pem()).unwrap();
    let run = |roots: &std::path::Path| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "peer::tests::server_trust::the_systems_roots_come_from_the_system"])
            .env(URL, server.url("/"))
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap()
    };
    let passed = run(file.path());
    assert!(passed.status.success(), "{}", String::from_utf8_lossy(&passed.stdout));
    assert_eq!(server.requests().len(), 1);
    let without = run(std::path::Path::new("/dev/null"));
    assert!(String::from_utf8_lossy(&without.stdout).contains("NoSystemRoots"), "{without:?}");
}

/// A server key that signs the handshake wrongly, like an attacker who has only the certificate.
#[derive(Debug)]
struct WrongKey(Arc<dyn rustls::sign::SigningKey>);

#[derive(Debug)]
struct WrongSigner(Box<dyn rustls::sign::Signer>);

impl rustls::sign::SigningKey for WrongKey {
    fn choose_scheme(&self, offered: &[rustls::SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        Some(Box::new(WrongSigner(self.0.choose_scheme(offered)?)))
    }
    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl rustls::sign::Signer for WrongSigner {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0.sign(b"something else")
    }
    fn scheme(&self) -> rustls::SignatureScheme {
        self.0.scheme()
    }
}

#[test]
fn the_handshakes_signature_is_checked_for_every_kind_of_trust() {
    use rustls::version::{TLS12, TLS13};
    let identity = CertifiedKey::self_signed(&localhost());
    for version in [&TLS12, &TLS13] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = Arc::new(WrongKey(identity.signing_key()));
        let certified = rustls::sign::CertifiedKey::new(identity.chain(), key);
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        let config = Arc::new(config);
        let got = Arc::new(Mutex::new(0));
        let count = Arc::clone(&got);
        let server = HttpsServer::with_config(config, move |_, _| {
            *count.lock().unwrap() += 1;
            Ok(())
        });
        for trust in [ServerTrust::Insecure, only(&identity.pem)] {
            let answer = Client::new(&trust, patient()).unwrap().get(&server.url("/"), None, None, soon());
            assert!(
                matches!(answer, Err(FetchError { fault: FetchFault::Certificate(_) | FetchFault::Tls(_), .. })),
                "{answer:?}"
            );
        }
        assert_eq!(*got.lock().unwrap(), 0);
    }
}

#[test]
fn old_but_good_tls_is_spoken() {
    let identity = CertifiedKey::self_signed(&localhost());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(
            identity.chain(),
            identity.signing_key(),
        ))));
    let server = HttpsServer::with_config(Arc::new(config), |_, stream| stream.write_all(OK.as_bytes()));
    assert!(Client::new(&only(&identity.pem), patient()).unwrap().get(&server.url("/"), None, None, soon()).is_ok());
}

#[test]
fn spec_metadata_ca_accepts_only_certificates() {
    let certificate = CertifiedKey::self_signed(&localhost()).pem;
    let fault = |pem: &str| ServerTrust::only(pem).map(|_| ()).unwrap_err();
    assert_eq!(fault("garbage"), ServerTrustError::Pem(PemError::NoBlock));
    assert_eq!(fault(&certificate[..200]), ServerTrustError::Pem(PemError::Unterminated));
    assert_eq!(fault(&format!("{certificate}{}", &certificate[..200])), ServerTrustError::Pem(PemError::Unterminated));
    assert_eq!(fault(&format!("{certificate}{PRIVATE}")), ServerTrustError::PrivateKey(2));
    let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(fault(&format!("{certificate}{other}")), ServerTrustError::NotACertificate(2));
    assert_eq!(fault(&certificate.repeat(65)), ServerTrustError::TooMany);
    assert_eq!(fault(&"x".repeat(300_000)), ServerTrustError::Pem(PemError::TooLong(256 * 1024)));
    for (pem, text) in [
        ("garbage", "spec.metadata.ca cannot be used: there is no PEM block (no \"-----BEGIN\" line)"),
        (other, "spec.metadata.ca cannot be used: PEM block 1 is not a certificate"),
    ] {
        assert_eq!(fault(pem).to_string(), text);
    }
}

#[test]
fn a_ca_wins_over_insecure_and_an_empty_one_counts_as_absent() {
    let pem = CertifiedKey::self_signed(&localhost()).pem;
    let spec = |ca: Option<&str>, insecure: Option<bool>| {
        ServerTrust::from_spec(Some(&MetadataTls { ca: ca.map(str::to_owned), insecure_skip_verify: insecure }))
    };
    assert!(matches!(ServerTrust::from_spec(None), Ok(ServerTrust::System)));
    assert!(matches!(spec(None, None), Ok(ServerTrust::System)));
    assert!(matches!(spec(Some(" \n"), Some(false)), Ok(ServerTrust::System)));
    assert!(matches!(spec(Some(""), Some(true)), Ok(ServerTrust::Insecure)));
    assert!(matches!(spec(Some(&pem), Some(true)), Ok(ServerTrust::Only(_))));
    assert!(spec(Some("garbage"), Some(true)).is_err(), "a broken CA never switches verification off");
}
