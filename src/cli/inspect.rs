//! `moby inspect`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use extents::{Extents, FileBlob, emit};
use serde_json::{Value, json};

use super::image::LoadedImage;
use super::{Environment, Failure, host_arch, sources};
use crate::arch::Arch;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::inspect::{self, Limits, Line, Report};
use crate::reporter::Reporter;

/// Maximum number of lines of a summary without `--all`.
const MAX_LINES: usize = 40;
/// Maximum number of errors that are printed.
pub(super) const MAX_ERRORS: usize = 10;

/// Arguments of `moby inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// File that `moby build` writes: disk image, ISO, filesystem, tar, kernel or initrd. With --sbom, also
    /// an image
    file: PathBuf,
    /// List all files with their sizes in bytes
    #[arg(long, conflicts_with = "cat")]
    ls: bool,
    /// Write the file at PATH, as --ls prints it, to standard output
    #[arg(long, value_name = "PATH")]
    cat: Option<String>,
    /// Print the section, image, digest and layer that each file is from, or those at PATH and below it.
    /// Reads NAME.sources.json beside the file, which `moby build --provenance` writes
    #[arg(long, value_name = "PATH", require_equals = true, num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["ls", "cat"])]
    sources: Option<String>,
    /// Print an SBOM of the packages in the file or image: spdx or cyclonedx
    #[arg(long, value_name = "FORMAT", require_equals = true, num_args = 0..=1, default_missing_value = "spdx", value_parser = ["spdx", "cyclonedx"], hide_possible_values = true, conflicts_with_all = ["ls", "cat", "sources"])]
    sbom: Option<String>,
    /// Architecture of an image [default: the host's]
    #[arg(long, requires = "sbom", default_value = host_arch(), hide_default_value = true)]
    arch: Arch,
    /// Read an image from this OCI layout directory, OCI archive or `docker save` tar, before the cache;
    /// repeatable
    #[arg(long, value_name = "PATH", requires = "sbom")]
    layout: Vec<PathBuf>,
    /// Print the whole summary, and decompress without limit
    #[arg(long)]
    all: bool,
}

impl Inspect {
    /// Prints what is asked for.
    pub fn run(self, environment: &Environment, reporter: &dyn Reporter) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        if let Some(format) = self.sbom.as_ref().filter(|_| !self.file.exists()) {
            let image = LoadedImage::read(&name, self.arch, &self.layout, environment, reporter)?;
            return sources::image_sbom(&image, self.arch, format, environment.time);
        }
        let content = open(&self.file)?;
        if let Some(path) = &self.sources {
            return sources::sources(&self.file, &content, path);
        }
        let limits = if self.all { Limits::Unbounded } else { Limits::Bounded };
        let report = inspect::inspect(&content, limits);
        if let Some(path) = &self.cat {
            return cat(&name, report, path);
        }
        if report.lines.is_empty() && report.errors.is_empty() {
            let unknown = Diagnostic::error(format!("cannot inspect {name}: unknown format"));
            return Err(Failure::Work(unknown.help("`moby formats` lists the formats").into()));
        }
        if let Some(format) = &self.sbom {
            if !report.errors.is_empty() {
                return errors(&name, report);
            }
            return sources::sbom(&self.file, &content, report, format, environment.time);
        }
        if environment.style.is_json {
            super::print(&json(&report, self.ls))?;
        } else if self.ls {
            let lines = report
                .files()
                .map(|(path, content)| format!("{:>12} {}\n", content.len(), printable(path)));
            super::print(&lines.collect::<String>())?;
        } else {
            super::print(&summary(&report.lines, self.all))?;
        }
        if !report.skipped.is_empty() {
            let warning = Diagnostic::warning(format!(
                "{name} is compressed beyond the limit: {} not inspected",
                count(report.skipped.len(), "compressed file")
            ));
            reporter.notice(&warning.help("pass --all to inspect everything"));
        }
        errors(&name, report)
    }
}

