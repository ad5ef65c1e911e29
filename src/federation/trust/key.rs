//! Public keys: admission, encoding and identity.

use der::asn1::{AnyRef, BitString, UintRef};
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use der::{Decode, Encode, Sequence};
use num_bigint::BigUint;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::refusal::RefusalReason;

const EXPONENT: &[u8] = &[1, 0, 1];
const UNCOMPRESSED: u8 = 4;
const OFF_CURVE: &str = "not a point of its curve";

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// An admitted public key: RSA of 2048 to 4096 bits with exponent 65537, or a point of P-256 or P-384.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    kind: KeyKind,
    /// The content of the BIT STRING of a `SubjectPublicKeyInfo`, re-encoded.
    bits: Vec<u8>,
}

/// `RSAPublicKey` (RFC 8017, appendix A.1.1).
#[derive(Sequence)]
pub(super) struct RsaPublicKey<'a> {
    pub(super) modulus: UintRef<'a>,
    pub(super) exponent: UintRef<'a>,
}

impl PublicKey {
    /// Admits a key, or returns why not.
    pub(super) fn admit(info: &SubjectPublicKeyInfoOwned) -> Result<Self, RefusalReason> {
        let bits = info.subject_public_key.as_bytes().ok_or(RefusalReason::Key("not a whole number of bytes"))?;
        let parameters = info.algorithm.parameters.as_ref();
        match info.algorithm.oid {
            RSA_ENCRYPTION if parameters.is_some_and(der::Any::is_null) => Self::rsa(bits),
            RSA_ENCRYPTION => Err(RefusalReason::Key("RSA with unusual parameters")),
            ID_EC_PUBLIC_KEY => {
                let curve = parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
                match curve {
                    Some(SECP_256_R_1) => Self::point(KeyKind::P256, bits),
                    Some(SECP_384_R_1) => Self::point(KeyKind::P384, bits),
                    _ => Err(RefusalReason::Key("of another elliptic curve")),
                }
            }
            _ => Err(RefusalReason::Key("of another type")),
        }
    }

    fn rsa(bits: &[u8]) -> Result<Self, RefusalReason> {
        let key = RsaPublicKey::from_der(bits).map_err(|_| RefusalReason::Key("a malformed RSA key"))?;
        let modulus = key.modulus.as_bytes();
        let length = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !(2048..=4096).contains(&length) {
            return Err(RefusalReason::Key("RSA of fewer than 2048 or more than 4096 bits"));
        }
        if modulus.last().is_none_or(|last| last % 2 == 0) {
            return Err(RefusalReason::Key("RSA with an even modulus"));
        }
        if key.exponent.as_bytes() != EXPONENT {
            return Err(RefusalReason::Key("RSA with another exponent than 65537"));
        }
        Ok(Self { kind: KeyKind::Rsa, bits: key.to_der()? })
    }

    /// A point has to lie on its curve: Go refuses a certificate whose point does not, and with it istiod the whole list.
    fn point(kind: KeyKind, bits: &[u8]) -> Result<Self, RefusalReason> {
        let curve = Curve::of(kind).ok_or(RefusalReason::Key("of another elliptic curve"))?;
        match bits.split_first() {
            Some((&UNCOMPRESSED, coordinates)) if coordinates.len() == 2 * curve.size => {
                let (x, y) = coordinates.split_at(curve.size);
                if !curve.contains(x, y) {
                    return Err(RefusalReason::Key(OFF_CURVE));
                }
                Ok(Self { kind, bits: bits.to_vec() })
            }
            _ => Err(RefusalReason::Key("an elliptic curve point that is compressed or has the wrong length")),
        }
    }

    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The content of the BIT STRING.
    pub(super) fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// The key as it stands in an anchor.
    pub(super) fn to_spki(&self) -> Result<SubjectPublicKeyInfoOwned, der::Error> {
        let algorithm = match self.kind {
            KeyKind::Rsa => AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL.into()) },
            KeyKind::P256 => {
                AlgorithmIdentifierOwned { oid: ID_EC_PUBLIC_KEY, parameters: Some((&SECP_256_R_1).into()) }
            }
            KeyKind::P384 => {
                AlgorithmIdentifierOwned { oid: ID_EC_PUBLIC_KEY, parameters: Some((&SECP_384_R_1).into()) }
            }
        };
        Ok(SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(&self.bits)? })
    }

    /// The identifier of the key by RFC 5280 4.2.1.2 method 1: SHA-1 of the key bits.
    pub(super) fn identifier(&self) -> Vec<u8> {
        Sha1::digest(&self.bits).to_vec()
    }

    /// Whether `identifier` was derived from this key in one of the usual ways.
    ///
    /// SHA-1 of the key bits (RFC 5280 method 1: OpenSSL, Go before 1.25, Vault), SHA-256, SHA-384 or SHA-512 of them or
    /// of the whole `SubjectPublicKeyInfo`, whole or cut to 160 bits (RFC 7093 methods 1 to 4: Go since 1.25, rcgen).
    /// Each has at least 160 bits, so nobody can make a key with the identifier of another. RFC 5280's method 2 has only
    /// 60 bits and is not accepted for that reason.
    pub(super) fn derives(&self, identifier: &[u8]) -> Result<bool, der::Error> {
        let spki = self.to_spki()?.to_der()?;
        let is_of = |hash: &[u8]| identifier == hash || hash.get(..20) == Some(identifier);
        Ok([self.bits.as_slice(), &spki].into_iter().any(|input| {
            is_of(&Sha1::digest(input))
                || is_of(&Sha256::digest(input))
                || is_of(&Sha384::digest(input))
                || is_of(&Sha512::digest(input))
        }))
    }

    /// The identity of this key.
    pub(super) fn identity(&self) -> KeyIdentity {
        KeyIdentity::of_bits(&self.bits)
    }
}

