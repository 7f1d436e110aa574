//! Reports on standard error: progress bars on a terminal, lines elsewhere, nothing with `--quiet`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::diagnostic::printable;
use crate::reporter::{Counter, Progress, Reporter};

/// Interval at which a terminal is updated.
const TICK: Duration = Duration::from_millis(100);
/// Template of an operation whose length is known.
const BYTES: &str = "{spinner} {prefix} [{bar:20}] {bytes} of {total_bytes}, {eta} left {wide_msg}";
/// Template of an operation whose length is unknown.
const STEP: &str = "{spinner} {wide_msg}";

/// Reporter of a command.
#[derive(Debug)]
pub struct TerminalReporter {
    quiet: bool,
    bar: Option<ProgressBar>,
    images: Mutex<BTreeSet<String>>,
    counts: Mutex<BTreeMap<Counter, u64>>,
}

impl TerminalReporter {
    /// Creates a reporter to standard error, or one that discards all reports.
    pub fn new(quiet: bool) -> Self {
        let terminal = !quiet && std::io::stderr().is_terminal();
        let bar = || ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(STEP));
        TerminalReporter {
            quiet,
            bar: terminal.then(bar),
            images: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Reports the work that was counted, and the largest resident set of the program in bytes, where it is known.
    pub fn report_counters(&self) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |counter: Counter| counts.get(&counter).copied().unwrap_or_default();
        let mut fields: Vec<String> = Counter::ALL
            .map(|counter| format!("\"{}\": {}", counter.name(), count(counter)))
            .to_vec();
        fields.extend(peak_memory().map(|bytes| format!("\"peakMemory\": {bytes}")));
        self.info(&format!("counters: {{{}}}", fields.join(", ")));
    }
}

impl Reporter for TerminalReporter {
    fn info(&self, text: &str) {
        if self.quiet {
            return;
        }
        // The name of an image may have control characters. Standard error may be closed.
        let text = printable(text);
        let print = || {
            let _ = writeln!(std::io::stderr(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn warn(&self, text: &str) {
        self.info(&format!("warning: {text}"));
    }

    fn step(&self, text: &str) {
        let Some(bar) = &self.bar else { return };
        bar.set_style(style(STEP));
        bar.set_message(text.to_owned());
        animate(bar);
    }

    fn progress(&self, progress: Progress<'_>) {
        match (progress, &self.bar) {
            (Progress::Begin { operation, total }, Some(bar)) => {
                bar.set_style(style(BYTES));
                bar.set_prefix(operation.to_owned());
                bar.set_message("");
                bar.set_length(total);
                bar.reset();
                animate(bar);
            }
            (Progress::Count(counter, number), _) => {
                let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                *counts.entry(counter).or_default() += number;
            }
            (Progress::Layer(image), Some(bar)) => bar.set_message(image.to_owned()),
            (Progress::Advance(bytes), Some(bar)) => bar.inc(bytes),
            (Progress::Layer(image), None) => {
                let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
                if images.insert(image.to_owned()) {
                    self.info(&format!("reading {image}"));
                }
            }
            (Progress::Begin { .. } | Progress::Advance(_), None) => {}
        }
    }
}

/// Returns the largest resident set of the program in bytes (proc_pid_status(5), `VmHWM`).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Redraws a bar regularly, which takes a thread: none is started where the system refuses it, since the
/// bar would panic.
fn animate(bar: &ProgressBar) {
    let thread = std::thread::Builder::new().spawn(|| ());
    if thread.is_ok_and(|thread| thread.join().is_ok()) {
        bar.enable_steady_tick(TICK);
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are valid.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Drop for TerminalReporter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
