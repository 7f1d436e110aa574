//! `build.yml`: LinuxKit's fields, and the steps that fill an image.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::Value;

use super::error::cannot;
use super::fields;
use crate::arch::Arch;
use crate::config::node::{self, Kind, Node};
use crate::config::{self, Source, schema};
use crate::diagnostic::{Diagnostic, Diagnostics, Span};

/// A parsed `build.yml`.
#[derive(Clone, Debug, Deserialize)]
pub struct Recipe {
    /// Repository of the image.
    pub image: String,
    /// Organization of the repository.
    #[serde(default = "default_org")]
    pub org: String,
    /// Architectures that the package supports.
    #[serde(default = "default_arches")]
    pub arches: Vec<String>,
    /// Label `org.mobyproject.config`.
    #[serde(default)]
    pub config: Option<Value>,
    /// Entrypoint of the OCI image configuration.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Command of the OCI image configuration.
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    /// Environment of the OCI image configuration.
    #[serde(default)]
    pub env: Option<Vec<String>>,
    /// Working directory of the OCI image configuration.
    #[serde(default)]
    pub workdir: Option<String>,
    /// Steps that fill the image. Later files replace earlier ones.
    #[serde(default)]
    pub contents: Vec<Step>,
}

fn default_org() -> String {
    "moby".into()
}

fn default_arches() -> Vec<String> {
    vec!["amd64".into(), "arm64".into()]
}

fn default_true() -> bool {
    true
}

/// A step that adds files to the image. Its first field names its kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Step {
    /// Debian packages.
    Debian {
        debian: Vec<String>,
        /// Component of the archive besides `main`, for example `non-free-firmware`.
        #[serde(default)]
        component: Option<String>,
        #[serde(default = "default_true")]
        closure: bool,
        #[serde(default)]
        paths: Vec<String>,
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// A static program of the cargo workspace around the package.
    Cargo {
        cargo: String,
        #[serde(default)]
        bin: Option<String>,
        to: String,
    },
    /// A file or directory beside the recipe.
    Copy {
        copy: String,
        #[serde(default)]
        to: String,
    },
    /// A file with the given content.
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
    /// An empty directory.
    Directory {
        directory: String,
        #[serde(default)]
        mode: Option<String>,
    },
    /// A symbolic link.
    Symlink { symlink: String, target: String },
    /// A concatenation of files of earlier steps.
    Concat {
        concat: Vec<String>,
        to: String,
        #[serde(default)]
        mode: Option<String>,
    },
    /// The boot sector and ldlinux.sys of SYSLINUX, extracted from the program extlinux.
    Ldlinux { ldlinux: String, to: String },
    /// A kernel compiled from a Debian source package of Linux.
    Linux {
        linux: String,
        /// Targets of the kernel's Makefile and files beside the recipe. Later options win.
        config: Vec<String>,
    },
    /// A Debian kernel package.
    Kernel {
        kernel: PerArch,
        /// Patterns of the modules to include.
        #[serde(default)]
        paths: Vec<String>,
        /// Patterns of the modules to leave out.
        #[serde(default)]
        exclude: Vec<String>,
    },
}

/// One name for every architecture, or one for each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum PerArch {
    /// The name for every architecture.
    All(String),
    /// Names by architecture.
    Each(BTreeMap<String, String>),
}

impl PerArch {
    /// Returns the name for an architecture.
    pub fn get(&self, arch: Arch) -> Option<&str> {
        match self {
            PerArch::All(name) => Some(name),
            PerArch::Each(names) => names.get(arch.name()).map(String::as_str),
        }
    }
}

/// Parses the YAML of a recipe.
fn parse(text: &[u8]) -> Result<Node, Diagnostic> {
    let start = Span {
        source: 0,
        line: 1,
        column: 1,
    };
    node::parse(text, 0)?.ok_or_else(|| Diagnostic::at(start, "the file is empty"))
}

