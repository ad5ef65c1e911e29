//! Certificates and manifests for the tests of this room.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, SignatureAlgorithm, date_time_ymd,
};
use serde_json::{Value, json};

/// A self-signed root with an RSA key of 2048 bits, which ring cannot make. Its private key was thrown away.
pub(super) const RSA_ROOT_PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIDIzCCAgugAwIBAgIUZVwuYuqs+1LKPMbdpK3IGyLdQ3cwDQYJKoZIhvcNAQEL
BQAwGDEWMBQGA1UECgwNY2x1c3Rlci5sb2NhbDAgFw0yNjExMjMwODU1MzVaGA8y
MTI2MTAzMDA4NTUzNVowGDEWMBQGA1UECgwNY2x1c3Rlci5sb2NhbDCCASIwDQYJ
KoZIhvcNAQEBBQADggEPADCCAQoCggEBAN3f6I0ExevSj/yOKuBJjDQ40uHUlxWL
TD0P1CU6Bt90LkuVDzsSKrCln9V1yevA4qWTikFY0TEasECC24rZx2Fjmm1yL/DR
V3+Wry1LbufzMSS+f68E27v5LcNd4uH1IdQ+4fEYKZw6acBRMUQCAgWr67vN8TCG
Az8EGZlsbOrT5XCUHkMXcb+pnwn1mYF0GbWgQQPFvXHtsG6EhN3B/TqvZ93fvXS4
BLwBwmrHiDtLvQR6j01J5reWUR1+MhUGVvUO68vvhx+JQNxsQ8d41A+3M3kpAKqy
DM3N8V69nsJEOaE/0bwOmDWbxW8b4bkqGrfbgHmCDst620Z+eYbh4iUCAwEAAaNj
MGEwHQYDVR0OBBYEFFfygaZRu7yd238iZhdCa+yAnRNTMB8GA1UdIwQYMBaAFFfy
gaZRu7yd238iZhdCa+yAnRNTMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQD
AgIEMA0GCSqGSIb3DQEBCwUAA4IBAQAqqli8GqjZwiVUZXNOIfrn3HBFTOuMQFZ3
7MvgGstdO1l7sMOyfYFzdjWWS7YoE+WX+BKJKeP18hh4jiLiZ6kbmhCWcJSvzRsJ
xX5+bDLdk7zX8poErx0K6pNDrmNeeZqYF25+9/f0A8Z2C7BktWvUvFUg9qoX+xTg
NcnA8SPNML7inAkNJXLlOHRQES/hahCCTv9vJBoHf4NCNdiDA5CNlTx3W2PWfHZX
KJ/fMA2KLlDca+LT5P3LEwbha8wR9Um4chJyitpCMiwDzyhjvz+OIDW1CeKlJhAp
d7AsBZJZ/96B58s7BA/LPYf7EDZsQyLS+CpGbKujzdma469gpeUZ
-----END CERTIFICATE-----
";

/// A CA made for a test.
pub(super) struct Ca {
    pub(super) pem: String,
    params: CertificateParams,
    key: KeyPair,
}

impl Ca {
    /// A root on P-256, valid from the first of January of `year`.
    pub(super) fn root(name: &str, year: i32) -> Self {
        Self::root_with(name, year, &PKCS_ECDSA_P256_SHA256)
    }

    pub(super) fn root_p384(name: &str, year: i32) -> Self {
        Self::root_with(name, year, &PKCS_ECDSA_P384_SHA384)
    }

    pub(super) fn root_ed25519(name: &str, year: i32) -> Self {
        Self::root_with(name, year, &PKCS_ED25519)
    }

    fn root_with(name: &str, year: i32, algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = ca_params(name, year);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, params, key }
    }

    /// A CA that this one issued.
    pub(super) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = ca_params(name, 2020);
        let pem = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap().pem();
        Self { pem, params, key }
    }

    /// The public key as an uncompressed point.
    pub(super) fn public_point(&self) -> &[u8] {
        self.key.public_key_raw()
    }
}

fn ca_params(name: &str, year: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(year, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    params
}

/// A certificate that may sign nothing.
pub(super) fn leaf_pem() -> String {
    let key = KeyPair::generate().unwrap();
    CertificateParams::new(vec!["leaf.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
}

/// A ConfigMap or Secret (as `stringData`) of the module's namespace.
pub(super) fn data(kind: &str, name: &str, member: &str, text: &str) -> Value {
    let section = if kind == "Secret" { "stringData" } else { "data" };
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "d8-istio"},
        section: {member: text}})
}

/// An exported Service with one port.
pub(super) fn exported(namespace: &str, name: &str, port: &str, number: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"name": port, "port": number}]},
        "metadata": {"name": name, "namespace": namespace,
            "labels": {"federation.istio.deckhouse.io/public-service": ""}}})
}

/// The gateway's Service behind a load balancer.
pub(super) fn gateway(ip: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"name": "tls", "port": 15443}]},
        "metadata": {"name": "ingressgateway", "namespace": "d8-istio", "labels": {"app": "ingressgateway"}},
        "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}})
}
