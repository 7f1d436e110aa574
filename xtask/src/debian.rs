//! Debian packages of the development machine.

use std::process::Command;

use crate::error::Result;
use crate::run;

/// Installs packages with apt-get, with sudo for users other than root.
pub fn install(packages: &[&str]) -> Result {
    if packages.is_empty() {
        return Ok(());
    }
    eprintln!("installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| match run("apt-get", arguments) {
        Ok(()) => Ok(()),
        Err(_) => run("sudo", &[&["apt-get"], arguments].concat()),
    };
    apt(&["-qq", "update"])?;
    let arguments = ["install", "-y", "-qq", "--no-install-recommends"];
    apt(&[&arguments, packages].concat())
}

/// Installs those of the packages that are missing.
pub fn ensure(packages: &[&str]) -> Result {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    install(&missing)
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output();
    output.is_ok_and(|output| output.stdout == b"installed")
}
