//! Platforms, their programs and their archives.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{TIME, VERSION};
use crate::command::{root, succeed};
use crate::debian;
use crate::error::{Error, Result};

/// A platform for which an archive is made.
pub struct Platform {
    /// Name in that of the archive.
    pub name: &'static str,
    /// Rust's name of it.
    pub target: &'static str,
    /// Linker, if the compiler's own choice does not link for it.
    linker: Option<&'static str>,
    /// Debian's packages with the linker.
    packages: &'static [&'static str],
    /// Further flags of rustc.
    flags: &'static str,
}

/// All platforms. The targets of musl bring their own C library, so that the programs are static.
pub const PLATFORMS: [Platform; 3] = [
    Platform {
        name: "linux-amd64",
        target: "x86_64-unknown-linux-musl",
        linker: None,
        packages: &[],
        flags: "",
    },
    Platform {
        name: "linux-arm64",
        target: "aarch64-unknown-linux-musl",
        linker: Some("rust-lld"),
        packages: &[],
        flags: "",
    },
    Platform {
        name: "windows-amd64",
        target: "x86_64-pc-windows-gnu",
        linker: Some("x86_64-w64-mingw32-gcc-win32"),
        packages: &["gcc-mingw-w64-x86-64-win32", "zip"],
        // The linker would write the time into the program.
        flags: "-Clink-arg=-Wl,--no-insert-timestamp",
    },
];

/// Finds a platform by its name.
pub fn find(name: &str) -> Result<&'static Platform> {
    let names = PLATFORMS.map(|platform| platform.name).join(", ");
    let found = PLATFORMS.iter().find(|platform| platform.name == name);
    found.ok_or_else(|| Error::new(format!("unknown platform {name}")).help(format!("platforms: {names}")))
}

/// Returns the platform of this host.
pub fn of_host() -> Result<&'static Platform> {
    match std::env::consts::ARCH {
        "aarch64" => find("linux-arm64"),
        _ => find("linux-amd64"),
    }
}

impl Platform {
    fn is_windows(&self) -> bool {
        self.target.contains("windows")
    }

    /// Returns the name of the program's file.
    pub fn program(&self) -> &'static str {
        if self.is_windows() { "moby.exe" } else { "moby" }
    }

    /// Compiles the program, and returns its path.
    pub fn build(&self) -> Result<PathBuf> {
        debian::ensure(self.packages)?;
        crate::run("rustup", &["target", "add", self.target])?;
        let mut cargo = Command::new("cargo");
        cargo
            .args([
                "build",
                "--release",
                "--locked",
                "--package",
                "moby",
                "--target",
                self.target,
            ])
            .current_dir(root())
            .env("RUSTFLAGS", format!("{} {}", self.flags, remapped()));
        if let Some(linker) = self.linker {
            let variable = self.target.to_uppercase().replace('-', "_");
            cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
        }
        succeed(cargo)?;
        Ok(root()
            .join("target")
            .join(self.target)
            .join("release")
            .join(self.program()))
    }

    /// Packs a directory: as zip for Windows, else as a compressed tar.
    pub fn archive(&self, stage: &Path, output: &Path) -> Result<PathBuf> {
        let name = format!("moby-{VERSION}-{}", self.name);
        let parent = stage.parent().unwrap_or(stage);
        if self.is_windows() {
            let archive = output.join(format!("{name}.zip"));
            let script =
                r#"rm -f "$1"; find "$2" -exec touch -d "$3" {} + && find "$2" | LC_ALL=C sort | zip -X -9 -q "$1" -@"#;
            let mut zip = Command::new("sh");
            zip.args(["-c", script, "sh"]).arg(&archive).args([&name, TIME]);
            succeed(zip.current_dir(parent).env("TZ", "UTC"))?;
            Ok(archive)
        } else {
            let archive = output.join(format!("{name}.tar.gz"));
            tar(parent, &name, &archive, Some("gzip -n"))?;
            Ok(archive)
        }
    }
}

/// Writes a tar whose bits depend on names and contents only.
pub fn tar(directory: &Path, name: &str, archive: &Path, compressor: Option<&str>) -> Result {
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--format=gnu",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ])
    .args(["--mode=u=rwX,go=rX", &format!("--mtime={TIME}")])
    .args(compressor.map(|program| format!("--use-compress-program={program}")))
    .arg("-cf")
    .arg(archive)
    .arg("-C")
    .arg(directory)
    .arg(name);
    succeed(tar.env("LC_ALL", "C"))
}

/// Returns the flags that keep the directories of this host out of the program.
fn remapped() -> String {
    let home = std::env::home_dir().unwrap_or_default();
    let variable =
        |name: &str, directory: &str| std::env::var_os(name).map_or_else(|| home.join(directory), PathBuf::from);
    let remap = |from: PathBuf, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    [
        remap(root(), "/moby"),
        remap(variable("CARGO_HOME", ".cargo"), "/cargo"),
        remap(variable("RUSTUP_HOME", ".rustup"), "/rustup"),
    ]
    .join(" ")
}
