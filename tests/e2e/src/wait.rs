//! Waiting for a condition, never for a fixed time.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::bail;

const PAUSE: Duration = Duration::from_millis(50);

/// Calls `condition` until it succeeds. After `deadline`, the error quotes the last error of `condition`, so that should describe what
/// it found.
///
/// # Errors
/// The condition was not met in time; the error has its last error.
pub async fn until<T, E: Display>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> anyhow::Result<T> {
    let end = Instant::now() + deadline;
    let mut seen = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, condition()).await {
            Ok(Ok(met)) => return Ok(met),
            Ok(Err(why)) => seen = Some(format!("{why:#}")),
            Err(_) => {}
        }
        // The timeout alone is not enough: it never fires if `condition` returns at once.
        if Instant::now() >= end {
            let seen = seen.as_deref().unwrap_or("no answer at all");
            bail!("not within {} s: {what}; last seen: {seen}", deadline.as_secs_f32());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_answers_at_once_ends_as_well() {
        let waiting = until("it is met", Duration::from_millis(10), async || Err::<(), _>("not yet"));
        let ended = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it goes on and on");
        assert_eq!(ended.unwrap_err().to_string(), "not within 0.01 s: it is met; last seen: not yet");
    }
}
