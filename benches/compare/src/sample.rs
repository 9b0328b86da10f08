//! What the kernel says of processes and cores, and what was measured between two looks.

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

/// Ticks a second of the times in `/proc`; a constant of Linux's interface to programs.
const TICKS: f64 = 100.0;

/// One look.
pub struct Sample {
    /// Seconds of CPU time, of all threads.
    pub cpu: f64,
    resident_kb: u64,
    cores: Vec<Core>,
}

/// Ticks of one core.
struct Core {
    index: usize,
    idle: f64,
    all: f64,
}

impl Sample {
    /// Looks at these processes and cores.
    ///
    /// # Errors
    /// A process is gone.
    pub fn take(processes: &[u32], cores: &[usize]) -> anyhow::Result<Self> {
        let (mut cpu, mut resident_kb) = (0.0, 0);
        for process in processes {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the proxy is gone")?;
            // Behind the name, which may hold spaces: state is field 3, utime and stime are 14 and 15 (proc(5)).
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
            cpu += (ticks(11) + ticks(12)) / TICKS;
            let status = fs::read_to_string(format!("/proc/{process}/status"))?;
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kb = resident.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
            resident_kb += kb.unwrap_or_default();
        }
        let stat = fs::read_to_string("/proc/stat")?;
        let cores = cores.iter().filter_map(|index| Core::read(&stat, *index)).collect();
        Ok(Self { cpu, resident_kb, cores })
    }
}

impl Core {
    fn read(stat: &str, index: usize) -> Option<Self> {
        let name = format!("cpu{index} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<f64> = line.split_whitespace().take(8).filter_map(|text| text.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { index, idle, all: ticks.iter().sum() })
    }
}

/// What a phase brought.
pub struct Measured {
    /// Microseconds of each request within the interval.
    pub times: Vec<u32>,
    /// Requests that CPU time was spent on: those that were under way at the end, too.
    pub answered: usize,
    pub seconds: f64,
    pub reconnects: u64,
}

#[derive(Serialize)]
pub struct Report {
    requests: usize,
    answered: usize,
    seconds: f64,
    p50_us: u32,
    p99_us: u32,
    p999_us: u32,
    cpu_seconds: f64,
    resident_kb: u64,
    reconnects: u64,
    /// Share of the time that each core had nothing to do.
    idle: Vec<(usize, f64)>,
}

impl Measured {
    pub fn report(mut self, before: &Sample, after: &Sample) -> Report {
        self.times.sort_unstable();
        let count = self.times.len();
        let quantile = |q: f64| self.times.get(((count as f64 * q) as usize).min(count.saturating_sub(1)));
        let at = |q: f64| quantile(q).copied().unwrap_or_default();
        let idle = before.cores.iter().zip(&after.cores).map(|(a, b)| {
            let all = (b.all - a.all).max(1.0);
            (a.index, (b.idle - a.idle) / all)
        });
        Report {
            requests: count,
            answered: self.answered,
            seconds: self.seconds,
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            cpu_seconds: after.cpu - before.cpu,
            resident_kb: after.resident_kb,
            reconnects: self.reconnects,
            idle: idle.collect(),
        }
    }
}
