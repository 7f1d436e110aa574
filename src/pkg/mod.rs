//! Packages: a folder with a `build.yml` becomes an OCI image in the store, without Docker.
//!
//! ```text
//! build.yml ──recipe──▶ contents ──(debian, cargo, kernel, linux, files)──▶ Tree ──image──▶ OCI layout
//!        └──hash──▶ docker.io/ORG/IMAGE:HASH
//! ```

mod cargo;
mod crates;
mod fields;
mod hash;
mod image;
mod kernel;
mod linux;
mod recipe;
mod toolchain;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use extents::Extents;
use tree::{Kind, Meta, Time, Tree};

use crate::arch::Arch;
use crate::debian::{self, deb};
use crate::oci::Writer;
use crate::reporter::Reporter;
use crate::time;
use hash::Found;
use recipe::{Content, Recipe};

/// What is needed to build packages.
#[derive(Clone, Debug)]
pub struct Options {
    /// The OCI layout that the images go into.
    pub store: PathBuf,
    /// Architecture.
    pub arch: Arch,
    /// A folder of .debs in place of apt-get.
    pub debs: Option<PathBuf>,
    /// How many threads.
    pub jobs: usize,
}

impl Options {
    /// The part that fetching Debian packages needs.
    fn debian(&self) -> debian::Options {
        debian::Options {
            store: self.store.clone(),
            arch: self.arch,
            debs: self.debs.clone(),
        }
    }
}

/// The name that the package in a folder has, with the hash of its sources as its tag.
///
/// # Errors
/// A folder without a recipe, or a recipe that cannot be read.
pub fn tag(dir: &Path) -> Result<String, String> {
    let recipe = Recipe::read(dir)?;
    Ok(format!(
        "docker.io/{}/{}:{}",
        recipe.org,
        recipe.image,
        hash::sources(dir, &recipe)?
    ))
}

