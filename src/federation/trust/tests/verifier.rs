//! A verifier that finds chains as BoringSSL does: the issuer is the first match by name and key identifier, without
//! backtracking. It reads certificates with x509-parser, independent of the code under test.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// Why a chain is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    NoIssuer,
    Signature,
    Expired,
    NotCa,
    PathLength,
    NameConstraints,
    NoIdentity,
}

/// Verifies `chain` (leaf first, as a client sends it) against the list, in its order, at `now` (seconds since 1970).
///
/// A leaf without any name that Envoy would compare with a SPIFFE ID has no identity.
pub(super) fn verify(list: &[Vec<u8>], chain: &[Vec<u8>], now: i64) -> Result<(), Verdict> {
    let (list, sent) = (parse_all(list), parse_all(chain));
    let mut path = vec![sent[0].clone()];
    loop {
        let end = &path[path.len() - 1];
        // The list comes first; any certificate in it ends the chain.
        if let Some(anchor) = list.iter().find(|candidate| fits(end, candidate)) {
            path.push(anchor.clone());
            break;
        }
        match sent[1..].iter().find(|candidate| fits(end, candidate)) {
            Some(issuer) if path.len() < 8 => path.push(issuer.clone()),
            _ => return Err(Verdict::NoIssuer),
        }
    }
    for pair in path.windows(2) {
        pair[0].verify_signature(Some(pair[1].public_key())).map_err(|_| Verdict::Signature)?;
    }
    for (depth, certificate) in path.iter().enumerate() {
        let validity = certificate.validity();
        if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
            return Err(Verdict::Expired);
        }
        if depth > 0 {
            let constraints = certificate.basic_constraints().unwrap().ok_or(Verdict::NotCa)?.value;
            if !constraints.ca {
                return Err(Verdict::NotCa);
            }
            if constraints.path_len_constraint.is_some_and(|most| depth - 1 > most as usize) {
                return Err(Verdict::PathLength);
            }
            path[..depth].iter().enumerate().try_for_each(|(below, subject)| constrain(certificate, subject, below))?;
        }
    }
    let identified = names(&path[0])
        .iter()
        .any(|name| matches!(name, GeneralName::URI(_) | GeneralName::DNSName(_) | GeneralName::RFC822Name(_)));
    identified.then_some(()).ok_or(Verdict::NoIdentity)
}

fn parse_all(ders: &[Vec<u8>]) -> Vec<X509Certificate<'_>> {
    ders.iter().map(|der| parse(der)).collect()
}

fn parse(der: &[u8]) -> X509Certificate<'_> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    certificate
}

/// Names are compared without case, with folded white space, whatever the string type.
fn canonical(name: &X509Name<'_>) -> Vec<(String, String)> {
    name.iter_attributes()
        .map(|attribute| {
            let text = attribute.as_str().unwrap_or("?").to_lowercase();
            (attribute.attr_type().to_id_string(), text.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn fits(subject: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    if canonical(subject.issuer()) != canonical(issuer.subject()) {
        return false;
    }
    let extension = |certificate: &X509Certificate<'_>, wanted: fn(&ParsedExtension<'_>) -> Option<Vec<u8>>| {
        certificate.extensions().iter().find_map(|extension| wanted(extension.parsed_extension()))
    };
    let authority = extension(subject, |extension| match extension {
        ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    let serial = extension(subject, |extension| match extension {
        ParsedExtension::AuthorityKeyIdentifier(authority) => authority.authority_cert_serial.map(<[u8]>::to_vec),
        _ => None,
    });
    let identifier = extension(issuer, |extension| match extension {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    });
    let same_key = authority.zip(identifier).is_none_or(|(authority, identifier)| authority == identifier);
    same_key && serial.is_none_or(|serial| serial == issuer.raw_serial())
}

fn names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a GeneralName<'a>> {
    certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(names.general_names.iter().collect()),
            _ => None,
        })
        .unwrap_or_default()
}

fn constrain(ca: &X509Certificate<'_>, subject: &X509Certificate<'_>, below: usize) -> Result<(), Verdict> {
    let self_issued = canonical(subject.subject()) == canonical(subject.issuer());
    if below > 0 && self_issued {
        return Ok(());
    }
    let Some(constraints) = ca.name_constraints().unwrap() else { return Ok(()) };
    for name in names(subject) {
        let matches = |subtrees: &Option<Vec<_>>| -> Result<Vec<bool>, Verdict> {
            let subtrees: &[x509_parser::extensions::GeneralSubtree<'_>] = subtrees.as_deref().unwrap_or_default();
            subtrees.iter().filter_map(|subtree| within(name, &subtree.base).transpose()).collect()
        };
        let permitted = matches(&constraints.value.permitted_subtrees)?;
        let excluded = matches(&constraints.value.excluded_subtrees)?;
        if (!permitted.is_empty() && !permitted.contains(&true)) || excluded.contains(&true) {
            return Err(Verdict::NameConstraints);
        }
    }
    Ok(())
}

/// Whether a name lies within a subtree; `None` for another kind of name.
fn within(name: &GeneralName<'_>, base: &GeneralName<'_>) -> Result<Option<bool>, Verdict> {
    let below = |name: &str, base: &str| {
        let (name, base) = (name.to_lowercase(), base.to_lowercase());
        base.is_empty() || name == base || name.ends_with(&format!(".{base}"))
    };
    Ok(match (name, base) {
        (GeneralName::URI(uri), GeneralName::URI(base)) => {
            let (_, rest) = uri.split_once("://").ok_or(Verdict::NameConstraints)?;
            let host = rest.split([':', '/']).next().unwrap_or_default();
            if host.is_empty() {
                return Err(Verdict::NameConstraints);
            }
            Some(match base.strip_prefix('.') {
                Some(_) => host.to_lowercase().ends_with(&base.to_lowercase()),
                None => host.eq_ignore_ascii_case(base),
            })
        }
        (GeneralName::DNSName(name), GeneralName::DNSName(base)) => Some(below(name, base)),
        (GeneralName::RFC822Name(name), GeneralName::RFC822Name(base)) => {
            let (_, host) = name.split_once('@').ok_or(Verdict::NameConstraints)?;
            Some(base.is_empty() || name == base || host.eq_ignore_ascii_case(base))
        }
        (GeneralName::IPAddress(address), GeneralName::IPAddress(base)) => {
            let (network, mask) = base.split_at(base.len() / 2);
            let same = |((a, n), m): ((&u8, &u8), &u8)| a & m == n & m;
            Some(address.len() == network.len() && address.iter().zip(network).zip(mask).all(same))
        }
        _ => None,
    })
}
