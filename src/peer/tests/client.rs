//! Fetches from good servers and from bad ones.

use std::io::{self, Read as _, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use istio_federation_testkit::{CertifiedKey, HttpsServer, server_for};

use super::super::certificate_fault::CertificateFault;
use super::super::client::{Answer, Client, Limits};
use super::super::fetch_fault::{FetchError, FetchFault};
use super::super::server_trust::ServerTrust;
use super::super::url::UrlError;
use super::server_trust::patient;
use crate::federation::reasons::{FETCH_FAILED, NON_OK_RESPONSE};

pub(super) static LOCALHOST: LazyLock<CertifiedKey> =
    LazyLock::new(|| CertifiedKey::self_signed(&server_for(&["localhost"])));

pub(super) fn client(limits: Limits) -> Client {
    Client::new(&ServerTrust::only(&LOCALHOST.pem).unwrap(), limits).unwrap()
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn get(server: &HttpsServer) -> Result<Answer, FetchError> {
    client(patient()).get(&server.url("/x"), None, None, soon())
}

/// The result of this response.
fn fetch(response: impl Into<Vec<u8>>) -> Result<Answer, FetchFault> {
    get(&HttpsServer::fixed(&LOCALHOST, response)).map_err(|error| error.fault)
}

pub(super) fn document(body: &str) -> Answer {
    Answer::Document { body: body.into(), etag: None }
}

#[test]
fn a_request_has_only_the_expected_headers() {
    let server = HttpsServer::fixed(&LOCALHOST, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let get = |token, etag| client(patient()).get(&server.url("/m/private/federation.json"), token, etag, soon());
    assert_eq!(get(None, None), Ok(document("hello")));
    assert_eq!(get(Some("a.b.c"), Some("\"v1\"")), Ok(document("hello")));
    // An invalid entity tag is not sent.
    assert_eq!(get(None, Some("v1\r\nX: y")), Ok(document("hello")));
    let heads: Vec<Vec<String>> = server
        .requests()
        .iter()
        .map(|head| head.trim_end().split("\r\n").map(str::to_owned).collect())
        .map(|mut lines: Vec<String>| {
            lines[1..].iter_mut().for_each(|line| line.make_ascii_lowercase());
            lines[1..].sort();
            lines
        })
        .collect();
    let plain = [
        "GET /m/private/federation.json HTTP/1.1".to_owned(),
        "accept: application/json, text/plain".to_owned(),
        format!("host: localhost:{}", server.address.port()),
        format!("user-agent: istio-federation/{}", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(heads[0], plain);
    let mut with_token = plain.to_vec();
    with_token.extend(["authorization: bearer a.b.c".to_owned(), "if-none-match: \"v1\"".to_owned()]);
    with_token[1..].sort();
    assert_eq!(heads[1], with_token);
    assert_eq!(heads[2], plain);
}

#[test]
fn bodies_come_in_every_framing() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        assert_eq!(fetch(response), Ok(document("hello")), "{response}");
    }
    assert_eq!(fetch("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Ok(document("")));
}

#[test]
fn entity_tags_are_vetted_before_they_are_kept() {
    let long = format!("\"{}\"", "x".repeat(254));
    let too_long = format!("\"{}\"", "x".repeat(255));
    for (sent, kept) in [
        ("\"v1\"", true),
        ("W/\"v1\"", true),
        ("\"\"", true),
        (long.as_str(), true),
        (too_long.as_str(), false),
        ("v1", false),
        ("*", false),
        ("\"", false),
        ("\"a\"b\"", false),
        ("\"a b\"", false),
        ("\"\u{e9}\"", false),
        ("w/\"v1\"", false),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\nETag: {sent}\r\nContent-Length: 0\r\n\r\n");
        let etag = kept.then(|| sent.to_owned());
        assert_eq!(fetch(response), Ok(Answer::Document { body: vec![], etag }), "{sent}");
    }
}

#[test]
fn not_modified_is_an_answer_only_to_a_condition() {
    let server = HttpsServer::fixed(&LOCALHOST, "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
    let get = |etag| client(patient()).get(&server.url("/x"), None, etag, soon());
    assert_eq!(get(Some("\"v1\"")), Ok(Answer::NotModified));
    for etag in [None, Some("no entity tag")] {
        let error = get(etag).unwrap_err();
        assert_eq!((error.reason(), error.fault), (NON_OK_RESPONSE, FetchFault::Status { status: 304 }));
    }
}

#[test]
fn every_other_status_is_an_error_with_a_hint() {
    for (status, text) in [
        (201, "HTTP status 201"),
        (204, "HTTP status 204"),
        (206, "HTTP status 206"),
        (400, "HTTP status 400"),
        (403, "HTTP status 403: forbidden; is there a proxy or firewall in front of the peer's metadata exporter?"),
        (404, "HTTP status 404: not found; is the path in spec.metadataEndpoint right?"),
        (500, "HTTP status 500: the peer's metadata exporter failed; see its log"),
        (
            503,
            "HTTP status 503: the peer's metadata exporter is not ready, or the proxy in front of it cannot reach it",
        ),
    ] {
        let length = if status == 204 { "" } else { "Content-Length: 2\r\n" };
        let server = HttpsServer::fixed(&LOCALHOST, format!("HTTP/1.1 {status} Whatever\r\n{length}\r\n{{}}"));
        let error = get(&server).unwrap_err();
        assert_eq!(error.reason(), NON_OK_RESPONSE);
        assert_eq!(error.to_string(), format!("GET {}: {text}", server.url("/x")));
    }
}

#[test]
fn unauthorized_names_the_likely_cause() {
    let server = HttpsServer::fixed(&LOCALHOST, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let text = |token| {
        let error = client(patient()).get(&server.url("/x"), token, None, soon()).unwrap_err();
        assert_eq!(error.reason(), NON_OK_RESPONSE);
        error.to_string()
    };
    let with_token = text(Some("secret.secret.secret"));
    assert!(with_token.contains("usually it has no IstioFederation for this cluster yet"), "{with_token}");
    assert!(!with_token.contains("secret"), "{with_token}");
    assert!(text(None).contains("readable without authentication"));
}

#[test]
fn redirects_are_not_followed() {
    let touched = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&touched);
    let other = HttpsServer::tcp(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for (location, to) in [
            (format!("Location: {}\r\n", other.url("/x?token=secret")), format!("https://{}", host(&other))),
            (format!("Location: https://user:secret@{}\r\n", host(&other)), format!("https://{}", host(&other))),
            ("Location: /elsewhere\r\n".into(), "another path".into()),
            ("Location: http://\u{1b}[31m\u{e9}\r\n".into(), String::new()),
            (String::new(), "an unnamed location".into()),
        ] {
            let response = format!("HTTP/1.1 {status} Elsewhere\r\n{location}Content-Length: 2\r\n\r\n{{}}");
            let server = HttpsServer::fixed(&LOCALHOST, response);
            let error = client(patient()).get(&server.url("/x"), Some("token"), None, soon()).unwrap_err();
            if to.is_empty() {
                // A control character in a header is not even HTTP.
                assert_eq!(error.fault, FetchFault::NotHttp);
                continue;
            }
            assert_eq!(error.reason(), NON_OK_RESPONSE);
            assert_eq!(
                error.fault.to_string(),
                format!("HTTP status {status}: redirected to {to}, which is not followed; fix spec.metadataEndpoint")
            );
            assert_eq!(server.requests().len(), 1);
        }
    }
    assert_eq!(touched.load(Ordering::SeqCst), 0);
}

fn host(server: &HttpsServer) -> String {
    format!("localhost:{}", server.address.port())
}

#[test]
fn documents_are_json_or_plain_text_or_unnamed() {
    let fetch = |header: &str| fetch(format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 2\r\n\r\n{{}}"));
    for header in [
        "",
        "Content-Type: application/json\r\n",
        "Content-Type: Application/JSON; charset=utf-8\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Type:\r\n",
        "Content-Encoding: identity\r\n",
    ] {
        assert_eq!(fetch(header), Ok(document("{}")), "{header}");
    }
    for kind in ["text/html", "application/jsonp", "text/plainer", "json", "text/\u{202e}html"] {
        let shown = kind.replace('\u{202e}', "?");
        assert_eq!(
            fetch(&format!("Content-Type: {kind}; charset=utf-8\r\n")),
            Err(FetchFault::ContentType(shown)),
            "{kind}"
        );
    }
    assert_eq!(
        fetch("Content-Type: text/html\r\n").unwrap_err().to_string(),
        "the answer is not JSON but \"text/html\": a login or error page of a proxy? Check spec.metadataEndpoint"
    );
    assert_eq!(fetch("Content-Encoding: gzip\r\n"), Err(FetchFault::Encoded("gzip".into())));
}

#[test]
fn a_document_may_be_as_long_as_the_limit() {
    let limits = Limits { body: 1000, ..patient() };
    let chunked =
        |length: usize| format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
    let counted = |length: usize| format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let endless = |length: usize| format!("\r\n{}", "x".repeat(length));
    let framings: [&dyn Fn(usize) -> String; 3] = [&chunked, &counted, &endless];
    for framing in framings {
        let fetch = |length| {
            let server = HttpsServer::fixed(&LOCALHOST, format!("HTTP/1.1 200 OK\r\n{}", framing(length)));
            client(limits).get(&server.url("/x"), None, None, soon()).map_err(|error| error.fault)
        };
        assert_eq!(fetch(1000), Ok(document(&"x".repeat(1000))));
        assert_eq!(fetch(1001), Err(FetchFault::TooLarge(1000)));
    }
}

#[test]
fn a_document_with_too_large_a_content_length_is_not_read() {
    // Nothing follows the header, so a client that reads the body would run into its deadline.
    let server = HttpsServer::tls(&LOCALHOST, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n")?;
        stream.flush()?;
        thread::park_timeout(Duration::from_mins(1));
        Ok(())
    });
    assert_eq!(get(&server).unwrap_err().fault, FetchFault::TooLarge(4 * 1024 * 1024));
    let absurd = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n";
    assert_eq!(fetch(absurd), Err(FetchFault::NotHttp));
}

#[test]
fn of_a_gigabyte_only_the_first_megabytes_are_read() {
    for header in ["Transfer-Encoding: chunked\r\n", ""] {
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        let server = HttpsServer::tls(&LOCALHOST, move |_, stream| {
            write!(stream, "HTTP/1.1 200 OK\r\n{header}\r\n")?;
            let data = vec![b' '; 1024 * 1024];
            for _ in 0..1024 {
                if !header.is_empty() {
                    stream.write_all(b"100000\r\n")?;
                }
                stream.write_all(&data)?;
                if !header.is_empty() {
                    stream.write_all(b"\r\n")?;
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        assert_eq!(get(&server).unwrap_err().fault, FetchFault::TooLarge(4 * 1024 * 1024));
        // The sockets buffer some more.
        assert!(sent.load(Ordering::SeqCst) < 64, "{} MiB were read", sent.load(Ordering::SeqCst));
    }
}

#[test]
fn headers_are_bounded() {
    let large = FetchFault::HeaderTooLarge(16 * 1024);
    let response = |header: String| format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 0\r\n\r\n");
    assert_eq!(fetch(response(format!("X: {}\r\n", "x".repeat(15_000)))), Ok(document("")));
    assert_eq!(fetch(response(format!("X: {}\r\n", "x".repeat(17_000)))), Err(large.clone()));
    assert_eq!(fetch(response(format!("X: {}\r\n", "x".repeat(10_000_000)))), Err(large.clone()));
    assert_eq!(fetch("HTTP/1.1 200 ".to_owned() + &"x".repeat(100_000)), Err(large));
    assert_eq!(fetch(response("X: y\r\n".repeat(120))), Ok(document("")));
    assert_eq!(fetch(response("X: y\r\n".repeat(200))), Err(FetchFault::NotHttp));
}

#[test]
fn an_answer_without_http_is_named() {
    for response in [
        "garbage\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        assert_eq!(fetch(response), Err(FetchFault::NotHttp), "{response}");
    }
}

#[test]
fn an_answer_that_ends_early_is_a_fault() {
    for response in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        assert_eq!(fetch(response), Err(FetchFault::Closed), "{response}");
    }
}

#[test]
fn a_connection_that_is_cut_does_not_end_a_document() {
    // Without TLS's close_notify, somebody on the path may have cut it.
    for header in ["", "Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        let server = HttpsServer::tls(&LOCALHOST, move |_, stream| {
            write!(stream, "HTTP/1.1 200 OK\r\n{header}\r\n5\r\nhello")?;
            stream.flush()?;
            Err(io::ErrorKind::Other.into())
        });
        assert_eq!(get(&server).unwrap_err().fault, FetchFault::Closed, "{header}");
    }
}

#[test]
fn an_answer_without_tls_is_named() {
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", "\0\0\0\0\0\0\0\0\0\0"] {
        let server = HttpsServer::tcp(move |mut socket| {
            socket.write_all(answer.as_bytes())?;
            // Reads until the client closes, so that its alert cannot cause a reset.
            io::copy(&mut socket, &mut io::sink()).map(|_| ())
        });
        let error = get(&server).unwrap_err();
        assert_eq!((error.reason(), error.fault), (FETCH_FAILED, FetchFault::NotTls), "{answer}");
    }
    let closing = HttpsServer::tcp(|mut socket| socket.read(&mut [0; 1024]).map(|_| ()));
    assert_eq!(get(&closing).unwrap_err().fault, FetchFault::Closed);
}

#[test]
fn a_port_where_nobody_listens_is_refused() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = client(patient()).get(&format!("https://localhost:{port}/"), None, None, soon()).unwrap_err();
    assert_eq!((error.reason(), &error.fault), (FETCH_FAILED, &FetchFault::Refused));
}

#[test]
fn bad_urls_and_tokens_are_refused_without_being_shown() {
    let get = |url: &str, token| client(patient()).get(url, token, None, soon()).unwrap_err();
    let error = get("https://user:secret@b.example/", None);
    assert_eq!(error.fault, FetchFault::Url(UrlError::UserInfo));
    assert_eq!(error.reason(), FETCH_FAILED);
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(!get("ftp://user:secret@b.example/", None).to_string().contains("secret"));
    assert_eq!(
        get("file:///etc/passwd", None).to_string(),
        "GET file:///etc/passwd: \"file:///etc/passwd\" does not begin with https://: metadata is fetched over HTTPS \
         only; fix spec.metadataEndpoint"
    );
    let error = get("https://localhost:1/", Some("secret\r\nX: y"));
    assert_eq!(error.fault, FetchFault::Token);
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn the_same_fault_has_the_same_text_every_time() {
    let mut old = server_for(&["localhost"]);
    (old.not_before, old.not_after) = (rcgen::date_time_ymd(2025, 1, 1), rcgen::date_time_ymd(2026, 1, 3));
    let old = CertifiedKey::self_signed(&old);
    let expired = HttpsServer::fixed(&old, "");
    let trust = ServerTrust::only(&old.pem).unwrap();
    let cut = HttpsServer::tcp(|_| Ok(()));
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = format!("https://localhost:{refused}/");
    for url in [expired.url("/public/public.json"), cut.url("/"), refused] {
        let text = || {
            let client = Client::new(&trust, patient()).unwrap();
            client.get(&url, None, None, soon()).unwrap_err().to_string()
        };
        let first = text();
        assert!((0..5).all(|_| text() == first), "{first}");
    }
    let error = Client::new(&trust, patient()).unwrap().get(&expired.url("/x"), None, None, soon()).unwrap_err();
    assert_eq!(error.fault, CertificateFault::Expired("2026-01-03".into()).into());
    assert_eq!(
        error.to_string(),
        format!("GET {}: certificate has expired (2026-01-03): the peer's owner has to renew it", expired.url("/x"))
    );
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    // The environment belongs to the process, so this test runs itself in a new one.
    const URL: &str = "ISTIO_FEDERATION_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let answer = Client::new(&ServerTrust::Insecure, patient()).unwrap().get(&url, None, None, soon());
        assert_eq!(answer, Ok(document("{}")));
        return;
    }
    let server = HttpsServer::fixed(&LOCALHOST, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let touched = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&touched);
    let proxy = HttpsServer::tcp(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let mut run = std::process::Command::new(std::env::current_exe().unwrap());
    run.args(["--exact", "peer::tests::client::proxies_of_the_environment_are_not_used"]).env(URL, server.url("/"));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"] {
        run.env(name, format!("http://{}", proxy.address));
    }
    let output = run.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((server.requests().len(), touched.load(Ordering::SeqCst)), (1, 0));
}
