//! `cargo xtask soak`: builds that are killed, that run out of space, and that run at the same
//! time. Each output must be absent or identical to that of an undisturbed build.
//!
//! The images are built from files, and the formats are those without a boot loader, so that
//! neither a network nor another program is needed, but docker-registry on loopback for builds that
//! pull.

mod pulls;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::command::root;
use crate::compare;
use crate::error::{Error, Result, cannot};

const HELP: &str = "use --kills N, --full-disks N, --races N, --pulls N, --seed N or --sample";
/// Formats that need no boot loader.
const FORMATS: &str =
    "kernel+initrd,kernel+squashfs,kernel+erofs,kernel+ext4,kernel+iso,tar-kernel-initrd,tar,oci,docker-archive";
/// Number of builds that race.
const RACERS: usize = 4;
/// Every so many kills, the next build uses the cache that the killed one left.
const REBUILD: u32 = 5;

/// Number of rounds of each kind, and the seed of the random numbers.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    kills: u32,
    full_disks: u32,
    races: u32,
    pulls: u32,
    seed: u64,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut options = Options {
            kills: 500,
            full_disks: 200,
            races: 100,
            pulls: 200,
            seed: now.map_or(1, |now| now.as_secs()),
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if name == "--sample" {
                (options.kills, options.full_disks, options.races) = (15, 10, 4);
                options.pulls = 5;
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| Error::new(format!("{name} needs a number")).help(HELP))?;
            let number = value.parse().map_err(cannot(format!("parse {name} {value}")))?;
            match name.as_str() {
                "--kills" => options.kills = number,
                "--full-disks" => options.full_disks = number,
                "--races" => options.races = number,
                "--pulls" => options.pulls = number,
                "--seed" => options.seed = number.into(),
                _ => return Err(Error::new(format!("unknown option {name}")).help(HELP)),
            }
        }
        Ok(options)
    }
}

/// Runs `cargo xtask soak` with its arguments.
pub fn run(arguments: &[String]) -> Result {
    let options = Options::parse(arguments)?;
    crate::run("cargo", &["build", "--package", "moby"])?;
    let mut soak = Soak::prepare(options.seed)?;
    println!(
        "soak: seed {}, {} files, {:?} for a build",
        options.seed,
        soak.expected.len(),
        soak.time
    );
    soak.kills(options.kills)?;
    soak.full_disks(options.full_disks)?;
    soak.races(options.races)?;
    soak.pulls(options.pulls)?;
    fs::remove_dir_all(&soak.directory).map_err(cannot(format!("remove {}", soak.directory.display())))
}

/// Outcome of a disturbed build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// No output exists.
    Absent,
    /// Some outputs exist: the build ended between two names.
    Partial,
    /// All outputs exist.
    Complete,
}

/// Number of builds by outcome.
#[derive(Debug, Default)]
struct Tally([u32; 3]);

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        let [absent, partial, complete] = &mut self.0;
        *match outcome {
            Outcome::Absent => absent,
            Outcome::Partial => partial,
            Outcome::Complete => complete,
        } += 1;
    }

    fn print(&self, rounds: u32, what: &str) {
        let [absent, partial, complete] = self.0;
        println!(
            "soak: {rounds} {what}: {absent} left no output, {partial} some, {complete} all; each output is identical"
        );
    }
}

struct Soak {
    directory: PathBuf,
    /// Outputs of an undisturbed build, by name.
    expected: BTreeMap<String, PathBuf>,
    /// Duration of an undisturbed build.
    time: Duration,
    /// Length of the longest output, in bytes, and of all.
    longest: u64,
    total: u64,
    random: Random,
}

impl Soak {
    /// Writes the images and an undisturbed build.
    fn prepare(seed: u64) -> Result<Soak> {
        let directory = root().join("target/soak");
        fresh(&directory)?;
        write_inputs(&directory)?;
        let mut soak = Soak {
            expected: BTreeMap::new(),
            time: Duration::ZERO,
            longest: 0,
            total: 0,
            random: Random(seed.max(1)),
            directory,
        };
        let packages = ["kernel", "init"];
        let mut command = Command::new(root().join("target/debug/moby"));
        command.args(["-q", "pkg", "build", "--arch", "amd64", "--cache", "images"]);
        succeed(command.args(packages).current_dir(&soak.directory))?;
        let (cache, out) = soak.fresh_directories("expected")?;
        let started = Instant::now();
        succeed(&mut soak.build(&cache, &out))?;
        soak.time = started.elapsed();
        soak.expected = compare::files(&out)?;
        for path in soak.expected.values() {
            let len = fs::metadata(path)
                .map_err(cannot(format!("read {}", path.display())))?
                .len();
            soak.longest = soak.longest.max(len);
            soak.total += len;
        }
        Ok(soak)
    }

