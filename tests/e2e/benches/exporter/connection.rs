//! A persistent connection: requests one after the other.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) etag: String,
    pub(crate) body: Vec<u8>,
}

/// A connection of a peer, with its token.
pub(crate) struct Connection {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn to(address: SocketAddr, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "GET /metadata/private/federation.json HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n"
        );
        Ok(Self { stream, head, buffer: Vec::new() })
    }

    /// Requests the private document.
    pub(crate) async fn private(&mut self, etag: Option<&str>) -> Result<Reply> {
        let condition = etag.map(|etag| format!("If-None-Match: {etag}\r\n")).unwrap_or_default();
        self.stream.write_all(format!("{}{condition}\r\n", self.head).as_bytes()).await?;
        self.buffer.clear();
        let end = loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the connection ended");
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.to_owned()))
        };
        let status: u16 = head.split(' ').nth(1).context("no status")?.parse()?;
        let etag = header("etag").unwrap_or_default();
        let length: usize = if status == 304 { 0 } else { header("content-length").context("no length")?.parse()? };
        let mut body = self.buffer.split_off(end + 4);
        let begun = body.len();
        body.resize(length, 0);
        self.stream.read_exact(&mut body[begun..]).await?;
        Ok(Reply { status, etag, body })
    }
}
