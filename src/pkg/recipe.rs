//! `build.yml`: LinuxKit's fields, and the list of contents.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::config::node;

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
    pub fn for_arch(&self, arch: &str) -> Result<&str, String> {
        match self {
            Names::One(name) => Ok(name),
            Names::Each(names) => names
                .get(arch)
                .map(String::as_str)
                .ok_or_else(|| format!("there is no kernel for {arch}")),
        }
    }
}

impl Recipe {
    /// Reads the recipe of a folder.
    pub fn read(dir: &Path) -> Result<Recipe, String> {
        let path = dir.join("build.yml");
        let text = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let node = node::parse(&text, 0)
            .map_err(|error| {
                format!(
                    "{}:{}:{}: {}",
                    path.display(),
                    error.span.line,
                    error.span.column,
                    error.message
                )
            })?
            .ok_or_else(|| format!("{} is empty", path.display()))?;
        let recipe: Recipe =
            serde_json::from_value(node.to_json()).map_err(|error| format!("{}: {error}", path.display()))?;
        if recipe.contents.is_empty() && dir.join("Dockerfile").exists() {
            return Err(format!(
                "{} has a Dockerfile and no contents, and moby runs no Dockerfiles\n\
                 help: build it where Docker is, with `docker build -t NAME . && docker save NAME -o image.tar`, and use \
                 --layout image.tar with NAME in place of @pkg:; or list its `contents:` in build.yml",
                dir.display()
            ));
        }
        Ok(recipe)
    }
}
