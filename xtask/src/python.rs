//! Python packages of the tests, in a virtual environment: validators of SBOMs and of CI templates.

use std::fs;
use std::process::Command;

use crate::command::{root, succeed};
use crate::error::{Result, cannot};

/// Packages with their versions.
const PACKAGES: &[&str] = &[
    "spdx-tools==0.8.5",
    "cyclonedx-python-lib[json-validation]==11.12.0",
    "check-jsonschema==0.39.0",
];

/// Installs the packages in `target/python`, unless these versions are there.
pub fn install() -> Result {
    let environment = root().join("target/python");
    let installed = environment.join("installed");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv"]).arg(&environment);
    succeed(create)?;
    let mut install = Command::new(environment.join("bin/pip"));
    install
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(PACKAGES);
    succeed(install)?;
    fs::write(&installed, wanted).map_err(cannot(format!("write {}", installed.display())))
}
