//! Crates in the program and in moby's packages: their licences, and an SBOM.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::platform::Platform;
use super::{VERSION, text, write};
use crate::command::root;
use crate::error::{Error, Result, cannot};

/// Packages of the workspace that are in an archive: the program, and what runs in machines.
const ROOTS: [&str; 3] = ["moby", "moby-init", "moby-tools"];
/// Beginnings of the names of files with licences.
const FILES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// Writes `THIRD-PARTY-LICENSES.txt` and `moby.spdx.json`.
pub fn crates(platform: &Platform, directory: &Path) -> Result {
    let mut command = Command::new("cargo");
    command.args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        platform.target,
    ]);
    command.current_dir(root());
    let metadata: Value = serde_json::from_str(&text(command)?).map_err(cannot("read the output of cargo metadata"))?;
    let graph = Graph::new(&metadata)?;
    write(
        &directory.join("THIRD-PARTY-LICENSES.txt"),
        graph.licenses()?.as_bytes(),
    )?;
    let sbom = format!("{:#}\n", graph.spdx(platform));
    write(&directory.join("moby.spdx.json"), sbom.as_bytes())
}

/// Crates by cargo's identifier, with those that each needs.
struct Graph<'a> {
    crates: BTreeMap<&'a str, (&'a Value, Vec<&'a str>)>,
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

impl<'a> Graph<'a> {
    /// Reads the crates that are linked into the programs (`cargo metadata`, format 1).
    fn new(metadata: &'a Value) -> Result<Graph<'a>> {
        let packages: BTreeMap<&str, &Value> = list(metadata, "packages")
            .map(|package| (field(package, "id"), package))
            .collect();
        let resolve = metadata.get("resolve").unwrap_or(&Value::Null);
        let nodes: BTreeMap<&str, &Value> = list(resolve, "nodes").map(|node| (field(node, "id"), node)).collect();
        let is_root = |package: &&Value| package.get("source").is_none_or(Value::is_null);
        let roots = packages
            .values()
            .filter(|package| is_root(package) && ROOTS.contains(&field(package, "name")));
        let mut pending: Vec<&str> = roots.map(|package| field(package, "id")).collect();
        if pending.len() != ROOTS.len() {
            return Err(Error::new("cargo metadata does not list the packages of the workspace"));
        }
        let mut crates = BTreeMap::new();
        while let Some(id) = pending.pop() {
            let (Some(package), Some(node)) = (packages.get(id), nodes.get(id)) else {
                return Err(Error::new(format!("cargo metadata does not describe {id}")));
            };
            // Dependencies for tests and build scripts have the kinds "dev" and "build".
            let is_linked = |dependency: &&Value| {
                list(dependency, "dep_kinds").any(|kind| kind.get("kind").is_some_and(Value::is_null))
            };
            let needs: Vec<&str> = list(node, "deps")
                .filter(is_linked)
                .map(|dependency| field(dependency, "pkg"))
                .collect();
            pending.extend(needs.iter().filter(|need| !crates.contains_key(*need)));
            crates.insert(id, (*package, needs));
        }
        Ok(Graph { crates })
    }

    /// Returns the crates of others.
    fn third_party(&self) -> impl Iterator<Item = &Value> {
        let crates = self.crates.values().map(|(package, _)| *package);
        crates.filter(|package| package.get("source").is_some_and(Value::is_string))
    }

    /// Returns a list of the crates, and each text of a licence once.
    fn licenses(&self) -> Result<String> {
        let mut listed = String::from("moby contains these crates; their licences follow.\n\n");
        let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in self.third_party() {
            let name = format!("{} {}", field(package, "name"), field(package, "version"));
            listed.push_str(&format!(
                "{name}: {}, {}\n",
                license(package),
                field(package, "repository")
            ));
            let directory = Path::new(field(package, "manifest_path"))
                .parent()
                .unwrap_or(Path::new("."));
            let reading = || format!("read {}", directory.display());
            for entry in fs::read_dir(directory).map_err(cannot(reading()))? {
                let path = entry.map_err(cannot(reading()))?.path();
                let file = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
                if path.is_file() && FILES.iter().any(|start| file.starts_with(start)) {
                    let text = fs::read(&path).map_err(cannot(format!("read {}", path.display())))?;
                    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
                    texts.entry(text.trim().to_owned()).or_default().insert(name.clone());
                }
            }
        }
        for (text, names) in texts {
            let names: Vec<String> = names.into_iter().collect();
            listed.push_str(&format!("\n{}\n{}\n\n{text}\n", "-".repeat(80), names.join(", ")));
        }
        Ok(listed)
    }

    /// Returns the SBOM (SPDX 2.3 in JSON).
    fn spdx(&self, platform: &Platform) -> Value {
        let id = |package: &Value| {
            let name = format!("{}-{}", field(package, "name"), field(package, "version"));
            let plain = |letter: char| {
                if letter.is_ascii_alphanumeric() || letter == '.' {
                    letter
                } else {
                    '-'
                }
            };
            format!("SPDXRef-{}", name.chars().map(plain).collect::<String>())
        };
        let mut packages = Vec::new();
        let mut relationships = vec![];
        for (package, needs) in self.crates.values() {
            let (name, version) = (field(package, "name"), field(package, "version"));
            let is_own = package.get("source").is_none_or(Value::is_null);
            let location = if is_own {
                "NOASSERTION".to_owned()
            } else {
                format!("https://static.crates.io/crates/{name}/{name}-{version}.crate")
            };
            packages.push(json!({
                "SPDXID": id(package),
                "name": name,
                "versionInfo": version,
                "downloadLocation": location,
                "filesAnalyzed": false,
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": license(package),
                "copyrightText": "NOASSERTION",
                "externalRefs": [{
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")),
                }],
            }));
            if is_own && ROOTS.contains(&name) {
                relationships.push(relationship("SPDXRef-DOCUMENT", "DESCRIBES", &id(package)));
            }
            for (needed, _) in needs.iter().filter_map(|need| self.crates.get(need)) {
                relationships.push(relationship(&id(package), "DEPENDS_ON", &id(needed)));
            }
        }
        json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": format!("moby-{VERSION}-{}", platform.name),
            "documentNamespace": format!("https://github.com/moby-rs/moby/releases/download/v{VERSION}/moby-{VERSION}-{}.spdx.json", platform.name),
            "creationInfo": {"created": "2017-04-18T16:30:00Z", "creators": [format!("Tool: moby-{VERSION}")]},
            "packages": packages,
            "relationships": relationships,
        })
    }
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// Returns the licence of a crate. Before SPDX, cargo took a slash for "or".
fn license(package: &Value) -> String {
    match field(package, "license") {
        "" => "NOASSERTION".to_owned(),
        license => license.replace(" / ", " OR ").replace('/', " OR "),
    }
}
