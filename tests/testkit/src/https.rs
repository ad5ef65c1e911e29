//! A scripted HTTPS server on loopback: real sockets and rustls, in its own threads.

use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::CertifiedKey;

/// A server, gone when dropped.
#[derive(Debug)]
pub struct HttpsServer {
    /// Its address: a free port of 127.0.0.1.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
}

impl HttpsServer {
    /// A server with this certificate. `answer` gets the head of each request and writes the whole response.
    #[must_use]
    pub fn tls(
        identity: &CertifiedKey,
        answer: impl Fn(&str, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::with_config(Arc::new(identity.server_config()), answer)
    }

    /// The same, with this TLS configuration.
    #[must_use]
    pub fn with_config(
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

    /// A server that answers every request with these bytes, then closes TLS properly.
    #[must_use]
    pub fn fixed(identity: &CertifiedKey, response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::tls(identity, move |_, stream| stream.write_all(&response))
    }

    /// A server without TLS: `handle` gets each connection.
    #[must_use]
    pub fn tcp(handle: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
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
                // Some tests are about clients that disconnect.
                thread::spawn(move || handle(socket).ok());
            }
        });
        Self { address, requests: Arc::default(), stopped }
    }

    /// `https://localhost:PORT` and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// The heads of the requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}
