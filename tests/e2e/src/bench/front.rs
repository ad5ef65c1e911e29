//! The exporter's ingress: terminates TLS in front of it. It can also misbehave like a broken peer.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use istio_federation_testkit::{Authority, server_for};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::room::Room;

/// Longest head of a request, in bytes.
const HEAD: usize = 64 * 1024;
/// Pause between two bytes of a slow answer.
const DRIP: Duration = Duration::from_millis(200);

/// Changes a document in transit; the arguments are its path and the document.
pub type Rewrite = Arc<dyn Fn(&str, &mut Value) + Send + Sync>;

/// The front's behaviour.
#[derive(Clone)]
pub enum Manner {
    /// Forwards unchanged.
    Plain,
    /// Closes every connection.
    Closed,
    /// Answers a TLS handshake with plain HTTP.
    BrokenTls,
    /// Answers with this status line and body.
    Says(&'static str, &'static str),
    /// Answers one byte at a time, forever.
    Drips,
    /// Forwards with a change to every document; each answer has another entity tag.
    Changes(Rewrite),
}

/// A running front.
pub struct Front {
    port: u16,
    ca: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

impl Front {
    /// Starts in front of port `port` of `room`.
    pub(super) async fn start(room: Room, port: u16) -> anyhow::Result<Self> {
        let ca = Authority::root("CA of the ingress");
        let acceptor = TlsAcceptor::from(Arc::new(ca.issue(&server_for(&["localhost"])).server_config()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (manner, asked) = (Arc::new(Mutex::new(Manner::Plain)), Arc::default());
        let front = Self { port: listener.local_addr()?.port(), ca: ca.pem(), manner, asked };
        let (manner, asked) = (front.manner.clone(), front.asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::Relaxed);
                let manner = manner.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let (acceptor, room) = (acceptor.clone(), room.clone());
                // The client sees the failure.
                tokio::spawn(async move { serve(stream, manner, acceptor, room, port).await.ok() });
            }
        });
        Ok(front)
    }

    /// `localhost:<port>`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// CA of its certificate: PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Number of connections so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Changes the behaviour, from the next connection on.
    pub fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    acceptor: TlsAcceptor,
    room: Room,
    port: u16,
) -> anyhow::Result<()> {
    match manner {
        Manner::Closed => return Ok(()),
        Manner::BrokenTls => return Ok(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?),
        _ => {}
    }
    let mut stream = acceptor.accept(stream).await?;
    match manner {
        Manner::Plain => {
            let mut inner = room.connect(port).await?;
            copy_bidirectional(&mut stream, &mut inner).await?;
        }
        Manner::Says(status, body) => {
            head(&mut stream).await?;
            answer(&mut stream, status, "application/json", body.as_bytes()).await?;
        }
        Manner::Drips => {
            head(&mut stream).await?;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n")
                .await?;
            loop {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                tokio::time::sleep(DRIP).await;
            }
        }
        Manner::Changes(rewrite) => {
            let request = head(&mut stream).await?;
            let path = request.split(' ').nth(1).context("a request without a path")?.to_owned();
            let (status, body) = ask(room.connect(port).await?, &request).await?;
            let body = match serde_json::from_slice::<Value>(&body) {
                Ok(mut document) if status.starts_with("200") => {
                    rewrite(&path, &mut document);
                    document.to_string().into_bytes()
                }
                _ => body,
            };
            answer(&mut stream, &status, "application/json", &body).await?;
        }
        Manner::Closed | Manner::BrokenTls => {}
    }
    Ok(())
}

/// The head of a request.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < HEAD, "the head of the request is too long");
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head)?)
}

/// The whole answer, even to a conditional request.
async fn ask(mut inner: TcpStream, request: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let keep = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !["connection", "if-none-match", "accept-encoding"].contains(&name.as_str())
    };
    let mut asked: Vec<&str> = request.trim_end().lines().filter(keep).collect();
    asked.push("connection: close\r\n\r\n");
    inner.write_all(asked.join("\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    inner.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("the answer is cut off")?;
    let status = String::from_utf8_lossy(&answer[..end]).lines().next().unwrap_or_default().to_owned();
    let status = status.split_once(' ').context("no status line")?.1.to_owned();
    Ok((status, answer.split_off(end + 4)))
}

async fn answer(
    stream: &mut (impl AsyncWrite + Unpin),
    status: &str,
    content_type: &str,
    body: &[u8],
) -> anyhow::Result<()> {
    let etag = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\netag: \"{etag}\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await?;
    Ok(())
}
