//! Static programs of the cargo workspace around a package.

use std::path::{Path, PathBuf};

use super::Options;
use super::toolchain::Toolchain;

/// The folder with the Cargo.lock that governs a folder.
pub fn workspace(dir: &Path) -> Result<PathBuf, String> {
    let absolute = std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut folders = absolute.ancestors();
    folders
        .find(|folder| folder.join("Cargo.lock").exists())
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} is in no cargo workspace", dir.display()))
}

/// Builds a program and returns it.
pub fn build(package: &str, bin: &str, dir: &Path, options: &Options) -> Result<Vec<u8>, String> {
    let workspace = workspace(dir)?;
    let toolchain = Toolchain::find(options.arch)?;
    let folder = workspace.join("target/pkg");
    let mut flags = vec!["-C".to_owned(), "target-feature=+crt-static".into()];
    // Paths of the machine that builds must not get into the program.
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let places = [Some((workspace.clone(), ".")), home.map(|home| (home, "cargo"))];
    for (path, name) in places.into_iter().flatten() {
        flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    }
    let output = toolchain
        .build()
        .args(["--quiet", "--release", "--locked", "-p", package, "--bin", bin])
        .arg("--target-dir")
        .arg(&folder)
        // Unlike RUSTFLAGS this takes a path with a space.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .current_dir(&workspace)
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo build -p {package} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let program = folder.join(toolchain.triple).join("release").join(bin);
    std::fs::read(&program).map_err(|error| format!("{}: {error}", program.display()))
}
