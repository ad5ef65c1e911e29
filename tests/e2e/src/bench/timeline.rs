//! The timeline of a scenario, printed as it happens, with times since the last cause.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// The timeline of one scenario.
#[derive(Debug)]
pub struct Timeline {
    scenario: String,
    cause: Instant,
}

impl Timeline {
    pub(super) fn new(scenario: &str) -> Self {
        Self { scenario: scenario.to_owned(), cause: Instant::now() }
    }

    /// Prints an action; times count from here.
    pub fn cause(&mut self, what: impl Display) {
        self.cause = Instant::now();
        self.say(format_args!("     ->  {what}"));
    }

    /// Prints an observation. Returns the time since the last cause.
    pub fn seen(&self, what: impl Display) -> Duration {
        let time = self.cause.elapsed();
        self.say(format_args!("{:7.3}s {what}", time.as_secs_f64()));
        time
    }

    /// Prints a figure, as a row of a table.
    pub fn figure(&self, what: impl Display, figure: impl Display) {
        self.say(format_args!("| {what} | {figure} |"));
    }

    #[expect(clippy::print_stderr, reason = "people follow a running scenario")]
    fn say(&self, what: impl Display) {
        eprintln!("{}: {what}", self.scenario);
    }
}