/// Checks the fields of a recipe and converts it.
fn check(node: &Node) -> Result<Recipe, Vec<Diagnostic>> {
    let fields = fields::schema();
    let mut diagnostics = schema::against(&fields, &fields, node, &mut |_, _| {});
    diagnostics.extend(get(node, "contents").into_iter().flat_map(list).flat_map(outside));
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    serde_json::from_value(node.to_json()).map_err(|error| vec![Diagnostic::at(node.span, error.to_string())])
}

/// Finds paths of a step that are outside of the package's directory. The package's tag would not
/// cover their files.
fn outside(step: &Node) -> Vec<Diagnostic> {
    let values = ["copy", "config"].into_iter().filter_map(|key| get(step, key));
    let paths = values.flat_map(|node| match &node.kind {
        Kind::List(files) => files.iter().collect(),
        _ => vec![node],
    });
    let diagnose = |node: &Node| {
        let Kind::Text(path) = &node.kind else {
            return None;
        };
        let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let is_outside = path.starts_with(['/', '\\']) || !Path::new(path).components().all(is_inside);
        is_outside.then(|| {
            let message = format!("`{path}` is outside of the package's directory, which the package's tag covers");
            Diagnostic::at(node.span, message).help("put it beside build.yml")
        })
    };
    paths.filter_map(diagnose).collect()
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
    /// Reads the `build.yml` of a directory.
    ///
    /// # Errors
    /// A file that cannot be read, unknown or invalid fields, and a package with a Dockerfile and no
    /// steps.
    pub fn read(dir: &Path) -> Result<Recipe, Diagnostics> {
        let path = dir.join("build.yml");
        let text = crate::bounded::regular(&path, crate::config::MAX_YAML)
            .map_err(cannot(format!("read {}", path.display())))?;
        let source = Source {
            name: path.display().to_string(),
            dir: dir.to_owned(),
            text,
        };
        let locate = |diagnostics| config::diagnose(diagnostics, std::slice::from_ref(&source));
        let node = parse(&source.text).map_err(|diagnostic| locate(vec![diagnostic]))?;
        // A recipe for Docker has fields that moby does not know.
        if !has_steps(&node) && dir.join("Dockerfile").exists() {
            let message = format!(
                "cannot build {}: it has a Dockerfile and no `contents`, and moby runs no Dockerfile",
                dir.display()
            );
            let diagnostic = Diagnostic::error(message)
                .help("list its `contents:` in build.yml")
                .help(
                    "or build it with Docker, `docker build -t NAME . && docker save NAME -o image.tar`, and use \
                     `--layout image.tar` with NAME in place of @pkg:",
                );
            return Err(diagnostic.into());
        }
        check(&node).map_err(locate)
    }
}

/// Returns whether a recipe has steps, valid or not.
fn has_steps(node: &Node) -> bool {
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

    /// Reads a recipe, and returns its errors as text, with the file name alone.
    fn read(text: &str) -> (Option<Recipe>, String) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("build.yml"), text).unwrap();
        match Recipe::read(directory.path()) {
            Ok(recipe) => (Some(recipe), String::new()),
            Err(error) => {
                let prefix = format!("{}/", directory.path().display());
                (None, error.to_string().replace(&prefix, ""))
            }
        }
    }

    #[test]
    fn mistakes_have_a_place_and_a_remedy() {
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
                &["cannot tell the type of `contents[0]`", "debian, cargo, copy, file"],
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
                &[
                    "`../c` is outside of the package's directory",
                    "put it beside build.yml",
                ],
            ),
            (
                "image: a\ncontents:\n  - copy: /etc/passwd\n",
                "3:11",
                "copy: /etc/passwd",
                &["is outside of the package's directory"],
            ),
            ("org: a\n", "1:1", "org: a", &["`image` is missing"]),
            ("", "1:1", "", &["the file is empty"]),
        ] {
            let (recipe, message) = read(text);
            assert!(recipe.is_none(), "{text}");
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
    fn the_fields_of_linuxkit_are_accepted() {
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
        assert_eq!(read(text).0.unwrap().contents.len(), 3);
    }
}
