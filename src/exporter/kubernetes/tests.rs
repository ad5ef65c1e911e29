//! Tests the reflector against a scripted server: every way in which a watch can continue, end or break.

mod fake;
mod projection;

use std::time::Duration;

use tokio::time::Instant;

use self::fake::{Answer, Play, bookmark, brisk, error, line, page, service};
use super::reflector::WatchTimes;
use super::watch_stream::LINE_LIMIT;
use crate::exporter::selection::Selection;

const SERVICES: Selection = Selection::ExportedServices;
const LIST: &str = "list /api/v1/services?&labelSelector=federation.istio.deckhouse.io%2Fpublic-service&limit=500";

/// The report of a failed request for the labelled Services.
fn cannot(verb: &str, why: &str) -> String {
    format!("cannot {verb} Services with label federation.istio.deckhouse.io/public-service: {why}")
}

fn changes() -> String {
    [
        line("ADDED", &service("foo", 81, "21")),
        line("MODIFIED", &service("bar", 82, "22")),
        line("DELETED", &service("foo", 81, "23")),
    ]
    .concat()
}

#[tokio::test]
async fn a_list_comes_in_pages_and_counts_as_a_whole() {
    let script = [page(&[("bar", 80)], "20", "more"), page(&[("foo", 81)], "20", ""), Answer::Open(changes())];
    let mut play = Play::of(SERVICES, brisk(), script).await;
    play.expect(&["reset bar:80 foo:81", "apply foo:81", "apply bar:82", "delete foo"]).await;
    assert_eq!(play.requests(3).await, [LIST, "list more", "watch 20"]);
}

#[tokio::test]
async fn a_page_that_is_too_heavy_is_asked_for_in_parts() {
    let heavy = || Answer::Ended(" ".repeat(super::requests::PAGE_LIMIT));
    let all = [heavy(), heavy(), page(&[("a", 80)], "1", "more"), page(&[("b", 81)], "1", ""), Answer::Mute];
    let mut play = Play::of(Selection::ExportedServices, brisk(), all).await;
    play.expect(&["reset a:80 b:81"]).await;
    let limits = |request: &String| {
        let query = request.split(['?', '&']).find_map(|pair| pair.strip_prefix("limit="));
        query.map(ToOwned::to_owned)
    };
    let asked: Vec<_> = play.requests(4).await.iter().filter_map(limits).collect();
    assert_eq!(asked, ["500", "62", "7"]);
}

#[tokio::test]
async fn objects_of_one_name_are_asked_for_by_name() {
    let mut play = Play::of(Selection::KeyPair, brisk(), [page(&[], "7", ""), Answer::Open(String::new())]).await;
    play.expect(&["reset "]).await;
    let list =
        "list /api/v1/namespaces/d8-istio/secrets?&limit=500&fieldSelector=metadata.name%3Dd8-remote-authn-keypair";
    let requests = play.requests(2).await;
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split(['?', '&']).map(str::to_owned).collect();
        parts.sort();
        parts
    };
    assert_eq!((sorted(&requests[0]), requests[1].as_str()), (sorted(list), "watch 7"));
}

#[tokio::test]
async fn a_watch_that_ends_as_it_should_is_resumed_in_silence() {
    let script = [
        page(&[("bar", 80)], "20", ""),
        Answer::Ended(changes()),
        Answer::Ended(bookmark("90")),
        Answer::Ended(String::new()),
        Answer::Open(line("ADDED", &service("new", 1, "91"))),
    ];
    let mut play = Play::of(SERVICES, brisk(), script).await;
    play.expect(&["reset bar:80", "apply foo:81", "apply bar:82", "delete foo", "apply new:1"]).await;
    assert_eq!(play.requests(5).await, [LIST, "watch 20", "watch 23", "watch 90", "watch 90"]);
}

#[tokio::test]
async fn a_watch_that_cannot_be_resumed_starts_with_a_list() {
    let script = [
        page(&[("bar", 80)], "20", ""),
        Answer::Refusal(410, "too old resource version"),
        page(&[("bar", 81)], "30", ""),
        Answer::Ended(
            line("ADDED", &service("foo", 1, "31")) + &error(410) + &line("ADDED", &service("lost", 1, "32")),
        ),
        page(&[("bar", 82)], "40", "more"),
        Answer::Refusal(410, "the continue token is too old"),
        page(&[("bar", 83)], "50", ""),
        Answer::Open(line("ADDED", &service("new", 1, "51"))),
    ];
    let mut play = Play::of(SERVICES, brisk(), script).await;
    let expired = "the API server no longer has the changes since our version; listing again";
    let (watch, list) = (cannot("watch", expired), cannot("list", expired));
    play.expect(&["reset bar:80", &watch, "reset bar:81", "current", "apply foo:1", &watch]).await;
    play.expect(&[&list, "reset bar:83", "current", "apply new:1"]).await;
    let watches: Vec<_> = play.requests(8).await.into_iter().filter(|one| one.starts_with("watch")).collect();
    assert_eq!(watches, ["watch 20", "watch 30", "watch 50"]);
}

