//! Waiting on a condition, never for a time.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::bail;

const PAUSE: Duration = Duration::from_millis(50);

/// Asks `condition` again and again until it is met. What it says while it is not met, stands in the error after `deadline`: let it
/// say what was seen.
///
/// # Errors
/// The condition was not met in time, with what it said last.
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
            Err(_) => {
                let seen = seen.as_deref().unwrap_or("no answer at all");
                bail!("not within {} s: {what}; last seen: {seen}", deadline.as_secs_f32());
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
