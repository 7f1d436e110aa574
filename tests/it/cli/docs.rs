//! The documentation: the command-line reference and the manual pages that are generated from clap, links, the table
//! of formats, and the YAML in the pages. `cargo xtask docs` writes what is generated.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Arg;

/// Set by `cargo xtask docs`: generated files are written, not compared.
const UPDATE: &str = "UPDATE_DOCS";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The definition of the command line with the names of all subcommands filled in.
fn command() -> clap::Command {
    let mut command = moby::cli::command();
    command.build();
    command
}

// ---- The command-line reference ----

#[test]
fn command_line_reference_is_current() {
    let path = root().join("docs/reference/cli.md");
    let expected = reference(&command());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/reference/cli.md is not what the command line says; run `cargo xtask docs`"
    );
}

fn reference(moby: &clap::Command) -> String {
    let mut text = String::from(
        "<!-- Generated from src/cli by `cargo xtask docs`. Do not edit. -->\n\n# Command-line reference\n\n",
    );
    writeln!(text, "{}.\n", moby.get_about().unwrap()).unwrap();
    text.push_str("    moby [OPTIONS] COMMAND\n\n`moby COMMAND --help` prints the same text in a terminal.\n\n");
    text.push_str("## Options of every command\n\n");
    for arg in options(moby).filter(|arg| arg.is_global_set()) {
        text.push_str(&option(arg));
    }
    text.push_str("- `-h`, `--help`: Print help\n- `-V`, `--version`: Print version\n\n");
    for sub in commands(moby) {
        section(&mut text, sub, "moby");
    }
    text.push_str("## Exit status and environment\n\n```text\n");
    writeln!(text, "{}\n```", moby.get_after_long_help().unwrap()).unwrap();
    text
}

fn commands(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.filter(|sub| sub.get_name() != "help")
}

fn options(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
}

fn section(text: &mut String, command: &clap::Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    writeln!(text, "## {name}\n\n{}.\n", command.get_about().unwrap()).unwrap();
    let mut usage = command.clone().render_usage().to_string();
    usage = usage.trim_start_matches("Usage: ").to_owned();
    writeln!(text, "    {usage}\n").unwrap();
    let own: Vec<&Arg> = options(command).filter(|arg| !arg.is_global_set()).collect();
    for arg in own.iter().filter(|arg| arg.is_positional()) {
        let help = help(arg);
        writeln!(text, "- `{}`: {help}", arg.get_value_names().unwrap().join(" ")).unwrap();
    }
    let mut headings: Vec<Option<&str>> = own.iter().map(|arg| arg.get_help_heading()).collect();
    headings.sort_unstable();
    headings.dedup();
    for heading in headings {
        if let Some(heading) = heading {
            writeln!(text, "\n{heading}:\n").unwrap();
        }
        let group = own.iter().filter(|arg| arg.get_help_heading() == heading);
        for arg in group.filter(|arg| !arg.is_positional()) {
            text.push_str(&option(arg));
        }
    }
    if !own.is_empty() {
        text.push('\n');
    }
    for sub in commands(command) {
        section(text, sub, &name);
    }
}

fn option(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("`-{short}`")));
    let value = if arg.get_action().takes_values() {
        let name = arg.get_value_names().unwrap().join(" ");
        let is_optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
        if is_optional {
            format!("[={name}]")
        } else {
            format!(" {name}")
        }
    } else {
        String::new()
    };
    names.extend(arg.get_long().map(|long| format!("`--{long}{value}`")));
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    names.extend(aliases.iter().map(|alias| format!("`--{alias}`")));
    format!("- {}: {}\n", names.join(", "), help(arg))
}

fn help(arg: &Arg) -> String {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    assert!(!help.is_empty(), "{} has no help", arg.get_id());
    let values = if arg.get_action().takes_values() && !arg.is_hide_possible_values_set() {
        arg.get_possible_values()
    } else {
        Vec::new()
    };
    for value in values {
        let about = value.get_help().map(ToString::to_string).unwrap_or_default();
        write!(help, "; `{}`: {about}", value.get_name()).unwrap();
    }
    let host = arg.get_id() == "arch";
    if !host
        && !arg.is_hide_default_value_set()
        && !arg.get_default_values().is_empty()
        && arg.get_action().takes_values()
    {
        let default: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        write!(help, " [default: {}]", default.join(" ")).unwrap();
    }
    help
}

// ---- Manual pages ----

