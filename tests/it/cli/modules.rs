//! The modules of the tool depend on each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Adds the top-level modules that the files below `path` name after `crate::`.
fn imports(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            imports(&entry.unwrap().path(), found);
        }
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for part in line.split("crate::").skip(1) {
            if let Some(list) = part.strip_prefix('{') {
                let names = list
                    .split(['{', '}', ','])
                    .map(|name| name.split("::").next().unwrap_or_default());
                found.extend(names.map(|name| name.trim().to_owned()));
            }
            let end = part
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(part.len());
            found.insert(part[..end].to_owned());
        }
    }
}

/// Each top-level module with the modules that it names.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !["lib", "main"].contains(&name.as_str()) {
            imports(&path, graph.entry(name).or_default());
        }
    }
    let modules: BTreeSet<String> = graph.keys().cloned().collect();
    for (module, imports) in &mut graph {
        imports.retain(|import| modules.contains(import) && import != module);
    }
    graph
}

#[test]
fn modules_have_no_cycles() {
    let mut graph = graph();
    assert!(graph.len() > 10, "{graph:?}");
    assert!(graph["cli"].contains("config"), "{graph:?}");
    // Whoever imports nothing that is left depends on no one.
    loop {
        let free = graph.iter().find(|(_, imports)| imports.is_empty());
        let Some(free) = free.map(|(module, _)| module.clone()) else {
            break;
        };
        graph.remove(&free);
        for imports in graph.values_mut() {
            imports.remove(&free);
        }
    }
    assert!(
        graph.is_empty(),
        "each of these modules is, or leads to, a part of a cycle: {graph:#?}"
    );
}
