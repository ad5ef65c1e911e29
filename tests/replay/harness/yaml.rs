//! Writes YAML in the style of the cases: a value that fits on a line is on one line.

use serde_json::Value;

const WIDTH: usize = 120;
/// Words that YAML, or an older version of it, does not read as a string.
const WORDS: [&str; 12] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~", ".inf", ".nan"];

/// A document.
pub(crate) fn text(document: &Value) -> String {
    let mut lines = Vec::new();
    block(document, 0, &mut lines);
    lines.join("\n") + "\n"
}

/// The lines of a value that stands by itself, each with its margin.
fn block(value: &Value, margin: usize, lines: &mut Vec<String>) {
    let space = " ".repeat(margin);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let name = scalar(name);
                if let Some(text) = on_one_line(member, margin + name.len() + 2) {
                    lines.push(format!("{space}{name}: {text}"));
                } else {
                    lines.push(format!("{space}{name}:"));
                    block(member, margin + 2, lines);
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                if let Some(text) = on_one_line(item, margin + 2) {
                    lines.push(format!("{space}- {text}"));
                } else {
                    let first = lines.len();
                    block(item, margin + 2, lines);
                    lines[first].replace_range(margin..margin + 2, "- ");
                }
            }
        }
        other => lines.push(format!("{space}{}", flow(other))),
    }
}

/// A value that needs no lines of its own.
fn on_one_line(value: &Value, before: usize) -> Option<String> {
    let nested = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    let text = flow(value);
    (!nested || before + text.len() <= WIDTH).then_some(text)
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let member = |(name, member): (&String, &Value)| format!("{}: {}", scalar(name), flow(member));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Whether a text is itself without quotes, wherever it stands.
fn is_plain(text: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || "/_(".contains(c);
    let goes_on = |c: char| c.is_alphanumeric() || " /_()<>.+=*;@%$~^'\"?|!:#-".contains(c);
    text.starts_with(starts)
        && text.chars().all(goes_on)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// A JSON string, with invisible characters escaped.
fn quoted(text: &str) -> String {
    let is_unseen = |c: char| {
        matches!(c, '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}')
    };
    let spelled = |c: char| if is_unseen(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Value::from(text).to_string().chars().map(spelled).collect()
}

#[test]
fn every_text_survives() {
    for text in [
        "",
        "a",
        "a b",
        "true",
        "No",
        "null",
        "1",
        "1.5",
        "1e3",
        "-",
        "- a",
        "a: b",
        "a:b",
        "a #b",
        "#a",
        "{{now}}",
        "[a]",
        "a, b",
        "'a'",
        "\"a\"",
        "a\nb",
        " a",
        "a ",
        "&a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "?a",
        "? a",
        "|",
        ">",
        "2026-01-01",
        "12:30",
        "0x1F",
        ".5",
        "+1",
        "~",
        "é",
        "\u{feff}x",
        "\u{200b}",
        "a\tb",
        "a\\b",
        "https://b.example:443/x",
        "key:",
        "<<",
        "=",
        "y",
        "---",
        "...",
        "--- a",
        "a'b",
        "it's",
    ] {
        for document in [
            Value::from(text),
            serde_json::json!({text: [text, {"k": text, text: 1.0}], "n": [null, 0, -1.5, true, {}, []]}),
        ] {
            let yaml = self::text(&serde_json::json!({"d": document}));
            let back: Value = serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{text:?}: {error}\n{yaml}"));
            assert_eq!(back["d"], document, "{yaml}");
        }
    }
}
