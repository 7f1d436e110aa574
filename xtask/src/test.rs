//! `cargo xtask test`: all tests, or a part of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::foreign::root;
use crate::tools;

/// Parts by the names of files in `tests`; all other tests are the rest.
const PARTS: &[(&str, &[&str])] = &[
    ("media", &["media"]),
    ("boots", &["alone", "arm64", "boot", "larger", "vm"]),
];

/// Installs what the tests need, and runs them, or a part of them.
pub fn run(part: Option<&str>) -> Result<(), String> {
    tools::install(part == Some("--all"))?;
    let Some(part) = part else {
        return cargo(&[]);
    };
    if part == "--all" {
        return cargo(&["--".into(), "--include-ignored".into()]);
    }
    if let Some((_, names)) = PARTS.iter().find(|(name, _)| *name == part) {
        return cargo(&select(names.iter().map(|name| (*name).to_owned())));
    }
    if part != "rest" {
        return Err(format!("{part} is not known\nhelp: media, boots, rest and --all are"));
    }
    let mut names = names(&root())?;
    for name in PARTS.iter().flat_map(|(_, names)| *names) {
        names.remove(*name);
    }
    let mut arguments = vec!["--lib".to_owned(), "--bins".to_owned()];
    arguments.extend(select(names.into_iter()));
    cargo(&arguments)?;
    cargo(&["--doc".into()])
}

fn cargo(arguments: &[String]) -> Result<(), String> {
    let arguments = arguments.iter().map(String::as_str);
    crate::run(
        "cargo",
        &["test", "--workspace"].into_iter().chain(arguments).collect::<Vec<_>>(),
    )
}

fn select(names: impl Iterator<Item = String>) -> Vec<String> {
    names.flat_map(|name| ["--test".to_owned(), name]).collect()
}

/// The names of all files of tests, in every package of the workspace.
fn names(root: &Path) -> Result<BTreeSet<String>, String> {
    let mut folders = vec![root.join("tests")];
    for group in ["formats", "pkg"] {
        folders.extend(
            list(&root.join(group))?
                .into_iter()
                .map(|package| package.join("tests")),
        );
    }
    let mut names = BTreeSet::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for path in list(folder)? {
            if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
    }
    Ok(names)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(listed.flatten().map(|entry| entry.path()).collect())
}
