//! What scripts written for `linuxkit build` pass and moby has no use for: it is taken, and told
//! what to do instead (docs/reference/linuxkit-differences.md).

use std::ffi::OsString;

use clap::Args;

use super::Failure;
use super::report::Report;
use crate::reporter::Reporter;

/// The heading of flags without an effect.
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

/// The arguments with LinuxKit's spelling of switches made clap's.
pub fn respell(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut ended = false;
    let respelled = arguments.filter_map(|argument| {
        ended |= argument == "--";
        let switch = argument.to_str().filter(|_| !ended).and_then(|text| {
            let (name, value) = text.strip_prefix("--")?.split_once('=')?;
            SWITCHES.contains(&name).then_some((name, value))
        });
        match switch {
            Some((name, "true")) => Some(format!("--{name}").into()),
            Some((_, "false")) => None,
            _ => Some(argument),
        }
    });
    respelled.collect()
}

/// Of all commands.
#[derive(Debug, Args)]
pub struct GlobalFlags {
    /// Accepted for compatibility with LinuxKit: 0 is --quiet, other levels change nothing
    #[arg(short, long, global = true, hide = true, value_name = "LEVEL")]
    verbose: Option<u8>,
}

impl GlobalFlags {
    /// Whether LinuxKit would say nothing.
    pub fn is_quiet(&self) -> bool {
        self.verbose == Some(0)
    }
}

/// Of `moby build`.
#[derive(Debug, Args)]
pub struct BuildFlags {
    /// Ignored: moby does not pull images
    #[arg(long, help_heading = COMPATIBILITY)]
    pull: bool,
    /// Ignored: moby does not read images from Docker
    #[arg(long, help_heading = COMPATIBILITY)]
    docker: bool,
}

impl BuildFlags {
    /// Says what does not happen, and refuses what LinuxKit refuses.
    pub fn explain(&self, input_tar: bool, report: &Report) -> Result<(), Failure> {
        if self.pull && input_tar {
            return Err(Failure::usage("--input-tar and --pull cannot be used together"));
        }
        if self.pull {
            report.info(
                "note: --pull changes nothing: moby asks no registry\n\
                 help: where there is a network, `skopeo copy docker://NAME oci:CACHE:NAME` gets an image into the cache folder",
            );
        }
        if self.docker {
            report.info(
                "note: --docker changes nothing: moby asks no Docker\n\
                 help: `docker save NAME -o images.tar`, and give --layout images.tar",
            );
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
            "--",
            "--pull=true",
        ];
        let respelled = respell(given.into_iter().map(OsString::from));
        assert_eq!(
            respelled,
            ["moby", "build", "--no-sbom", "--name=true", "--", "--pull=true"]
        );
    }
}
