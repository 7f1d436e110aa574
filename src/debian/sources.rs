//! The host's list of package sources with one more component (sources.list(5)). Firmware, for
//! example, is not in `main`, and few hosts list another component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Error;
use crate::bounded;

/// Maximum length of a list of sources, in bytes.
const MAX_SOURCES: u64 = 1 << 20;

/// Writes the host's sources with `component` into `directory`, and returns the settings by which
/// apt-get reads them.
///
/// # Errors
/// A directory that cannot be written, and a host without apt.
pub fn with_component(component: &str, directory: &Path) -> Result<[String; 2], Error> {
    let (list, parts) = host_sources()?;
    let mut files: Vec<PathBuf> = fs::read_dir(&parts)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.push(list);
    let copies = directory.join("parts");
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { action, path, source }
    };
    if copies.exists() {
        // Files that the host no longer has.
        fs::remove_dir_all(&copies).map_err(failed("clear", &copies))?;
    }
    fs::create_dir_all(&copies).map_err(failed("create", &copies))?;
    for file in files {
        let extend: fn(&str, &str) -> String = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => extend_deb822,
            Some("list") => extend_one_line,
            _ => continue,
        };
        let Ok(text) = bounded::text(&file, MAX_SOURCES) else {
            continue;
        };
        let copy = copies.join(file.file_name().unwrap_or_default());
        fs::write(&copy, extend(&text, component)).map_err(failed("write", &copy))?;
    }
    let absolute = std::path::absolute(&copies).unwrap_or(copies);
    Ok([
        "Dir::Etc::sourcelist=/dev/null".into(),
        format!("Dir::Etc::sourceparts={}", absolute.display()),
    ])
}

/// Returns the file and the directory in which the host's apt has its sources.
fn host_sources() -> Result<(PathBuf, PathBuf), Error> {
    let output = Command::new("apt-config")
        .args([
            "shell",
            "LIST",
            "Dir::Etc::sourcelist/f",
            "PARTS",
            "Dir::Etc::sourceparts/d",
        ])
        .output()
        .map_err(|source| Error::Program {
            program: "apt-config",
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |name: &str, default: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        PathBuf::from(found.unwrap_or(default).trim_matches('\''))
    };
    Ok((
        value("LIST", "/etc/apt/sources.list"),
        value("PARTS", "/etc/apt/sources.list.d"),
    ))
}

/// Adds a component to a list of components that has `main`.
fn add_component(components: &str, component: &str) -> String {
    let mut words = components.split_whitespace();
    let is_listed = words.clone().any(|word| word == component);
    if words.any(|word| word == "main") && !is_listed {
        format!("{} {component}", components.trim_end())
    } else {
        components.to_owned()
    }
}

/// Adds a component to the stanzas of a `.sources` file.
fn extend_deb822(text: &str, component: &str) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some((key, value)) if key.eq_ignore_ascii_case("components") => {
            format!("{key}:{}\n", add_component(value, component))
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Adds a component to the entries of a `.list` file.
fn extend_one_line(text: &str, component: &str) -> String {
    let line = |line: &str| {
        if !line.trim_start().starts_with("deb") {
            return format!("{line}\n");
        }
        let (entry, comment) = line
            .split_once('#')
            .map_or((line, None), |(entry, rest)| (entry, Some(rest)));
        let comment = comment.map(|text| format!(" #{text}")).unwrap_or_default();
        format!("{}{comment}\n", add_component(entry, component))
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_added_to_main() {
        let text =
            "Types: deb\nURIs: http://example.org/debian\nSuites: stable\nComponents: main\n\nComponents: other\n";
        let expected = text.replace("Components: main", "Components: main firmware");
        assert_eq!(extend_deb822(text, "firmware"), expected);
        assert_eq!(extend_deb822(&expected, "firmware"), expected);
        let text = "# deb x y main\ndeb [arch=amd64] http://example.org/debian stable main contrib # mine\ndeb-src x y main\ndeb x y/\n";
        let expected = "# deb x y main\ndeb [arch=amd64] http://example.org/debian stable main contrib firmware # mine\ndeb-src x y main firmware\ndeb x y/\n";
        assert_eq!(extend_one_line(text, "firmware"), expected);
    }
}
