//! HTTP routes: the documents for peers; metrics and probes for the own cluster.

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

/// Base path of the documents. A peer's `spec.metadataEndpoint` ends with it.
pub(super) const BASE_PATH: &str = "/metadata";
/// `Retry-After` for a document that is not available yet, in seconds.
const RETRY_SECONDS: &str = "5";
/// A cache may keep the document but has to revalidate it.
const PUBLIC_CACHING: &str = "no-cache";
/// No cache on the path keeps it. The reader may still send its entity tag.
const PRIVATE_CACHING: &str = "private, no-store";

/// State that the handlers share.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// The current documents.
    pub(super) documents: watch::Receiver<Arc<Documents>>,
    /// Decides who may read the private one.
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Metrics,
    /// Limits its log lines.
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

/// An unverified caller learns nothing about the document, not even whether there is one. Exception: until the peers' keys
/// have been read the answer is 503, because a 401 would say that we do not know the peer. The public document shows
/// anyway that we are starting.
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

/// The caller learns no reason; the log has it, and the metric counts every refusal.
fn refuse(server: &Server, rejection: &Rejection) -> Response {
    server.metrics.rejected(rejection);
    if server.log_limit.allows(rejection.label(), Instant::now()) {
        tracing::warn!(reason = %rejection, "request for private metadata refused (logged once a minute for each reason)");
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

/// Not ready until everything has been read once. After that a replica stays ready with its last state: another replica
/// would hardly see more, and the body shows the problems.
async fn ready(State(server): State<Server>) -> Response {
    let documents = Arc::clone(&server.documents.borrow());
    let unsynced: Vec<_> = documents.unsynced.iter().map(|selection| selection.label()).collect();
    let mut lines =
        vec![if unsynced.is_empty() { "ok".to_owned() } else { format!("not read yet: {}", unsynced.join(", ")) }];
    // An unreadable folder is one problem, not one for each selection.
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

/// No request may have a body. If one does, the body is not read and the connection is closed.
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

/// One word for each route, so that strangers cannot add label values to the metrics.
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
