//! Kernel modules: those that the devices ask for by their aliases, and those of a list
//! (modules.dep(5), modprobe(8)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::process::list;
use crate::say;

/// What containers need besides drivers.
const ALWAYS: [&str; 2] = ["overlay", "af_packet"];

struct Index {
    folder: String,
    /// Path and dependencies by name.
    modules: BTreeMap<String, (String, Vec<String>)>,
    aliases: Vec<(String, String)>,
    loaded: BTreeSet<String>,
}

/// Loads what the machine needs.
pub fn load() {
    if let Some(count) = plug() {
        say(&format!("{count} modules loaded"));
    }
}

/// Loads what devices need that have appeared since.
pub fn load_more() {
    plug();
}

/// Returns how many modules are loaded; nothing when there are none.
fn plug() -> Option<usize> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let folder = format!("/lib/modules/{release}");
    let Ok(dep) = fs::read_to_string(format!("{folder}/modules.dep")) else {
        return None;
    };
    let mut index = Index {
        modules: dep.lines().filter_map(module).collect(),
        aliases: aliases(&fs::read_to_string(format!("{folder}/modules.alias")).unwrap_or_default()),
        folder,
        loaded: BTreeSet::new(),
    };
    let mut names: Vec<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    for path in std::iter::once("/etc/modules".to_owned()).chain(list("/etc/modules-load.d")) {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        names.extend(
            lines
                .filter_map(|line| line.split_whitespace().next())
                .map(str::to_owned),
        );
    }
    for name in &names {
        index.load(&name.replace('-', "_"));
    }
    // A driver may bring devices that ask for more: virtio's bus, then its disks.
    for _ in 0..5 {
        let before = index.loaded.len();
        let mut asked = BTreeSet::new();
        modaliases("/sys/devices", &mut asked);
        for alias in asked {
            let matching = index
                .aliases
                .iter()
                .filter(|(pattern, _)| matches(pattern.as_bytes(), alias.as_bytes()));
            let found: Vec<String> = matching.map(|(_, name)| name.clone()).collect();
            found.iter().for_each(|name| index.load(name));
        }
        if index.loaded.len() == before {
            break;
        }
    }
    Some(index.loaded.len())
}

/// "kernel/a/b.ko: kernel/c.ko ..."
fn module(line: &str) -> Option<(String, (String, Vec<String>))> {
    let (path, needed) = line.split_once(':')?;
    let name = name_of(path);
    Some((
        name,
        (path.to_owned(), needed.split_whitespace().map(str::to_owned).collect()),
    ))
}

fn name_of(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split('.').next().unwrap_or(base).replace('-', "_")
}

/// "alias PATTERN NAME"
fn aliases(text: &str) -> Vec<(String, String)> {
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("alias")).then_some(())?;
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    text.lines().filter_map(parse).collect()
}

impl Index {
    /// Loads a module and what it needs, once. What is built in is not in the index.
    fn load(&mut self, name: &str) {
        let Some((path, needed)) = self.modules.get(name).cloned() else {
            return;
        };
        for needed in needed.iter().rev().chain([&path]) {
            if !self.loaded.insert(name_of(needed)) {
                continue;
            }
            let file = match fs::File::open(format!("{}/{needed}", self.folder)) {
                Ok(file) => file,
                Err(error) => {
                    say(&format!("{needed}: {error}"));
                    continue;
                }
            };
            match rustix::system::finit_module(&file, c"", 0) {
                // Drivers for what is not there say so.
                Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::NODEV) => {}
                Err(error) => say(&format!("{needed}: {error}")),
            }
        }
    }
}

fn modaliases(folder: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name() == "modalias" {
            if let Ok(text) = fs::read_to_string(&path) {
                found.insert(text.trim().to_owned());
            }
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            modaliases(&path.to_string_lossy(), found);
        }
    }
}

/// fnmatch(3) with `*`, `?` and `[...]`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| matches(rest, text.get(at..).unwrap_or_default())),
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else {
                return false;
            };
            let (set, rest) = rest.split_at(end);
            let [first, text @ ..] = text else { return false };
            let within = set.contains(first)
                || set
                    .windows(3)
                    .any(|range| range[1] == b'-' && (range[0]..=range[2]).contains(first));
            within && matches(rest.get(1..).unwrap_or_default(), text)
        }
        [b'?', rest @ ..] => text.split_first().is_some_and(|(_, text)| matches(rest, text)),
        [byte, rest @ ..] => text
            .split_first()
            .is_some_and(|(first, text)| first == byte && matches(rest, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_match_as_modprobe_matches_them() {
        assert!(matches(b"virtio:d00000001v*", b"virtio:d00000001v00001AF4"));
        assert!(matches(
            b"pci:v*d*sv*sd*bc0[12]sc*i*",
            b"pci:v00001AF4d00001000sv0sd0bc02sc00i00"
        ));
        assert!(matches(b"a[0-9]b?", b"a7bx"));
        assert!(!matches(b"a[0-9]b", b"axb"));
        assert!(!matches(b"virtio:d1*", b"virtio:d2"));
    }

    #[test]
    fn dependencies_are_read() {
        let (name, (path, needed)) = module("kernel/net/virtio-net.ko: kernel/a.ko kernel/b.ko").unwrap();
        assert_eq!(
            (name.as_str(), path.as_str()),
            ("virtio_net", "kernel/net/virtio-net.ko")
        );
        assert_eq!(needed, ["kernel/a.ko", "kernel/b.ko"]);
        assert_eq!(aliases("# x\nalias a* b\n"), [("a*".to_owned(), "b".to_owned())]);
    }
}
