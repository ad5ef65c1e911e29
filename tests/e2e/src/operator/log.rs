//! Log lines on stdout: time, level, who, what.

use std::fmt::Display;

use jiff::Timestamp;

#[expect(clippy::print_stdout, reason = "an operator logs to stdout")]
pub(super) fn log(level: &str, who: &str, what: impl Display) {
    println!("{:.3} {level:<5} {who}: {what}", Timestamp::now());
}

pub(super) fn info(who: &str, what: impl Display) {
    log("info", who, what);
}

pub(super) fn error(who: &str, what: impl Display) {
    log("error", who, what);
}
