//! What is answered: the documents to peers, and the exporter's own state to its cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tokio::time::Instant;

use super::conditional::already_has;
use super::documents::{Document, Documents, Unavailable};
use super::gate::{Gate, Rejection};
use super::log_limit::LogLimit;
use super::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};
use crate::api::metadata::{PRIVATE_PATH, PUBLIC_PATH, SPIFFE_BUNDLE_PATH};

/// Where the documents are served; what a peer has as its metadata endpoint ends with it.
pub(super) const BASE_PATH: &str = "/metadata";
/// When to ask again for a document that is not there yet, in seconds.
const RETRY_SECONDS: &str = "5";
/// A cache may keep the document but has to ask whether it is current.
const PUBLIC_CACHING: &str = "no-cache";
/// Nobody on the way keeps it. The reader itself may ask with the entity tag that it remembers.
const PRIVATE_CACHING: &str = "private, no-store";

/// What the handlers share.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// The documents of the moment.
    pub(super) documents: watch::Receiver<Arc<Documents>>,
    /// Who may read the private one.
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Metrics,
    /// What was logged of it.
    pub(super) log_limit: Arc<LogLimit>,
}

/// The routes for peers.
pub(super) fn metadata(server: Server) -> Router {
    Router::new()
        .route("/healthz", get(async || "Ok."))
        .route(&format!("{BASE_PATH}{PUBLIC_PATH}"), get(public))
        .route(&format!("{BASE_PATH}{SPIFFE_BUNDLE_PATH}"), get(spiffe))
        .route(&format!("{BASE_PATH}{PRIVATE_PATH}"), get(private))
        .layer(middleware::from_fn_with_state(server.metrics.clone(), observed))
        .with_state(server)
}

/// The routes for the cluster itself: metrics and probes.
pub(super) fn admin(server: Server) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn(without_body))
        .with_state(server)
}

async fn public(State(server): State<Server>, headers: HeaderMap) -> Response {
    let document = server.documents.borrow().public.clone();
    answer(&document, &headers, PUBLIC_CACHING)
}

async fn spiffe(State(server): State<Server>, headers: HeaderMap) -> Response {
    let document = server.documents.borrow().spiffe.clone();
    answer(&document, &headers, PUBLIC_CACHING)
}

/// Nothing about the document, not even that there is none, is told before the caller has proved who it is. The one
/// exception is the time in which we do not know anybody's key yet: a 401 would tell a peer that it is not wanted, and
/// that we are starting can be seen at the public document anyway.
async fn private(State(server): State<Server>, headers: HeaderMap) -> Response {
    let documents = Arc::clone(&server.documents.borrow());
    let Some(peers) = &documents.peers else { return unavailable(&Unavailable::Unsynced) };
    match server.gate.admit(&headers, peers) {
        Ok(caller) => {
            tracing::debug!(caller = %caller.uuid, "private metadata read");
            answer(&documents.private, &headers, PRIVATE_CACHING)
        }
        Err(rejection) => refuse(&server, &rejection),
    }
}

/// The caller learns nothing; the log knows why, and the metric always counts.
fn refuse(server: &Server, rejection: &Rejection) -> Response {
    server.metrics.rejected(rejection);
    if server.log_limit.allows(rejection.label(), Instant::now()) {
        tracing::warn!(reason = %rejection, "request for private metadata refused (told once a minute)");
    } else {
        tracing::debug!(reason = %rejection, "request for private metadata refused");
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer"), (CACHE_CONTROL, "no-store")], "Unauthorized\n")
        .into_response()
}

fn answer(document: &Document, headers: &HeaderMap, caching: &'static str) -> Response {
    let rendered = match document {
        Ok(rendered) => rendered,
        Err(reason) => return unavailable(reason),
    };
    let Ok(etag) = HeaderValue::from_str(&rendered.etag) else { return unavailable(&Unavailable::Encoding) };
    let common = [(ETAG, etag), (CACHE_CONTROL, HeaderValue::from_static(caching))];
    if already_has(headers, &rendered.etag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, "application/json")], rendered.body.clone()).into_response()
}

fn unavailable(reason: &Unavailable) -> Response {
    let headers = [(RETRY_AFTER, RETRY_SECONDS), (CACHE_CONTROL, "no-store")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{reason}\n")).into_response()
}

/// Not ready before everything has been read once. After that a replica stays in service with what it knows: another
/// one would hardly see more, and the body says what is wrong.
async fn ready(State(server): State<Server>) -> Response {
    let documents = Arc::clone(&server.documents.borrow());
    let unsynced: Vec<_> = documents.unsynced.iter().map(|selection| selection.label()).collect();
    let mut lines =
        vec![if unsynced.is_empty() { "ok".to_owned() } else { format!("not read yet: {}", unsynced.join(", ")) }];
    // A folder that cannot be read is one problem, not one for each thing in it.
    let problems: BTreeMap<_, _> = documents.failures.iter().map(|(_, one)| (&*one.problem, one.since)).collect();
    lines.extend(
        problems.iter().map(|(problem, since)| format!("failing for {} s: {problem}", since.elapsed().as_secs())),
    );
    if documents.stale {
        lines.push("stale: the private document is not marked complete".to_owned());
    }
    let status = if unsynced.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, lines.join("\n") + "\n").into_response()
}

async fn metrics(State(server): State<Server>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], server.metrics.encode())
}

async fn observed(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = route_name(request.uri().path());
    let response = without_body(request, next).await;
    metrics.answered(route, response.status().as_u16());
    response
}

/// No request here has a body; one that does is not read, and its connection ends.
async fn without_body(request: Request, next: Next) -> Response {
    if has_body(request.body()) {
        let close: [(HeaderName, &str); 1] = [(CONNECTION, "close")];
        return (StatusCode::PAYLOAD_TOO_LARGE, close, "no body is accepted\n").into_response();
    }
    next.run(request).await
}

fn has_body(body: &Body) -> bool {
    !body.is_end_stream()
}

/// A word per route, so that strangers cannot fill the metrics with paths.
fn route_name(path: &str) -> &'static str {
    match path.strip_prefix(BASE_PATH) {
        Some(PUBLIC_PATH) => "public",
        Some(SPIFFE_BUNDLE_PATH) => "spiffe",
        Some(PRIVATE_PATH) => "private",
        _ if path == "/healthz" => "healthz",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
