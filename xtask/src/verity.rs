//! `cargo xtask bench --verity`: the time of a hash tree of 1 GiB, by the example of the crate
//! `verity-tree` and by veritysetup.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::bench::{median, time};
use crate::command::root;
use crate::error::{Result, cannot};

/// Length of the data in bytes.
const LEN: usize = 1 << 30;
/// Number of runs of each program, of which the median is printed.
const ROUNDS: usize = 7;

/// Prints a table in Markdown.
pub fn run() -> Result {
    let example = ["build", "--release", "--package", "verity-tree", "--example", "protect"];
    crate::run("cargo", &example)?;
    let root = root();
    let work = root.join("target/bench-verity");
    std::fs::create_dir_all(&work).map_err(cannot(format!("create {}", work.display())))?;
    let (data, area) = (work.join("data"), work.join("area"));
    write_noise(&data)?;
    let protect = root.join("target/release/examples/protect");
    let ours = |jobs: &str| {
        let mut command = Command::new(&protect);
        command.args([&data, &area]).args(["--jobs", jobs]);
        command
    };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let cores = cores.to_string();
    let mut commands = [
        ("verity-tree, all cores", ours(&cores)),
        ("verity-tree, one thread", ours("1")),
        ("veritysetup", {
            let mut command = Command::new("veritysetup");
            command.arg("format").args([&data, &area]);
            command
        }),
    ];
    // They take turns, and the first round only fills the page cache.
    let mut times = vec![Vec::new(); commands.len()];
    for round in 0..=ROUNDS {
        for ((_, command), times) in commands.iter_mut().zip(&mut times) {
            let taken = time(command)?;
            if round > 0 {
                times.push(taken);
            }
        }
    }
    println!("| program | time for 1 GiB |\n| --- | --- |");
    for ((name, _), times) in commands.iter().zip(times) {
        println!("| {name} | {} ms |", median(times).as_millis());
    }
    std::fs::remove_dir_all(&work).map_err(cannot(format!("remove {}", work.display())))
}

/// Writes bytes without runs of zeros, which would be hashed once.
fn write_noise(path: &Path) -> Result {
    let failed = || cannot(format!("write {}", path.display()));
    let mut file = File::create(path).map_err(failed())?;
    let mut state = 1u64;
    let mut chunk = vec![0u8; 1 << 20];
    for _ in 0..LEN / chunk.len() {
        for bytes in chunk.chunks_exact_mut(8) {
            // Knuth's linear congruential generator, MMIX.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            bytes.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&chunk).map_err(failed())?;
    }
    file.sync_all().map_err(failed())
}
