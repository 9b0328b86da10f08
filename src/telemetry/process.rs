//! The process as Linux shows it under `/proc/self`, by the names that all Prometheus clients use.
//!
//! Read when metrics are asked for; where `/proc` is not there, the values stay 0.

use std::fs;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{Counter, Error, Gauge, IntGauge, Registry};

/// Clock ticks a second in `/proc`: `USER_HZ`, 100 on every architecture that Linux runs on for servers.
const TICKS: f64 = 100.0;

pub(super) struct Process {
    cpu: Mutex<Counter>,
    resident: IntGauge,
    threads: IntGauge,
    open_fds: IntGauge,
}

impl Process {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, Error> {
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        }
        let start = Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?;
        registered(registry, start.clone())?.set(start_time().unwrap_or_default());
        let cpu = Counter::new("process_cpu_seconds_total", "Processor time used, in user and system mode.")?;
        let resident = IntGauge::new("process_resident_memory_bytes", "Resident memory.")?;
        let threads = IntGauge::new("process_threads", "Threads of the process.")?;
        let open_fds = IntGauge::new("process_open_fds", "Open file descriptors.")?;
        Ok(Self {
            cpu: Mutex::new(registered(registry, cpu)?),
            resident: registered(registry, resident)?,
            threads: registered(registry, threads)?,
            open_fds: registered(registry, open_fds)?,
        })
    }

    pub(super) fn refresh(&self) {
        if let Some(seconds) = cpu_time() {
            let counter = self.cpu.lock();
            counter.inc_by((seconds - counter.get()).max(0.0));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            self.threads.set(field(&status, "Threads:").unwrap_or_default());
            self.resident.set(field(&status, "VmRSS:").unwrap_or_default().saturating_mul(1024));
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // The directory itself is open while it is read.
            self.open_fds.set(i64::try_from(entries.count()).unwrap_or(i64::MAX).saturating_sub(1));
        }
    }
}

/// The number after `name` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<i64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The field `number` of `/proc/self/stat`, counted from 1 as proc(5) does.
fn stat(number: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name is in parentheses and may hold anything; the third field follows it.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_time() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS)
}

fn start_time() -> Option<f64> {
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(boot + stat(22)? / TICKS)
}
