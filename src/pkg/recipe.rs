//! `build.yml`: LinuxKit's fields, and the list of contents.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::Value;

use super::fields;
use crate::arch::Arch;
use crate::config::node::{self, Kind, Node};
use crate::config::{self, Source, schema};
use crate::diagnostic::{Diagnostic, Span};

/// What a `build.yml` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Recipe {
    /// The name of the repository.
    pub image: String,
    /// Its organization.
    #[serde(default = "moby")]
    pub org: String,
    /// The architectures that it is for.
    #[serde(default = "usual")]
    pub arches: Vec<String>,
    /// The label `org.mobyproject.config`.
    #[serde(default)]
    pub config: Option<Value>,
    /// Of the OCI image configuration, as are the next three.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    #[serde(default)]
    pub env: Option<Vec<String>>,
    #[serde(default)]
    pub workdir: Option<String>,
    /// What is in the image, later ones over earlier ones.
    #[serde(default)]
    pub contents: Vec<Content>,
}

fn moby() -> String {
    "moby".into()
}

fn usual() -> Vec<String> {
    vec!["amd64".into(), "arm64".into()]
}

fn yes() -> bool {
    true
}

fn root() -> String {
    String::new()
}

/// One step.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Content {
    /// Debian packages.
    Debian {
        debian: Vec<String>,
        /// Where the archive has them besides `main`: `non-free-firmware`, say.
        #[serde(default)]
        component: Option<String>,
        #[serde(default = "yes")]
        closure: bool,
        #[serde(default)]
        paths: Vec<String>,
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// A static program of the cargo workspace around the folder.
    Cargo {
        cargo: String,
        #[serde(default)]
        bin: Option<String>,
        to: String,
    },
    /// A file or folder beside the recipe.
    Copy {
        copy: String,
        #[serde(default = "root")]
        to: String,
    },
    /// A file given here.
    File {
        file: String,
        contents: String,
        #[serde(default)]
        mode: Option<String>,
        #[serde(default)]
        uid: u32,
        #[serde(default)]
        gid: u32,
    },
    /// An empty folder.
    Directory {
        directory: String,
        #[serde(default)]
        mode: Option<String>,
    },
    /// A symbolic link.
    Symlink { symlink: String, target: String },
    /// Files so far, one after the other.
    Concat { concat: Vec<String>, to: String },
    /// The boot sector and ldlinux.sys of syslinux, out of the program extlinux.
    Ldlinux { ldlinux: String, to: String },
    /// A kernel compiled from a Debian package of Linux's sources.
    Linux {
        linux: String,
        /// Goals of the kernel's makefile and files beside the recipe, later ones over earlier ones.
        config: Vec<String>,
    },
    /// A Debian kernel package.
    Kernel {
        kernel: Names,
        /// Of its modules, as for Debian packages.
        #[serde(default)]
        paths: Vec<String>,
        #[serde(default)]
        exclude: Vec<String>,
    },
}

/// One name, or one for each architecture.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Names {
    One(String),
    Each(BTreeMap<String, String>),
}

impl Names {
    /// The name for an architecture.
    pub fn for_arch(&self, arch: Arch) -> Result<&str, String> {
        match self {
            Names::One(name) => Ok(name),
            Names::Each(names) => names
                .get(arch.name())
                .map(String::as_str)
                .ok_or_else(|| format!("there is no kernel for {arch}")),
        }
    }
}

/// The YAML of a recipe.
fn parse(text: &[u8]) -> Result<Node, Diagnostic> {
    let start = Span {
        source: 0,
        line: 1,
        column: 1,
    };
    node::parse(text, 0)?.ok_or_else(|| Diagnostic::at(start, "the file is empty"))
}

/// The recipe, when all of its fields are known.
fn check(node: &Node) -> Result<Recipe, Vec<Diagnostic>> {
    let fields = fields::schema();
    let mut diagnostics = schema::against(&fields, &fields, node, &mut |_, _| {});
    diagnostics.extend(get(node, "contents").into_iter().flat_map(list).flat_map(outside));
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    serde_json::from_value(node.to_json()).map_err(|error| vec![Diagnostic::at(node.span, error.to_string())])
}

/// What a step takes that is not in the package's folder, so that its tag would not cover it.
fn outside(step: &Node) -> Vec<Diagnostic> {
    let taken = ["copy", "config"].into_iter().filter_map(|key| get(step, key));
    let taken = taken.flat_map(|node| match &node.kind {
        Kind::List(files) => files.iter().collect(),
        _ => vec![node],
    });
    let complain = |node: &Node| {
        let Kind::Text(path) = &node.kind else {
            return None;
        };
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let wrong = path.starts_with(['/', '\\']) || !Path::new(path).components().all(inside);
        let message = format!(
            "`{path}` is not in the package's folder, and the package's tag would not change with it\nhelp: put it beside build.yml"
        );
        wrong.then(|| Diagnostic::at(node.span, message))
    };
    taken.filter_map(complain).collect()
}

fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    entries.iter().find(|(name, _, _)| name == key).map(|(_, _, node)| node)
}

fn list(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        _ => &[],
    }
}

