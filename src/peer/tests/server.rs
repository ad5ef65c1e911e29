//! A TLS server on loopback that answers as a test says: over real sockets, with rustls, in threads of its own.

use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server certificate with its chain and key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pub(super) pem: String,
}

impl Identity {
    /// A self-signed certificate that says what `params` say.
    pub(super) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::new(&certificate, key)
    }

    fn new(certificate: &Certificate, key: KeyPair) -> Self {
        Self { chain: vec![certificate.der().clone()], key, pem: certificate.pem() }
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(super) fn signing_key(&self) -> Arc<dyn rustls::sign::SigningKey> {
        let der = PrivatePkcs8KeyDer::from(self.key.serialize_der()).into();
        rustls::crypto::ring::sign::any_supported_type(&der).unwrap()
    }

    fn config(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), PrivatePkcs8KeyDer::from(self.key.serialize_der()).into())
            .unwrap();
        Arc::new(config)
    }
}

/// A CA.
pub(super) struct Authority(pub(super) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// A CA below this one.
    pub(super) fn intermediate(&self, name: &str) -> Self {
        Self(CertifiedIssuer::signed_by(ca_params(name), KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    /// A server certificate by this CA.
    pub(super) fn issue(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity::new(&params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server certificate by this CA, which the server sends along.
    pub(super) fn issue_with_chain(&self, params: &CertificateParams) -> Identity {
        let mut identity = self.issue(params);
        identity.chain.push(self.0.der().clone());
        identity
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(&[]);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Parameters of a certificate for `names`, valid for a long time.
pub(super) fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A server, gone when dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// A TLS server; `answer` is given each request's head and writes what it likes.
    pub(super) fn tls(
        identity: &Identity,
        answer: impl Fn(&str, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::with_config(identity.config(), answer)
    }

    /// The same, with TLS as the test likes it.
    pub(super) fn with_config(
        config: Arc<ServerConfig>,
        answer: impl Fn(&str, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut server = Self::tcp(move |socket| {
            let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, socket);
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            seen.lock().unwrap().push(request.clone());
            answer(&request, &mut stream)?;
            stream.conn.send_close_notify();
            stream.flush()
        });
        server.requests = requests;
        server
    }

    /// A server that answers every request with these bytes, and then says goodbye properly.
    pub(super) fn fixed(identity: &Identity, response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::tls(identity, move |_, stream| stream.write_all(&response))
    }

    /// A server that gets the naked connection.
    pub(super) fn tcp(handle: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, handle) = (Arc::clone(&stopped), Arc::new(handle));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let handle = Arc::clone(&handle);
                // That the client goes away is often the point of a test.
                thread::spawn(move || handle(socket).ok());
            }
        });
        Self { address, requests: Arc::default(), stopped }
    }

    /// `https://localhost:PORT` and `path`.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// The heads of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}
