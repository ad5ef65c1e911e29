//! Negative controls: anchors for B's root without a part, in place of the module's. With them, forgeries come in that the part keeps out.

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::mesh::{Proxy, Side};
use istio_federation_e2e::until;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use serde_json::{Value, json};

use super::cases::Part;
use crate::given::PATIENCE;

/// A replacement for the confined anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The root with another serial number.
    Plain,
    /// Permitted URIs, no exclusions.
    UriOnly,
    /// The confined anchor without this part.
    Without(Part),
}

impl Anchor {
    /// Whether it lets in what this part keeps out.
    pub(crate) fn lets_in(self, part: Part) -> bool {
        match self {
            Self::Plain => true,
            Self::UriOnly => part != Part::PermittedUri,
            Self::Without(missing) => missing == part,
        }
    }

    fn has(self, part: Part) -> bool {
        !self.lets_in(part)
    }
}

/// Writes it into A's mesh configuration and waits until these proxies use it. A's operator must be down.
pub(crate) async fn put(a: &Side<'_>, b: &Side<'_>, anchor: Anchor, number: u8, proxies: &[&Proxy]) -> Result<()> {
    let (pem, serial) = (make(b, anchor, number)?, format!("{number:02x}"));
    let mut mesh = a.cluster.mesh_config().await?;
    mesh["caCertificates"] = json!([{"pem": pem, "trustDomains": ["cluster-b.local"]}]);
    a.cluster.set_mesh_config(&mesh).await?;
    for proxy in proxies {
        until("the proxy uses the other anchor", PATIENCE, async || {
            let dump: Value = serde_json::from_str(&proxy.admin("/certs").await?)?;
            let certificates = dump["certificates"].as_array().context("no certificates")?;
            let mut anchors = certificates.iter().flat_map(|used| used["ca_cert"].as_array().into_iter().flatten());
            ensure!(anchors.any(|anchor| anchor["serial_number"] == *serial), "no serial number {serial} in {dump}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    Ok(())
}

/// Makes an anchor like the module's, without the missing part: key and subject of the root, with name constraints. Proxies show its
/// serial number.
fn make(b: &Side<'_>, anchor: Anchor, number: u8) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "cluster-b.local");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let issuer = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate()?)?;
    params.serial_number = Some(SerialNumber::from(vec![number]));
    if anchor != Anchor::Plain {
        let mut constraints = CustomExtension::from_oid_content(&[2, 5, 29, 30], constraints(anchor));
        constraints.set_criticality(true);
        params.custom_extensions = vec![constraints];
    }
    Ok(params.signed_by(b.root.issuer().key(), &issuer)?.pem())
}

/// Kinds of general names (RFC 5280, 4.2.1.6): tags of their bodies.
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// `NameConstraints` (RFC 5280, 4.2.1.10).
fn constraints(anchor: Anchor) -> Vec<u8> {
    let subtree = |kind: u8, name: &[u8]| der(0x30, &der(kind, name));
    let mut permitted = Vec::new();
    if anchor.has(Part::PermittedUri) {
        permitted.extend(subtree(URI, b"cluster-b.local"));
    }
    if anchor.has(Part::ExcludedEmail) {
        permitted.extend(subtree(EMAIL, b"nobody@invalid"));
    }
    let mut excluded = Vec::new();
    if anchor.has(Part::ExcludedDns) {
        excluded.extend(subtree(DNS, b""));
    }
    if anchor.has(Part::ExcludedEmail) {
        excluded.extend(subtree(EMAIL, b""));
    }
    if anchor.has(Part::ExcludedIp) {
        excluded.extend([subtree(IP, &[0; 8]), subtree(IP, &[0; 32])].concat());
    }
    let part = |tag, subtrees: &[u8]| if subtrees.is_empty() { Vec::new() } else { der(tag, subtrees) };
    der(0x30, &[part(0xa0, &permitted), part(0xa1, &excluded)].concat())
}

fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [&head, body].concat()
}
