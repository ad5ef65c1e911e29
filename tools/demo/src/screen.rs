//! Prints the output of the demo.

use std::io::Write as _;

/// Shows a line. A closed pipe is not an error.
pub(crate) fn say(text: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).ok();
}

/// Shows a line about one cluster.
pub(crate) fn say_of(cluster: &str, text: impl std::fmt::Display) {
    say(format_args!("  {cluster}  {text}"));
}