#[test]
fn manual_pages_are_generated() {
    let mut pages = Vec::new();
    manual(&command(), &mut pages);
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["moby", "moby-build", "moby-run", "moby-cache-export", "moby-pkg-build"] {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    for (name, page) in &pages {
        let page = String::from_utf8_lossy(page);
        assert!(page.contains(".TH") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    if std::env::var_os(UPDATE).is_some() {
        let dir = root().join("target/man");
        fs::create_dir_all(&dir).unwrap();
        for (name, page) in &pages {
            fs::write(dir.join(format!("{name}.1")), page).unwrap();
        }
    }
}

/// Renders the page of a command and those of its subcommands.
fn manual(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .date("")
        .render(&mut page)
        .unwrap();
    pages.push((name.to_owned(), page));
    for sub in commands(command) {
        manual(sub, pages);
    }
}

// ---- Links ----

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if path.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(path)
            };
            let good =
                file.exists() && (anchor.is_empty() || anchors(&fs::read_to_string(&file).unwrap()).contains(anchor));
            if !good {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_index() {
    let index = root().join("docs/README.md");
    let linked: BTreeSet<PathBuf> = links(&fs::read_to_string(&index).unwrap())
        .iter()
        .filter_map(|target| root().join("docs").join(target.split('#').next()?).canonicalize().ok())
        .collect();
    let missing: Vec<PathBuf> = pages()
        .into_iter()
        .filter(|page| page.starts_with(root().join("docs")) && *page != index)
        .filter(|page| !linked.contains(&page.canonicalize().unwrap()))
        .collect();
    assert!(missing.is_empty(), "docs/README.md has no link to {missing:?}");
}

/// All pages of the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut dirs = vec![root()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                dirs.push(path);
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// Lines of a page that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    })
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        for part in line.split("](").skip(1) {
            found.extend(part.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let slug = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let anchor = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        anchor.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

// ---- Facts ----

#[test]
fn every_format_is_in_the_reference() {
    let page = fs::read_to_string(root().join("docs/reference/formats.md")).unwrap();
    let listed = Command::new(env!("CARGO_BIN_EXE_moby"))
        .args(["formats", "--names"])
        .output()
        .unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    assert!(names.lines().count() > 30, "{names}");
    let missing: Vec<&str> = names
        .lines()
        .filter(|name| {
            !page
                .lines()
                .any(|line| line.starts_with("| `") && line.contains(&format!("`{name}`")))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "docs/reference/formats.md has no row for {missing:?}"
    );
}

#[test]
fn the_architecture_lists_every_module_and_crate() {
    let page = fs::read_to_string(root().join("docs/internals/architecture.md")).unwrap();
    let listed = |name: &str| {
        page.lines()
            .any(|line| line.starts_with("| ") && line.contains(&format!("`{name}`")))
    };
    let mut missing = Vec::new();
    for dir in ["src", "formats"] {
        for entry in fs::read_dir(root().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if !["lib", "main"].contains(&name.as_str()) && !listed(&name) {
                missing.push(format!("{dir}/{name}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "docs/internals/architecture.md does not list {missing:?}"
    );
}

#[test]
fn the_yaml_of_the_pages_is_valid() {
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("\n```yaml\n").skip(1) {
            let (yaml, _) = block.split_once("\n```").unwrap();
            check(&page, yaml);
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} blocks");
}

#[test]
fn the_recipes_of_the_pages_are_valid() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipe");
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("\n```yaml build.yml\n").skip(1) {
            let (recipe, _) = block.split_once("\n```").unwrap();
            // The pages show parts of recipes, and a program that is not in this workspace.
            let mut recipe = recipe.replace("cargo: my-app", "cargo: moby-init");
            if !recipe.contains("image: ") {
                recipe.insert_str(0, "image: part\n");
            }
            fs::create_dir_all(dir.join("files")).unwrap();
            fs::write(dir.join("my.config"), "").unwrap();
            fs::write(dir.join("build.yml"), &recipe).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_moby"))
                .args(["pkg", "show-tag"])
                .arg(&dir)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}:\n{recipe}\n{errors}", page.display());
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked} recipes");
}

/// Checks a YAML as if it were in `examples`, where packages are `@pkg:../pkg/NAME`.
fn check(page: &Path, yaml: &str) {
    let mut moby = Command::new(env!("CARGO_BIN_EXE_moby"))
        .args(["check", "-"])
        .current_dir(root().join("examples"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    moby.stdin.take().unwrap().write_all(yaml.as_bytes()).unwrap();
    let output = moby.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}:\n{yaml}\n{}",
        page.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}
