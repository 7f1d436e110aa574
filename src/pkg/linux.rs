//! Linux compiled from Debian's source package, as a kernel image: `kernel`, `kernel-config`, and
//! `kernel.tar`, which has no modules, only the list of what is built in.
//!
//! ```text
//! .deb ──tar──▶ folder ──make x.config──▶ .config ──make bzImage──▶ Tree
//! ```
//!
//! The compiler is the host's: the same sources and the same compiler make the same bits.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use extents::Extents;
use tree::{Kind, Tree};

use super::{Options, meta};
use crate::arch::Arch;
use crate::debian::{self, deb};
use crate::reporter::Reporter;
use crate::time;

/// Programs that make a kernel (Documentation/process/changes.rst of Linux).
const PROGRAMS: [&str; 11] = [
    "make", "gcc", "ld", "perl", "flex", "bison", "bc", "tar", "xz", "zstd", "cpio",
];
/// Headers that the kernel's own tools are compiled with.
const HEADERS: [&str; 2] = ["gelf.h", "openssl/ssl.h"];
/// The Debian packages of all of these.
const PACKAGES: &str = "build-essential flex bison bc libelf-dev libssl-dev xz-utils zstd cpio";
/// How many of the last lines of a program that failed are shown.
const LAST_LINES: usize = 20;

/// Compiles the kernel of a source package. Each of `config` is a goal of the kernel's Makefile,
/// `tinyconfig` say, or a file beside the recipe with options that go over those so far.
pub fn build(
    package: &str,
    config: &[String],
    dir: &Path,
    options: &Options,
    tree: &mut Tree,
    reporter: &dyn Reporter,
) -> Result<(), String> {
    if options.arch != Arch::Amd64 || std::env::consts::ARCH != "x86_64" || !cfg!(target_os = "linux") {
        return Err(format!(
            "Linux is compiled on Linux for amd64 only, on such a machine, and this is {} for {}",
            std::env::consts::ARCH,
            options.arch
        ));
    }
    complete()?;
    let files = debian::fetch(&[package.to_owned()], None, false, &options.debian())?;
    let source = Source {
        folder: options.store.join("moby/linux"),
    };
    source.clear()?;
    source.unpack(&files, package)?;
    let fragments = source.configure(config, dir)?;
    check(&fragments, &String::from_utf8_lossy(&source.read(".config")?))?;
    let release = source.release()?;
    reporter.info(&format!("compiling Linux {release}, which takes minutes"));
    source.make(&[&format!("-j{}", options.jobs.max(1)), "bzImage"])?;
    let mut modules = Tree::new(meta(0o755));
    let list = format!("lib/modules/{release}/modules.builtin");
    let bytes = Extents::from_bytes;
    put(&mut modules, &list, bytes(source.read("modules.builtin")?))?;
    let tar = pax::plan(&modules).map_err(|error| error.to_string())?;
    put(tree, "kernel", bytes(source.read("arch/x86/boot/bzImage")?))?;
    put(tree, "kernel-config", bytes(source.read(".config")?))?;
    put(tree, "kernel.tar", tar)?;
    source.clear()
}

fn put(tree: &mut Tree, path: &str, content: Extents) -> Result<(), String> {
    let inserted = tree.insert(path.as_bytes(), meta(0o644), Kind::File(content), &meta(0o755));
    inserted.map(drop).map_err(|error| error.to_string())
}

/// Whether this machine has all that it takes.
fn complete() -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let there = |program: &&str| folders.iter().any(|folder| folder.join(program).is_file());
    let mut missing: Vec<&str> = PROGRAMS.iter().filter(|program| !there(program)).copied().collect();
    if there(&"gcc") {
        missing.extend(HEADERS.iter().filter(|header| !has_header(header)));
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "compiling Linux takes what this machine does not have: {}\nhelp: on Debian: apt-get install {PACKAGES}",
            missing.join(", ")
        )),
    }
}

