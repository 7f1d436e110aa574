//! Kernel modules: those that devices ask for by their aliases, and those of lists (modules.dep(5),
//! modprobe(8)).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::process::ExitCode;

use crate::process::list;
use crate::{hotplug, log};

/// Modules that containers need besides drivers.
const ALWAYS: [&str; 2] = ["overlay", "af_packet"];
/// Flag that makes the kernel decompress a module (MODULE_INIT_COMPRESSED_FILE,
/// include/uapi/linux/module.h).
const COMPRESSED: i32 = 4;

/// Modules of the running kernel.
struct Index {
    directory: String,
    parameters: Parameters,
    /// Modules that no device loads (`modprobe.blacklist=`, modprobe(8)).
    blacklist: BTreeSet<String>,
    /// Path and dependencies by name.
    modules: BTreeMap<String, (String, Vec<String>)>,
    aliases: Vec<(String, String)>,
    loaded: BTreeSet<String>,
}

/// Loads the modules that the machine needs, and from then on those for devices that appear later.
pub fn load() {
    let Some(mut index) = Index::read() else { return };
    // Listening begins before the search for devices, so that none is missed.
    let events = hotplug::listen();
    let mut names: Vec<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    // "NAME PARAMETER=VALUE ..." (modules(5)).
    for path in std::iter::once("/etc/modules".to_owned()).chain(list("/etc/modules-load.d")) {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let (name, parameters) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            names.push(name.to_owned());
            index.parameters.add(name, parameters);
        }
    }
    for name in &names {
        index.load_named(name);
    }
    // A driver may bring devices that ask for more: the bus of virtio, then its disks.
    for _ in 0..5 {
        let before = index.loaded.len();
        let mut asked = BTreeSet::new();
        modaliases("/sys/devices", &mut asked);
        for alias in asked {
            index.load_matching(&alias);
        }
        if index.loaded.len() == before {
            break;
        }
    }
    log(&format!("{} modules loaded", index.loaded.len()));
    let following = match events {
        Ok(events) => {
            let follow = move || {
                hotplug::follow(&events, |alias| {
                    index.load_matching(alias);
                });
            };
            std::thread::Builder::new().spawn(follow).map(drop)
        }
        Err(error) => Err(error),
    };
    if let Err(error) = following {
        log(&format!("cannot load modules for devices that appear later: {error}"));
    }
}

/// Runs as /sbin/modprobe, which the kernel calls when it misses a module, possibly before anything is mounted:
/// options, then names (modprobe(8)).
pub fn modprobe(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    if let Some(option) = arguments
        .iter()
        .find(|argument| ["-r", "--remove"].contains(&argument.as_str()))
    {
        eprintln!("modprobe: {option} is not supported");
        return ExitCode::FAILURE;
    }
    let Some(mut index) = Index::read() else {
        return ExitCode::FAILURE;
    };
    let mut all_found = true;
    for name in arguments.iter().filter(|argument| !argument.starts_with('-')) {
        all_found &= index.load_named(name);
    }
    if all_found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Parses "kernel/a/b.ko: kernel/c.ko ..." into a name, and its path and dependencies.
fn module(line: &str) -> Option<(String, (String, Vec<String>))> {
    let (path, dependencies) = line.split_once(':')?;
    let dependencies = dependencies.split_whitespace().map(str::to_owned).collect();
    Some((name_of(path), (path.to_owned(), dependencies)))
}

fn name_of(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split('.').next().unwrap_or(base).replace('-', "_")
}

/// Returns the flags for loading a module. Some distributions compress modules: `.ko.xz`, `.ko.zst`.
fn flags(path: &str) -> i32 {
    if path.ends_with(".ko") { 0 } else { COMPRESSED }
}

/// Parses lines of "alias PATTERN NAME".
fn aliases(text: &str) -> Vec<(String, String)> {
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        (fields.next() == Some("alias")).then_some(())?;
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    text.lines().filter_map(parse).collect()
}

/// Parameters of modules, by the names of the modules.
#[derive(Default)]
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Finds "MODULE.PARAMETER=VALUE" among kernel arguments
    /// (Documentation/admin-guide/kernel-parameters.rst).
    fn parse(cmdline: &str) -> Self {
        let mut parameters = Parameters::default();
        for argument in cmdline.split_whitespace() {
            let name = argument.split('=').next().unwrap_or(argument);
            if let Some((module, _)) = name.split_once('.') {
                let parameter = argument.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
                parameters.add(module, parameter.unwrap_or_default());
            }
        }
        parameters
    }

    fn add(&mut self, module: &str, parameters: &str) {
        let all = self.0.entry(module.replace('-', "_")).or_default();
        all.push_str(parameters.trim());
        all.push(' ');
    }

    fn for_module(&self, name: &str) -> CString {
        let parameters = self.0.get(name).map_or("", String::as_str);
        CString::new(parameters.trim()).unwrap_or_default()
    }
}

