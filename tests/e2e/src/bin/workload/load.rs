//! Constant new connections: prints a line per request, `ok`, or `failed` with the reason.

use std::io::Write;
use std::time::Duration;

use super::{Protocol, call};

pub(super) async fn load(protocol: Protocol, address: &str, pause: Duration) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let address = address.to_owned();
        // A hanging call does not delay the next ones.
        tokio::spawn(async move {
            let (answer, good) = match protocol {
                Protocol::Http => (call::get(&address, "/").await, "200 "),
                Protocol::Grpc => (call::grpc(&address).await, "grpc-status 0 "),
                Protocol::Tcp => (call::tcp(&address, "hello").await, ""),
            };
            let line = match answer {
                Ok(answer) if answer.starts_with(good) => "ok".to_owned(),
                Ok(answer) => format!("failed: {answer}"),
                Err(why) => format!("failed: {why:#}"),
            };
            // One write, so that a line is never cut. After the run, nobody reads it.
            let _ = std::io::stdout().write_all(format!("{}\n", line.replace('\n', " ")).as_bytes());
        });
    }
}
