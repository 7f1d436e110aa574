//! Reports of a command on standard error: progress bars on a terminal, lines elsewhere, nothing
//! with `--quiet`.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::reporter::{Progress, Reporter};

/// Interval between two frames of a spinner.
const TICK: Duration = Duration::from_millis(100);
/// Template of a bar for bytes.
const BYTES: &str = "{spinner} {bytes:>10} of {total_bytes:<10} [{bar:20}] {wide_msg}";
/// Template of a step of unknown length.
const STEP: &str = "{spinner} {wide_msg}";

/// Reporter of a command.
#[derive(Debug)]
pub struct Report {
    quiet: bool,
    bar: Option<ProgressBar>,
    images: Mutex<BTreeSet<String>>,
}

impl Report {
    /// Creates a reporter to standard error, or to nobody.
    pub fn new(quiet: bool) -> Self {
        let terminal = !quiet && std::io::stderr().is_terminal();
        let bar = || ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(STEP));
        Report {
            quiet,
            bar: terminal.then(bar),
            images: Mutex::default(),
        }
    }

    fn show(&self, template: &str, text: &str) {
        let Some(bar) = &self.bar else { return };
        bar.set_style(style(template));
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(TICK);
    }
}

impl Reporter for Report {
    fn info(&self, text: &str) {
        if self.quiet {
            return;
        }
        // Nobody has to listen.
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
        self.show(STEP, text);
    }

    fn progress(&self, progress: Progress<'_>) {
        match (progress, &self.bar) {
            (Progress::Total(bytes), Some(bar)) => {
                self.show(BYTES, "reading layers");
                bar.set_length(bytes);
                bar.set_position(0);
            }
            (Progress::Layer(image), Some(bar)) => bar.set_message(image.to_owned()),
            (Progress::Read(bytes), Some(bar)) => bar.inc(bytes),
            (Progress::Layer(image), None) => {
                let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
                if images.insert(image.to_owned()) {
                    self.info(&format!("reading {image}"));
                }
            }
            (Progress::Total(_) | Progress::Read(_), None) => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // Our own templates are right.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
