//! Static programs of the cargo workspace around a package.

use std::path::{Path, PathBuf};

use super::Options;
use super::error::cannot;
use super::toolchain::Toolchain;
use crate::bounded;
use crate::diagnostic::Diagnostic;

/// Maximum length of a program, in bytes.
const MAX_PROGRAM: u64 = 1 << 30;

/// Returns the directory with the Cargo.lock that applies to `dir`.
///
/// # Errors
/// A directory outside of a cargo workspace.
pub fn workspace(dir: &Path) -> Result<PathBuf, Diagnostic> {
    let absolute = std::path::absolute(dir).map_err(cannot(format!("find {}", dir.display())))?;
    let mut ancestors = absolute.ancestors();
    ancestors
        .find(|ancestor| ancestor.join("Cargo.lock").exists())
        .map(Path::to_owned)
        .ok_or_else(|| {
            let message = format!("{} is not in a cargo workspace", dir.display());
            Diagnostic::error(message).help("put a Cargo.lock beside the Cargo.toml of the workspace")
        })
}

/// Compiles a program and returns it.
///
/// # Errors
/// A missing toolchain, and errors of the compiler.
pub fn build(package: &str, bin: &str, dir: &Path, options: &Options) -> Result<Vec<u8>, Diagnostic> {
    let workspace = workspace(dir)?;
    let toolchain = Toolchain::find(options.arch)?;
    let target_dir = workspace.join("target/pkg");
    let mut flags = vec!["-C".to_owned(), "target-feature=+crt-static".into()];
    // Paths of the build machine must not get into the program.
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let prefixes = [Some((workspace.clone(), ".")), cargo_home.map(|home| (home, "cargo"))];
    for (path, name) in prefixes.into_iter().flatten() {
        flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    }
    let output = toolchain
        .build()
        .args(["--quiet", "--release", "--locked", "-p", package, "--bin", bin])
        .arg("--target-dir")
        .arg(&target_dir)
        // Unlike RUSTFLAGS this takes a path with a space.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .current_dir(&workspace)
        .output()
        .map_err(cannot("run cargo"))?;
    if !output.status.success() {
        return Err(Diagnostic::error(format!(
            "cargo build -p {package} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    let program = target_dir.join(toolchain.triple).join("release").join(bin);
    bounded::read(&program, MAX_PROGRAM).map_err(cannot(format!("read {}", program.display())))
}
