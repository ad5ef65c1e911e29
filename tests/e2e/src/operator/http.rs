//! The operator's HTTP server: readiness, and the metrics of hooks.

use std::fmt::Write as _;
use std::rc::Rc;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::Operator;

/// Longest request, in bytes.
const REQUEST: usize = 4096;

/// Serves `/readyz` and `/metrics/hooks`.
pub(super) async fn serve(operator: Rc<Operator>) -> anyhow::Result<()> {
    let address = operator.settings.listen();
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let operator = operator.clone();
            spawn_local(async move {
                // On failure, the client sees the connection end.
                answer(&operator, stream).await.ok();
            });
        }
    });
    Ok(())
}

async fn answer(operator: &Operator, mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = vec![0; REQUEST];
    let length = stream.read(&mut request).await?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let (status, body) = match request.split(' ').nth(1) {
        Some("/readyz") if operator.converged.get() => ("200 OK", "ok\n".to_owned()),
        Some("/readyz") => ("500 Internal Server Error", "not converged yet\n".to_owned()),
        Some("/metrics/hooks") => ("200 OK", metrics(operator)),
        _ => ("404 Not Found", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

fn metrics(operator: &Operator) -> String {
    let mut text = String::new();
    for (series, value) in operator.metrics.borrow().series() {
        let labels = series.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
        let labels = labels.chain([format!("module={:?}", operator.folder.name)]).collect::<Vec<_>>().join(",");
        writeln!(text, "{}{{{labels}}} {value}", series.name).ok();
    }
    text
}
