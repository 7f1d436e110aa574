//! What a developer runs: `cargo xtask test`.

mod bench;
mod debian;
mod deny;
mod docs;
mod foreign;
mod fuzz;
mod inputs;
mod macos;
mod peer;
mod test;
mod tools;
mod windows;

use std::process::{Command, ExitCode};

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
            Some(other) => Err(format!(
                "{other} is not known\nhelp: --peer [PATH] compares with a linuxkit program"
            )),
        },
        "fuzz" => match option.as_deref() {
            Some("check") => fuzz::check(),
            seconds => fuzz::run(seconds),
        },
        "windows" => windows::run(option.as_deref()),
        "macos" => macos::check(),
        "deny" => deny::check(),
        "docs" => docs::run(option.as_deref()),
        _ => {
            eprintln!("cargo xtask test     install what the tests need, and run them, boots included");
            eprintln!(
                "                     `test media`, `test boots` and `test rest` are its parts, of some minutes each;"
            );
            eprintln!("                     `test --all` runs those as well that compile a kernel, half an hour more");
            eprintln!("cargo xtask bench    time the formats against the programs that do the same");
            eprintln!("                     --peer PATH compares `moby build` with the linuxkit program at PATH");
            eprintln!("cargo xtask fuzz     run each fuzz target for a minute, or for so many seconds;");
            eprintln!("                     `fuzz check` only compiles them");
            eprintln!("cargo xtask windows  build moby.exe, run it under wine, and compare what it writes with Linux;");
            eprintln!("                     `windows build` and `windows run` do one of the two");
            eprintln!("cargo xtask macos    check that moby and its tests compile for macOS");
            eprintln!("cargo xtask deny     check licences, advisories and sources of the dependencies");
            eprintln!("cargo xtask docs     write docs/reference/cli.md and the manual pages in target/man;");
            eprintln!("                     --check compares, and checks links, YAML and tables of the pages");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} {} ended with {status}", arguments.join(" "))),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}
