//! Makes certificates of every kind, good and hostile, byte by byte: nothing here comes from the code under test.

use base64::Engine as _;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};

pub(super) const CN: &[u8] = &[0x55, 4, 3];
pub(super) const O: &[u8] = &[0x55, 4, 10];
pub(super) const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
pub(super) const UTF8: u8 = 0x0c;
pub(super) const PRINTABLE: u8 = 0x13;
pub(super) const IA5: u8 = 0x16;

/// An element of DER.
pub(super) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        n @ 0..128 => vec![u8::try_from(n).unwrap()],
        n @ 128..256 => vec![0x81, u8::try_from(n).unwrap()],
        n => [vec![0x82], u16::try_from(n).unwrap().to_be_bytes().to_vec()].concat(),
    };
    [vec![tag], length, content].concat()
}

/// A name of single-valued parts: OID content, tag and bytes of the value.
pub(super) fn name(parts: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let rdns: Vec<_> = parts
        .iter()
        .map(|(oid, tag, value)| tlv(0x31, &[&tlv(0x30, &[&tlv(6, &[oid]), &tlv(*tag, &[value])])]))
        .collect();
    tlv(0x30, &[&rdns.concat()])
}

pub(super) fn organization(text: &str) -> Vec<u8> {
    name(&[(O, PRINTABLE, text.as_bytes())])
}

/// An extension with an OID below 2.5.29.
pub(super) fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&[6, 3, 0x55, 0x1d, id], critical, &tlv(4, &[value])])
}

pub(super) fn ca_true(path_length: Option<u8>) -> Vec<u8> {
    let length = path_length.map_or(vec![], |n| vec![2, 1, n]);
    extension(19, true, &tlv(0x30, &[&[1, 1, 0xff], &length]))
}

pub(super) fn key_cert_sign() -> Vec<u8> {
    extension(15, true, &[3, 2, 2, 4])
}

pub(super) fn subject_key_identifier(identifier: &[u8]) -> Vec<u8> {
    extension(14, false, &tlv(4, &[identifier]))
}

pub(super) fn authority_key_identifier(identifier: &[u8]) -> Vec<u8> {
    extension(35, false, &tlv(0x30, &[&tlv(0x80, &[identifier])]))
}

/// A SPIFFE ID of ours.
pub(super) const OURS: &str = "spiffe://a.local/ns/pay/sa/pay";
/// A SPIFFE ID of the peer `b.local`.
pub(super) const THEIRS: &str = "spiffe://b.local/ns/x/sa/y";

/// Names that the peer `b.local` may put into a certificate, and whether its confined anchor lets them through.
pub(super) fn names_and_verdicts() -> Vec<(Vec<San<'static>>, bool)> {
    use San::{Dns, Email, Ip, Uri};
    vec![
        (vec![Uri(THEIRS)], true),
        (vec![Uri(OURS)], false),
        (vec![Uri(THEIRS), Uri(OURS)], false),
        (vec![Uri("spiffe://a.local:x@b.local/ns/pay/sa/pay")], false),
        (vec![Uri("spiffe://A.LOCAL/ns/pay/sa/pay")], false),
        (vec![Uri("spiffe://sub.b.local/ns/x/sa/y")], false),
        (vec![Uri("spiffe://xb.local/ns/x/sa/y")], false),
        (vec![Uri("spiffe://b.local.evil/ns/x/sa/y")], false),
        (vec![Uri("spiffe:///ns/x/sa/y")], false),
        (vec![Uri("spiffe:a.local")], false),
        (vec![Uri(THEIRS), Dns(OURS)], false),
        (vec![Dns(OURS)], false),
        (vec![Uri(THEIRS), Dns("x.b.local")], false),
        (vec![Uri(THEIRS), Email(OURS)], false),
        (vec![Email(OURS)], false),
        (vec![Email("spiffe://b.local/ns/x/sa/y@evil")], false),
        (vec![Uri(THEIRS), Ip(&[10, 0, 0, 1])], false),
        (vec![Uri(THEIRS), Ip(&[0xfd; 16])], false),
    ]
}

/// A subject alternative name.
#[derive(Clone, Copy)]
pub(super) enum San<'a> {
    Uri(&'a str),
    Dns(&'a str),
    Email(&'a str),
    Ip(&'a [u8]),
}

pub(super) fn subject_alternative_names(names: &[San<'_>]) -> Vec<u8> {
    let names: Vec<_> = names
        .iter()
        .map(|name| match name {
            San::Uri(text) => tlv(0x86, &[text.as_bytes()]),
            San::Dns(text) => tlv(0x82, &[text.as_bytes()]),
            San::Email(text) => tlv(0x81, &[text.as_bytes()]),
            San::Ip(bytes) => tlv(0x87, &[bytes]),
        })
        .collect();
    extension(17, true, &tlv(0x30, &[&names.concat()]))
}

/// A key pair of a CA or workload.
pub(super) enum Key {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    pub(super) fn p256() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    pub(super) fn p384() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &random).unwrap();
        Self::P384(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    /// The key of `testdata/rsa-2048.pem`: ring cannot make one.
    pub(super) fn rsa() -> Self {
        let text: String =
            include_str!("../testdata/rsa-2048.key.pem").lines().filter(|line| !line.starts_with('-')).collect();
        let pkcs8 = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(&pkcs8).unwrap()))
    }

    pub(super) fn bits(&self) -> &[u8] {
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_ref(),
            Self::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    pub(super) fn spki(&self) -> Vec<u8> {
        let algorithm: &[u8] = match self {
            Self::P256(_) => {
                &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]
            }
            Self::P384(_) => &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 34],
            Self::Rsa(_) => &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0],
        };
        tlv(0x30, &[algorithm, &tlv(3, &[&[0], self.bits()])])
    }

    /// SHA-1 of the key bits.
    pub(super) fn identifier(&self) -> Vec<u8> {
        ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, self.bits()).as_ref().to_vec()
    }

    fn signature_algorithm(&self) -> Vec<u8> {
        match self {
            Self::P256(_) => tlv(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]),
            Self::P384(_) => tlv(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]]),
            Self::Rsa(_) => tlv(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 11, 5, 0]]),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A certificate to be signed; every part can be replaced by something hostile.
