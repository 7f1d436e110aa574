//! `cargo xtask fuzz`: each target of `fuzz/` for a while, from seeds that are made here. No sanitizer
//! takes part, as there is no unsafe code; overflows and assertions are checked. It needs a
//! nightly compiler and cargo-fuzz. `cargo xtask fuzz check` only compiles them.

use std::path::Path;
use std::process::Command;

use crate::foreign::{root, succeed};

/// The longest file that is a seed, in bytes: fuzzing lives on speed.
const LONGEST: u64 = 128 << 10;

/// Checks that the targets compile, which needs neither.
pub fn check() -> Result<(), String> {
    let mut command = Command::new("cargo");
    command
        .args([
            "clippy",
            "--locked",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
            "target",
        ])
        .args(["--", "-D", "warnings"])
        .current_dir(root());
    // Nothing is linked; without this libFuzzer itself, which is C++, would be compiled.
    command.env("CUSTOM_LIBFUZZER_PATH", root().join("target/libfuzzer.a"));
    succeed(command)
}

/// Runs all targets, each for some seconds.
pub fn run(seconds: Option<&str>) -> Result<(), String> {
    let fuzz = root().join("fuzz");
    crate::run("cargo", &["build", "--package", "moby"])?;
    let mut seeds = Command::new("sh");
    seeds
        .arg("seeds.sh")
        .current_dir(&fuzz)
        .env("R", root())
        .env("M", root().join("target/debug/moby"));
    let folders = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    seeds
        .env("PATH", folders)
        .env("MOBY_CACHE", root().join("target/test-cache"));
    succeed(seeds)?;
    shorten(&fuzz.join("corpus"))?;
    let mut failed = Vec::new();
    for target in targets(&fuzz)? {
        let mut command = Command::new("cargo");
        command
            .args(["+nightly", "fuzz", "run", "-O", "-a", "-s", "none", &target, "--"])
            .current_dir(root());
        command.arg(format!("-max_total_time={}", seconds.unwrap_or("60")));
        command
            .args(["-rss_limit_mb=3000", "-timeout=20"])
            .arg(format!("-max_len={LONGEST}"));
        if succeed(command).is_err() {
            failed.push(target);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "these found something: {}; see fuzz/artifacts",
            failed.join(", ")
        )),
    }
}

/// The names of the targets.
fn targets(fuzz: &Path) -> Result<Vec<String>, String> {
    let listed = std::fs::read_dir(fuzz.join("fuzz_targets")).map_err(|error| error.to_string())?;
    let name = |entry: std::fs::DirEntry| Some(entry.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = listed.flatten().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Removes seeds that are too long.
fn shorten(corpus: &Path) -> Result<(), String> {
    let list = |path: &Path| std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()));
    for folder in list(corpus)?.flatten() {
        for file in list(&folder.path())?.flatten() {
            if file.metadata().is_ok_and(|meta| meta.len() > LONGEST) {
                std::fs::remove_file(file.path()).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(())
}