/// Formats the files, or the lines of the summary, one JSON object a line.
fn json(report: &Report, ls: bool) -> String {
    let objects: Vec<Value> = if ls {
        let files = report.files();
        files
            .map(|(path, content)| json!({"reason": "file", "path": path, "size": content.len()}))
            .collect()
    } else {
        let lines = report.lines.iter();
        lines
            .map(|line| json!({"reason": "content", "depth": line.depth, "text": line.text}))
            .collect()
    };
    objects.iter().map(|object| format!("{object}\n")).collect()
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

pub(super) fn open(path: &Path) -> Result<Extents, Failure> {
    let failed = |message: String| Diagnostic::error(format!("cannot read {}: {message}", path.display()));
    let metadata = std::fs::metadata(path);
    // Opening a FIFO would wait for a writer.
    if metadata.is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Failure::Usage(failed("not a regular file".into()).into()));
    }
    let file = FileBlob::open(path);
    let file = file.map_err(|error| Failure::Usage(failed(error.to_string()).caused_by(error).into()))?;
    Ok(Extents::from_blob(Arc::new(file)))
}

/// Writes one file to standard output.
fn cat(name: &str, report: Report, path: &str) -> Result<(), Failure> {
    let path = path.trim_start_matches('/');
    let Some((_, content)) = report.files().find(|(known, _)| *known == path) else {
        let known = report.files().map(|(path, _)| path);
        let help = nearest(path, known).unwrap_or_else(|| "--ls lists the files".into());
        // The file may be in a part that cannot be read.
        errors(name, report)?;
        let missing = Diagnostic::error(format!("cannot find {path} in {name}"));
        return Err(Failure::Work(missing.help(help).into()));
    };
    let mut out = std::io::stdout().lock();
    let written = emit::stream(content, &mut out).and_then(|()| out.flush());
    written.map_err(|error| {
        let message = format!("cannot write {path} to standard output: {error}");
        Failure::Work(Diagnostic::error(message).caused_by(error).into())
    })
}

/// Fails if parts of the file cannot be read.
fn errors(name: &str, report: Report) -> Result<(), Failure> {
    let number = report.errors.len();
    if number == 0 {
        return Ok(());
    }
    let mut diagnostics: Vec<Diagnostic> = report
        .errors
        .into_iter()
        .take(MAX_ERRORS)
        .map(|error| Diagnostic::error(format!("cannot inspect {name}: {error}")).caused_by(error))
        .collect();
    if number > MAX_ERRORS {
        let more = count(number - MAX_ERRORS, "more error");
        diagnostics.push(Diagnostic::error(format!("cannot inspect {name}: {more}")));
    }
    Err(Failure::Work(Diagnostics(diagnostics)))
}

/// Returns the lines as text: all, or as many as fit on a screen, without quotes if need be.
fn summary(lines: &[Line], all: bool) -> String {
    let mut text = String::new();
    let mut print = |line: &Line| {
        let indent = "  ".repeat(line.depth);
        text.push_str(&format!("{indent}{}\n", printable(&line.text)));
    };
    if all || lines.len() <= MAX_LINES {
        lines.iter().for_each(print);
        return text;
    }
    let shown = lines
        .iter()
        .filter(|line| !line.is_quote)
        .take(MAX_LINES.saturating_sub(1));
    let mut count = 0;
    for line in shown {
        print(line);
        count += 1;
    }
    text.push_str(&format!("... {} more lines, shown by --all\n", lines.len() - count));
    text
}

/// Escapes control characters, which could change a terminal.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            printable.extend(letter.escape_default());
        } else {
            printable.push(letter);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize, is_quote: bool) -> Vec<Line> {
        let line = |number| Line {
            depth: 1,
            text: format!("line {number}"),
            is_quote,
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn a_summary_fits_on_a_screen() {
        assert_eq!(summary(&lines(40, true), false).lines().count(), 40);
        let long = [lines(3, false), lines(500, true), lines(2, false)].concat();
        let text = summary(&long, false);
        assert_eq!(text.lines().count(), 6);
        assert!(text.ends_with("... 500 more lines, shown by --all\n"), "{text}");
        let text = summary(&lines(100, false), false);
        assert_eq!(text.lines().count(), MAX_LINES);
        assert!(text.ends_with("... 61 more lines, shown by --all\n"), "{text}");
        assert_eq!(summary(&long, true).lines().count(), 505);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\x1b[31m\nä"), "a\\u{1b}[31m\\nä");
    }
}
