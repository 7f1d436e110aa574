//! `cargo xtask bench`: the time that a format takes in `moby build`, against the programs of
//! LinuxKit's tool images, and against copying its bytes.

mod pulls;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::root;
use crate::error::{Error, Result, cannot};
use crate::recipes::{COMMON, RECIPES};
pub use pulls::pulls;

/// Number of runs of each, of which the median is printed.
const ROUNDS: usize = 5;

/// Measures a run of a command.
pub fn time(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status();
    let status = status.map_err(cannot(format!("run {command:?}")))?;
    if !status.success() {
        return Err(Error::new(format!("{command:?} ended with {status}")));
    }
    Ok(start.elapsed())
}

/// Returns the median.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn repeat(mut once: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    // The first warms the caches.
    once()?;
    (0..ROUNDS).map(|_| once()).collect::<Result<Vec<_>>>().map(median)
}

/// Returns the length in bytes of the longest file in a directory, kernel and initrd left out.
fn longest(directory: &Path) -> Result<u64> {
    let files = std::fs::read_dir(directory).map_err(cannot(format!("read {}", directory.display())))?;
    let lens = files.flatten().map(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with("-kernel") || name.ends_with("-initrd.img") {
            0
        } else {
            file.metadata().map_or(0, |metadata| metadata.len())
        }
    });
    Ok(lens.max().unwrap_or(0))
}

/// Prints a table in Markdown.
pub fn formats() -> Result {
    crate::run("cargo", &["build", "--release", "--package", "moby"])?;
    let root = root();
    let work = root.join("target/bench");
    let cache = root.join("target/test-cache");
    let fresh = |path: &Path| {
        let _ = std::fs::remove_dir_all(path);
        std::fs::create_dir_all(path).map_err(cannot(format!("create {}", path.display())))
    };
    fresh(&work)?;
    let build = |formats: &str, dir: &Path| {
        fresh(dir)?;
        let mut command = Command::new(root.join("target/release/moby"));
        command
            .args(["-q", "build", "--rebuild", "--compress", "lz4", "--cache"])
            .arg(&cache);
        command
            .args(["-f", formats, "--dir"])
            .arg(dir)
            .arg(root.join("examples/hello.yml"));
        time(&mut command)
    };
    let (payload, out, recipe) = (work.join("payload"), work.join("out"), work.join("recipe"));
    // The time that every format needs is subtracted.
    build("kernel+initrd,raw-bios,raw,tar", &payload)?;
    let base = repeat(|| build("kernel+initrd", &out))?;
    let file = |suffix: &str| payload.join(format!("hello{suffix}"));
    let tree = work.join("tree");
    fresh(&tree)?;
    // Devices are left out, since they take root.
    let mut unpack = Command::new("tar");
    unpack.args(["--warning=no-unknown-keyword", "--exclude=dev/*", "-xf"]);
    time(unpack.arg(file(".tar")).arg("-C").arg(&tree))?;
    let files: [(&str, PathBuf); 6] = [
        ("T", tree),
        ("K", file("-kernel")),
        ("I", file("-initrd.img")),
        ("C", file("-cmdline")),
        ("R", file("-bios.img")),
        ("D", file(".img")),
    ];
    let shell = |script: &str| {
        fresh(&recipe)?;
        let mut command = Command::new("bash");
        command
            .args(["-euc", &format!("{COMMON}{script}")])
            .current_dir(&recipe);
        let directories = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        command.env("PATH", directories).env("MTOOLS_SKIP_CHECK", "1");
        for (name, path) in &files {
            let path = path
                .canonicalize()
                .map_err(cannot(format!("find {}", path.display())))?;
            command.env(name, path);
        }
        time(&mut command)
    };
    let copy = repeat(|| {
        shell(
            "cp --reflink=never --sparse=never $K kernel; cp --reflink=never --sparse=never $I initrd; sync kernel initrd",
        )
    })?;
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    println!(
        "`moby build -f kernel+initrd` of examples/hello.yml (lz4): {}; `cp` and `sync` of kernel and initrd: {}\n",
        ms(base),
        ms(copy)
    );
    println!(
        "| format | moby, beyond kernel+initrd | programs | which | moby | programs |\n| --- | --- | --- | --- | --- | --- |"
    );
    for (format, programs, script) in RECIPES {
        // They take turns, since the speed of a disk varies.
        let mut theirs = Vec::new();
        let ours = repeat(|| {
            theirs.push(shell(script)?);
            let base = build("kernel+initrd", &out)?;
            Ok(build(&format!("kernel+initrd,{format}"), &out)?.saturating_sub(base))
        })?;
        let theirs = median(theirs.split_off(1));
        // The longest file of the last run is the one that was asked for.
        let sizes = [longest(&out)?, longest(&recipe)?].map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6));
        println!(
            "| `{format}` | {} | {} | {programs} | {} | {} |",
            ms(ours),
            ms(theirs),
            sizes[0],
            sizes[1]
        );
    }
    Ok(())
}
