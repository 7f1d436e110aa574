//! Builds that pull their images, several with one cache, and are killed. What they leave in the cache
//! must be intact, and the next build must have the same outputs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Outcome, Random, Soak, Tally, compare, fresh, output, root, spawn, succeed};
use crate::error::{Error, Result, cannot};
use crate::registry::Registry;

/// Number of builds at the same time.
const PULLERS: usize = 3;
/// Formats of these builds: few, so that most kills hit the pull.
const FORMATS: &str = "kernel+initrd,tar";
/// Packages that make the pull long enough to be hit: several, and of this number of random bytes each.
const LARGE: [&str; 3] = ["large0", "large1", "large2"];
const LARGE_LEN: usize = 8 << 20;

impl Soak {
    /// Kills builds that pull their images.
    pub fn pulls(&mut self, rounds: u32) -> Result {
        if rounds == 0 {
            return Ok(());
        }
        let directory = self.directory.join("registry");
        fresh(&directory)?;
        let registry = Registry::start(&directory)?;
        self.push(&registry.host)?;
        let (cache, out) = self.fresh_directories("pulled")?;
        let started = Instant::now();
        succeed(&mut self.pulling_build(&cache, &out))?;
        let limit = started.elapsed().as_micros() as u64 * 2;
        self.expected = compare::files(&out)?;
        let total = pulled_len(&cache)?;
        let mut tally = Tally::default();
        let mut interrupted = 0;
        for round in 0..rounds {
            let (cache, out) = self.fresh_directories("pull")?;
            let outs = (0..PULLERS).map(|number| out.join(number.to_string()));
            let outs: Vec<_> = outs.collect();
            let mut children = Vec::new();
            for out in &outs {
                fs::create_dir(out).map_err(cannot(format!("create {}", out.display())))?;
                children.push(spawn(&mut self.pulling_build(&cache, out))?);
            }
            // Half of the kills hit the pull, the others any part of the build.
            let mut lens: Vec<u64> = outs.iter().map(|_| self.random.below(total)).collect();
            lens.sort();
            for (mut child, len) in children.into_iter().zip(lens) {
                if round % 2 == 0 {
                    wait_for(&mut child, &cache, len)?;
                } else {
                    std::thread::sleep(Duration::from_micros(self.random.below(limit / PULLERS as u64)));
                }
                // A build that has ended cannot be killed.
                let _ = child.kill();
                child.wait().map_err(cannot("wait for moby"))?;
            }
            let partial = file_lens(&cache.join("moby/downloads"))?;
            interrupted += u32::from(partial.iter().any(|len| *len > 0));
            for out in &outs {
                tally.count(self.check(out)?);
            }
            succeed(self.moby(&["-q", "cache", "verify", "--cache"]).arg(&cache))?;
            let last = out.join("last");
            succeed(&mut self.pulling_build(&cache, &last))?;
            if self.check(&last)? != Outcome::Complete {
                return Err(Error::new(format!("outputs are missing in {}", last.display())));
            }
            succeed(self.moby(&["-q", "cache", "verify", "--cache"]).arg(&cache))?;
        }
        tally.print(rounds * PULLERS as u32, "kills during pulls, with intact caches");
        println!("soak: {interrupted} of {rounds} rounds left a part of a download");
        Ok(())
    }

    /// Builds large packages, pushes the images of all packages, and writes a YAML that names them there.
    fn push(&self, host: &str) -> Result {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for name in LARGE {
            let directory = self.directory.join(name);
            fresh(&directory)?;
            let noise: Vec<u8> = (0..LARGE_LEN / 8).flat_map(|_| random.next().to_le_bytes()).collect();
            let recipe = format!("image: {name}\ncontents:\n  - copy: noise\n    to: usr/share/{name}\n");
            let written =
                fs::write(directory.join("noise"), noise).and_then(|()| fs::write(directory.join("build.yml"), recipe));
            written.map_err(cannot(format!("write {}", directory.display())))?;
        }
        let mut build = self.moby(&["-q", "pkg", "build", "--arch", "amd64", "--cache", "images"]);
        succeed(build.args(LARGE))?;
        let mut list = self.moby(&["cache", "ls", "--names", "--cache", "images"]);
        let listed = output(list.stdout(Stdio::piped()))?;
        let mut yaml = fs::read_to_string(self.directory.join("machine.yml")).map_err(cannot("read machine.yml"))?;
        let large: String = LARGE.iter().map(|name| format!("  - \"@pkg:{name}\"\n")).collect();
        yaml = yaml.replace("init: [\"@pkg:init\"]\n", &format!("init:\n  - \"@pkg:init\"\n{large}"));
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            let last = name.rsplit('/').next().unwrap_or_default();
            let package = last.split(':').next().unwrap_or_default();
            let pushed = format!("{host}/{last}");
            succeed(&mut self.moby(&["-q", "cache", "push", "--cache", "images", name, &pushed]))?;
            yaml = yaml.replace(&format!("@pkg:{package}"), &pushed);
        }
        if yaml.contains("@pkg:") {
            return Err(Error::new(format!(
                "pulled.yml does not pull all of its images: {yaml}"
            )));
        }
        fs::write(self.directory.join("pulled.yml"), yaml).map_err(cannot("write pulled.yml"))
    }

    /// Returns the command of a build that has no images but those of the registry.
    fn pulling_build(&self, cache: &Path, out: &Path) -> Command {
        let mut command = self.moby(&["-q", "build", "--arch", "amd64", "-f", FORMATS, "pulled.yml"]);
        command.arg("--cache").arg(cache).arg("--dir").arg(out);
        command.stderr(Stdio::null());
        command
    }

    fn moby(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(root().join("target/debug/moby"));
        command.args(arguments).current_dir(&self.directory);
        command.env_remove("SOURCE_DATE_EPOCH").env_remove("MOBY_OFFLINE");
        command.env("NO_PROXY", "127.0.0.1");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// Waits until a cache has so many bytes of images, or the build ends.
fn wait_for(child: &mut Child, cache: &Path, len: u64) -> Result {
    while child.try_wait().map_err(cannot("wait for moby"))?.is_none() && pulled_len(cache)? < len {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Returns the number of bytes that have been downloaded to a cache.
fn pulled_len(cache: &Path) -> Result<u64> {
    let lens = ["blobs/sha256", "moby/downloads"].map(|directory| file_lens(&cache.join(directory)));
    let [blobs, partial] = lens;
    Ok(blobs?.iter().chain(&partial?).sum())
}

/// Returns the lengths of the files in a directory, which need not exist.
fn file_lens(directory: &Path) -> Result<Vec<u64>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let files = fs::read_dir(directory).map_err(cannot(format!("read {}", directory.display())))?;
    // Downloads get another name when they are complete.
    let lens = files.flatten().filter_map(|file| Some(file.metadata().ok()?.len()));
    Ok(lens.collect())
}
