//! `cargo xtask fuzz`: the targets of `fuzz/`, run by libFuzzer from seeds that are written here.
//!
//! The compiler is the stable one: it instruments code for coverage by itself, and libFuzzer is
//! compiled from the sources in the crate `libfuzzer-sys`, which takes a C++ compiler. Sanitizers
//! are not used, since there is no unsafe code; overflows and assertions are checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::command::{root, succeed};
use crate::error::{Error, Result, cannot};

/// Longest seed, and longest input, in bytes: many executions a second find more.
const MAX_INPUT: u64 = 128 << 10;
/// Seconds for each target.
const SECONDS: &str = "60";
/// Limits for one input: memory in MiB, time in seconds.
const LIMITS: [&str; 2] = ["-rss_limit_mb=3000", "-timeout=20"];
/// Targets that CI runs.
const CI: [&str; 9] = [
    "signature",
    "yaml",
    "label",
    "image_config",
    "layout",
    "layer",
    "registry",
    "inspect",
    "verity",
];
/// Number of targets that run at a time.
const JOBS: usize = 2;
/// Target triple. With it, build scripts and macros are compiled without instrumentation.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Instrumentation for coverage, with counters and comparisons (LLVM, SanitizerCoverage).
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Runs `cargo xtask fuzz` with its arguments.
pub fn run(arguments: &[String]) -> Result {
    let (first, rest) = arguments
        .split_first()
        .map_or((None, arguments), |(first, rest)| (Some(first), rest));
    match first.map(String::as_str) {
        Some("check") => check(),
        Some("--ci") => fuzz(&CI, rest.first().map_or(SECONDS, String::as_str)),
        seconds => fuzz(&[], seconds.unwrap_or(SECONDS)),
    }
}

/// Checks that the targets compile, without libFuzzer.
fn check() -> Result {
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
    // Nothing is linked. Without this, libFuzzer would be compiled.
    command.env("CUSTOM_LIBFUZZER_PATH", root().join("target/libfuzzer.a"));
    succeed(command)
}

/// Runs the targets named, or all if none is, for some seconds each.
fn fuzz(selected: &[&str], seconds: &str) -> Result {
    seconds
        .parse::<u32>()
        .map_err(cannot(format!("parse the number of seconds {seconds:?}")))?;
    let fuzz = root().join("fuzz");
    let mut targets = targets(&fuzz)?;
    if let Some(missing) = selected
        .iter()
        .find(|name| !targets.iter().any(|target| target == *name))
    {
        return Err(Error::new(format!("there is no fuzz target {missing}")));
    }
    if !selected.is_empty() {
        targets.retain(|target| selected.contains(&target.as_str()));
    }
    write_seeds(&fuzz)?;
    let mut build = Command::new("cargo");
    build
        .args([
            "build",
            "--locked",
            "--release",
            "--target",
            TARGET,
            "--target-dir",
            "target/fuzz",
        ])
        .args(["--manifest-path", "fuzz/Cargo.toml"])
        .env("RUSTFLAGS", RUSTFLAGS)
        .current_dir(root());
    for target in &targets {
        build.args(["--bin", target]);
    }
    succeed(build)?;
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            match run_target(&fuzz, target, seconds) {
                Ok(executions) => println!("{target:14} {executions:>12} executions"),
                Err(error) => {
                    eprintln!("{target:14} failed: {error}");
                    failed
                        .lock()
                        .unwrap_or_else(|error| error.into_inner())
                        .push(target.clone());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(|error| error.into_inner());
    if failed.is_empty() {
        Ok(())
    } else {
        let message = format!("fuzzing failed for {}", failed.join(", "));
        Err(Error::new(message).help("the inputs are in fuzz/artifacts/TARGET"))
    }
}

/// Runs one target and returns the number of executions.
fn run_target(fuzz: &Path, target: &str, seconds: &str) -> Result<u64> {
    let (corpus, artifacts) = (fuzz.join("corpus").join(target), fuzz.join("artifacts").join(target));
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).map_err(cannot(format!("create {}", directory.display())))?;
    }
    let program = root().join("target/fuzz").join(TARGET).join("release").join(target);
    let output = Command::new(&program)
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_INPUT}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(LIMITS)
        .output()
        .map_err(cannot(format!("run {}", program.display())))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
        return Err(Error::new(format!("{}\n{}", output.status, last.join("\n"))));
    }
    executions(&log).ok_or_else(|| Error::new("libFuzzer prints no number of executions"))
}

/// Finds the number of executions in libFuzzer's last line, `Done 12345 runs in 61 second(s)`.
fn executions(log: &str) -> Option<u64> {
    let line = log.lines().rev().find_map(|line| line.strip_prefix("Done "))?;
    line.split(' ').next()?.parse().ok()
}

/// Writes seeds into `fuzz/corpus`, which keeps the inputs that earlier runs found.
fn write_seeds(fuzz: &Path) -> Result {
    crate::run("cargo", &["build", "--package", "moby"])?;
    let directories = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut seeds = Command::new("sh");
    seeds
        .arg("seeds.sh")
        .current_dir(fuzz)
        .env("R", root())
        .env("M", root().join("target/debug/moby"))
        .env("PATH", directories)
        .env("MOBY_CACHE", root().join("target/test-cache"));
    succeed(seeds)?;
    for directory in list(&fuzz.join("corpus"))? {
        for file in list(&directory)? {
            if fs::metadata(&file).is_ok_and(|metadata| metadata.len() > MAX_INPUT) {
                fs::remove_file(&file).map_err(cannot(format!("remove {}", file.display())))?;
            }
        }
    }
    Ok(())
}

/// Returns the names of the targets.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let files = list(&fuzz.join("fuzz_targets"))?;
    let name = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    Ok(files.into_iter().filter_map(name).collect())
}

/// Lists a directory, sorted.
fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(cannot(format!("read {}", directory.display())))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::executions;

    #[test]
    fn executions_are_in_the_last_line() {
        let log = "#2 INITED cov: 1\n#99 DONE cov: 7\nDone 12345 runs in 61 second(s)\n";
        assert_eq!(executions(log), Some(12345));
        assert_eq!(executions("#2 INITED"), None);
    }
}
