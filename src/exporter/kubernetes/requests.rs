//! The two requests: a whole list, or the start of a watch.

use std::future::Future;
use std::time::Duration;

use futures_util::io::AsyncReadExt as _;
use kube::Client;
use kube::core::Request;
use kube::core::params::{ListParams, WatchParams};
use tokio::time::timeout;

use super::super::object::Object;
use super::super::selection::Selection;
use super::access::{permission, selectors};
use super::decode;
use super::watch_fault::Cause;
use super::watch_stream::WatchStream;

/// Objects of a page: bounds the memory for a large list.
const PAGE: u32 = 500;
/// Most bytes of a page: an eighth of the exporter's memory limit. If a page is larger, it is requested with fewer objects.
pub(super) const PAGE_LIMIT: usize = 32 << 20;

fn path(selection: Selection) -> String {
    let permission = permission(selection);
    match permission.namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/{}", permission.resource),
        None => format!("/api/v1/{}", permission.resource),
    }
}

/// Lists a selection page by page. Returns its objects and the version to watch from. Each page has to arrive within
/// `patience`.
pub(super) async fn list(
    client: &Client,
    selection: Selection,
    patience: Duration,
) -> Result<(Vec<Object>, String), Cause> {
    let (label_selector, field_selector) = selectors(selection);
    // Without a version the answer is current, not from a cache.
    let mut params = ListParams { label_selector, field_selector, ..ListParams::default() };
    let mut size = PAGE;
    let mut objects = Vec::new();
    loop {
        params.limit = Some(size);
        let request = Request::new(path(selection)).list(&params).map_err(|why| Cause::Unreadable(why.to_string()))?;
        let body = within(patience, async {
            let body = client.request_stream(request).await.map_err(|error| Cause::of(&error))?;
            let mut bytes = Vec::new();
            let limit = u64::try_from(PAGE_LIMIT).unwrap_or(u64::MAX);
            body.take(limit).read_to_end(&mut bytes).await.map_err(|error| Cause::Broken(error.to_string()))?;
            if bytes.len() == PAGE_LIMIT { Err(Cause::TooLong(PAGE_LIMIT)) } else { Ok(bytes) }
        });
        let body = match body.await {
            Err(Cause::TooLong(_)) if size > 1 => {
                size = (size / 8).max(1);
                continue;
            }
            body => body?,
        };
        let page = decode::page(selection, &body).map_err(|error| Cause::Unreadable(error.to_string()))?;
        objects.extend(page.objects);
        match page.next {
            Some(next) => params.continue_token = Some(next),
            None => return Ok((objects, page.version)),
        }
    }
}

/// Starts a watch of a selection from a version on, for at most `time`. The answer has to start within `patience`.
pub(super) async fn watch(
    client: &Client,
    selection: Selection,
    version: &str,
    time: Duration,
    patience: Duration,
) -> Result<WatchStream, Cause> {
    let (label_selector, field_selector) = selectors(selection);
    let timeout = u32::try_from(time.as_secs()).ok();
    let params = WatchParams { label_selector, field_selector, timeout, ..WatchParams::default() };
    let request = Request::new(path(selection)).watch(&params, version);
    let request = request.map_err(|why| Cause::Unreadable(why.to_string()))?;
    within(patience, async {
        let body = client.request_stream(request).await.map_err(|error| Cause::of(&error))?;
        Ok(WatchStream::new(body))
    })
    .await
}

async fn within<T>(patience: Duration, answer: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
    timeout(patience, answer).await.unwrap_or(Err(Cause::Mute(patience)))
}