impl Recipe {
    /// Reads the recipe of a folder.
    pub fn read(dir: &Path) -> Result<Recipe, String> {
        let path = dir.join("build.yml");
        let text = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let source = Source {
            name: path.display().to_string(),
            dir: dir.to_owned(),
            text,
        };
        let wrong = |diagnostics| config::diagnose(diagnostics, std::slice::from_ref(&source)).to_string();
        let node = parse(&source.text).map_err(|diagnostic| wrong(vec![diagnostic]))?;
        // Before the fields, which are for LinuxKit's eyes then.
        if !has_contents(&node) && dir.join("Dockerfile").exists() {
            return Err(format!(
                "{} has a Dockerfile and no contents, and moby runs no Dockerfiles\n\
                 help: build it where Docker is, with `docker build -t NAME . && docker save NAME -o image.tar`, and use \
                 --layout image.tar with NAME in place of @pkg:; or list its `contents:` in build.yml",
                dir.display()
            ));
        }
        check(&node).map_err(wrong)
    }
}

/// Whether a recipe has steps, right or wrong.
fn has_contents(node: &Node) -> bool {
    get(node, "contents").is_some_and(|node| match &node.kind {
        Kind::List(steps) => !steps.is_empty(),
        Kind::Null => false,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Recipe, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("build.yml"), text).unwrap();
        Recipe::read(folder.path()).map_err(|error| error.replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn what_is_wrong_has_its_place_and_a_remedy() {
        for (text, place, line, expected) in [
            (
                "image: a\nentrypint: [/a]\n",
                "2:1",
                "entrypint: [/a]",
                &["unknown field `entrypint`", "did you mean `entrypoint`?"][..],
            ),
            (
                "image: a\ncontents:\n  - debian: [a]\n    exlude: [b]\n",
                "4:5",
                "    exlude: [b]",
                &["unknown field `exlude`", "did you mean `exclude`?"],
            ),
            (
                "image: a\ncontents:\n  - file: /a\n    contents: x\n    mode: 0755\n",
                "5:11",
                "    mode: 0755",
                &["`contents[0].mode` must be a string, not an integer", "quotes"],
            ),
            (
                "image: a\ncontents:\n  - copy: a\n  - to: /a\n    synlink: b\n",
                "5:5",
                "    synlink: b",
                &["unknown field `synlink`", "did you mean `symlink`?"],
            ),
            (
                "image: a\ncontents:\n  - {to: /a}\n",
                "3:5",
                "  - {to: /a}",
                &["`contents[0]` does not say what it is", "debian, cargo, copy, file"],
            ),
            (
                "image: a\ncontents:\n  - cargo: a\n",
                "3:5",
                "  - cargo: a",
                &["`to` is missing"],
            ),
            (
                "image: a\ncontents:\n  - copy: a\n    file: b\n",
                "4:5",
                "    file: b",
                &["unknown field `file`", "the fields here are copy, to"],
            ),
            (
                "image: a\ncontents: [a]\n",
                "2:12",
                "contents: [a]",
                &["`contents[0]` must be a mapping, not a string"],
            ),
            (
                "image: a\ncontents:\n  - {file: a, contents: b, uid: -1}\n",
                "3:33",
                "uid: -1",
                &["`contents[0].uid` must be from 0 to 4294967295, not -1"],
            ),
            (
                "image: a\ncontents:\n  - kernel: {amd64: [a]}\n",
                "3:21",
                "[a]",
                &["`contents[0].kernel.amd64` must be a string, not a list"],
            ),
            (
                "image: a\nconfig:\n  capabilites: [all]\n",
                "3:3",
                "  capabilites: [all]",
                &["unknown field `capabilites`", "did you mean `capabilities`?"],
            ),
            (
                "image: a\ncontents:\n  - copy: b\n  - copy: ../c\n",
                "4:11",
                "copy: ../c",
                &["`../c` is not in the package's folder", "put it beside build.yml"],
            ),
            (
                "image: a\ncontents:\n  - copy: /etc/passwd\n",
                "3:11",
                "copy: /etc/passwd",
                &["is not in the package's folder"],
            ),
            ("org: a\n", "1:1", "org: a", &["`image` is missing"]),
            ("", "1:1", "", &["the file is empty"]),
        ] {
            let message = read(text).unwrap_err();
            for part in expected
                .iter()
                .copied()
                .chain([line, &format!("--> build.yml:{place}\n")])
            {
                assert!(message.contains(part), "{text}: {part} is not in\n{message}");
            }
        }
    }

    #[test]
    fn what_linuxkit_has_is_taken() {
        let text = "
image: a
org: b
tag: '{{.Hash}}-x'
dockerfile: Dockerfile.other
arches: [amd64]
extra-sources: ['../c:c']
gitrepo: https://example.org/d
network: true
disable-cache: true
buildArgs: [E=f]
config:
  binds: [/dev:/dev]
depends:
  docker-images: {target-dir: g, target: h, from-file: i, list: [j]}
contents:
  - kernel: k
  - kernel: {amd64: k, arm64: l}
  - {file: m, contents: n, uid: 4294967295, gid: 0, mode: '0600'}
";
        assert_eq!(read(text).unwrap().contents.len(), 3);
    }
}
