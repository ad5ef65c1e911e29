//! GET on a port of a room's loopback.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::bench::Room;

const PATIENCE: Duration = Duration::from_secs(10);

/// Status and body.
pub(super) async fn get(room: &Room, port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    send(room, port, Request::get(path)).await
}

/// Status and body of a POST without content.
pub(super) async fn post(room: &Room, port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    send(room, port, Request::post(path)).await
}

async fn send(room: &Room, port: u16, request: hyper::http::request::Builder) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let stream = TokioIo::new(room.connect(port).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let response = sender.send_request(request.header("host", "localhost").body(Empty::<Bytes>::new())?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    timeout(PATIENCE, exchange).await?
}
