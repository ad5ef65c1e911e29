//! What a process takes of the machine: figures from /proc.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Clock ticks per second of /proc, on every Linux that this runs on.
const TICKS: u64 = 100;

/// What a process took since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time on a processor, with that of its children that have ended.
    pub cpu: Duration,
    /// The most resident memory of the process itself, in MB.
    pub memory: u64,
}

impl Usage {
    /// Of a process that runs.
    pub fn of(process: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // After the name of the program, which may hold anything, state is field 3; times are fields 14 to 17.
        let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
        let ticks = fields.iter().skip(11).take(4).map(|field| field.parse::<u64>()).sum::<Result<u64, _>>()?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kilobytes: u64 = most.trim().trim_end_matches(" kB").parse()?;
        Ok(Self { cpu: Duration::from_millis(ticks * 1000 / TICKS), memory: kilobytes / 1024 })
    }
}
