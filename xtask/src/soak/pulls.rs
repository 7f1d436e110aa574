//! Builds that pull their images, several with one cache, and are killed. What they leave in the cache
//! must be intact, and the next build must have the same outputs.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{FORMATS, Outcome, Soak, Tally, compare, fresh, output, root, spawn, succeed};
use crate::error::{Error, Result, cannot};

/// Number of builds at the same time.
const PULLERS: usize = 3;
/// Longest wait for the registry, until it listens.
const START: Duration = Duration::from_secs(60);

/// Debian's docker-registry, which ends with this value.
struct Registry {
    child: Child,
    host: String,
}

impl Registry {
    fn start(directory: &Path) -> Result<Registry> {
        fresh(directory)?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot("find a free port"))?;
        let address = listener.local_addr().map_err(cannot("find a free port"))?;
        drop(listener);
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            directory.join("data").display()
        );
        let path = directory.join("registry.yml");
        fs::write(&path, config).map_err(cannot(format!("write {}", path.display())))?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawn(&mut command)
            .map_err(|error| error.help("install docker-registry, or leave this part out with --pulls 0"))?;
        let registry = Registry {
            child,
            host: address.to_string(),
        };
        let end = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(Error::new("docker-registry does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Soak {
    /// Kills builds that pull their images.
    pub fn pulls(&mut self, rounds: u32) -> Result {
        if rounds == 0 {
            return Ok(());
        }
        let registry = Registry::start(&self.directory.join("registry"))?;
        self.push(&registry.host)?;
        let (cache, out) = self.fresh_directories("pulled")?;
        let started = Instant::now();
        succeed(&mut self.pulling_build(&cache, &out))?;
        let time = started.elapsed();
        self.expected = compare::files(&out)?;
        let mut tally = Tally::default();
        for _ in 0..rounds {
            let (cache, out) = self.fresh_directories("pull")?;
            let outs = (0..PULLERS).map(|number| out.join(number.to_string()));
            let outs: Vec<_> = outs.collect();
            let mut children = Vec::new();
            for out in &outs {
                fs::create_dir(out).map_err(cannot(format!("create {}", out.display())))?;
                children.push(spawn(&mut self.pulling_build(&cache, out))?);
            }
            let limit = time.as_micros() as u64 * 2;
            for mut child in children {
                std::thread::sleep(Duration::from_micros(self.random.below(limit / PULLERS as u64)));
                // A build that has ended cannot be killed.
                let _ = child.kill();
                child.wait().map_err(cannot("wait for moby"))?;
            }
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
        Ok(())
    }

    /// Pushes the images of the packages, and writes a YAML that names them there.
    fn push(&self, host: &str) -> Result {
        let listed = output(&mut self.moby(&["cache", "ls", "--names", "--cache", "images"]))?;
        let mut yaml = fs::read_to_string(self.directory.join("machine.yml")).map_err(cannot("read machine.yml"))?;
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            let last = name.rsplit('/').next().unwrap_or_default();
            let package = last.split(':').next().unwrap_or_default();
            let pushed = format!("{host}/{last}");
            succeed(&mut self.moby(&["-q", "cache", "push", "--cache", "images", name, &pushed]))?;
            yaml = yaml.replace(&format!("@pkg:{package}"), &pushed);
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
