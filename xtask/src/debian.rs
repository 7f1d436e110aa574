//! Debian packages.

use std::process::Command;

use crate::run;

/// Installs packages by apt-get, as root (with sudo where need be).
pub fn install(packages: &[&str]) -> Result<(), String> {
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

/// Installs those of the packages that are not there.
pub fn want(packages: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !there(package)).collect();
    install(&missing)
}

fn there(package: &str) -> bool {
    let status = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output();
    status.is_ok_and(|out| out.stdout == b"installed")
}