    /// Creates an empty cache and an empty output directory.
    fn fresh_directories(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let directory = self.directory.join(name);
        let (cache, out) = (directory.join("cache"), directory.join("out"));
        fresh(&directory)?;
        for directory in [&cache, &out] {
            fs::create_dir(directory).map_err(cannot(format!("create {}", directory.display())))?;
        }
        Ok((cache, out))
    }

    /// Returns the command of a build.
    fn build(&self, cache: &Path, out: &Path) -> Command {
        let mut command = Command::new(root().join("target/debug/moby"));
        command.args(["-q", "build", "--arch", "amd64", "--layout", "images", "-f", FORMATS]);
        command
            .arg("--cache")
            .arg(cache)
            .arg("--dir")
            .arg(out)
            .arg("machine.yml");
        command.current_dir(&self.directory).env_remove("SOURCE_DATE_EPOCH");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Fails unless every file in `out` is an expected one.
    fn check(&self, out: &Path) -> Result<Outcome> {
        let found = compare::files(out)?;
        for (name, path) in &found {
            let expected = self
                .expected
                .get(name)
                .ok_or_else(|| Error::new(format!("{} is left over: the build does not write it", path.display())))?;
            compare::ensure_equal(expected, path)?;
        }
        Ok(if found.is_empty() {
            Outcome::Absent
        } else if found.len() < self.expected.len() {
            Outcome::Partial
        } else {
            Outcome::Complete
        })
    }

    /// Fails unless a build is undisturbed by what an earlier one left in its cache.
    fn rebuild(&self, cache: &Path, out: &Path) -> Result {
        succeed(&mut self.build(cache, out))?;
        if self.check(out)? != Outcome::Complete {
            return Err(Error::new(format!("outputs are missing in {}", out.display())));
        }
        Ok(())
    }

    /// Kills builds after random times.
    fn kills(&mut self, rounds: u32) -> Result {
        let mut tally = Tally::default();
        for round in 0..rounds {
            let (cache, out) = self.fresh_directories("kill")?;
            let limit = self.time.as_micros() as u64 * 11 / 10;
            let mut child = spawn(&mut self.build(&cache, &out))?;
            std::thread::sleep(Duration::from_micros(self.random.below(limit)));
            // A build that has ended cannot be killed.
            let _ = child.kill();
            child.wait().map_err(cannot("wait for moby"))?;
            tally.count(self.check(&out)?);
            if round % REBUILD == 0 {
                self.rebuild(&cache, &out)?;
            }
        }
        tally.print(rounds, "kills");
        Ok(())
    }

    /// Runs builds on a file system that becomes full, or with a limited length of files.
    fn full_disks(&mut self, rounds: u32) -> Result {
        let has_namespaces =
            output(Command::new("unshare").args(["-rm", "true"])).is_ok_and(|out| out.status.success());
        if !has_namespaces {
            println!("soak: no user namespaces here: the length of files is limited in place of a full file system");
        }
        let mut tally = Tally::default();
        for round in 0..rounds {
            let (cache, out) = self.fresh_directories("full")?;
            let (cache, out) = (cache.as_path(), out.as_path());
            let output = if has_namespaces && round % 2 == 0 {
                let kib = 1 + self.random.below(self.total * 11 / 10) / 1024;
                self.on_full_disk(out, kib)?
            } else {
                let kib = self.random.below(self.longest * 11 / 10) / 1024;
                self.with_file_limit(cache, out, kib)?
            };
            let outcome = self.check(out)?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            if output.status.success() != (outcome == Outcome::Complete) {
                return Err(Error::new(format!(
                    "a build ended with {} and left {outcome:?}: {stderr}",
                    output.status
                )));
            }
            if !output.status.success() && !stderr.starts_with("error: ") {
                return Err(Error::new(format!(
                    "a build ended with {} without an error: {stderr}",
                    output.status
                )));
            }
            if outcome == Outcome::Partial {
                return Err(Error::new(format!("a build left some of its outputs: {stderr}")));
            }
            tally.count(outcome);
        }
        tally.print(rounds, "full disks");
        Ok(())
    }

    /// Builds on a tmpfs of `kib` KiB, in a mount namespace, and copies the outputs to `out`.
    fn on_full_disk(&self, out: &Path, kib: u64) -> Result<Output> {
        let disk = self.directory.join("full/disk");
        fs::create_dir(&disk).map_err(cannot(format!("create {}", disk.display())))?;
        let script = r#"mount -t tmpfs -o "size=$1k" none "$2" && mkdir "$2/out" "$2/cache" || exit 99
            copy=$3; disk=$2; shift 3; "$@"; status=$?; cp -a "$disk/out/." "$copy" || exit 98; exit $status"#;
        let build = self.build(&disk.join("cache"), &disk.join("out"));
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", script, "sh"])
            .arg(kib.to_string())
            .arg(&disk)
            .arg(out);
        command.arg(build.get_program()).args(build.get_args());
        output(command.current_dir(&self.directory).stdin(Stdio::null()))
    }

    /// Builds with files of at most `kib` KiB. A longer write fails, as on a full file system.
    fn with_file_limit(&self, cache: &Path, out: &Path, kib: u64) -> Result<Output> {
        // bash counts KiB, dash half of that.
        let script = r#"trap "" XFSZ; ulimit -f "$1"; shift; exec "$@""#;
        let build = self.build(cache, out);
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash"]).arg(kib.to_string());
        command.arg(build.get_program()).args(build.get_args());
        output(command.current_dir(&self.directory).stdin(Stdio::null()))
    }

    /// Runs builds with one cache and one output directory at the same time.
    fn races(&mut self, rounds: u32) -> Result {
        for _ in 0..rounds {
            let (cache, out) = self.fresh_directories("race")?;
            let mut children = Vec::new();
            for _ in 0..RACERS {
                children.push(spawn(&mut self.build(&cache, &out))?);
                std::thread::sleep(Duration::from_micros(
                    self.random.below(self.time.as_micros() as u64 / 4),
                ));
            }
            for mut child in children {
                let status = child.wait().map_err(cannot("wait for moby"))?;
                if !status.success() {
                    return Err(Error::new(format!(
                        "one of {RACERS} builds at the same time ended with {status}"
                    )));
                }
            }
            if self.check(&out)? != Outcome::Complete {
                return Err(Error::new(format!(
                    "outputs are missing after {RACERS} builds at the same time"
                )));
            }
        }
        println!("soak: {rounds} races of {RACERS} builds: all outputs are identical");
        Ok(())
    }
}

/// Writes recipes of packages and a YAML that uses them.
fn write_inputs(directory: &Path) -> Result {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let noise: Vec<u8> = (0..250_000).flat_map(|_| random.next().to_le_bytes()).collect();
    let text: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    let kernel = "image: kernel\ncontents:\n  - file: /kernel\n    contents: MZ, a kernel\n";
    let init = "image: init\nentrypoint: [/bin/one]\ncontents:\n  - file: /init\n    mode: \"0755\"\n    contents: init\n  - copy: files\n    to: usr/share\n";
    let machine = "kernel: {image: \"@pkg:kernel\", cmdline: console=ttyS0, tar: none}\nboot: {initrd: \"@pkg:init\"}\ninit: [\"@pkg:init\"]\nonboot: [{name: one, image: \"@pkg:init\"}]\n";
    for (name, bytes) in [
        ("kernel/build.yml", kernel.as_bytes()),
        ("init/build.yml", init.as_bytes()),
        ("init/files/noise", &noise),
        ("init/files/text", text.as_bytes()),
        ("machine.yml", machine.as_bytes()),
    ] {
        let path = directory.join(name);
        let written = fs::create_dir_all(path.parent().unwrap_or(directory)).and_then(|()| fs::write(&path, bytes));
        written.map_err(cannot(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// Creates an empty directory.
fn fresh(directory: &Path) -> Result {
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(cannot(format!("remove {}", directory.display())))?;
    }
    fs::create_dir_all(directory).map_err(cannot(format!("create {}", directory.display())))
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(cannot(format!("run {command:?}")))
}

fn output(command: &mut Command) -> Result<Output> {
    command.output().map_err(cannot(format!("run {command:?}")))
}

fn succeed(command: &mut Command) -> Result {
    let output = output(command)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!(
            "{command:?} ended with {}: {stderr}",
            output.status
        )));
    }
    Ok(())
}

/// Pseudo-random numbers (xorshift64, Marsaglia 2003). The state is not 0.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `limit`, or 0.
    fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn rounds_are_parsed() {
        let options = parse("--sample --races 9 --seed 7").unwrap();
        assert_eq!(
            (options.kills, options.races, options.pulls, options.seed),
            (15, 9, 5, 7)
        );
        assert!(parse("--races").is_err() && parse("--races x").is_err() && parse("--rounds 1").is_err());
    }
}
