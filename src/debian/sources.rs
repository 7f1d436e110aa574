//! The host's list of package sources with one more component (sources.list(5)): firmware, say,
//! is not in `main`, and few hosts have more than that.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes the host's sources with the component into a folder, and returns the options by which
/// apt-get takes them.
pub fn with_component(component: &str, folder: &Path) -> Result<[String; 2], String> {
    let (list, parts) = places()?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(&parts)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.push(list);
    let copies = folder.join("parts");
    if copies.exists() {
        // What the host does not have any more.
        std::fs::remove_dir_all(&copies).map_err(|error| format!("cannot clear {}: {error}", copies.display()))?;
    }
    std::fs::create_dir_all(&copies).map_err(|error| format!("cannot make {}: {error}", copies.display()))?;
    for file in files {
        let extended: fn(&str, &str) -> String = match file.extension().and_then(|end| end.to_str()) {
            Some("sources") => stanzas,
            Some("list") => lines,
            _ => continue,
        };
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let copy = copies.join(file.file_name().unwrap_or_default());
        let written = std::fs::write(&copy, extended(&text, component));
        written.map_err(|error| format!("cannot write {}: {error}", copy.display()))?;
    }
    let absolute = std::path::absolute(&copies).unwrap_or(copies);
    Ok([
        "Dir::Etc::sourcelist=/dev/null".into(),
        format!("Dir::Etc::sourceparts={}", absolute.display()),
    ])
}

/// Where the host's apt has its sources: a file, and a folder of more.
fn places() -> Result<(PathBuf, PathBuf), String> {
    let output = Command::new("apt-config")
        .args([
            "shell",
            "LIST",
            "Dir::Etc::sourcelist/f",
            "PARTS",
            "Dir::Etc::sourceparts/d",
        ])
        .output()
        .map_err(|error| {
            format!("cannot run apt-config: {error}\nhelp: where there is none, --debs names a folder of .deb files")
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |name: &str, usual: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        PathBuf::from(found.unwrap_or(usual).trim_matches('\''))
    };
    Ok((
        value("LIST", "/etc/apt/sources.list"),
        value("PARTS", "/etc/apt/sources.list.d"),
    ))
}

/// Components with one more, where `main` is among them.
fn more(components: &str, component: &str) -> String {
    let mut words = components.split_whitespace();
    let there = words.clone().any(|word| word == component);
    match words.any(|word| word == "main") && !there {
        true => format!("{} {component}", components.trim_end()),
        false => components.to_owned(),
    }
}

/// The format of `.sources` files.
fn stanzas(text: &str, component: &str) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some((key, value)) if key.eq_ignore_ascii_case("components") => format!("{key}:{}\n", more(value, component)),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The format of `.list` files.
fn lines(text: &str, component: &str) -> String {
    let line = |line: &str| match line.trim_start().starts_with("deb") {
        true => {
            let (entry, comment) = line
                .split_once('#')
                .map_or((line, None), |(entry, rest)| (entry, Some(rest)));
            let comment = comment.map(|text| format!(" #{text}")).unwrap_or_default();
            format!("{}{comment}\n", more(entry, component))
        }
        false => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_gets_a_companion() {
        let text =
            "Types: deb\nURIs: http://example.org/debian\nSuites: stable\nComponents: main\n\nComponents: other\n";
        let expected = text.replace("Components: main", "Components: main firmware");
        assert_eq!(stanzas(text, "firmware"), expected);
        assert_eq!(stanzas(&expected, "firmware"), expected);
        let text = "# deb x y main\ndeb [arch=amd64] http://example.org/debian stable main contrib # mine\ndeb-src x y main\ndeb x y/\n";
        let expected = "# deb x y main\ndeb [arch=amd64] http://example.org/debian stable main contrib firmware # mine\ndeb-src x y main firmware\ndeb x y/\n";
        assert_eq!(lines(text, "firmware"), expected);
    }
}
