//! `modules.dep` and `modules.alias`, computed from the modules themselves (depmod(8),
//! modules.dep(5)).

use std::collections::{BTreeMap, BTreeSet};

use extents::Extents;
use tree::{Kind, Tree};

use super::meta;

/// What `.modinfo` says of a module.
struct Module {
    path: String,
    depends: Vec<String>,
    aliases: Vec<String>,
}

/// Adds the two files to `lib/modules/VERSION` of a tree.
pub fn index(tree: &mut Tree) -> Result<(), String> {
    let mut versions: BTreeMap<String, BTreeMap<String, Module>> = BTreeMap::new();
    for item in tree.walk() {
        let path = tree::show(&item.path);
        let Kind::File(content) = &item.node.kind else { continue };
        let Some(at) = path.find("lib/modules/").map(|at| at + 12) else {
            continue;
        };
        let (folder, rest) = path.split_at(at);
        let Some((version, relative)) = rest.split_once('/') else {
            continue;
        };
        let Some(stem) = relative.strip_suffix(".ko") else {
            continue;
        };
        let name = stem.rsplit('/').next().unwrap_or(stem).replace('-', "_");
        let bytes = content.to_vec().map_err(|error| format!("{path}: {error}"))?;
        let info = modinfo(&bytes).ok_or_else(|| format!("{path} is not a kernel module"))?;
        let values = |key: &str| {
            let found = info.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.map(str::to_owned).collect::<Vec<String>>()
        };
        let depends = values("depends").join(",");
        let module = Module {
            path: relative.to_owned(),
            depends: depends
                .split(',')
                .filter(|name| !name.is_empty())
                .map(|name| name.replace('-', "_"))
                .collect(),
            aliases: values("alias"),
        };
        versions
            .entry(format!("{folder}{version}"))
            .or_default()
            .insert(name, module);
    }
    for (folder, modules) in versions {
        let mut dep = String::new();
        let mut alias = String::new();
        for (name, module) in &modules {
            let mut all = Vec::new();
            closure(&modules, name, &mut all, &mut BTreeSet::new());
            dep.push_str(&format!("{}:", module.path));
            for needed in all.iter().rev() {
                dep.push_str(&format!(" {needed}"));
            }
            dep.push('\n');
            for pattern in &module.aliases {
                alias.push_str(&format!("alias {pattern} {name}\n"));
            }
        }
        for (file, text) in [("modules.dep", dep), ("modules.alias", alias)] {
            let kind = Kind::File(Extents::from_bytes(text.into_bytes()));
            let inserted = tree.insert(format!("{folder}/{file}").as_bytes(), meta(0o644), kind, &meta(0o755));
            inserted.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Everything that a module needs, what must be loaded first at the front.
fn closure(modules: &BTreeMap<String, Module>, name: &str, all: &mut Vec<String>, met: &mut BTreeSet<String>) {
    for needed in modules.get(name).into_iter().flat_map(|module| &module.depends) {
        if met.insert(needed.clone()) {
            closure(modules, needed, all, met);
            all.extend(modules.get(needed).map(|module| module.path.clone()));
        }
    }
}

/// The lines of the section `.modinfo` of an ELF file (gABI, Sections).
fn modinfo(bytes: &[u8]) -> Option<Vec<String>> {
    let number = |at: usize, len: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(len)?)?;
        let value = field
            .iter()
            .rev()
            .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).ok()
    };
    // ELF, 64 bits, little endian: what amd64, arm64 and riscv64 are.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count, names) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?, number(0x3e, 2)?);
    // A field of a section's header: sh_name, sh_offset, sh_size.
    let field = |index: usize, at: usize, len: usize| {
        let header = table.checked_add(index.checked_mul(size)?)?;
        number(header.checked_add(at)?, len)
    };
    let names = field(names, 0x18, 8)?;
    for index in 0..count {
        let name = names.checked_add(field(index, 0, 4)?)?;
        if bytes.get(name..)?.starts_with(b".modinfo\0") {
            let (start, len) = (field(index, 0x18, 8)?, field(index, 0x20, 8)?);
            let section = bytes.get(start..start.checked_add(len)?)?;
            let lines = section.split(|&byte| byte == 0).filter(|line| !line.is_empty());
            return Some(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::modinfo;

    #[test]
    fn numbers_of_any_size_are_no_panic() {
        // Where the section headers are, how long one is, and which has the names.
        for (at, len) in [(0x28, 8), (0x3a, 2), (0x3c, 2), (0x3e, 2)] {
            for byte in [0, 1, 0x40, 0x7f, 0xff] {
                let mut file = b"\x7fELF\x02\x01".to_vec();
                file.resize(0x40, 0xff);
                file.splice(at..at + len, std::iter::repeat_n(byte, len));
                file.extend([byte; 200]);
                assert_eq!(modinfo(&file), None);
            }
        }
    }
}
