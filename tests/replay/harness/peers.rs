//! Starts the peers of a case: scripted servers on loopback with real TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use istio_federation_testkit::{Authority, CertifiedKey, HttpsServer, server_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::case::{self, Case};
use super::fill::Fill;
use super::pem_content;

/// How a peer answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    /// The answer for the public document; a number is an answer with only this status.
    #[serde(default)]
    public: Option<Answer>,
    #[serde(default)]
    private: Option<Answer>,
    /// Answers by path. To paths without answer, 404.
    #[serde(default)]
    paths: BTreeMap<String, Answer>,
}

/// How a peer does TLS.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Tls {
    /// With a certificate by the CA `{{ca}}`.
    #[default]
    Ca,
    /// With the certificate `{{self-signed}}`.
    SelfSigned,
    /// With a certificate by the same CA for another host.
    OtherHost,
    /// No TLS: it answers like another kind of server.
    Garbage,
    /// No TLS: it sends nothing.
    Mute,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default = "ok")]
    status: u16,
    /// Over `Content-Type: application/json`; null removes a header.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    /// The document, sent as JSON.
    #[serde(default)]
    body: Option<Value>,
    /// Or a text, sent as it is.
    #[serde(default)]
    text: Option<String>,
    /// Entity tag: a request that names it gets 304.
    #[serde(default)]
    etag: Option<String>,
    /// A wrong `Content-Length`.
    #[serde(default)]
    length: Option<u64>,
    /// Number of blanks before the body, which then has no `Content-Length`.
    #[serde(default)]
    blanks: u64,
    /// Waits until this path of this peer was requested, at most 4 s.
    #[serde(default)]
    after: Option<(String, String)>,
    /// Milliseconds for each byte of the body.
    #[serde(default)]
    drip: Option<u64>,
    /// Number of bytes of the body after which the connection is closed.
    #[serde(default)]
    cut: Option<usize>,
    /// Never answers.
    #[serde(default)]
    mute: bool,
}

fn ok() -> u16 {
    200
}

struct Identities {
    authority: String,
    by_authority: CertifiedKey,
    other_host: CertifiedKey,
    self_signed: CertifiedKey,
}

static IDENTITIES: LazyLock<Identities> = LazyLock::new(|| {
    let authority = Authority::root("Replay CA");
    let here = server_for(&["localhost", "127.0.0.1"]);
    Identities {
        authority: authority.pem(),
        by_authority: authority.issue(&here),
        other_host: authority.issue(&server_for(&["elsewhere.example"])),
        self_signed: CertifiedKey::self_signed(&here),
    }
});

/// The CA of the peers' servers, PEM.
pub(crate) fn authority() -> String {
    IDENTITIES.authority.clone()
}

/// The self-signed certificate of peers, PEM.
pub(crate) fn self_signed() -> String {
    IDENTITIES.self_signed.pem.clone()
}

/// The peers of one case.
#[derive(Default)]
pub(crate) struct Peers(BTreeMap<String, Peer>);

struct Peer {
    server: HttpsServer,
    script: Arc<OnceLock<Script>>,
    heads: Arc<Mutex<Vec<String>>>,
}

/// Which paths of which peers have been asked for.
#[derive(Default)]
struct Asked {
    paths: Mutex<BTreeSet<(String, String)>>,
    more: Condvar,
}

impl Asked {
    fn add(&self, peer: &str, path: &str) {
        self.paths.lock().unwrap().insert((peer.to_owned(), path.to_owned()));
        self.more.notify_all();
    }

    fn wait_for(&self, wanted: &(String, String)) {
        let paths = self.paths.lock().unwrap();
        let wait = self.more.wait_timeout_while(paths, Duration::from_secs(4), |paths| !paths.contains(wanted));
        drop(wait.unwrap());
    }
}

/// Starts the peers of a case. Only then are their addresses known and their answers can be filled in.
pub(crate) fn start(case: &Case) -> Result<Peers, String> {
    let mut peers = BTreeMap::new();
    let asked: Arc<Asked> = Arc::default();
    for (name, script) in &case.peers {
        let tls: Tls = match script.get("tls") {
            Some(tls) => serde_json::from_value(tls.clone()).map_err(|error| format!("peers: {name}: {error}"))?,
            None => Tls::default(),
        };
        let script: Arc<OnceLock<Script>> = Arc::default();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answers, seen, asked, peer) = (Arc::clone(&script), Arc::clone(&heads), Arc::clone(&asked), name.clone());
        let answer = move |head: &str, stream: &mut dyn Write| {
            seen.lock().unwrap().push(head.to_owned());
            asked.add(&peer, path_of(head));
            match answers.get().and_then(|script| script.answer(path_of(head))) {
                Some(answer) => {
                    answer.after.iter().for_each(|other| asked.wait_for(other));
                    answer.write(head, stream)
                }
                None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            }
        };
        let server = match tls {
            Tls::Ca => HttpsServer::tls(&IDENTITIES.by_authority, answer),
            Tls::SelfSigned => HttpsServer::tls(&IDENTITIES.self_signed, answer),
            Tls::OtherHost => HttpsServer::tls(&IDENTITIES.other_host, answer),
            Tls::Garbage => HttpsServer::tcp(|mut socket| socket.write_all(b"220 mail.example ESMTP\r\n")),
            Tls::Mute => HttpsServer::tcp(|mut socket| {
                while socket.read(&mut [0; 64])? > 0 {}
                Ok(())
            }),
        };
        peers.insert(name.clone(), Peer { server, script, heads });
    }
    Ok(Peers(peers))
}

