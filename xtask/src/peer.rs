//! `cargo xtask bench --peer PATH`: `moby build` against `linuxkit build`, in turns and with one
//! layout. Their output is discarded.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::root;
use crate::error::{Error, Result, cannot};

/// Number of runs of each case, of which the median is printed.
const ROUNDS: usize = 5;
/// Example that is built: kernel, init, runc, dhcpcd and nginx.
const EXAMPLE: &str = "nginx";
/// YAML that adds containerd.
const CONTAINERD: &str = "init: [\"@pkg:../../pkg/containerd\"]\n";

/// A build to measure.
struct Case {
    name: &'static str,
    state: State,
    arguments: &'static [&'static str],
    /// Suffix of the file whose length is printed.
    file: &'static str,
}

/// State before a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// LinuxKit builds. It has no layer cache.
    Peer,
    /// The layer cache is empty.
    Cold,
    /// The layer cache is filled.
    Warm,
    /// The outputs are there, and nothing has changed.
    Unchanged,
}

const CASES: &[Case] = &[
    Case {
        name: "LinuxKit, tar",
        state: State::Peer,
        arguments: &["--format", "tar"],
        file: ".tar",
    },
    Case {
        name: "moby, tar, cold",
        state: State::Cold,
        arguments: &["--format", "tar"],
        file: ".tar",
    },
    Case {
        name: "moby, tar, warm layer cache",
        state: State::Warm,
        arguments: &["--format", "tar"],
        file: ".tar",
    },
    Case {
        name: "LinuxKit, kernel+initrd",
        state: State::Peer,
        arguments: &["--format", "kernel+initrd"],
        file: "-initrd.img",
    },
    Case {
        name: "moby, kernel+initrd, cold",
        state: State::Cold,
        arguments: &["--format", "kernel+initrd"],
        file: "-initrd.img",
    },
    Case {
        name: "moby, kernel+initrd, zstd, cold",
        state: State::Cold,
        arguments: &["--format", "kernel+initrd", "--compress", "zstd"],
        file: "-initrd.img",
    },
    Case {
        name: "moby, kernel+initrd, warm layer cache",
        state: State::Warm,
        arguments: &["--format", "kernel+initrd"],
        file: "-initrd.img",
    },
    Case {
        name: "moby, kernel+initrd, nothing changed",
        state: State::Unchanged,
        arguments: &["--format", "kernel+initrd"],
        file: "-initrd.img",
    },
];

/// Resources that a run took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Seconds.
    wall: f64,
    /// Seconds of user and system time.
    cpu: f64,
    /// Largest resident set, in kB.
    memory: f64,
}

/// Prints a table in Markdown; without a peer, for moby alone.
pub fn run(peer: Option<&Path>) -> Result {
    crate::run("cargo", &["build", "--release", "--package", "moby"])?;
    let moby = root().join("target/release/moby");
    let (work, cache) = (root().join("target/bench-peer"), root().join("target/test-cache"));
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work).map_err(cannot(format!("create {}", work.display())))?;
    let more = work.join("more.yml");
    std::fs::write(&more, CONTAINERD).map_err(cannot(format!("write {}", more.display())))?;
    // The packages are built, and their directories become names that both know.
    let yaml = work.join(format!("{EXAMPLE}.yml"));
    let build = |arguments: &[&str]| {
        let mut build = Command::new(&moby);
        build.args(["-q", "build", "--cache"]).arg(&cache).args(arguments);
        build.arg(root().join("examples").join(format!("{EXAMPLE}.yml")));
        let built = build.arg(&more).output().map_err(cannot("run moby"))?;
        if built.status.success() {
            Ok(built.stdout)
        } else {
            Err(Error::new(String::from_utf8_lossy(&built.stderr)))
        }
    };
    let packages = work.join("packages.tar");
    build(&["-f", "tar", "-o", &packages.display().to_string()])?;
    let resolved = build(&["--dry-run"])?;
    std::fs::write(&yaml, resolved).map_err(cannot(format!("write {}", yaml.display())))?;
    // Each has a cache of its own, since LinuxKit writes to it, too.
    for name in ["cold", "warm", "peer"] {
        let mut copy = Command::new("sh");
        copy.args([
            "-c",
            r#"mkdir -p "$2" && cd "$1" && cp -r blobs index.json oci-layout "$2""#,
            "sh",
        ]);
        copy.arg(&cache).arg(work.join(name));
        crate::command::succeed(copy)?;
    }
    let cases = CASES.iter().filter(|case| peer.is_some() || case.state != State::Peer);
    let cases: Vec<&Case> = cases.collect();
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); cases.len()];
    let mut lengths = vec![0; cases.len()];
    // The first round warms the caches of the host.
    for round in 0..=ROUNDS {
        for (number, case) in cases.iter().enumerate() {
            let program = match (case.state, peer) {
                (State::Peer, Some(peer)) => peer,
                _ => &moby,
            };
            let (cost, length) = once(program, case, &work, &yaml)?;
            if round > 0 {
                costs.get_mut(number).into_iter().for_each(|costs| costs.push(cost));
                lengths.get_mut(number).into_iter().for_each(|known| *known = length);
            }
        }
    }
    println!("| what | wall | user and system | memory | file |\n| --- | --- | --- | --- | --- |");
    for ((case, costs), length) in cases.iter().zip(&costs).zip(&lengths) {
        println!(
            "| {} | {:.2} s | {:.2} s | {:.0} MB | {:.1} MB |",
            case.name,
            median(costs, |cost| cost.wall),
            median(costs, |cost| cost.cpu),
            median(costs, |cost| cost.memory) / 1024.0,
            *length as f64 / 1e6
        );
    }
    Ok(())
}

fn once(program: &Path, case: &Case, work: &Path, yaml: &Path) -> Result<(Cost, u64)> {
    let cache = work.join(match case.state {
        State::Peer => "peer",
        State::Cold => "cold",
        State::Warm | State::Unchanged => "warm",
    });
    if case.state == State::Cold {
        let _ = std::fs::remove_dir_all(cache.join("moby/layers"));
    }
    let is_unchanged = case.state == State::Unchanged;
    let out = work.join(if is_unchanged { "unchanged" } else { "out" });
    let measured = work.join("cost");
    if !is_unchanged {
        let _ = std::fs::remove_dir_all(&out);
    }
    std::fs::create_dir_all(&out).map_err(cannot(format!("create {}", out.display())))?;
    let mut command = Command::new("time");
    command.args(["-f", "%e %U %S %M", "-o"]).arg(&measured).arg(program);
    command
        .args(["build", "--no-sbom", "--cache"])
        .arg(&cache)
        .args(case.arguments);
    if matches!(case.state, State::Cold | State::Warm) {
        command.arg("--rebuild");
    }
    command.arg("--dir").arg(&out).arg(yaml);
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(cannot("run time"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("{}: {command:?}: {stderr}", case.name)));
    }
    let file: PathBuf = out.join(format!("{EXAMPLE}{}", case.file));
    let length = std::fs::metadata(&file).map_err(cannot(format!("read {}", file.display())))?;
    let text = std::fs::read_to_string(&measured).map_err(cannot(format!("read {}", measured.display())))?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [wall, user, system, memory] => {
            let cost = Cost {
                wall: *wall,
                cpu: user + system,
                memory: *memory,
            };
            Ok((cost, length.len()))
        }
        _ => Err(Error::new(format!("cannot parse the output of time: {text:?}"))),
    }
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut all: Vec<f64> = costs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}
