//! Formats failures for the operator's log: one line, with the causes, without values that may be secret.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// The operator shows about 10 000 characters of a line.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// Why a process ends without success.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HookFailure {
    /// Unknown arguments: no message, because the operator tries every executable.
    NotForUs,
    /// The message for the operator's log.
    Message(String),
}

impl HookFailure {
    pub(super) fn of(error: impl std::fmt::Display) -> Self {
        Self::Message(error.to_string())
    }

    /// The one line on stderr, or nothing.
    pub(super) fn line(&self) -> Option<String> {
        let Self::Message(message) = self else { return None };
        let end = message.floor_char_boundary(MESSAGE_LIMIT);
        Some(format!("{}\n", serde_json::json!({"message": &message[..end]})))
    }
}

/// The message of `serde_json` without the value that it quotes: the value may be a key.
pub(super) fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    for (before, open, close) in [
        ("invalid type: string", " \"", "\","),
        ("invalid value: string", " \"", "\","),
        ("unknown variant", " `", "`,"),
    ] {
        let quoted = text.strip_prefix(before).filter(|rest| rest.starts_with(open));
        // From the right: the value may contain the same characters.
        if let Some(end) = quoted.and_then(|rest| rest.rfind(&format!("{close} expected"))) {
            return format!("{before}{}", &text[before.len() + end + 1..]);
        }
    }
    text
}

/// Place and message of the first panic of this process; only [`quiet_panics`] fills it.
static FIRST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps panics off stderr, which has room for one JSON line, and remembers the first one for that line.
///
/// The first: when a worker thread panics, the thread that waits for it panics too and knows less.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let mut first = FIRST_PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        first.get_or_insert_with(|| format!("panicked{place}: {text}"));
    }));
}

/// Runs `work` and makes a failure of a panic.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, HookFailure>) -> Result<T, HookFailure> {
    // The process ends, so nothing reads the state that the panic left.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(HookFailure::Message(panic_text(payload.as_ref()))))
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = FIRST_PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_ref() {
        return text.clone();
    }
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn a_message_is_one_bounded_line() {
        let line = HookFailure::Message("a\nb \"c\"".into()).line().unwrap();
        assert_eq!(line, "{\"message\":\"a\\nb \\\"c\\\"\"}\n");
        let line = HookFailure::Message("é".repeat(20_000)).line().unwrap();
        assert!(line.len() < 10_000, "{}", line.len());
        assert_eq!(HookFailure::NotForUs.line(), None);
    }

    #[derive(Debug, Deserialize)]
    enum Variant {
        A,
    }

    #[test]
    fn messages_of_serde_lose_the_value() {
        let number = |json: &str| without_values(&serde_json::from_str::<u8>(json).unwrap_err());
        for secret in [r#""hush""#, r#""hush\", expected `hush`""#] {
            let said = number(secret);
            assert!(said.starts_with("invalid type: string, expected u8 at line 1 column"), "{said}");
        }
        assert_eq!(number("{"), "invalid type: map, expected u8 at line 1 column 0");
        assert_eq!(number("300"), "invalid value: integer `300`, expected u8 at line 1 column 3");
        let said = without_values(&serde_json::from_str::<Variant>(r#""hush`, expected hush""#).unwrap_err());
        assert_eq!(said, "unknown variant, expected `A` at line 1 column 22");
        assert!(matches!(serde_json::from_str::<Variant>(r#""A""#), Ok(Variant::A)));
    }
}
