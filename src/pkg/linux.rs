//! Kernel images compiled from Debian's source packages of Linux: `kernel`, `kernel-config`, and
//! `kernel.tar`, which has no modules, only the list of those that are built in.
//!
//! ```text
//! .deb ──tar──▶ directory ──make x.config──▶ .config ──make bzImage──▶ Tree
//! ```
//!
//! The compiler is the host's. One version of sources and compiler gives one result.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use extents::Extents;
use tree::{Kind, Tree};

use super::Options;
use super::error::cannot;
use super::put::put_file;
use crate::arch::Arch;
use crate::bounded;
use crate::debian::{self, Query, deb};
use crate::diagnostic::Diagnostic;
use crate::reporter::Reporter;
use crate::time::{self, default_meta};

/// Programs that compile a kernel (Documentation/process/changes.rst of Linux).
const PROGRAMS: [&str; 11] = [
    "make", "gcc", "ld", "perl", "flex", "bison", "bc", "tar", "xz", "zstd", "cpio",
];
/// Headers that the kernel's own tools include.
const HEADERS: [&str; 2] = ["gelf.h", "openssl/ssl.h"];
/// Debian packages of the programs and headers.
const PACKAGES: &str = "build-essential flex bison bc libelf-dev libssl-dev xz-utils zstd cpio";
/// Maximum length of a part of the configuration, in bytes.
const MAX_FRAGMENT: u64 = 16 << 20;
/// Maximum length of a file that the compilation yields, in bytes.
const MAX_RESULT: u64 = 1 << 30;
/// Number of lines shown of the output of a program that failed.
const LAST_LINES: usize = 20;

/// Compiles the kernel of a source package. Each of `config` is a target of the kernel's Makefile,
/// for example `tinyconfig`, or a file beside the recipe whose options override earlier ones.
///
/// # Errors
/// A host that cannot compile, missing tools, options that cannot be met, and errors of the
/// compiler.
pub fn build(
    package: &str,
    config: &[String],
    dir: &Path,
    options: &Options,
    tree: &mut Tree,
    reporter: &dyn Reporter,
) -> Result<(), Diagnostic> {
    if options.arch != Arch::Amd64 || std::env::consts::ARCH != "x86_64" || !cfg!(target_os = "linux") {
        return Err(Diagnostic::error(format!(
            "cannot compile Linux for {} on {} {}: only amd64 on x86_64 Linux is supported",
            options.arch,
            std::env::consts::ARCH,
            std::env::consts::OS
        )));
    }
    check_tools()?;
    let debs = debian::fetch(&query(package), &options.debian())?;
    let source = Source {
        directory: options.store.join("moby/linux"),
    };
    source.clear()?;
    source.unpack(&debs, package)?;
    let fragments = source.configure(config, dir)?;
    check(&fragments, &String::from_utf8_lossy(&source.read(".config")?))?;
    let release = source.release()?;
    reporter.info(&format!("compiling Linux {release}, which takes minutes"));
    source.make(&[&format!("-j{}", options.jobs.max(1)), "bzImage"])?;
    let mut modules = Tree::new(default_meta(0o755));
    let list = format!("lib/modules/{release}/modules.builtin");
    let bytes = Extents::from_bytes;
    put_file(&mut modules, &list, 0o644, bytes(source.read("modules.builtin")?))?;
    let tar = pax::plan(&modules).map_err(cannot("write kernel.tar"))?;
    put_file(tree, "kernel", 0o644, bytes(source.read("arch/x86/boot/bzImage")?))?;
    put_file(tree, "kernel-config", 0o644, bytes(source.read(".config")?))?;
    put_file(tree, "kernel.tar", 0o644, tar)?;
    for deb in &debs {
        deb::record(deb, tree)?;
    }
    source.clear()
}

/// Returns the query for a source package.
pub fn query(package: &str) -> Query {
    Query {
        packages: vec![package.to_owned()],
        component: None,
        closure: false,
    }
}