impl Peers {
    pub(crate) fn ports(&self) -> BTreeMap<String, u16> {
        self.0.iter().map(|(name, peer)| (name.clone(), peer.server.address.port())).collect()
    }

    /// From now on, the peers answer.
    pub(crate) fn set_scripts(&self, case: &Case, fill: &Fill) -> Result<(), String> {
        for (name, script) in &case.peers {
            let mut script = script.clone();
            fill.document(&mut script)?;
            let members = script.as_object_mut().ok_or("a script is a mapping")?;
            members.remove("tls");
            for document in ["public", "private"] {
                if let Some(status @ Value::Number(_)) = members.get_mut(document) {
                    *status = json!({"status": status});
                }
            }
            let script = serde_json::from_value(script).map_err(|error| format!("peers: {name}: {error}"))?;
            self.0[name].script.set(script).map_err(|_| "scripts are set once")?;
        }
        Ok(())
    }

    /// The requests to the peers since the last call.
    pub(crate) fn take_requests(&self, fill: &Fill) -> BTreeMap<String, Vec<Value>> {
        let requests = |peer: &Peer| {
            let heads = std::mem::take(&mut *peer.heads.lock().unwrap());
            heads.iter().map(|head| request(head, fill)).collect()
        };
        self.0.iter().map(|(name, peer)| (name.clone(), requests(peer))).collect()
    }
}

impl Script {
    fn answer(&self, path: &str) -> Option<&Answer> {
        match path {
            "/metadata/public/public.json" if self.public.is_some() => self.public.as_ref(),
            "/metadata/private/federation.json" if self.private.is_some() => self.private.as_ref(),
            _ => self.paths.get(path),
        }
    }
}

impl Answer {
    fn write(&self, head: &str, stream: &mut dyn Write) -> io::Result<()> {
        if self.mute {
            thread::park_timeout(Duration::from_secs(20));
            return Ok(());
        }
        if self.etag.is_some() && header(head, "if-none-match") == self.etag.as_deref() {
            return stream.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n");
        }
        let body = match (&self.body, &self.text) {
            (Some(body), None) => body.to_string(),
            (None, Some(text)) => text.clone(),
            _ => String::new(),
        };
        let mut headers = BTreeMap::from([("Content-Type".to_owned(), Some("application/json".to_owned()))]);
        headers.insert("ETag".to_owned(), self.etag.clone());
        let length = self.length.unwrap_or(body.len() as u64);
        headers.insert("Content-Length".to_owned(), (self.blanks == 0).then(|| length.to_string()));
        headers.extend(self.headers.clone());
        write!(stream, "HTTP/1.1 {} Scripted\r\n", self.status)?;
        for (name, value) in headers {
            if let Some(value) = value {
                write!(stream, "{name}: {value}\r\n")?;
            }
        }
        stream.write_all(b"\r\n")?;
        let blanks = [b' '; 4096];
        for start in (0..self.blanks).step_by(blanks.len()) {
            let rest = usize::try_from(self.blanks - start).unwrap_or(usize::MAX);
            stream.write_all(&blanks[..rest.min(blanks.len())])?;
        }
        let body = &body.as_bytes()[..self.cut.unwrap_or(body.len())];
        match self.drip {
            None => stream.write_all(body),
            Some(milliseconds) => body.iter().try_for_each(|byte| {
                stream.write_all(&[*byte])?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(milliseconds));
                Ok(())
            }),
        }
    }
}

fn path_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A request, at full length.
fn request(head: &str, fill: &Fill) -> Value {
    let mut shown = json!({"path": path_of(head)});
    if let Some(etag) = header(head, "if-none-match") {
        shown["ifNoneMatch"] = json!(etag);
    }
    if let Some(authorization) = header(head, "authorization") {
        shown["token"] = token(authorization, fill).unwrap_or_else(|| json!({"malformed": authorization}));
    }
    shown
}

/// The claims of a token, and whether it is signed with the key of fixture `own`.
fn token(authorization: &str, fill: &Fill) -> Option<Value> {
    let token = authorization.strip_prefix("Bearer ")?;
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let decode = |part: &str| serde_json::from_slice::<Value>(&BASE64URL.decode(part).ok()?).ok();
    let pem = case::read(&case::root().join("fixtures/own.pub.pem")).ok()??;
    let der = pem_content(&pem).ok()?;
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &der[der.len() - 32..]);
    let is_ours = key.verify(signed.as_bytes(), &BASE64URL.decode(signature).ok()?).is_ok();

    let mut claims = decode(payload)?;
    let lifetime = claims["exp"].as_i64()? - claims["nbf"].as_i64()?;
    claims["nbf"] = json!(fill.empty_seconds(claims["nbf"].as_i64()?)?);
    claims["exp"] = json!(format!("nbf+{lifetime}s"));
    Some(json!({"header": decode(header)?, "claims": claims, "signedByOwnKey": is_ours}))
}
