//! Tests of the log.

use super::*;

/// Keeps each write separately.
#[derive(Default)]
struct Writes(Vec<Vec<u8>>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(threshold: Level, log: impl FnOnce(&Logger)) -> Vec<Value> {
    let sink = Arc::new(Mutex::new(Writes::default()));
    log(&Logger::new("hook.name", threshold, sink.clone()));
    let writes = std::mem::take(&mut sink.lock().unwrap().0);
    writes
        .iter()
        .map(|write| {
            assert!(write.len() <= LINE_LIMIT && write.ends_with(b"\n"));
            assert_eq!(write.split(|byte| *byte == b'\n').count(), 2, "one line in one write");
            serde_json::from_slice(write).unwrap()
        })
        .collect()
}

#[test]
fn the_threshold_is_the_operators() {
    for (value, expected) in [
        (None, Level::Fatal),
        (Some(""), Level::Fatal),
        (Some("trace"), Level::Trace),
        (Some("DEBUG"), Level::Debug),
        (Some("Info"), Level::Info),
        (Some("warn"), Level::Warn),
        (Some("error"), Level::Error),
        (Some("fatal"), Level::Fatal),
        (Some("loud"), Level::Info),
    ] {
        assert_eq!(Level::from_env(value), expected, "{value:?}");
    }
}

#[test]
fn a_line_has_the_members_that_the_operator_expects() {
    let lines = logged(Level::Info, |log| {
        log.info("two\nlines", &[("count", 3.into()), ("peer", "b".into()), ("level", "mine".into())]);
    });
    let line = &lines[0];
    assert_eq!(
        (&line["level"], &line["logger"], &line["msg"]),
        (&"info".into(), &"hook.name".into(), &"two\nlines".into())
    );
    assert_eq!((&line["count"], &line["peer"]), (&3.into(), &"b".into()));
    let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
    assert!(time <= jiff::Timestamp::now());
    assert_eq!(line.get("truncated"), None);
}

#[test]
fn lines_below_the_threshold_are_not_written() {
    let all = |log: &Logger| {
        log.debug("d", &[]);
        log.info("i", &[]);
        log.warn("w", &[]);
        log.error("e", &[]);
    };
    for (threshold, expected) in [
        (Level::Trace, &["debug", "info", "warn", "error"][..]),
        (Level::Info, &["info", "warn", "error"]),
        (Level::Warn, &["warn", "error"]),
        (Level::Error, &["error"]),
        (Level::Fatal, &[]),
    ] {
        let levels: Vec<Value> = logged(threshold, all).iter().map(|line| line["level"].clone()).collect();
        assert_eq!(levels, expected, "{threshold:?}");
    }
}

#[test]
fn a_long_line_is_cut_and_marked() {
    let long = "\u{1}é".repeat(5000);
    let lines = logged(Level::Info, |log| {
        log.info("short", &[("kept", 1.into()), ("long", long.as_str().into())]);
        log.info(&long, &[("lost", 1.into())]);
        log.info(&"x".repeat(3500), &[]);
    });
    assert_eq!(
        (&lines[0]["msg"], &lines[0]["kept"], &lines[0]["truncated"]),
        (&"short".into(), &1.into(), &true.into())
    );
    assert!(lines[0].get("long").is_none() && lines[1].get("lost").is_none());
    assert!(lines[1]["msg"].as_str().unwrap().starts_with("\u{1}é") && lines[1]["truncated"] == Value::Bool(true));
    assert_eq!(lines[2]["msg"].as_str().unwrap().len(), 3500);
}