#[tokio::test]
async fn a_watch_that_breaks_is_resumed_where_it_was() {
    let half = r#"{"type":"ADDED","object":{"metadata":{"name":"half"#;
    let script = [
        page(&[], "20", ""),
        Answer::Cut(line("ADDED", &service("foo", 1, "21")) + half),
        Answer::Ended(line("ADDED", &service("bar", 2, "22")) + half),
        Answer::Ended(line("ADDED", &service("baz", 3, "23")) + &error(500)),
        Answer::Refusal(500, "etcd is away"),
        Answer::Open(line("ADDED", &service("half", 4, "24"))),
    ];
    let mut play = Play::of(SERVICES, brisk(), script).await;
    play.expect(&["reset ", "apply foo:1"]).await;
    assert!(play.next().await.starts_with(&cannot("watch", "the connection to the API server broke: ")));
    let cut_off = cannot("watch", "the connection to the API server broke: a line is cut off");
    play.expect(&["current", "apply bar:2", &cut_off]).await;
    play.expect(&["current", "apply baz:3", &cannot("watch", "the API server answers 500: it says")]).await;
    play.expect(&[&cannot("watch", "the API server answers 500: etcd is away"), "current", "apply half:4"]).await;
    assert_eq!(play.requests(6).await[1..], ["watch 20", "watch 21", "watch 22", "watch 23", "watch 23"]);
}

#[tokio::test]
async fn an_unreadable_answer_changes_nothing_and_is_not_quoted() {
    let odd = |object| line("ADDED", &object);
    let mut typed = service("bar", 1, "22");
    typed["metadata"]["name"] = serde_json::json!({"s3cr3t": 1});
    let script = [
        page(&[], "20", ""),
        Answer::Open(line("ADDED", &service("foo", 1, "21")) + "s3cr3t\n"),
        Answer::Open(odd(typed)),
        Answer::Open(line("SURPRISE", &service("foo", 1, "23"))),
        Answer::Open("s".repeat(LINE_LIMIT + 1)),
        Answer::Json(serde_json::json!({"s3cr3t": "no list"})),
    ];
    let mut play = Play::of(SERVICES, WatchTimes { stale: Duration::from_millis(100), ..brisk() }, script).await;
    play.expect(&["reset ", "apply foo:1"]).await;
    let unreadable =
        |problem: &str| cannot("watch", &format!("the answer of the API server cannot be read ({problem})"));
    play.expect(&[&unreadable("syntax error at column 1"), "current"]).await;
    let report = play.next().await;
    assert!(report.contains("cannot be read (type error") && !report.contains("s3cr3t"), "{report}");
    play.expect(&["current", &cannot("watch", "the API server sent a watch event of an unknown type"), "current"])
        .await;
    let report = play.next().await;
    assert_eq!(report, cannot("watch", &format!("the API server sends more than {LINE_LIMIT} bytes at once")));
}

#[tokio::test]
async fn a_missing_permission_is_reported_until_it_is_back() {
    let forbidden = || Answer::Refusal(403, "services is forbidden");
    let script = [
        forbidden(),
        forbidden(),
        page(&[("bar", 80)], "20", ""),
        forbidden(),
        forbidden(),
        Answer::Open(line("ADDED", &service("foo", 1, "21"))),
    ];
    let mut play = Play::of(SERVICES, brisk(), script).await;
    let report = |verb| {
        cannot(
            verb,
            "forbidden: the ClusterRole that allows it is missing, or not bound to our ServiceAccount (services is forbidden)",
        )
    };
    play.expect(&[&report("list"), &report("list"), "reset bar:80", &report("watch"), &report("watch")]).await;
    // The list alone is no recovery: it is old as soon as it is read.
    play.expect(&["current", "apply foo:1"]).await;
}

#[tokio::test]
async fn a_long_failure_ends_with_a_list() {
    let script = [page(&[], "20", ""), Answer::Refusal(500, "x"), page(&[], "30", ""), Answer::Open(bookmark("31"))];
    let mut play = Play::of(SERVICES, WatchTimes { stale: Duration::ZERO, ..brisk() }, script).await;
    play.expect(&["reset ", &cannot("watch", "the API server answers 500: x"), "reset ", "current"]).await;
    assert_eq!(play.requests(4).await, [LIST, "watch 20", LIST, "watch 30"]);
}

#[tokio::test]
async fn silence_is_a_failure_since_the_last_event() {
    let (quiet, answer) = (Duration::from_millis(300), Duration::from_millis(100));
    let script =
        [Answer::Mute, page(&[], "20", ""), Answer::Open(bookmark("21")), Answer::Mute, Answer::Open(bookmark("22"))];
    let mut play = Play::of(SERVICES, WatchTimes { quiet, answer, ..brisk() }, script).await;
    play.expect(&[&cannot("list", "the API server did not answer within 0 s"), "reset ", "current"]).await;
    play.expect(&[&cannot("watch", "the API server has been silent for 0 s")]).await;
    assert!(play.failures[1].since + quiet <= Instant::now(), "since it was last heard");
    play.expect(&[&cannot("watch", "the API server did not answer within 0 s"), "current"]).await;
    assert_eq!(play.requests(5).await[2..], ["watch 20", "watch 21", "watch 21"]);
}

#[tokio::test]
async fn a_watch_that_ends_at_once_has_failed() {
    let script = [page(&[], "20", ""), Answer::Ended(String::new()), Answer::Open(bookmark("21"))];
    let mut play = Play::of(SERVICES, WatchTimes { short: Duration::from_mins(1), ..brisk() }, script).await;
    play.expect(&["reset ", &cannot("watch", "the API server ended the watch at once"), "current"]).await;
    assert_eq!(play.requests(3).await[1..], ["watch 20", "watch 20"]);
}
