//! Constant new connections: one line per request, `ok`, or `failed` and why.

use std::io::Write;
use std::time::Duration;

use super::{Protocol, call};

pub(super) async fn load(protocol: Protocol, address: &str, pause: Duration) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let address = address.to_owned();
        // One that hangs does not hold up the next ones.
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
            // In one write, so that nobody reads half a line. Nobody reads it at all once the run is over.
            let _ = std::io::stdout().write_all(format!("{}\n", line.replace('\n', " ")).as_bytes());
        });
    }
}
