//! What compiles programs for the machines, whose processor need not be the host's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::arch::Arch;

/// An architecture's names, and the C compiler that links for it on other machines.
struct Target {
    /// As Rust names it.
    triple: &'static str,
    /// The linker, as Debian names it.
    linker: &'static str,
    /// The Debian packages of the linker and of the C library that programs are linked with.
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

/// Cargo with a compiler, and what they need to make programs for a target.
pub struct Toolchain {
    cargo: OsString,
    /// A compiler other than the one that cargo takes by itself.
    rustc: Option<PathBuf>,
    /// The target as Rust names it.
    pub triple: &'static str,
    linker: Option<&'static str>,
    /// Whether the standard library is compiled as well.
    builds_std: bool,
}

impl Toolchain {
    /// What there is for an architecture: the usual compiler when it has the standard library
    /// for it (of this machine it always has), else Debian's in the same way, else one of the two
    /// that has the sources of the standard library.
    pub fn find(arch: Arch) -> Result<Toolchain, String> {
        let (target, host) = match arch {
            Arch::Amd64 => (AMD64, "x86_64"),
            Arch::Arm64 => (ARM64, "aarch64"),
            other => return Err(format!("programs cannot be built for {other} yet")),
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
            return Err(format!(
                "no Rust compiler here has the standard library for {arch}, or its sources\nhelp: on Debian: apt-get install rustc-web cargo-web rust-web-src; with rustup: rustup target add {}",
                target.triple
            ));
        };
        if rustc.is_some() {
            toolchain.cargo = "/usr/bin/cargo".into();
        }
        toolchain.rustc = rustc;
        Ok(toolchain)
    }

    /// `cargo build` for the target.
    pub fn build(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(["build", "--target", self.triple]);
        if let Some(rustc) = &self.rustc {
            only(&mut command, rustc);
            command.env("RUSTC", rustc);
        }
        if self.builds_std {
            // Cargo takes this flag from a stable compiler only so.
            command.env("RUSTC_BOOTSTRAP", "1");
            command.arg("-Zbuild-std=std,panic_abort");
        }
        if let Some(linker) = self.linker {
            command.env(variable(self.triple), linker);
        }
        command
    }
}

/// Keeps a compiler of rustup's, which may be running this very program, from taking part.
fn only(command: &mut Command, rustc: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = rustc.parent().map(Path::to_owned);
    let folders = folder.into_iter().chain(std::env::split_paths(&path));
    // Folders out of PATH always make a PATH.
    command.env("PATH", std::env::join_paths(folders).unwrap_or(path.clone()));
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
}

/// The variable by which cargo is told the linker of a target.
fn variable(triple: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase().replace('-', "_"))
}

/// The linker; none when the user has named one.
fn linker(arch: Arch, target: &Target) -> Result<Option<&'static str>, String> {
    let variable = variable(target.triple);
    if std::env::var_os(&variable).is_some() {
        return Ok(None);
    }
    match Command::new(target.linker).arg("--version").output() {
        Ok(_) => Ok(Some(target.linker)),
        Err(_) => Err(format!(
            "there is no linker for {arch}: {} is not installed\nhelp: on Debian: apt-get install {}; elsewhere {variable} names one",
            target.linker, target.packages
        )),
    }
}

/// What a compiler says of itself.
fn ask(rustc: Option<&Path>, arguments: &[&str]) -> Option<PathBuf> {
    let usual = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = match rustc {
        Some(rustc) => Command::new(rustc),
        None => Command::new(usual),
    };
    if let Some(rustc) = rustc {
        only(&mut command, rustc);
    }
    let output = command.args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(said.trim()))
}

/// Whether a compiler has the standard library for a target.
fn has_library(rustc: Option<&Path>, triple: &str) -> bool {
    let folder = ask(rustc, &["--print", "target-libdir", "--target", triple]);
    folder.is_some_and(|folder| folder.is_dir())
}

/// Whether a compiler has the sources of the standard library.
fn has_sources(rustc: Option<&Path>) -> bool {
    let sysroot = ask(rustc, &["--print", "sysroot"]);
    sysroot.is_some_and(|sysroot| sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file())
}
