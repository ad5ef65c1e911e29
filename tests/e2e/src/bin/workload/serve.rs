//! The server: answers with its name, and the client's identity according to the mesh.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Header in which the proxy describes the client's certificate.
const CLIENT: &str = "x-forwarded-client-cert";

pub(super) async fn serve(name: &str) -> anyhow::Result<()> {
    tokio::try_join!(http(name, 8080), http(name, 9000), tcp(name, 5000))?;
    Ok(())
}

async fn http(name: &str, port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let name = name.to_owned();
        tokio::spawn(async move {
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&name, &request))));
            // A client that disconnects is not an error.
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

fn answer(name: &str, request: &Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
    let client = request.headers().get_all(CLIENT).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let answer = json!({"app": name, "client": client.collect::<Vec<_>>().join(",")}).to_string();
    let is_grpc =
        request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc {
        return Response::new(Full::new(Bytes::from(answer)).boxed());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(framed(answer.as_bytes())).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+json"));
    response
}

/// A gRPC frame: uncompressed flag, length, message.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat().into()
}

async fn tcp(name: &str, port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(line(stream, name.to_owned()));
    }
}

async fn line(stream: TcpStream, name: String) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    stream.write_all(format!("{name} heard {line}").as_bytes()).await
}
