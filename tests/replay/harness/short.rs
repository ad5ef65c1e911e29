//! Short forms of frequent operations. Each stands for exactly one long form; an operation without a short form stays long.

use serde_json::{Map, Value, json};

const METADATA_METRIC: &str = "d8_istio_federation_metadata_";
const DOCUMENTS: [(&str, &str); 2] =
    [("public", "/metadata/public/public.json"), ("private", "/metadata/private/federation.json")];
/// The conditions that a patch leaves alone.
const OTHER_CONDITIONS: &str = " + [.status.conditions[]? | select(.type != \"TrustDomainAccepted\" and .type != \"MetadataEndpointVerified\" and .type != \"PublicMetadataExchangeReady\" and .type != \"PrivateMetadataExchangeReady\" and .type != \"TrustAnchorsReady\" and .type != \"IngressGatewaysReady\" and .type != \"OwnIdentityAccepted\")])}";
const FEDERATIONS: &str = "deckhouse.io/v1alpha1";
const ISTIO: &str = "networking.istio.io/v1";

/// `public, if-none-match "x", token uuid-a -> uuid-b`.
pub(crate) fn request(peer: &str, request: &Value) -> Value {
    let path = request["path"].as_str().unwrap_or_default();
    let mut text = DOCUMENTS.iter().find(|(_, known)| *known == path).map_or(path, |(name, _)| name).to_owned();
    let mut long = json!({"path": path});
    if let Some(etag) = request["ifNoneMatch"].as_str() {
        text.extend([", if-none-match ", etag]);
        long["ifNoneMatch"] = json!(etag);
    }
    let claim = |name: &str| request["token"]["claims"][name].as_str();
    if let (Some(subject), Some(audience)) = (claim("sub"), claim("aud")) {
        text.extend([", token ", subject, " -> ", audience]);
        long["token"] = json!({
            "header": {"alg": "EdDSA"}, "signedByOwnKey": true,
            "claims": {
                "aud": audience, "exp": "nbf+60s", "host": format!("{{{{host:{peer}}}}}"), "iss": "d8-istio",
                "nbf": "{{now}}", "scope": "private-federation", "sub": subject,
            },
        });
    }
    either(text.into(), &long, request)
}

/// `b public endpoints_fetch_error_count 0.0`: a metric of the metadata of federation and peer `b`.
pub(crate) fn metric(metric: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let federation = text(&metric["labels"]["federation_name"]);
    let name = text(&metric["name"]);
    let endpoint = |path: &str| format!("{{{{peer:{federation}}}}}{path}");
    let document = DOCUMENTS.iter().find(|(_, path)| metric["labels"]["endpoint"] == endpoint(path));
    let (Some((document, path)), Some(rest)) = (document, name.strip_prefix(METADATA_METRIC)) else {
        return metric.clone();
    };
    let value = match &metric["value"] {
        Value::String(time) if time.starts_with("{{") => time.clone(),
        Value::Number(number) => number.to_string(),
        _ => return metric.clone(),
    };
    let long = json!({
        "action": "set", "group": format!("federation_discovery/{federation}"), "name": name, "value": metric["value"],
        "labels": {"endpoint": endpoint(path), "federation_name": federation},
    });
    either(format!("{federation} {document} {rest} {value}").into(), &long, metric)
}

/// `{add PATH: value}` or `remove PATH`.
pub(crate) fn values(operation: &Value) -> Value {
    let path = operation["path"].as_str().unwrap_or_default();
    match operation["op"].as_str() {
        Some("add") => {
            let long = json!({"op": "add", "path": path, "value": operation["value"]});
            either(member(&format!("add {path}"), &operation["value"]), &long, operation)
        }
        Some("remove") => either(format!("remove {path}").into(), &json!({"op": "remove", "path": path}), operation),
        _ => operation.clone(),
    }
}

