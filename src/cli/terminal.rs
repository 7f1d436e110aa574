//! Reports on standard error: progress bars on a terminal, lines elsewhere, nothing with `--quiet`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::messages::{self, Style};
use crate::diagnostic::{Diagnostic, Severity, printable};
use crate::reporter::{Counter, Progress, Reporter};

/// Interval at which a terminal is updated.
const TICK: Duration = Duration::from_millis(100);
/// Template of an operation whose length is known.
const BYTES: &str = "{spinner} {prefix} [{bar:20}] {bytes} of {total_bytes}, {eta} left {wide_msg}";
/// Template of an operation whose length is unknown.
const STEP: &str = "{spinner} {wide_msg}";
/// Template of a blob.
const BLOB: &str = "  {prefix} [{bar:20}] {bytes} of {total_bytes}";
/// Length of the beginning of a digest that names a blob: `sha256:` and 12 digits.
const SHORT_DIGEST_LEN: usize = 19;

/// Progress bars on a terminal.
#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    operation: ProgressBar,
    /// Bars of the blobs that arrive, by digest.
    blobs: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    fn new() -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let operation = all.add(ProgressBar::new_spinner().with_style(bar_style(STEP)));
        Bars {
            all,
            operation,
            blobs: Mutex::default(),
        }
    }

    /// Moves the bar of a blob, which appears with its first bytes and disappears with its last ones.
    fn set_blob(&self, digest: &str, total: u64, arrived: u64) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = blobs.entry(digest.to_owned()).or_insert_with(|| {
            let name = digest.get(..SHORT_DIGEST_LEN).unwrap_or(digest).to_owned();
            let bar = ProgressBar::new(total).with_style(bar_style(BLOB));
            self.all.add(bar).with_prefix(name)
        });
        bar.set_position(arrived);
        if arrived >= total {
            bar.finish_and_clear();
            self.all.remove(bar);
            blobs.remove(digest);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.operation.finish_and_clear();
        // Those of blobs that did not arrive stay otherwise.
        let _ = self.all.clear();
    }
}

/// Reporter of a command.
#[derive(Debug)]
pub struct TerminalReporter {
    style: Style,
    quiet: bool,
    bars: Option<Bars>,
    images: Mutex<BTreeSet<String>>,
    counts: Mutex<BTreeMap<Counter, u64>>,
}

impl TerminalReporter {
    /// Creates a reporter to standard error, or one that discards all reports.
    pub fn new(style: Style, quiet: bool) -> Self {
        // The terminals of CI systems keep every state of a bar.
        let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        let terminal = !quiet && !is_ci && !style.is_json && std::io::stderr().is_terminal();
        TerminalReporter {
            style,
            quiet,
            bars: terminal.then(Bars::new),
            images: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Reports an output file.
    pub fn wrote(&self, path: &Path) {
        self.file("output", path, &format!("wrote {}", path.display()));
    }

    /// Reports a valid YAML file.
    pub fn valid(&self, path: &Path) {
        self.file("valid", path, &format!("{}: valid", path.display()));
    }

    fn file(&self, reason: &str, path: &Path, text: &str) {
        if self.style.is_json {
            self.print(&messages::json(reason, "path", &path.display().to_string()));
        } else {
            self.info(text);
        }
    }

    /// Prints a message, with its line feed.
    fn print(&self, message: &str) {
        match &self.bars {
            _ if self.quiet => {}
            Some(bars) => bars.all.suspend(|| messages::print(message)),
            None => messages::print(message),
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
        if self.style.is_json {
            self.print(&messages::json("info", "message", text));
        } else {
            // The name of an image may have control characters.
            self.print(&format!("{}\n", printable(text)));
        }
    }

    fn warn(&self, text: &str) {
        if self.style.is_json {
            self.notice(&Diagnostic::warning(text));
        } else {
            let label = self.style.label(Severity::Warning);
            self.print(&format!("{label}{}\n", printable(text)));
        }
    }

    fn notice(&self, notice: &Diagnostic) {
        self.print(&self.style.diagnostic(notice));
    }

    fn step(&self, text: &str) {
        if self.style.is_json {
            self.print(&messages::json("step", "message", text));
        }
        let Some(Bars { operation: bar, .. }) = &self.bars else {
            return;
        };
        bar.set_style(bar_style(STEP));
        bar.set_message(text.to_owned());
        animate(bar);
    }

    fn progress(&self, progress: Progress<'_>) {
        match (progress, &self.bars) {
            (Progress::Begin { operation, total }, Some(Bars { operation: bar, .. })) => {
                bar.set_style(bar_style(BYTES));
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
            (Progress::Layer(image), Some(bars)) => bars.operation.set_message(image.to_owned()),
            (Progress::Advance(bytes), Some(bars)) => bars.operation.inc(bytes),
            (Progress::Blob { digest, total, arrived }, Some(bars)) => bars.set_blob(digest, total, arrived),
            (Progress::Layer(image), None) => {
                let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
                if images.insert(image.to_owned()) {
                    if self.style.is_json {
                        self.print(&messages::json("image", "name", image));
                    } else {
                        self.info(&format!("reading {image}"));
                    }
                }
            }
            (Progress::Begin { .. } | Progress::Advance(_) | Progress::Blob { .. }, None) => {}
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

fn bar_style(template: &str) -> ProgressStyle {
    // The templates above are valid.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
