//! The clients. The C library resolves names, as in most programs.

use std::time::Duration;

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Empty, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::serve::framed;

/// Longer than the proxy's connect timeout.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn connect(address: &str) -> anyhow::Result<TcpStream> {
    timeout(PATIENCE, TcpStream::connect(address)).await?.with_context(|| format!("cannot connect to {address}"))
}

pub(super) async fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let stream = TokioIo::new(connect(address).await?);
    let exchange = async {
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let host = address.strip_suffix(":80").unwrap_or(address);
        let request = Request::get(path).header("host", host).header("connection", "close");
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(format!("{status} {}", String::from_utf8_lossy(&body).trim()))
    };
    timeout(PATIENCE, exchange).await?
}

pub(super) async fn grpc(address: &str) -> anyhow::Result<String> {
    let stream = TokioIo::new(connect(address).await?);
    let exchange = async {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        let request = Request::post(format!("http://{address}/bench.Echo/Say"))
            .header("content-type", "application/grpc+json")
            .header("te", "trailers");
        let response = sender.send_request(request.body(Full::new(framed(b"{}")))?).await?;
        // A response without a message has the status in its headers.
        let early = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await?;
        let status = early.or_else(|| body.trailers()?.get("grpc-status").cloned()).context("no grpc-status")?;
        let message = body.to_bytes();
        let message = message.get(5..).unwrap_or_default();
        Ok(format!("grpc-status {} {}", status.to_str()?, String::from_utf8_lossy(message)))
    };
    timeout(PATIENCE, exchange).await?
}

pub(super) async fn tcp(address: &str, line: &str) -> anyhow::Result<String> {
    let mut stream = BufReader::new(connect(address).await?);
    let exchange = async {
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        ensure!(!answer.is_empty(), "the connection was closed without an answer");
        Ok(answer.trim().to_owned())
    };
    timeout(PATIENCE, exchange).await?
}