/// Fails if the host lacks a program or header.
fn check_tools() -> Result<(), Diagnostic> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let exists = |program: &&str| directories.iter().any(|directory| directory.join(program).is_file());
    let mut missing: Vec<&str> = PROGRAMS.iter().filter(|program| !exists(program)).copied().collect();
    if exists(&"gcc") {
        missing.extend(HEADERS.iter().filter(|header| !has_header(header)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("cannot compile Linux: this machine lacks {}", missing.join(", "));
    Err(Diagnostic::error(message).help(format!("on Debian: `apt-get install {PACKAGES}`")))
}

fn has_header(header: &str) -> bool {
    let mut command = Command::new("gcc");
    command.args(["-E", "-include", header, "-x", "c", "/dev/null"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Directory in which a kernel is compiled. No compiled file contains its path, since the kernel
/// is compiled within its sources.
struct Source {
    directory: PathBuf,
}

impl Source {
    /// Removes the files of this or an earlier run.
    fn clear(&self) -> Result<(), Diagnostic> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(cannot(format!("clear {}", self.directory.display()))(error))
            }
            _ => Ok(()),
        }
    }

    /// Unpacks the tar archive in the source package, `usr/src/PACKAGE.tar.xz`.
    fn unpack(&self, debs: &[PathBuf], package: &str) -> Result<(), Diagnostic> {
        let archive = format!("usr/src/{package}.tar.xz");
        let mut data = Tree::new(default_meta(0o755));
        for deb in debs {
            deb::unpack(deb, &mut data, &|path| path == archive)?;
        }
        let found = data.lookup(archive.as_bytes()).map(|id| &data.node(id).kind);
        let Some(Kind::File(content)) = found else {
            let message = format!("cannot find {archive} in package {package}");
            return Err(
                Diagnostic::error(message).help("name a source package with a version, such as linux-source-6.1")
            );
        };
        fs::create_dir_all(&self.directory).map_err(cannot(format!("create {}", self.directory.display())))?;
        let mut command = Command::new("tar");
        command.args(["-x", "-J", "--no-same-owner", "--strip-components=1", "-C"]);
        command.arg(&self.directory).stdin(Stdio::piped());
        let unpacking = || format!("unpack {archive} with tar");
        let mut child = command.spawn().map_err(cannot(unpacking()))?;
        let copied = match child.stdin.take() {
            Some(mut stdin) => io::copy(&mut content.reader(), &mut stdin).map(drop),
            None => Ok(()),
        };
        let status = child.wait().map_err(cannot(unpacking()))?;
        copied.map_err(cannot(unpacking()))?;
        if !status.success() {
            return Err(Diagnostic::error(format!(
                "cannot unpack {archive}: tar failed with {status}"
            )));
        }
        Ok(())
    }

    /// Writes the configuration, and returns the files among its parts, joined.
    fn configure(&self, config: &[String], dir: &Path) -> Result<String, Diagnostic> {
        let mut fragments = String::new();
        for name in config {
            let fragment = dir.join(name);
            if !fragment.is_file() {
                continue;
            }
            // The directory of the kernel's own fragments, which its merge_config.sh merges.
            let copy = self.directory.join("kernel/configs").join(name);
            let copying = format!("copy {} to {}", fragment.display(), copy.display());
            let text = bounded::text(&fragment, MAX_FRAGMENT)
                .and_then(|text| fs::write(&copy, &text).map(|()| text))
                .map_err(cannot(copying))?;
            fragments.push_str(&text);
            fragments.push('\n');
        }
        let targets: Vec<&str> = config.iter().map(String::as_str).collect();
        self.make(&targets)?;
        Ok(fragments)
    }

    /// Returns the version that `uname -r` will print.
    fn release(&self) -> Result<String, Diagnostic> {
        self.make(&["include/config/kernel.release"])?;
        let text = self.read("include/config/kernel.release")?;
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Runs make with an environment that does not depend on the user's.
    fn make(&self, arguments: &[&str]) -> Result<(), Diagnostic> {
        let mut command = Command::new("make");
        command.arg("ARCH=x86_64").args(arguments).current_dir(&self.directory);
        command.env_clear().env("LC_ALL", "C");
        for name in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // Documentation/kbuild/reproducible-builds.rst of Linux.
        command.env("KBUILD_BUILD_TIMESTAMP", time::rfc3339(time::DEFAULT));
        command
            .env("KBUILD_BUILD_USER", "moby")
            .env("KBUILD_BUILD_HOST", "moby");
        command.env("KBUILD_BUILD_VERSION", "1").env("LOCALVERSION", "");
        let output = command.stdin(Stdio::null()).output().map_err(cannot("run make"))?;
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<&str> = stderr.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
        Err(Diagnostic::error(format!(
            "make {} failed in {}:\n{}",
            arguments.join(" "),
            self.directory.display(),
            last.join("\n")
        )))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Diagnostic> {
        let path = self.directory.join(path);
        bounded::read(&path, MAX_RESULT).map_err(cannot(format!("read {}", path.display())))
    }
}

/// Fails unless a configuration has the options of `fragments`. The kernel's own tools silently
/// drop an option whose dependencies are missing. Modules are refused, since none are built.
fn check(fragments: &str, config: &str) -> Result<(), Diagnostic> {
    let actual: BTreeMap<&str, &str> = config.lines().filter_map(option).collect();
    if let Some((name, _)) = actual.iter().find(|(_, value)| **value == "m") {
        let message = format!("cannot build {name}=m: only the kernel itself is compiled, without modules");
        return Err(Diagnostic::error(message).help(format!("set {name}=y")));
    }
    // The last line of an option wins.
    let wanted: BTreeMap<&str, &str> = fragments.lines().filter_map(option).collect();
    let unmet: Vec<String> = wanted
        .iter()
        .filter(|(name, value)| actual.get(*name).unwrap_or(&"n") != *value)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if unmet.is_empty() {
        return Ok(());
    }
    let message = format!("the kernel configuration lacks {}", unmet.join(", "));
    Err(Diagnostic::error(message)
        .help("set the options that these depend on (`depends on` in the kernel's Kconfig files), or remove these"))
}

/// Parses a line of a configuration into an option and its value.
fn option(line: &str) -> Option<(&str, &str)> {
    if line.starts_with("# CONFIG_") {
        Some((line.strip_prefix("# ")?.strip_suffix(" is not set")?, "n"))
    } else if line.starts_with("CONFIG_") {
        line.trim_end().split_once('=')
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_configuration_has_what_was_asked_for() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"text\"\n";
        let asked = "# a comment\nCONFIG_A=y\nCONFIG_B=n\n# CONFIG_B is not set\nCONFIG_C=\"text\"\nCONFIG_D=n\n";
        assert!(check(asked, config).is_ok());
        for (asked, named) in [
            ("CONFIG_B=y\n", "CONFIG_B=y"),
            ("CONFIG_D=y\n", "CONFIG_D=y"),
            ("# CONFIG_A is not set\n", "CONFIG_A=n"),
            ("CONFIG_C=\"other\"\n", "CONFIG_C=\"other\""),
        ] {
            assert!(
                check(asked, config).is_err_and(|error| error.message.contains(named)),
                "{asked}"
            );
        }
        assert!(check("", "CONFIG_E=m\n").is_err_and(|error| error.message.contains("CONFIG_E=m")));
    }
}
