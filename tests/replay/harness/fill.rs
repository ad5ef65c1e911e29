//! Fills placeholders: `{{...}}` in a case stands for a text that differs from run to run, or is too long to read.
//!
//! The output gets the same placeholders again, so that it can be compared literally.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::Value;

use super::case;
use super::peers::{self, Peers};

/// How far a written time may lie behind the end of a run: hooks round to seconds.
const ROUNDING: SignedDuration = SignedDuration::from_secs(1);

/// The texts of the placeholders in one replay.
pub(crate) struct Fill {
    /// `{{now}}`.
    pub(crate) start: Timestamp,
    /// Ports by peer.
    ports: BTreeMap<String, u16>,
    /// The texts that replaced placeholders, with the placeholders.
    known: RefCell<BTreeMap<String, String>>,
    fixtures: RefCell<BTreeSet<String>>,
}

/// The names of all fixtures.
pub(crate) fn fixtures() -> Vec<String> {
    let entries = std::fs::read_dir(case::root().join("fixtures")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(".pem")?.to_owned())).collect()
}

impl Fill {
    pub(crate) fn new(peers: &Peers) -> Self {
        let fill = Self {
            start: Timestamp::now().round(Unit::Second).unwrap(),
            ports: peers.ports(),
            known: RefCell::default(),
            fixtures: RefCell::default(),
        };
        for peer in peers.ports().keys() {
            for kind in ["peer", "host", "address"] {
                fill.known.borrow_mut().insert(fill.address(kind, peer).unwrap(), format!("{{{{{kind}:{peer}}}}}"));
            }
        }
        fill
    }

    /// Fills in the placeholders of a text.
    pub(crate) fn text(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| format!("{{{{ without }}}} in {text:?}"))?;
            filled += before;
            filled += &self.value(name).map_err(|why| format!("{{{{{name}}}}}: {why}"))?;
            rest = after;
        }
        Ok(filled + rest)
    }

    /// Fills in the placeholders of every text in a document.
    pub(crate) fn document(&self, document: &mut Value) -> Result<(), String> {
        match document {
            Value::String(text) => *text = self.text(text)?,
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.document(item))?,
            Value::Object(members) => {
                let old = std::mem::take(members);
                for (name, mut member) in old {
                    self.document(&mut member)?;
                    members.insert(self.text(&name)?, member);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Result<String, String> {
        let (kind, argument) = name.split_once(':').unwrap_or((name, ""));
        let text = match kind {
            "pem" => self.fixture(argument)?,
            "base64" => {
                return Ok(base64::engine::general_purpose::STANDARD.encode(self.value(&format!("pem:{argument}"))?));
            }
            "json" => return Ok(Value::from(self.value(&format!("pem:{argument}"))?).to_string()),
            "ca" => peers::authority(),
            "self-signed" => peers::self_signed(),
            "peer" | "host" | "address" => return self.address(kind, argument).ok_or("no such peer".to_owned()),
            "repeat" => {
                let (count, text) = argument.split_once(':').ok_or("it is {{repeat:COUNT:TEXT}}")?;
                return Ok(text.repeat(count.parse().map_err(|error| format!("{error}"))?));
            }
            _ => self.time(name)?,
        };
        self.known.borrow_mut().insert(text.clone(), format!("{{{{{name}}}}}"));
        Ok(text)
    }

    pub(crate) fn fixture(&self, name: &str) -> Result<String, String> {
        let path = case::root().join("fixtures").join(format!("{name}.pem"));
        self.fixtures.borrow_mut().insert(name.to_owned());
        case::read(&path)?.ok_or_else(|| "no such fixture".to_owned())
    }

    fn address(&self, kind: &str, peer: &str) -> Option<String> {
        let port = self.ports.get(peer)?;
        Some(match kind {
            "peer" => format!("https://localhost:{port}"),
            "host" => format!("localhost:{port}"),
            _ => format!("127.0.0.1:{port}"),
        })
    }

    /// `now`, `now-90s`, `now+48h`.
    fn time(&self, name: &str) -> Result<String, String> {
        let offset = name.strip_prefix("now").ok_or("no such placeholder")?;
        let wrong = || "times are now, now-90s, now+2m, now-48h".to_owned();
        let seconds = match offset.strip_suffix(['s', 'm', 'h']) {
            None if offset.is_empty() => 0,
            None => return Err(wrong()),
            Some(number) => {
                let unit = match &offset[offset.len() - 1..] {
                    "s" => 1,
                    "m" => 60,
                    _ => 3600,
                };
                number.parse::<i64>().map_err(|_| wrong())? * unit
            }
        };
        Ok((self.start + SignedDuration::from_secs(seconds)).to_string())
    }

    /// The fixtures that replaced placeholders.
    pub(crate) fn used(&self) -> BTreeSet<String> {
        self.fixtures.borrow().clone()
    }

    /// Puts placeholders in place of texts that differ from run to run.
    pub(crate) fn empty_text(&self, text: &str) -> String {
        let known = self.known.borrow();
        let mut texts: Vec<(&String, &String)> = known.iter().collect();
        // Longer ones first: an address is part of a URL.
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let mut result = text.to_owned();
        for (text, placeholder) in texts {
            result = result.replace(text.as_str(), placeholder);
        }
        self.empty_times(&result)
    }

    /// The same for every text of a document.
    pub(crate) fn empty_document(&self, document: &mut Value) {
        match document {
            Value::String(text) => *text = self.empty_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.empty_document(item)),
            Value::Object(members) => {
                let old = std::mem::take(members);
                for (name, mut member) in old {
                    self.empty_document(&mut member);
                    members.insert(self.empty_text(&name), member);
                }
            }
            _ => {}
        }
    }

    /// The placeholder of a time that is given in seconds since 1970.
    pub(crate) fn empty_seconds(&self, seconds: i64) -> Option<String> {
        let time = Timestamp::from_second(seconds).ok()?;
        let known = self.known.borrow().get(&time.to_string()).cloned();
        known.or_else(|| self.is_now(time).then(|| "{{now}}".to_owned()))
    }

    fn is_now(&self, time: Timestamp) -> bool {
        (self.start..=Timestamp::now() + ROUNDING).contains(&time)
    }

    fn empty_times(&self, text: &str) -> String {
        const LENGTH: usize = "2026-01-02T03:04:05Z".len();
        let mut result = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let time = rest.get(..LENGTH).filter(|text| text.ends_with('Z')).and_then(|text| text.parse().ok());
            if time.is_some_and(|time| self.is_now(time)) {
                result += "{{now}}";
                rest = &rest[LENGTH..];
            } else {
                result.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        result
    }
}
