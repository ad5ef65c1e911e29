//! GET on a port of a room's loopback.

use std::time::Duration;

use anyhow::ensure;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::bench::Room;

const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the body; any status but 200 is an error.
pub(super) async fn get(room: &Room, port: u16, path: &str) -> anyhow::Result<String> {
    let exchange = async {
        let stream = TokioIo::new(room.connect(port).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        ensure!(status == 200, "{path}: {status} {body}");
        Ok(body)
    };
    timeout(PATIENCE, exchange).await?
}
