//! A TLS client without a proxy, as the owner of a mesh could write it: it presents any certificate and accepts any server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use istio_federation_testkit::CertifiedKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::network::Host;

const PATIENCE: Duration = Duration::from_secs(10);
/// ALPN that Istio's proxies offer and its gateways expect.
const ALPN: &[u8] = b"istio";

/// A connection for HTTP/1.1.
pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    /// The server's certificate (DER).
    pub server: Vec<u8>,
}

impl Client {
    /// Connects from `host` as `identity` with this SNI. A refusal of the certificate may only appear with the first request.
    pub async fn connect(host: &Host, to: SocketAddr, sni: &str, identity: &CertifiedKey) -> anyhow::Result<Self> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_client_auth_cert(identity.chain(), identity.private_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        let stream = host.connect(to.ip(), to.port()).await?;
        let name = ServerName::try_from(sni.to_owned())?;
        let stream = timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
        let stream = stream.context("the TLS handshake timed out")?.context("TLS handshake")?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let server = shown.context("the server has no certificate")?.to_vec();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: tokio::spawn(connection), server })
    }

    /// Status and body.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<(u16, String)> {
        match timeout(PATIENCE, self.exchange(path)).await.context("no answer")? {
            Ok(answer) => Ok(answer),
            // The connection's own error is more precise.
            Err(why) => match timeout(PATIENCE, &mut self.connection).await {
                Ok(Ok(Err(ended))) => Err(ended.into()),
                _ => Err(why.into()),
            },
        }
    }

    async fn exchange(&mut self, path: &str) -> hyper::Result<(u16, String)> {
        self.sender.ready().await?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path.parse::<Uri>().unwrap_or_default();
        request.headers_mut().insert(HOST, HeaderValue::from_static("bench.example"));
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
