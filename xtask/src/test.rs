//! `cargo xtask test`: all tests, or a part of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::root;
use crate::error::{Error, Result, cannot};
use crate::tools;

/// The test binary of the tool, `tests/it`.
const TOOL: &str = "it";
/// The modules that need nothing installed.
const FAST: &[&str] = &["cli::"];
/// Parts that run modules of it. The rest is everything but these and the fast tests.
const PARTS: &[(&str, &[&str])] = &[("formats", &["formats::"]), ("boots", &["boot::"])];

/// Runs all tests, or a part of them, after installing what they need.
pub fn run(part: Option<&str>) -> Result {
    if part == Some("fast") {
        cargo(&["--lib", "--bins"], &[])?;
        return cargo(&["--test", TOOL], FAST);
    }
    tools::install(part == Some("--all"))?;
    let Some(part) = part else {
        return cargo(&[], &[]);
    };
    if part == "--all" {
        return cargo(&[], &["--include-ignored"]);
    }
    if let Some((_, modules)) = PARTS.iter().find(|(name, _)| *name == part) {
        return cargo(&["--test", TOOL], modules);
    }
    if part != "rest" {
        let message = format!("unknown part of the tests {part:?}");
        return Err(Error::new(message).help("use fast, formats, boots, rest or --all"));
    }
    let names = names(&root())?;
    let others: Vec<&str> = names.iter().flat_map(|name| ["--test", name.as_str()]).collect();
    cargo(&others, &[])?;
    let modules = PARTS.iter().flat_map(|(_, modules)| *modules).chain(FAST);
    let skipped: Vec<&str> = modules.flat_map(|module| ["--skip", *module]).collect();
    cargo(&["--test", TOOL], &skipped)?;
    cargo(&["--doc"], &[])
}

/// Runs `cargo test` on the whole workspace, so that every part compiles the dependencies with the
/// same features.
fn cargo(targets: &[&str], arguments: &[&str]) -> Result {
    let all = [&["test", "--workspace"], targets, &["--"], arguments].concat();
    crate::run("cargo", &all)
}

/// Lists the test files of all packages except moby.
fn names(root: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for group in ["formats", "pkg"] {
        for package in list(&root.join(group))? {
            let tests = package.join("tests");
            for path in tests.is_dir().then(|| list(&tests)).transpose()?.into_iter().flatten() {
                if path.extension().is_some_and(|extension| extension == "rs") {
                    names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
                }
            }
        }
    }
    Ok(names)
}

fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(directory).map_err(cannot(format!("read {}", directory.display())))?;
    Ok(listed.flatten().map(|entry| entry.path()).collect())
}
