//! Brings the output into the form for comparison and reading.

use base64::Engine as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::fill::Fill;

/// A text of JSON values, one or many, as a list.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, String> {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    values.map_err(|error| format!("{error}: {text}"))
}

/// The log without its times.
pub(crate) fn log(stdout: &str, fill: &Fill) -> Result<Vec<Value>, String> {
    let mut lines = documents(stdout)?;
    for line in &mut lines {
        let members = line.as_object_mut().ok_or_else(|| format!("a log line is not an object: {stdout}"))?;
        members.remove("time").ok_or("a log line without time")?;
        fill.empty_document(line);
    }
    Ok(lines)
}

/// The operations of a values patch. A new key pair is random, so it is checked here.
pub(crate) fn values(text: &str, fill: &Fill) -> Result<Vec<Value>, String> {
    let mut operations: Vec<Value> = documents(text)?
        .into_iter()
        .flat_map(|patch| match patch {
            Value::Array(operations) => operations,
            operation => vec![operation],
        })
        .collect();
    for operation in &mut operations {
        fill.empty_document(operation);
        if operation["path"] == "/istio/internal/remoteAuthnKeypair" && is_new(&operation["value"]) {
            is_a_pair(&operation["value"])?;
            operation["value"] = json!("a new key pair");
        }
    }
    Ok(operations)
}

fn is_new(pair: &Value) -> bool {
    pair["priv"].as_str().is_some_and(|text| text.contains("-----BEGIN"))
}

/// Whether the text is a pair as Deckhouse reads it, checked with another library than the maker's.
fn is_a_pair(pair: &Value) -> Result<(), String> {
    let half = |name: &str, label: &str| {
        let text = pair[name].as_str().unwrap_or_default();
        let body = text.strip_prefix(&format!("-----BEGIN {label}-----\n"));
        let body = body.and_then(|body| body.strip_suffix(&format!("-----END {label}-----\n")));
        let der = body.and_then(|body| base64::engine::general_purpose::STANDARD.decode(body.replace('\n', "")).ok());
        der.ok_or_else(|| format!("{name} is not a single PEM block {label}"))
    };
    let private = half("priv", "ED25519 PRIVATE KEY")?;
    let public = half("pub", "ED25519 PUBLIC KEY")?;
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private).map_err(|error| format!("priv: {error}"))?;
    let spki = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], key.public_key().as_ref()].concat();
    if spki == public { Ok(()) } else { Err("pub does not belong to priv".to_owned()) }
}

/// Object patches. A jq filter that holds a document is taken apart, so that a difference can be read.
pub(crate) fn objects(text: &str, fill: &Fill) -> Result<Vec<Value>, String> {
    let mut operations = documents(text)?;
    for operation in &mut operations {
        if let Some(filter) = operation["jqFilter"].as_str()
            && let Some((before, rest)) = filter.find('[').map(|start| filter.split_at(start))
        {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let value = values.next().and_then(Result::ok).ok_or_else(|| format!("no document in {filter}"))?;
            operation["jqFilter"] = json!({"before": before, "value": value, "after": rest[values.byte_offset()..]});
        }
        fill.empty_document(operation);
    }
    Ok(operations)
}

/// Metrics, with placeholders for times.
pub(crate) fn metrics(text: &str, fill: &Fill) -> Result<Vec<Value>, String> {
    let mut metrics = documents(text)?;
    for metric in &mut metrics {
        if metric["name"].as_str().is_some_and(|name| name.ends_with("_timestamp_seconds")) {
            let seconds = metric["value"].as_f64().ok_or_else(|| format!("a metric without value: {metric}"))?;
            #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
            let placeholder = fill.empty_seconds(seconds as i64);
            metric["value"] =
                json!(placeholder.ok_or_else(|| format!("{seconds} is neither now nor a time of the case"))?);
        }
        fill.empty_document(metric);
    }
    Ok(metrics)
}
