//! What happened when, told while it happens: times since the last cause.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// The story of one scenario.
#[derive(Debug)]
pub struct Timeline {
    scenario: String,
    cause: Instant,
}

impl Timeline {
    pub(super) fn new(scenario: &str) -> Self {
        Self { scenario: scenario.to_owned(), cause: Instant::now() }
    }

    /// Something was done: times count from here.
    pub fn cause(&mut self, what: impl Display) {
        self.cause = Instant::now();
        self.say(format_args!("     ->  {what}"));
    }

    /// Something was seen. How long after its cause.
    pub fn seen(&self, what: impl Display) -> Duration {
        let time = self.cause.elapsed();
        self.say(format_args!("{:7.3}s {what}", time.as_secs_f64()));
        time
    }

    /// A figure, as a row of a table.
    pub fn figure(&self, what: impl Display, figure: impl Display) {
        self.say(format_args!("| {what} | {figure} |"));
    }

    #[expect(clippy::print_stderr, reason = "whoever runs a scenario wants to follow it")]
    fn say(&self, what: impl Display) {
        eprintln!("{}: {what}", self.scenario);
    }
}
