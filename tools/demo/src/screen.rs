//! What the demo shows.

use std::io::Write as _;

/// Shows a line. Nobody looking (a closed pipe) is no reason to fail.
pub(crate) fn say(text: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).ok();
}

/// Shows what is about one cluster.
pub(crate) fn say_of(cluster: &str, text: impl std::fmt::Display) {
    say(format_args!("  {cluster}  {text}"));
}
