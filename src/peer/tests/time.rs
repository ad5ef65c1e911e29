//! Tests of slow and silent servers and resolvers: every fetch ends in time.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use istio_federation_testkit::HttpsServer;

use super::super::client::{Answer, Client, Limits};
use super::super::connector::TlsConnector;
use super::super::fetch_fault::FetchFault;
use super::super::parallel::bounded_parallel;
use super::super::resolve::{ResolveError, Resolver};
use super::super::server_trust::{self, ServerTrust};
use super::client::{LOCALHOST, client, document, soon};
use super::server_trust::patient;

/// Short limits for tests about time. They assert that a fetch ends, long before the test's own timeout.
fn short() -> Limits {
    Limits { connect: Duration::from_millis(400), exchange: Duration::from_millis(800), ..Limits::default() }
}

fn timed(url: &str, limits: Limits) -> FetchFault {
    let start = Instant::now();
    let fault = client(limits).get(url, None, None, soon()).unwrap_err().fault;
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    fault
}

/// Writes `data` bytewise for a minute, or until the other side has enough.
fn drip(stream: &mut (impl Write + ?Sized), data: &[u8]) -> io::Result<()> {
    for byte in data.iter().cycle().take(3000) {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_slow_server_is_left_at_the_deadline() {
    let deadline = FetchFault::Deadline(short().exchange);
    let body = HttpsServer::tls(&LOCALHOST, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")?;
        drip(stream, b" ")
    });
    assert_eq!(timed(&body.url("/"), Limits { connect: patient().connect, ..short() }), deadline);
    let chunks = HttpsServer::tls(&LOCALHOST, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        drip(stream, b"1\r\n \r\n")
    });
    assert_eq!(timed(&chunks.url("/"), Limits { connect: patient().connect, ..short() }), deadline);
    let header = HttpsServer::tls(&LOCALHOST, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        drip(stream, b"x")
    });
    assert_eq!(timed(&header.url("/"), Limits { connect: patient().connect, ..short() }), deadline);
    let hints = HttpsServer::tls(&LOCALHOST, |_, stream| drip(stream, b"HTTP/1.1 103 Early Hints\r\n\r\n"));
    assert_eq!(timed(&hints.url("/"), Limits { connect: patient().connect, ..short() }), deadline);
    // The first bytes of a TLS record that never ends.
    let handshake = HttpsServer::tcp(|mut socket| {
        socket.write_all(&[22, 3, 3, 0x3f, 0xff, 2, 0, 0xff, 0xff])?;
        drip(&mut socket, &[0])
    });
    assert_eq!(timed(&handshake.url("/"), short()), FetchFault::ConnectTimeout(short().connect));
    // No answer after the handshake.
    let mute = HttpsServer::tls(&LOCALHOST, |_, stream| {
        stream.flush()?;
        thread::park_timeout(Duration::from_mins(1));
        Ok(())
    });
    assert_eq!(timed(&mute.url("/"), Limits { connect: patient().connect, ..short() }), deadline);
}

#[test]
fn a_server_that_does_not_accept_is_left_at_the_connect_limit() {
    // The kernel connects by itself; no program answers with TLS.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |listener: &TcpListener| format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let fault = timed(&url(&mute), short());
    assert_eq!(fault, FetchFault::ConnectTimeout(short().connect));
    assert_eq!(
        fault.to_string(),
        "no connection within 0.4 s: no route, a firewall, or a server that does not speak TLS"
    );

    // With its queue full, the kernel drops new connections.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    let queue: Vec<TcpStream> =
        (0..20_000).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()).collect();
    assert!(queue.len() < 20_000, "the queue has no end here");
    assert_eq!(timed(&url(&full), short()), FetchFault::ConnectTimeout(short().connect));
}

#[test]
fn the_callers_deadline_counts_as_well() {
    let touched = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&touched);
    let mute = HttpsServer::tcp(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        thread::park_timeout(Duration::from_mins(1));
        Ok(())
    });
    let get = |deadline| client(patient()).get(&mute.url("/"), None, None, deadline).unwrap_err().fault;
    let start = Instant::now();
    assert_eq!(get(start), FetchFault::Deadline(patient().exchange));
    assert_eq!(touched.load(Ordering::SeqCst), 0, "no request starts after the deadline");
    assert_eq!(get(Instant::now() + Duration::from_millis(300)), FetchFault::Deadline(patient().exchange));
    assert_eq!(touched.load(Ordering::SeqCst), 1);
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn thirty_two_dead_peers_cost_the_time_of_one() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", mute.local_addr().unwrap().port());
    let limits = Limits { connect: Duration::from_secs(1), ..short() };
    let limits = Limits { exchange: Duration::from_secs(1), ..limits };
    let start = Instant::now();
    let faults = bounded_parallel(vec![url; 32], 32, |url| timed(&url, limits));
    assert!(
        faults.iter().all(|fault| matches!(fault, Ok(FetchFault::ConnectTimeout(_) | FetchFault::Deadline(_)))),
        "{faults:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(16), "{:?}", start.elapsed());
}

fn resolved_by(resolver: Resolver, url: &str) -> Result<Answer, FetchFault> {
    let tls = TlsConnector(server_trust::client_config(&ServerTrust::only(&LOCALHOST.pem).unwrap()).unwrap());
    let limits = Limits { connect: Duration::from_secs(2), ..patient() };
    Client::with_parts(tls, resolver, limits).get(url, None, None, soon()).map_err(|error| error.fault)
}

#[test]
fn names_without_addresses_and_mute_resolvers_are_named() {
    let no: Resolver = |_, _| Err(io::Error::other("Name or service not known"));
    let reason = "Name or service not known".to_owned();
    let fault = FetchFault::Resolve(ResolveError::Failed { name: "b.example".into(), reason });
    assert_eq!(resolved_by(no, "https://b.example/"), Err(fault));
    let mute: Resolver = |_, _| {
        thread::park_timeout(Duration::from_mins(1));
        Ok(Vec::new())
    };
    let start = Instant::now();
    assert_eq!(
        resolved_by(mute, "https://b.example/"),
        Err(FetchFault::Resolve(ResolveError::TimedOut("b.example".into())))
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    let server = HttpsServer::fixed(&LOCALHOST, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    // Nothing listens at 127.0.0.2 on that port; further addresses than are kept do no harm.
    let several: Resolver = |_, port| {
        let addresses = [[127, 0, 0, 2], [127, 0, 0, 1]].iter().cycle().take(100);
        Ok(addresses.map(|&ip| SocketAddr::new(ip.into(), port)).collect())
    };
    assert_eq!(resolved_by(several, &server.url("/")), Ok(document("{}")));
}