/// Builds the package in a folder, and returns its name.
///
/// # Errors
/// A recipe that asks for what is not there, and programs that fail.
pub fn build(dir: &Path, options: &Options, reporter: &dyn Reporter) -> Result<String, String> {
    let recipe = Recipe::read(dir)?;
    let name = tag(dir)?;
    if !recipe.arches.iter().any(|arch| arch == options.arch.name()) {
        return Err(format!(
            "{name} is not for {}, only for {}",
            options.arch,
            recipe.arches.join(", ")
        ));
    }
    // apt-get's state, too, can be changed by one at a time.
    let store = Writer::open(&options.store).map_err(|error| error.to_string())?;
    reporter.info(&format!("building {name}"));
    let mut tree = Tree::new(meta(0o755));
    for content in &recipe.contents {
        add(&mut tree, content, dir, options, reporter).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    image::write(&tree, &recipe, &name, options, &store)?;
    Ok(name)
}

/// Root's metadata of the fixed time.
fn meta(mode: u32) -> Meta {
    Meta::new(mode, Time::from_seconds(time::DEFAULT))
}

fn add(
    tree: &mut Tree,
    content: &Content,
    dir: &Path,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<(), String> {
    let parents = meta(0o755);
    let put = |tree: &mut Tree, path: &str, meta: Meta, kind: Kind| {
        let inserted = tree.insert(path.as_bytes(), meta, kind, &parents);
        inserted.map(drop).map_err(|error| error.to_string())
    };
    match content {
        Content::Debian {
            debian,
            component,
            closure,
            paths,
            exclude,
        } => {
            let files = debian::fetch(debian, component.as_deref(), *closure, &options.debian())?;
            match unpack(tree, &files, paths, exclude)? {
                true => Ok(()),
                false => Err(format!(
                    "`paths` names none of the files of {}\nhelp: `dpkg --contents FILE.deb` lists them",
                    debian.join(", ")
                )),
            }
        }
        Content::Cargo { cargo, bin, to } => {
            let program = cargo::build(cargo, bin.as_ref().unwrap_or(cargo), dir, options)?;
            put(tree, to, meta(0o755), Kind::File(Extents::from_bytes(program)))
        }
        Content::Copy { copy, to } => {
            for (relative, found) in hash::walk(&dir.join(copy))? {
                let path = if relative.is_empty() {
                    to.clone()
                } else {
                    format!("{to}/{relative}")
                };
                let (mode, kind) = match found {
                    Found::File(file) => {
                        let content = hash::content(&file)?;
                        let mode = if hash::executable(&content)? { 0o755 } else { 0o644 };
                        (mode, Kind::File(content))
                    }
                    Found::Symlink(target) => (0o777, Kind::Symlink(target.into_bytes())),
                    Found::Empty => (0o755, Kind::directory()),
                };
                put(tree, &path, meta(mode), kind)?;
            }
            Ok(())
        }
        Content::File {
            file,
            contents,
            mode,
            uid,
            gid,
        } => {
            let meta = Meta {
                uid: *uid,
                gid: *gid,
                ..meta(octal(mode.as_deref(), 0o644)?)
            };
            put(tree, file, meta, Kind::File(Extents::from_bytes(contents.as_bytes())))
        }
        Content::Directory { directory, mode } => {
            put(tree, directory, meta(octal(mode.as_deref(), 0o755)?), Kind::directory())
        }
        Content::Symlink { symlink, target } => {
            // Where /sbin leads to /usr/sbin, a link from the one to the other would lead to itself.
            let there = target
                .starts_with('/')
                .then(|| tree.lookup_following(target.as_bytes()));
            if there
                .flatten()
                .is_some_and(|id| tree.lookup_following(symlink.as_bytes()) == Some(id))
            {
                return Ok(());
            }
            put(tree, symlink, meta(0o777), Kind::Symlink(target.clone().into_bytes()))
        }
        Content::Concat { concat, to } => {
            let mut all = Extents::new();
            for item in tree.walk() {
                let path = tree::show(&item.path);
                if let Kind::File(content) = &item.node.kind
                    && concat.iter().any(|pattern| matches(pattern, &path))
                {
                    all.push(content);
                }
            }
            if all.is_empty() {
                return Err(format!("there is nothing of {} to put into {to}", concat.join(", ")));
            }
            put(tree, to, meta(0o644), Kind::File(all))
        }
        Content::Ldlinux { ldlinux, to } => {
            let found = tree
                .lookup_following(ldlinux.as_bytes())
                .map(|id| tree.node(id).kind.clone());
            let Some(Kind::File(program)) = found else {
                return Err(format!("there is no file {ldlinux:?} to take ldlinux.sys from"));
            };
            let program = program.to_vec().map_err(|error| error.to_string())?;
            let loader = syslinux::from_program(&program).map_err(|error| format!("{ldlinux}: {error}"))?;
            tree.remove(ldlinux.as_bytes());
            for (name, content) in [("ldlinux.bss", loader.boot_sector()), ("ldlinux.sys", loader.system())] {
                let file = Kind::File(Extents::from_bytes(content));
                put(tree, &format!("{to}/{name}"), meta(0o644), file)?;
            }
            Ok(())
        }
        Content::Kernel { kernel, paths, exclude } => {
            let package = kernel.for_arch(options.arch)?;
            let files = debian::fetch(&[package.to_owned()], None, true, &options.debian())?;
            kernel::unpack(&files, tree, &|path| wanted(path, paths, exclude))
        }
        Content::Linux { linux, config } => linux::build(linux, config, dir, options, tree, reporter),
    }
}

/// Unpacks what is wanted of .debs, and returns whether there is anything. A path that a release has
/// moved into `usr` is wanted by its name without it, too, and found by it.
fn unpack(tree: &mut Tree, debs: &[PathBuf], paths: &[String], exclude: &[String]) -> Result<bool, String> {
    let in_usr = deb::all_in_usr(debs)?;
    let taken = Cell::new(false);
    for file in debs {
        deb::unpack(file, tree, &|path| {
            let outside = path.strip_prefix("usr/").filter(|_| in_usr);
            let names = [Some(path), outside];
            let mut names = names.iter().flatten();
            let take =
                names.clone().any(|name| wanted(name, paths, &[])) && names.all(|name| wanted(name, &[], exclude));
            taken.set(taken.get() || take);
            take
        })?;
    }
    for name in ["bin", "sbin", "lib", "lib64"].iter().filter(|_| in_usr) {
        let target = format!("usr/{name}");
        if tree.lookup(target.as_bytes()).is_some() && tree.lookup(name.as_bytes()).is_none() {
            let link = Kind::Symlink(target.into_bytes());
            let inserted = tree.insert(name.as_bytes(), meta(0o777), link, &meta(0o755));
            inserted.map_err(|error| error.to_string())?;
        }
    }
    Ok(taken.get())
}

fn octal(mode: Option<&str>, default: u32) -> Result<u32, String> {
    mode.map_or(Ok(default), |text| {
        u32::from_str_radix(text, 8).map_err(|_| format!("the mode {text:?} is not octal"))
    })
}

fn wanted(path: &str, paths: &[String], exclude: &[String]) -> bool {
    (paths.is_empty() || paths.iter().any(|pattern| matches(pattern, path)))
        && !exclude.iter().any(|pattern| matches(pattern, path))
}

/// Whether a path is what a pattern names: `*` within a component, `**` over several, and a
/// folder with `/` at its end stands for all below it.
fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    if let Some(folder) = pattern.strip_suffix('/') {
        return matches(folder, path) || matches(&format!("{folder}/**"), path);
    }
    fn go(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([b'*', b'*', rest @ ..], _) => {
                let rest = rest.strip_prefix(b"/").unwrap_or(rest);
                (0..=path.len()).any(|at| go(rest, path.get(at..).unwrap_or_default()))
            }
            ([b'*', rest @ ..], _) => {
                let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
                (0..=end).any(|at| go(rest, path.get(at..).unwrap_or_default()))
            }
            ([a, pattern @ ..], [b, path @ ..]) => a == b && go(pattern, path),
            ([], []) => true,
            _ => false,
        }
    }
    go(pattern.as_bytes(), path.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_name_paths() {
        assert!(matches("usr/bin/a", "usr/bin/a"));
        assert!(matches("usr/bin/", "usr/bin/a/b"));
        assert!(matches("usr/share/**/*.crt", "usr/share/a/b/c.crt"));
        assert!(matches("usr/*/a", "usr/bin/a"));
        assert!(!matches("usr/*", "usr/bin/a"));
        assert!(!matches("usr/bi", "usr/bin"));
    }
}
