//! Limits log lines that anybody can cause: one a minute for each reason.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_mins(1);

/// When each reason was last logged.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    last: Mutex<BTreeMap<&'static str, Instant>>,
}

impl LogLimit {
    /// Whether `reason` may be logged `now`. If so, the next minute without it begins.
    pub(super) fn allows(&self, reason: &'static str, now: Instant) -> bool {
        let Ok(mut last) = self.last.lock() else { return false };
        let allowed = last.get(reason).is_none_or(|then| now.duration_since(*then) >= PAUSE);
        if allowed {
            last.insert(reason, now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_logged_once_a_minute() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(limit.allows("time", at(0)) && limit.allows("signature", at(1)));
        assert!(!limit.allows("time", at(1)) && !limit.allows("time", at(59_999)));
        assert!(limit.allows("time", at(60_000)) && !limit.allows("time", at(60_001)));
    }
}
