//! Runs cases of the exporter: the released program serves the manifests of the case, and answers its requests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::signature::Ed25519KeyPair;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::case::{self, File};
use super::expected::{self, Found};
use super::fill::Fill;
use super::fixtures::Defaults;
use super::peers::Peers;
use super::pem_content;
use crate::common;

const RESPONSES: &str = "responses";
/// How long the exporter may take to begin, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    about: String,
    #[serde(default)]
    differs: Option<String>,
    #[serde(default)]
    given: Map<String, Value>,
    requests: Vec<Request>,
    expect: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// Options of the exporter, as it reads them from its environment.
    env: BTreeMap<String, String>,
    /// Objects of the cluster.
    objects: Vec<Value>,
}

/// A request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// The purpose of the request; repeated in the answer.
    #[serde(default)]
    about: String,
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    token: Option<Token>,
    /// Sends the entity tag of the answer with this number.
    #[serde(default)]
    etag_of: Option<usize>,
    #[serde(default)]
    body: String,
}

/// A token of the peer `uuid-a`, whose pair is the fixture `other`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// The fixture with the signing key.
    #[serde(default = "other")]
    key: String,
    #[serde(default = "eddsa")]
    header: Value,
    /// Changed claims; null removes one. `nbf` and `exp` are in seconds from now.
    #[serde(default)]
    claims: BTreeMap<String, Value>,
    /// Whether the payload is changed after signing.
    #[serde(default)]
    forged: bool,
}

fn get() -> String {
    "GET".to_owned()
}

fn other() -> String {
    "other".to_owned()
}

fn eddsa() -> Value {
    json!({"alg": "EdDSA"})
}

pub(crate) fn replay(case_file: &File, defaults: &Defaults, update: bool) -> Result<BTreeSet<String>, String> {
    let Document { about, differs, given, requests, expect } = case_file.parse()?;
    case::check_prose(&about, differs.as_ref())?;
    let given = Value::Object(defaults.given(given)?);
    let Given { env, objects } = serde_json::from_value(given).map_err(|error| format!("given: {error}"))?;
    let fill = Fill::new(&Peers::default());
    let manifest = |object| {
        let mut object = defaults.object(object)?;
        fill.document(&mut object)?;
        Ok(object)
    };
    let mut manifests: Vec<Value> = objects.into_iter().map(manifest).collect::<Result<_, String>>()?;

    let found = answers(&env, &manifests, &requests, &fill)?;
    expected::compare(case_file, &expect, &found, update)?;
    manifests.reverse();
    let reversed = answers(&env, &manifests, &requests, &fill)?;
    if reversed.member(RESPONSES) != found.member(RESPONSES) {
        let [was, is] = [&found, &reversed].map(|found| expected::text(RESPONSES, found.member(RESPONSES)));
        let difference = expected::difference(&was, &is);
        return Err(format!("with the manifests in reverse order, it answers differently:\n{difference}"));
    }
    Ok(fill.used())
}

/// A process that ends with the case.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn answers(
    env: &BTreeMap<String, String>,
    manifests: &[Value],
    requests: &[Request],
    fill: &Fill,
) -> Result<Found, String> {
    let io = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(io)?;
    let served = folder.path().join("manifests");
    fs::create_dir(&served).map_err(io)?;
    for (number, manifest) in manifests.iter().enumerate() {
        fs::write(served.join(format!("{number:04}.json")), manifest.to_string()).map_err(io)?;
    }
    let (ports, log) = (folder.path().join("ports"), folder.path().join("log"));
    let mut command = Command::new(common::program());
    command.arg("exporter").env_clear().envs(env).env("MANIFESTS", &served).env("PORT_FILE", &ports);
    command.env("LISTEN", "127.0.0.1:0").env("METRICS_LISTEN", "127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).map_err(io)?);
    let mut running = Running(command.spawn().map_err(io)?);

    let give_up = Instant::now() + PATIENCE;
    let waits = || {
        thread::sleep(Duration::from_millis(10));
        Instant::now() < give_up
    };
    let addresses: BTreeMap<String, String> = loop {
        if running.0.try_wait().map_err(io)?.is_some() {
            let message = fs::read_to_string(&log).map_err(io)?;
            return Ok(Found::of("error", json!(message.trim_end())));
        }
        let written = fs::read(&ports).ok().and_then(|text| serde_json::from_slice(&text).ok());
        match written {
            Some(addresses) => break addresses,
            None if waits() => {}
            None => return Err("it does not say where it listens".to_owned()),
        }
    };
    while exchange(&addresses["metrics"], "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?["status"]
        != 200
    {
        if !waits() {
            return Err("it does not become ready".to_owned());
        }
    }
    let mut answers: Vec<Value> = Vec::new();
    for request in requests {
        let text = request.text(&env["CLUSTER_UUID"], &answers, fill)?;
        let mut answer = exchange(&addresses["metadata"], &text)?;
        let about = if request.about.is_empty() { String::new() } else { format!(" ({})", request.about) };
        answer["request"] = json!(format!("{} {}{about}", request.method, request.path));
        answers.push(answer);
    }
    let mut answers = Value::Array(answers);
    fill.empty_document(&mut answers);
    Ok(Found::of(RESPONSES, answers))
}

impl Request {
    fn text(&self, uuid: &str, answers: &[Value], fill: &Fill) -> Result<String, String> {
        let mut headers = self.headers.clone();
        if let Some(token) = &self.token {
            headers.insert("Authorization".to_owned(), format!("Bearer {}", token.sign(uuid, fill)?));
        }
        if let Some(number) = self.etag_of {
            let etag = answers.get(number).and_then(|answer| answer["headers"]["etag"].as_str());
            headers.insert("If-None-Match".to_owned(), etag.ok_or("that answer has no entity tag")?.to_owned());
        }
        if !self.body.is_empty() {
            headers.insert("Content-Length".to_owned(), self.body.len().to_string());
        }
        let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Ok(format!(
            "{} {} HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n{headers}\r\n{}",
            self.method,
            self.path,
            self.body,
            headers = headers.concat()
        ))
    }
}

impl Token {
    fn sign(&self, uuid: &str, fill: &Fill) -> Result<String, String> {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({"aud": uuid, "exp": 60, "iss": "d8-istio", "nbf": 0, "scope": "private-federation", "sub": "uuid-a"});
        for (name, value) in &self.claims {
            claims[name] = value.clone();
        }
        for name in ["nbf", "exp"] {
            if let Some(seconds) = claims[name].as_i64() {
                claims[name] = json!(now + seconds);
            }
        }
        claims.as_object_mut().ok_or("claims")?.retain(|_, value| !value.is_null());
        let pem = fill.fixture(&format!("{}.key", self.key))?;
        let der = pem_content(&pem)?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|error| error.to_string())?;
        let part = |value: &Value| BASE64URL.encode(value.to_string());
        let header = part(&self.header);
        let signature = BASE64URL.encode(key.sign(format!("{header}.{}", part(&claims)).as_bytes()));
        if self.forged {
            claims["exp"] = json!(now + 61);
        }
        Ok(format!("{header}.{}.{signature}", part(&claims)))
    }
}

/// One request and its answer.
fn exchange(address: &str, request: &str) -> Result<Value, String> {
    let io = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(address).map_err(io)?;
    stream.write_all(request.as_bytes()).map_err(io)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(io)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
    let mut lines = head.lines();
    let status: Option<u16> = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name != "date");
    let headers: serde_json::Map<_, _> = headers.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let document = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    Ok(json!({"status": status, "headers": headers, "body": document}))
}
