//! A scripted API server: real HTTP and streams, invented answers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::reflector::{Reflector, WatchTimes};
use crate::exporter::index::{Event, WatchFailure};
use crate::exporter::object::Object;
use crate::exporter::selection::Selection;
use crate::exporter::source::Feed;

/// The server's reaction to a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Answers with this.
    Json(Value),
    /// Refuses.
    Refusal(u16, &'static str),
    /// Sends this and ends the stream properly.
    Ended(String),
    /// Sends this, and breaks the connection.
    Cut(String),
    /// Sends this, and goes on forever.
    Open(String),
    /// Does not answer.
    Mute,
}

pub(super) fn page(services: &[(&str, u16)], version: &str, next: &str) -> Answer {
    let items: Vec<Value> = services.iter().map(|(name, port)| service(name, *port, "1")).collect();
    Answer::Json(
        json!({"kind": "ServiceList", "metadata": {"resourceVersion": version, "continue": next}, "items": items}),
    )
}

pub(super) fn service(name: &str, port: u16, version: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "xyz", "resourceVersion": version, "uid": "u",
        "annotations": {"a": "b"}, "labels": {"federation.istio.deckhouse.io/public-service": "", "other": "label"}},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": port, "targetPort": 8080}]},
        "status": {"loadBalancer": {}}})
}

/// A line of a watch.
pub(super) fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

pub(super) fn bookmark(version: &str) -> String {
    line("BOOKMARK", &json!({"kind": "Service", "metadata": {"resourceVersion": version}}))
}

pub(super) fn error(code: u16) -> String {
    line("ERROR", &json!({"kind": "Status", "code": code, "message": "it says"}))
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A reflector against a scripted server.
pub(super) struct Play {
    requests: Arc<Mutex<Vec<String>>>,
    events: mpsc::Receiver<Vec<Event>>,
    report: VecDeque<String>,
    /// The reported failures.
    pub(super) failures: Vec<WatchFailure>,
}

/// Times for tests: retries at once, never times out.
pub(super) fn brisk() -> WatchTimes {
    let (long, little) = (Duration::from_mins(1), Duration::from_millis(2));
    WatchTimes {
        watch: long,
        quiet: long,
        answer: long,
        short: Duration::ZERO,
        stale: long,
        first: little,
        most: little,
    }
}

impl Play {
    pub(super) async fn of(selection: Selection, times: WatchTimes, answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Script::default() };
        let requests = Arc::clone(&script.requests);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Router::new().fallback(answer).with_state(script);
        tokio::spawn(async { axum::serve(listener, server).await.unwrap() });
        let client = Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        let (feed, events) = Feed::new();
        tokio::spawn(Reflector::new(client, selection, times, feed).run());
        Self { requests, events, report: VecDeque::new(), failures: Vec::new() }
    }

    /// The next event, in a few words.
    pub(super) async fn next(&mut self) -> String {
        while self.report.is_empty() {
            let batch = timeout(Duration::from_mins(1), self.events.recv()).await.expect("an event").unwrap();
            for event in batch {
                self.report.push_back(report(&event));
                if let Event::Failing(_, failure) = event {
                    self.failures.push(failure);
                }
            }
        }
        self.report.pop_front().unwrap()
    }

    /// Fails unless these events come next.
    pub(super) async fn expect(&mut self, events: &[&str]) {
        for event in events {
            assert_eq!(self.next().await, *event, "requests so far: {:#?}", self.requests.lock().unwrap());
        }
    }

    /// The requests so far, at least `count`.
    pub(super) async fn requests(&self, count: usize) -> Vec<String> {
        let there = async {
            while self.requests.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_mins(1), there).await.expect("the requests");
        self.requests.lock().unwrap().clone()
    }
}

fn report(event: &Event) -> String {
    let object = |object: &Object| match object {
        Object::Service(service) => format!("{}:{}", service.metadata.name, service.spec.ports[0].port),
        other => other.key().to_string(),
    };
    match event {
        Event::Apply(_, one) => format!("apply {}", object(one)),
        Event::Delete(_, key) => format!("delete {}", key.name),
        Event::Reset(_, all) => format!("reset {}", all.iter().map(object).collect::<Vec<_>>().join(" ")),
        Event::Failing(_, failure) => failure.problem.clone(),
        Event::Current(_) => "current".to_owned(),
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    script.requests.lock().unwrap().push(words(&request));
    let answer = script.answers.lock().unwrap().pop_front().unwrap_or(Answer::Mute);
    let begun = |text: String| stream::iter([Ok::<_, io::Error>(Bytes::from(text))]);
    match answer {
        Answer::Json(value) => value.to_string().into_response(),
        Answer::Refusal(code, message) => {
            let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": message});
            (axum::http::StatusCode::from_u16(code).unwrap(), status.to_string()).into_response()
        }
        Answer::Ended(text) => Body::from_stream(begun(text)).into_response(),
        Answer::Cut(text) => {
            // The data arrives before the connection breaks.
            let cut = stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(io::Error::other("cut"))
            });
            Body::from_stream(begun(text).chain(cut)).into_response()
        }
        Answer::Open(text) => Body::from_stream(begun(text).chain(stream::pending())).into_response(),
        Answer::Mute => std::future::pending::<Result<Response, Infallible>>().await.unwrap(),
    }
}

/// `list`, `list <continue>` or `watch <version>`; and where, for the first of all.
fn words(request: &Request) -> String {
    let query = request.uri().query().unwrap_or_default();
    let of = |wanted: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(name, value)| (name == wanted).then_some(value))
    };
    match (of("watch"), of("continue")) {
        (Some(_), _) => {
            assert_eq!(of("allowWatchBookmarks"), Some("true"), "{query}");
            assert!(of("timeoutSeconds").is_some(), "{query}");
            format!("watch {}", of("resourceVersion").unwrap())
        }
        (None, Some(next)) => format!("list {next}"),
        (None, None) => {
            assert_eq!(of("resourceVersion"), None, "the list is of now");
            format!("list {}", request.uri())
        }
    }
}
