//! Free ports of 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context;

/// Below the range of Linux's outgoing connections, so that a component that is down keeps its port.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;
/// Distance between the first ports of processes with neighbouring IDs.
const STRIDE: u32 = 16;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A free port; this process gets each port only once.
pub fn free_port() -> anyhow::Result<u16> {
    let start = u16::try_from(std::process::id().wrapping_mul(STRIDE) % u32::from(COUNT))?;
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no port of 127.0.0.1 is free")
}