/// `{status of b: ...}`, `{conditions of b: [...]}`, `{create: object}`, `{merge ServiceEntry x: ...}`, `delete ServiceEntry x`.
pub(crate) fn patch(patch: &Value) -> Value {
    let text = |name: &str| patch[name].as_str().unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let status = json!({
        "operation": text("operation"), "apiVersion": FEDERATIONS, "kind": "IstioFederation", "name": name,
        "subresource": "/status", "ignoreMissingObject": true,
    });
    let ours = json!({
        "operation": text("operation"), "apiVersion": ISTIO, "kind": kind, "namespace": "d8-istio", "name": name,
    });
    match (text("operation"), kind) {
        ("MergePatch", "IstioFederation") => {
            let new = &patch["mergePatch"]["status"];
            let long = with(status, &json!({"mergePatch": {"status": new}}));
            either(member(&format!("status of {name}"), new), &long, patch)
        }
        ("JQPatch", _) => {
            let new = &patch["jqFilter"]["value"];
            let filter = json!({"before": ".status += {conditions: (", "value": new, "after": OTHER_CONDITIONS});
            let conditions: Vec<Value> = new.as_array().into_iter().flatten().map(condition).collect();
            let short = member(&format!("conditions of {name}"), &conditions.into());
            either(short, &with(status, &json!({"jqFilter": filter})), patch)
        }
        ("MergePatch", _) => {
            let new = &patch["mergePatch"];
            let long = with(ours, &json!({"mergePatch": new, "ignoreMissingObject": true}));
            either(member(&format!("merge {kind} {name}"), new), &long, patch)
        }
        ("DeleteInBackground", _) => either(format!("delete {kind} {name}").into(), &ours, patch),
        ("CreateIfNotExists", _) => {
            let object = &patch["object"];
            let long = json!({"operation": "CreateIfNotExists", "object": object});
            either(member("create", object), &long, patch)
        }
        _ => patch.clone(),
    }
}

/// `{warn: message, ...}`: a line that `logger` wrote.
pub(crate) fn log(logger: &str, line: &Value) -> Value {
    let Some(level) = line["level"].as_str() else { return line.clone() };
    let mut short = line.as_object().cloned().unwrap_or_default();
    for name in ["level", "logger", "msg"] {
        short.remove(name);
    }
    if short.contains_key(level) {
        return line.clone();
    }
    let long = with(Value::Object(short.clone()), &json!({"level": level, "logger": logger, "msg": line["msg"]}));
    short.insert(level.to_owned(), line["msg"].clone());
    either(Value::Object(short), &long, line)
}

/// `Type Status Reason time g1: message`, where `g1` is the generation.
fn condition(condition: &Value) -> Value {
    let word = |name: &str| condition[name].as_str().unwrap_or_default();
    let words = ["type", "status", "reason", "lastTransitionTime"].map(word).join(" ");
    let text = format!("{words} g{}: {}", condition["observedGeneration"], word("message"));
    let has_long_form = long_condition(&text).is_ok_and(|long| long == *condition);
    if has_long_form { text.into() } else { condition.clone() }
}

/// A condition of its short form.
fn long_condition(text: &str) -> Result<Value, String> {
    let wrong = || format!("not TYPE STATUS REASON TIME gGENERATION: MESSAGE: {text:?}");
    let (head, message) = text.split_once(": ").ok_or_else(wrong)?;
    let [type_, status, reason, time, generation] = head.split(' ').collect::<Vec<_>>()[..] else {
        return Err(wrong());
    };
    let generation: i64 = generation.strip_prefix('g').and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    Ok(json!({
        "type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": time,
        "observedGeneration": generation,
    }))
}

/// Writes out the conditions of an object that a case has in their short form.
pub(crate) fn write_out_conditions(object: &mut Value) -> Result<(), String> {
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if let Value::String(text) = condition {
            *condition = long_condition(text)?;
        }
    }
    Ok(())
}

fn member(name: &str, value: &Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value.clone())]))
}

fn with(mut object: Value, more: &Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more.clone());
    }
    object
}

/// The short form, where it stands for all of the operation.
fn either(short: Value, long: &Value, all: &Value) -> Value {
    if long == all { short } else { all.clone() }
}

#[test]
fn an_operation_without_a_short_form_stays_long() {
    let line = json!({"level": "warn", "logger": "a", "msg": "m", "x": 1});
    assert_eq!(log("a", &line), json!({"warn": "m", "x": 1}));
    for odd in [
        json!({"level": "warn", "logger": "b", "msg": "m"}),
        json!({"level": "warn", "logger": "a", "msg": "m", "warn": 1}),
    ] {
        assert_eq!(log("a", &odd), odd);
    }
    let remove = json!({"op": "remove", "path": "/a"});
    assert_eq!(values(&remove), "remove /a");
    let odd = json!({"op": "remove", "path": "/a", "value": null});
    assert_eq!(values(&odd), odd);
    let well = "A True B {{now}} g1: all: is well";
    let long = long_condition(well).unwrap();
    assert_eq!(condition(&long), well);
    let mut odd = long.clone();
    odd["reason"] = json!("two words");
    assert_eq!(condition(&odd), odd);
    assert_eq!(request("b", &json!({"path": DOCUMENTS[0].1, "token": {"malformed": "x"}}))["path"], DOCUMENTS[0].1);
}