/// Parses `modprobe.blacklist=a,b` among kernel arguments.
fn blacklist(cmdline: &str) -> BTreeSet<String> {
    let lists = cmdline
        .split_whitespace()
        .filter_map(|argument| argument.strip_prefix("modprobe.blacklist="));
    let names = lists.flat_map(|list| list.split(','));
    names.map(|name| name.replace('-', "_")).collect()
}

impl Index {
    /// Reads the index of the running kernel's modules; `None` when it has none.
    fn read() -> Option<Index> {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let directory = format!("/lib/modules/{release}");
        let dep = fs::read_to_string(format!("{directory}/modules.dep")).ok()?;
        let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        Some(Index {
            modules: dep.lines().filter_map(module).collect(),
            aliases: aliases(&fs::read_to_string(format!("{directory}/modules.alias")).unwrap_or_default()),
            directory,
            parameters: Parameters::parse(&cmdline),
            blacklist: blacklist(&cmdline),
            loaded: BTreeSet::new(),
        })
    }

    /// Loads a module by its name or one of its aliases. Returns whether it exists.
    fn load_named(&mut self, name: &str) -> bool {
        let module = name.replace('-', "_");
        if self.modules.contains_key(&module) {
            self.load(&module);
            return true;
        }
        self.load_matching(name)
    }

    /// Loads the modules with an alias. Returns whether one exists.
    fn load_matching(&mut self, alias: &str) -> bool {
        let matching = self
            .aliases
            .iter()
            .filter(|(pattern, _)| matches(pattern.as_bytes(), alias.as_bytes()));
        let found: Vec<String> = matching.map(|(_, name)| name.replace('-', "_")).collect();
        for name in &found {
            if !self.blacklist.contains(name) {
                self.load(name);
            }
        }
        !found.is_empty()
    }

    /// Loads a module and its dependencies, once. Built-in code is not in the index.
    fn load(&mut self, name: &str) {
        let Some((path, dependencies)) = self.modules.get(name).cloned() else {
            return;
        };
        for module in dependencies.iter().rev().chain([&path]) {
            if !self.loaded.insert(name_of(module)) {
                continue;
            }
            let file = match fs::File::open(format!("{}/{module}", self.directory)) {
                Ok(file) => file,
                Err(error) => {
                    log(&format!("cannot open the module {module}: {error}"));
                    continue;
                }
            };
            let parameters = self.parameters.for_module(&name_of(module));
            match rustix::system::finit_module(&file, &parameters, flags(module)) {
                // A driver without a device reports ENODEV.
                Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::NODEV) => {}
                Err(error) => log(&format!("cannot load the module {module}: {error}")),
            }
        }
    }
}

fn modaliases(directory: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
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

/// Matches a name with a pattern of `*`, `?` and `[...]`, like fnmatch(3).
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
    fn compressed_modules_get_the_flag_for_it() {
        let (name, (path, needed)) = module("kernel/net/virtio-net.ko.xz: kernel/a.ko.zst kernel/b.ko").unwrap();
        assert_eq!(name, "virtio_net");
        assert_eq!(
            needed.iter().map(|path| flags(path)).collect::<Vec<_>>(),
            [COMPRESSED, 0]
        );
        assert_eq!(flags(&path), COMPRESSED);
    }

    #[test]
    fn modules_get_the_parameters_of_the_kernel_arguments() {
        let cmdline = "console=ttyS0 nvme-core.io_timeout=9 root=/dev/a.b nvme_core.multipath=0 snd.x \
                       modprobe.blacklist=floppy,pc-speaker";
        let mut parameters = Parameters::parse(cmdline);
        parameters.add("loop", " max_loop=4\t max_part=2 ");
        parameters.add("loop", "hw=1");
        for (name, given) in [
            ("nvme_core", "io_timeout=9 multipath=0"),
            ("snd", "x"),
            ("root", ""),
            ("loop", "max_loop=4\t max_part=2 hw=1"),
        ] {
            assert_eq!(parameters.for_module(name).to_str(), Ok(given), "{name}");
        }
        assert!(blacklist(cmdline).iter().eq(["floppy", "pc_speaker"]));
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