/// Identity of a key, however it is encoded: the modulus of an RSA key, the x coordinate of a point (shared only with the
/// negated key, whose owner has the same secret), else the key bits.
///
/// Algorithm identifiers, point compression and the exponent do not matter: one secret, one identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIdentity(Vec<u8>);

impl KeyIdentity {
    /// The identity of the key in a `SubjectPublicKeyInfo`, whatever its type.
    #[must_use]
    pub fn of(info: &SubjectPublicKeyInfoOwned) -> Self {
        Self::of_bits(info.subject_public_key.raw_bytes())
    }

    fn of_bits(bits: &[u8]) -> Self {
        if let Ok(key) = RsaPublicKey::from_der(bits) {
            return Self(key.modulus.as_bytes().to_vec());
        }
        match bits {
            [2 | 3, x @ ..] => Self(x.to_vec()),
            [4 | 6 | 7, point @ ..] if point.len() % 2 == 0 => Self(point[..point.len() / 2].to_vec()),
            other => Self(other.to_vec()),
        }
    }
}

/// A short Weierstrass curve over a prime field with a = -3 (NIST SP 800-186, 3.2.1).
struct Curve {
    /// Bytes of a coordinate.
    size: usize,
    prime: BigUint,
    b: BigUint,
}

impl Curve {
    fn of(kind: KeyKind) -> Option<Self> {
        let (size, prime, b) = match kind {
            KeyKind::Rsa => return None,
            KeyKind::P256 => (
                32,
                "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
                "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
            ),
            KeyKind::P384 => (
                48,
                "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
                "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
            ),
        };
        let number = |hex: &str| BigUint::parse_bytes(hex.as_bytes(), 16);
        Some(Self { size, prime: number(prime)?, b: number(b)? })
    }

    /// Whether y² = x³ - 3x + b, both coordinates reduced.
    fn contains(&self, x: &[u8], y: &[u8]) -> bool {
        let (x, y, p) = (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y), &self.prime);
        // Written without subtraction: y² + 3x = x³ + b.
        x < *p && y < *p && (&y * &y + &x * 3_u8) % p == (&x * &x * &x + &self.b) % p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Base points of NIST SP 800-186, 3.2.1.3 and 3.2.1.4.
    fn base_points() -> [(KeyKind, Vec<u8>); 2] {
        [
            (
                KeyKind::P256,
                bytes(
                    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
                ),
            ),
            (
                KeyKind::P384,
                bytes(
                    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
                ),
            ),
        ]
    }

    #[test]
    fn a_point_lies_on_its_curve() {
        for (kind, point) in base_points() {
            assert_eq!(PublicKey::point(kind, &point).unwrap().bits(), point);
            for at in [1, 20, point.len() - 1] {
                let mut moved = point.clone();
                moved[at] ^= 1;
                assert_eq!(PublicKey::point(kind, &moved), Err(RefusalReason::Key(OFF_CURVE)), "byte {at}");
            }
            let zero = [vec![4], vec![0; point.len() - 1]].concat();
            assert_eq!(PublicKey::point(kind, &zero), Err(RefusalReason::Key(OFF_CURVE)));
            let compressed = [vec![3], point[1..=point.len() / 2].to_vec()].concat();
            assert!(PublicKey::point(kind, &compressed).is_err());
        }
    }

    #[test]
    fn a_coordinate_is_reduced() {
        // x + p is the same field element, but no verifier takes it; x = 5 of P-256 has a y.
        let curve = Curve::of(KeyKind::P256).unwrap();
        let y = bytes("459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc");
        let x = BigUint::from(5_u8);
        assert!(curve.contains(&x.to_bytes_be(), &y));
        assert!(!curve.contains(&(x + &curve.prime).to_bytes_be(), &y));
    }

    #[test]
    fn one_secret_has_one_identity() {
        for (_, point) in base_points() {
            let x = &point[1..=point.len() / 2];
            let compressed = |tag: u8| KeyIdentity::of_bits(&[&[tag], x].concat());
            assert_eq!(compressed(2), compressed(3));
            assert_eq!(compressed(2), KeyIdentity::of_bits(&point));
        }
        let [(_, p256), (_, p384)] = base_points();
        assert_ne!(KeyIdentity::of_bits(&p256), KeyIdentity::of_bits(&p384));
    }

    #[test]
    fn an_identifier_is_recognised_only_when_it_comes_from_the_key() {
        let [(kind, point), _] = base_points();
        let key = PublicKey::point(kind, &point).unwrap();
        let spki = key.to_spki().unwrap().to_der().unwrap();
        let sha256 = |input: &[u8]| Sha256::digest(input).to_vec();
        assert!(key.derives(&key.identifier()).unwrap());
        assert!(key.derives(&sha256(&point)[..20]).unwrap(), "Go since 1.25");
        assert!(key.derives(&sha256(&spki)[..20]).unwrap(), "rcgen");
        assert!(key.derives(&sha256(&spki)).unwrap(), "RFC 7093 method 4");
        for foreign in
            [&b""[..], b"x", &sha256(&point)[..19], &sha256(b"other")[..20], &[0x40; 8], &key.identifier()[12..]]
        {
            assert!(!key.derives(foreign).unwrap(), "{foreign:?}");
        }
    }
}