#[derive(Clone)]
pub(super) struct Template {
    pub(super) version: Vec<u8>,
    /// Content of the INTEGER.
    pub(super) serial: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// Begin and end, each a time in DER.
    pub(super) validity: [Vec<u8>; 2],
    pub(super) subject: Vec<u8>,
    pub(super) spki: Vec<u8>,
    pub(super) extensions: Vec<Vec<u8>>,
}

pub(super) fn utc_time(text: &str) -> Vec<u8> {
    tlv(0x17, &[text.as_bytes()])
}

pub(super) fn generalized_time(text: &str) -> Vec<u8> {
    tlv(0x18, &[text.as_bytes()])
}

impl Template {
    pub(super) fn new(subject: &[u8], key: &Key, issuer: &[u8], extensions: &[Vec<u8>]) -> Self {
        Self {
            version: vec![0xa0, 3, 2, 1, 2],
            serial: vec![0x11, 0x22],
            issuer: issuer.to_vec(),
            validity: [utc_time("260101000000Z"), utc_time("360101000000Z")],
            subject: subject.to_vec(),
            spki: key.spki(),
            extensions: extensions.to_vec(),
        }
    }

    /// A self-signed root with everything in order.
    pub(super) fn root(subject: &[u8], key: &Key) -> Self {
        let extensions = [ca_true(None), key_cert_sign(), subject_key_identifier(&key.identifier())];
        Self::new(subject, key, subject, &extensions)
    }

    pub(super) fn sign(&self, key: &Key) -> Vec<u8> {
        let algorithm = key.signature_algorithm();
        let tbs = tlv(
            0x30,
            &[
                &self.version,
                &tlv(2, &[&self.serial]),
                &algorithm,
                &self.issuer,
                &tlv(0x30, &[&self.validity[0], &self.validity[1]]),
                &self.subject,
                &self.spki,
                &tlv(0xa3, &[&tlv(0x30, &[&self.extensions.concat()])]),
            ],
        );
        tlv(0x30, &[&tbs, &algorithm, &tlv(3, &[&[0], &key.sign(&tbs)])])
    }
}

/// A CA: its key and certificate. With identifiers, unless made without.
pub(super) struct Ca {
    pub(super) key: Key,
    pub(super) subject: Vec<u8>,
    pub(super) der: Vec<u8>,
    pub(super) identifiers: bool,
}

impl Ca {
    pub(super) fn root(organization: &str) -> Self {
        Self::root_with(Key::p256(), organization, true)
    }

    pub(super) fn root_with(key: Key, text: &str, identifiers: bool) -> Self {
        let subject = organization(text);
        let mut template = Template::root(&subject, &key);
        if !identifiers {
            template.extensions.pop();
        }
        let der = template.sign(&key);
        Self { key, subject, der, identifiers }
    }

    /// The extension by which a certificate of this CA refers to its key.
    fn authority(&self) -> Option<Vec<u8>> {
        self.identifiers.then(|| authority_key_identifier(&self.key.identifier()))
    }

    /// An intermediate below this CA. Without `authority`, it has no authority key identifier.
    pub(super) fn intermediate(&self, text: &str, authority: bool, extra: &[Vec<u8>]) -> Self {
        let (key, subject) = (Key::p256(), organization(text));
        let mut template = Template::root(&subject, &key);
        template.issuer.clone_from(&self.subject);
        template.extensions.extend(self.authority().filter(|_| authority));
        template.extensions.extend_from_slice(extra);
        let der = template.sign(&self.key);
        Self { key, subject, der, identifiers: true }
    }

    /// A workload's certificate.
    pub(super) fn leaf(&self, names: &[San<'_>]) -> Vec<u8> {
        let key = Key::p256();
        let mut extensions = vec![subject_alternative_names(names)];
        extensions.extend(self.authority());
        Template::new(&name(&[]), &key, &self.subject, &extensions).sign(&self.key)
    }

    /// The certificate of a workload with this SPIFFE ID.
    pub(super) fn workload(&self, trust_domain: &str) -> Vec<u8> {
        self.leaf(&[San::Uri(&format!("spiffe://{trust_domain}/ns/x/sa/y"))])
    }

    /// The certificate again, with another end of validity.
    pub(super) fn renewed(&self, end: &str) -> Vec<u8> {
        let mut template = Template::root(&self.subject, &self.key);
        template.validity[1] = utc_time(end);
        template.serial = vec![0x33];
        template.sign(&self.key)
    }
}
