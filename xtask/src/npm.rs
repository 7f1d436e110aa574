//! Packages of npm that tests compare moby with, in `target/npm`. Their versions are in
//! `testdata/npm/package.json`.

use std::fs;

use crate::command::root;
use crate::error::{Result, cannot};

/// Installs the packages, unless the same versions are there.
pub fn install() -> Result {
    let wanted = root().join("testdata/npm/package.json");
    let wanted = fs::read(&wanted).map_err(cannot(format!("read {}", wanted.display())))?;
    let directory = root().join("target/npm");
    let installed = directory.join("package.json");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    // An installation that is interrupted is not taken for a complete one.
    let fresh = root().join("target/npm.new");
    let _ = fs::remove_dir_all(&fresh);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&fresh).map_err(cannot(format!("create {}", fresh.display())))?;
    fs::write(fresh.join("package.json"), &wanted).map_err(cannot(format!("write to {}", fresh.display())))?;
    let prefix = fresh.to_string_lossy();
    crate::run(
        "npm",
        &[
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--prefix",
            &prefix,
        ],
    )?;
    fs::rename(&fresh, &directory).map_err(cannot(format!("create {}", directory.display())))
}
