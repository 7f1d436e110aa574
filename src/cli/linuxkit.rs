//! Flags of `linuxkit build` that have no effect in moby: they are accepted, with a note of what to do
//! instead (docs/reference/linuxkit-differences.md).

use std::ffi::OsString;

use clap::Args;

use super::Failure;
use super::terminal::TerminalReporter;
use crate::diagnostic::Diagnostic;
use crate::reporter::Reporter;

/// Heading of flags without an effect.
pub const COMPATIBILITY: &str = "Accepted for compatibility with LinuxKit";

/// Flags that LinuxKit's parser also takes as `--flag=true` and `--flag=false`.
const SWITCHES: [&str; 7] = [
    "pull",
    "docker",
    "decompress-kernel",
    "no-sbom",
    "sbom-current-time",
    "dry-run",
    "quiet",
];

/// Returns the arguments with LinuxKit's spelling of switches replaced by clap's: `--pull=true`, and
/// `-v 2` beside `-v`.
pub fn respell(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut ended = false;
    let mut arguments = arguments.peekable();
    let respelled = std::iter::from_fn(|| {
        let argument = arguments.next()?;
        ended |= argument == "--";
        if !ended && (argument == "-v" || argument == "--verbose") {
            let level = arguments.next_if(|next| next.to_str().is_some_and(|text| text.parse::<u8>().is_ok()));
            let level = level.map_or_else(|| "2".into(), |level| level.to_string_lossy().into_owned());
            return Some(Some(OsString::from(format!("--verbose={level}"))));
        }
        Some(switch(argument, ended))
    });
    respelled.flatten().collect()
}

/// Returns a switch without its value, or nothing for `false`.
fn switch(argument: OsString, ended: bool) -> Option<OsString> {
    let switch = argument.to_str().filter(|_| !ended).and_then(|text| {
        let (name, value) = text.strip_prefix("--")?.split_once('=')?;
        SWITCHES.contains(&name).then_some((name, value))
    });
    match switch {
        Some((name, "true")) => Some(format!("--{name}").into()),
        Some((_, "false")) => None,
        _ => Some(argument),
    }
}

/// Flags of `moby build`.
#[derive(Debug, Args)]
pub struct BuildFlags {
    /// Ignored: moby does not read images from Docker
    #[arg(long, help_heading = COMPATIBILITY)]
    docker: bool,
}

impl BuildFlags {
    /// Notes flags without an effect, and rejects combinations that LinuxKit rejects.
    pub fn check(&self, input_tar: bool, pull: bool, reporter: &TerminalReporter) -> Result<(), Failure> {
        if pull && input_tar {
            return Err(Failure::usage("--input-tar and --pull cannot be used together"));
        }
        if self.docker {
            let note = Diagnostic::note("--docker has no effect: builds do not read images from Docker");
            reporter.notice(&note.help("run `docker save NAME -o images.tar` and add --layout images.tar"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_with_values_are_respelled() {
        let given = [
            "moby",
            "build",
            "--pull=false",
            "--no-sbom=true",
            "--name=true",
            "-v",
            "0",
            "--verbose",
            "a.yml",
            "--",
            "--pull=true",
            "-v",
        ];
        let respelled = respell(given.into_iter().map(OsString::from));
        assert_eq!(
            respelled,
            [
                "moby",
                "build",
                "--no-sbom",
                "--name=true",
                "--verbose=0",
                "--verbose=2",
                "a.yml",
                "--",
                "--pull=true",
                "-v"
            ]
        );
    }
}
