//! Rust toolchains that compile programs for an architecture, which need not be the host's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::arch::Arch;
use crate::diagnostic::Diagnostic;

/// Target of a compilation, with the linker for it on hosts of another architecture.
struct Target {
    /// Rust's target triple.
    triple: &'static str,
    /// Debian's cross linker.
    linker: &'static str,
    /// Debian packages of the linker and of the C library.
    packages: &'static str,
}

const AMD64: Target = Target {
    triple: "x86_64-unknown-linux-gnu",
    linker: "x86_64-linux-gnu-gcc",
    packages: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
};
const ARM64: Target = Target {
    triple: "aarch64-unknown-linux-gnu",
    linker: "aarch64-linux-gnu-gcc",
    packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
};

/// Cargo and a compiler for a target.
pub struct Toolchain {
    cargo: OsString,
    /// Compiler, unless it is cargo's default.
    rustc: Option<PathBuf>,
    /// Rust's target triple.
    pub triple: &'static str,
    /// Linker, unless it is the compiler's default.
    linker: Option<&'static str>,
    /// True if the standard library is compiled, too.
    builds_std: bool,
}

impl Toolchain {
    /// Finds a toolchain for an architecture. The default compiler is taken if it has the standard
    /// library for it, which it always has for the host; otherwise Debian's compiler, if that has;
    /// otherwise the first of the two that has the sources of the standard library.
    ///
    /// # Errors
    /// A missing linker, and a missing standard library.
    pub fn find(arch: Arch) -> Result<Toolchain, Diagnostic> {
        let (target, host) = match arch {
            Arch::Amd64 => (AMD64, "x86_64"),
            Arch::Arm64 => (ARM64, "aarch64"),
            other => {
                let message = format!("cannot compile programs for {other}: not supported yet");
                return Err(Diagnostic::error(message));
            }
        };
        let mut toolchain = Toolchain {
            cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            rustc: None,
            triple: target.triple,
            linker: None,
            builds_std: false,
        };
        if cfg!(target_os = "linux") && std::env::consts::ARCH == host {
            return Ok(toolchain);
        }
        toolchain.linker = linker(arch, &target)?;
        let debian = PathBuf::from("/usr/bin/rustc");
        let debian = (debian.is_file() && Path::new("/usr/bin/cargo").is_file()).then_some(debian);
        let compilers = || std::iter::once(None).chain(debian.clone().map(Some));
        let library = |rustc: &Option<PathBuf>| has_library(rustc.as_deref(), target.triple);
        let sources = |rustc: &Option<PathBuf>| has_sources(rustc.as_deref());
        let with_library = compilers().find(library);
        toolchain.builds_std = with_library.is_none();
        let Some(rustc) = with_library.or_else(|| compilers().find(sources)) else {
            let message = format!(
                "cannot compile programs for {arch}: no installed Rust compiler has the standard library for it"
            );
            return Err(Diagnostic::error(message).help(format!(
                "with rustup: `rustup target add {}`; on Debian: `apt-get install rustc-web cargo-web rust-web-src`",
                target.triple
            )));
        };
        if rustc.is_some() {
            toolchain.cargo = "/usr/bin/cargo".into();
        }
        toolchain.rustc = rustc;
        Ok(toolchain)
    }

    /// Returns the command `cargo build` for the target.
    pub fn build(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(["build", "--target", self.triple]);
        if let Some(rustc) = &self.rustc {
            isolate(&mut command, rustc);
            command.env("RUSTC", rustc);
        }
        if self.builds_std {
            // Allows an unstable flag with a stable compiler.
            command.env("RUSTC_BOOTSTRAP", "1");
            command.arg("-Zbuild-std=std,panic_abort");
        }
        if let Some(linker) = self.linker {
            command.env(linker_variable(self.triple), linker);
        }
        command
    }
}

/// Keeps rustup's compiler, which may be running moby itself, out of a command.
fn isolate(command: &mut Command, rustc: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directory = rustc.parent().map(Path::to_owned);
    let directories = directory.into_iter().chain(std::env::split_paths(&path));
    // Joining directories of PATH does not fail.
    command.env("PATH", std::env::join_paths(directories).unwrap_or(path.clone()));
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
}

/// Returns the variable from which cargo takes the linker of a target.
fn linker_variable(triple: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase().replace('-', "_"))
}

/// Finds the linker for a target. Returns `None` if the user has set one for cargo.
fn linker(arch: Arch, target: &Target) -> Result<Option<&'static str>, Diagnostic> {
    let variable = linker_variable(target.triple);
    if std::env::var_os(&variable).is_some() {
        return Ok(None);
    }
    Command::new(target.linker).arg("--version").output().map_err(|error| {
        let message = format!("cannot link programs for {arch}: cannot run {}: {error}", target.linker);
        Diagnostic::error(message)
            .help(format!(
                "on Debian: `apt-get install {}`; elsewhere: set {variable} to a linker",
                target.packages
            ))
            .caused_by(error)
    })?;
    Ok(Some(target.linker))
}

/// Runs a compiler that prints a path.
fn query(rustc: Option<&Path>, arguments: &[&str]) -> Option<PathBuf> {
    let mut command = if let Some(rustc) = rustc {
        let mut command = Command::new(rustc);
        isolate(&mut command, rustc);
        command
    } else {
        Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
    };
    let output = command.args(arguments).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// Returns whether a compiler has the standard library for a target.
fn has_library(rustc: Option<&Path>, triple: &str) -> bool {
    let directory = query(rustc, &["--print", "target-libdir", "--target", triple]);
    directory.is_some_and(|directory| directory.is_dir())
}

/// Returns whether a compiler has the sources of the standard library.
fn has_sources(rustc: Option<&Path>) -> bool {
    let sysroot = query(rustc, &["--print", "sysroot"]);
    sysroot.is_some_and(|sysroot| sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file())
}
