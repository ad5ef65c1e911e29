//! What anybody can cause is logged, but not as often as anybody likes: one line a minute for each reason.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_mins(1);

/// When each reason was last told.
#[derive(Debug, Default)]
pub struct Told {
    last: Mutex<BTreeMap<&'static str, Instant>>,
}

impl Told {
    /// Whether `reason` may be told `now`; then it may not for a minute.
    pub fn may_tell(&self, reason: &'static str, now: Instant) -> bool {
        let Ok(mut last) = self.last.lock() else { return false };
        let may = last.get(reason).is_none_or(|then| now.duration_since(*then) >= PAUSE);
        if may {
            last.insert(reason, now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once_a_minute() {
        let (told, start) = (Told::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(told.may_tell("time", at(0)) && told.may_tell("signature", at(1)));
        assert!(!told.may_tell("time", at(1)) && !told.may_tell("time", at(59_999)));
        assert!(told.may_tell("time", at(60_000)) && !told.may_tell("time", at(60_001)));
    }
}
