//! The project's own commands: `cargo xtask test` and others.

mod bench;
mod command;
mod compare;
mod cross;
mod debian;
mod deny;
mod dist;
mod docs;
mod error;
mod fuzz;
mod inputs;
mod macos;
mod npm;
mod package;
mod peer;
mod python;
mod recipes;
mod registry;
mod soak;
mod test;
mod tools;
mod verity;
mod windows;

use std::process::{Command, ExitCode};

use error::{Error, Result, cannot};

const HELP: &str = "\
cargo xtask test          install what the tests need (as root), and run all of them
cargo xtask test fast     run the tests that need no root, no network and no QEMU
cargo xtask test PART     run another part of the tests: formats, boots or rest, each below ten minutes
cargo xtask test --all    run all tests and those that compile a kernel, half an hour more
cargo xtask bench         time the formats against the programs that write the same
                          --peer PATH compares `moby build` with the linuxkit program at PATH
                          --verity compares hash trees of 1 GiB with veritysetup
                          --registry compares pulls from docker-registry on loopback with skopeo
cargo xtask fuzz [SECONDS]
                          run each fuzz target for SECONDS [default: 60]
                          `fuzz --ci [SECONDS]` runs only the parsers of untrusted input
cargo xtask fuzz check    compile the fuzz targets
cargo xtask soak          kill builds, fill their disks, race them, and kill pulls: 500, 200, 100 and 200 times
                          --kills N, --full-disks N, --races N, --pulls N, --seed N; --sample runs a few of each
cargo xtask windows       build moby.exe, run it under wine, and compare its output with Linux
                          `windows build` and `windows run` do one of the two
cargo xtask package       package the crates of formats/, and build each from its package
cargo xtask macos         check that moby and its tests compile for macOS
cargo xtask deny          check licences, advisories and sources of the dependencies
cargo xtask docs          write docs/reference/cli.md and the manual pages in target/man
                          --check compares, and checks links, YAML and tables of the pages
cargo xtask dist [PLATFORM...]
                          write archives for users into target/dist: linux-amd64, linux-arm64, windows-amd64
                          --check writes that of this host from a debug build, unpacks and tries it
";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let option = std::env::args().nth(2);
    let done = match task.as_str() {
        "test" => test::run(option.as_deref()),
        "bench" => match option.as_deref() {
            None | Some("--formats") => tools::install(false).and_then(|()| bench::formats()),
            Some("--peer") => {
                let peer = std::env::args_os().nth(3);
                tools::install(false).and_then(|()| peer::run(peer.as_ref().map(std::path::Path::new)))
            }
            Some("--registry") => tools::install(false).and_then(|()| bench::pulls()),
            Some("--verity") => tools::install(false).and_then(|()| verity::run()),
            Some(other) => Err(Error::new(format!("unknown option {other}"))
                .help("use --peer [PATH] to compare with a linuxkit program, --registry or --verity")),
        },
        "fuzz" => fuzz::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        "soak" => soak::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        "windows" => windows::run(option.as_deref()),
        "macos" => macos::check(),
        "package" => package::check(),
        "deny" => deny::check(),
        "docs" => docs::run(option.as_deref()),
        "dist" => dist::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result {
    let status = Command::new(program).args(arguments).status();
    let status = status.map_err(cannot(format!("run {program}")))?;
    if !status.success() {
        return Err(Error::new(format!(
            "{program} {} ended with {status}",
            arguments.join(" ")
        )));
    }
    Ok(())
}