fn has_header(header: &str) -> bool {
    let mut command = Command::new("gcc");
    command.args(["-E", "-include", header, "-x", "c", "/dev/null"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The folder in which a kernel is compiled. Nothing that is compiled has its path in it, as
/// the kernel is compiled within its sources.
struct Source {
    folder: PathBuf,
}

impl Source {
    /// Removes what this or an earlier run left.
    fn clear(&self) -> Result<(), String> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("cannot clear {}: {error}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// Unpacks the tar in the source package, `usr/src/PACKAGE.tar.xz`.
    fn unpack(&self, debs: &[PathBuf], package: &str) -> Result<(), String> {
        let archive = format!("usr/src/{package}.tar.xz");
        let mut data = Tree::new(meta(0o755));
        for deb in debs {
            deb::unpack(deb, &mut data, &|path| path == archive)?;
        }
        let found = data.lookup(archive.as_bytes()).map(|id| &data.node(id).kind);
        let Some(Kind::File(content)) = found else {
            return Err(format!(
                "there is no {archive} in {package}\nhelp: name a package of sources with its version, as linux-source-6.1"
            ));
        };
        let made = fs::create_dir_all(&self.folder);
        made.map_err(|error| format!("cannot make {}: {error}", self.folder.display()))?;
        let mut command = Command::new("tar");
        command.args(["-x", "-J", "--no-same-owner", "--strip-components=1", "-C"]);
        command.arg(&self.folder).stdin(Stdio::piped());
        let failed = |error: io::Error| format!("cannot unpack {archive} with tar: {error}");
        let mut child = command.spawn().map_err(failed)?;
        let copied = match child.stdin.take() {
            Some(mut stdin) => io::copy(&mut content.reader(), &mut stdin).map(drop),
            None => Ok(()),
        };
        let status = child.wait().map_err(failed)?;
        copied.map_err(failed)?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("cannot unpack {archive}: tar ended with {status}")),
        }
    }

    /// Makes the configuration, and returns what the files among its parts ask for.
    fn configure(&self, config: &[String], dir: &Path) -> Result<String, String> {
        let mut asked = String::new();
        for name in config {
            let fragment = dir.join(name);
            if !fragment.is_file() {
                continue;
            }
            // Where the kernel's makefile has its own, which its merge_config.sh merges.
            let copy = self.folder.join("kernel/configs").join(name);
            let text = fs::read_to_string(&fragment)
                .and_then(|text| fs::write(&copy, &text).map(|()| text))
                .map_err(|error| format!("cannot copy {} to {}: {error}", fragment.display(), copy.display()))?;
            asked.push_str(&text);
            asked.push('\n');
        }
        let goals: Vec<&str> = config.iter().map(String::as_str).collect();
        self.make(&goals)?;
        Ok(asked)
    }

    /// The version as `uname -r` prints it.
    fn release(&self) -> Result<String, String> {
        self.make(&["include/config/kernel.release"])?;
        let text = self.read("include/config/kernel.release")?;
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Runs make with nothing of the environment but where the programs are.
    fn make(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new("make");
        command.arg("ARCH=x86_64").args(arguments).current_dir(&self.folder);
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
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("cannot run make: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
        Err(format!(
            "make {} failed in {}:\n{}",
            arguments.join(" "),
            self.folder.display(),
            last.join("\n")
        ))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let path = self.folder.join(path);
        fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}

/// Whether a configuration has what was asked for: what an option depends on may be missing, of
/// which the kernel's own tools say nothing. Modules would not be built.
fn check(asked: &str, config: &str) -> Result<(), String> {
    let there: BTreeMap<&str, &str> = config.lines().filter_map(option).collect();
    if let Some((name, _)) = there.iter().find(|(_, value)| **value == "m") {
        return Err(format!(
            "{name}=m asks for a module, and only the kernel itself is compiled\nhelp: set it to y"
        ));
    }
    // The last word on an option counts.
    let asked: BTreeMap<&str, &str> = asked.lines().filter_map(option).collect();
    let unmet: Vec<String> = asked
        .iter()
        .filter(|(name, value)| there.get(*name).unwrap_or(&"n") != *value)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match unmet.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "the kernel's configuration does not come to have {}\nhelp: set what these depend on as well (`depends on` in the kernel's Kconfig files), or leave them out",
            unmet.join(", ")
        )),
    }
}

/// The option on a line of a configuration, and its value.
fn option(line: &str) -> Option<(&str, &str)> {
    match line.strip_prefix("# CONFIG_") {
        Some(_) => Some((line.strip_prefix("# ")?.strip_suffix(" is not set")?, "n")),
        None => line.starts_with("CONFIG_").then(|| line.trim_end().split_once('='))?,
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_configuration_has_what_was_asked_for() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"text\"\n";
        let asked = "# what A is for\nCONFIG_A=y\nCONFIG_B=n\n# CONFIG_B is not set\nCONFIG_C=\"text\"\nCONFIG_D=n\n";
        assert_eq!(check(asked, config), Ok(()));
        for (asked, named) in [
            ("CONFIG_B=y\n", "CONFIG_B=y"),
            ("CONFIG_D=y\n", "CONFIG_D=y"),
            ("# CONFIG_A is not set\n", "CONFIG_A=n"),
            ("CONFIG_C=\"other\"\n", "CONFIG_C=\"other\""),
        ] {
            assert!(
                check(asked, config).is_err_and(|error| error.contains(named)),
                "{asked}"
            );
        }
        assert!(check("", "CONFIG_E=m\n").is_err_and(|error| error.contains("CONFIG_E=m")));
    }
}
