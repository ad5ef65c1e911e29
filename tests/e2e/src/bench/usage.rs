//! Resource usage of a process, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Clock ticks per second in /proc, on every supported Linux.
const TICKS: u64 = 100;

/// Resources that a process has used since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time, including children that have ended.
    pub cpu: Duration,
    /// Peak resident memory of the process itself, in MB.
    pub memory: u64,
}

impl Usage {
    /// Usage of a running process.
    pub fn of(process: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The program's name may contain anything. After it, state is field 3, and times are fields 14 to 17.
        let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
        let ticks = fields.iter().skip(11).take(4).map(|field| field.parse::<u64>()).sum::<Result<u64, _>>()?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kilobytes: u64 = most.trim().trim_end_matches(" kB").parse()?;
        Ok(Self { cpu: Duration::from_millis(ticks * 1000 / TICKS), memory: kilobytes / 1024 })
    }
}
