//! A hook's log: JSON lines on stdout, which the operator passes on.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

/// The operator reads so many bytes in one piece, with the line's end.
const LINE_LIMIT: usize = 4096;

/// A place for bytes that threads share.
pub(super) type Sink = Arc<Mutex<dyn Write + Send>>;

/// The severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    /// As a threshold it means silence: a failure goes to stderr.
    Fatal,
}

impl Level {
    /// The threshold of `LOG_LEVEL`: silence where it is not set, `info` for an unknown word.
    pub(super) fn from_env(value: Option<&str>) -> Self {
        let known = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];
        match value {
            None | Some("") => Self::Fatal,
            Some(word) => {
                known.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word)).unwrap_or(Self::Info)
            }
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// Writes a hook's log. Threads may share it.
#[derive(Clone)]
pub struct Logger {
    name: String,
    threshold: Level,
    sink: Sink,
}

impl Logger {
    /// A log under this name, of lines at least this grave.
    pub(super) fn new(name: &str, threshold: Level, sink: Sink) -> Self {
        Self { name: name.into(), threshold, sink }
    }

    /// Logs at [`Level::Debug`].
    pub fn debug(&self, msg: &str, attributes: &[(&str, Value)]) {
        self.log(Level::Debug, msg, attributes);
    }

    /// Logs at [`Level::Info`]: `log.info("peer answered", &[("peer", name.into()), ("services", 3.into())])`.
    pub fn info(&self, msg: &str, attributes: &[(&str, Value)]) {
        self.log(Level::Info, msg, attributes);
    }

    /// Logs at [`Level::Warn`].
    pub fn warn(&self, msg: &str, attributes: &[(&str, Value)]) {
        self.log(Level::Warn, msg, attributes);
    }

    /// Logs at [`Level::Error`].
    pub fn error(&self, msg: &str, attributes: &[(&str, Value)]) {
        self.log(Level::Error, msg, attributes);
    }

    /// Writes one line in one piece, if it is grave enough. A log that cannot be written stops no hook.
    fn log(&self, level: Level, msg: &str, attributes: &[(&str, Value)]) {
        if level < self.threshold {
            return;
        }
        let time = jiff::Timestamp::now().to_string();
        let line = line(level, &self.name, msg, attributes, &time);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sink.write_all(line.as_bytes()).and_then(|()| sink.flush());
    }
}

/// One line within the limit. The rest is cut, attributes before the message, and the line is marked as truncated.
fn line(level: Level, logger: &str, msg: &str, attributes: &[(&str, Value)], time: &str) -> String {
    let (mut shown, mut end) = (attributes.len(), msg.len());
    loop {
        let mut line = Map::new();
        for (key, value) in attributes.iter().take(shown) {
            line.insert((*key).into(), value.clone());
        }
        if shown < attributes.len() || end < msg.len() {
            line.insert("truncated".into(), true.into());
        }
        // After the attributes: theirs must not hide the members that the operator looks for.
        for (key, value) in [("level", level.as_str()), ("logger", logger), ("msg", &msg[..end]), ("time", time)] {
            line.insert(key.into(), value.into());
        }
        let line = format!("{}\n", Value::Object(line));
        if line.len() <= LINE_LIMIT || (shown == 0 && end == 0) {
            return line;
        }
        if shown > 0 {
            shown -= 1;
        } else {
            end = msg.floor_char_boundary(end / 2);
        }
    }
}

#[cfg(test)]
mod tests;
