//! How long to wait before a retry: longer each time, with jitter.

use std::time::Duration;

/// Waiting times that double from `first` to `most`, each reduced by up to half at random.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, attempt: 0 }
    }

    /// After a success: the next waiting time is the first again.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// The next waiting time. `random` is any number.
    pub(super) fn next(&mut self, random: u32) -> Duration {
        let whole = self.first.saturating_mul(1 << self.attempt.min(16)).min(self.most);
        self.attempt = self.attempt.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_double_up_to_the_most() {
        let (first, most) = (Duration::from_millis(200), Duration::from_secs(10));
        let mut backoff = Backoff::new(first, most);
        let longest: Vec<u128> = (0..8).map(|_| backoff.next(u32::MAX).as_millis()).collect();
        assert_eq!(longest, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        for _ in 0..100 {
            assert_eq!(backoff.next(0), most / 2);
        }
        backoff.reset();
        assert_eq!(backoff.next(0), first / 2);
    }
}
