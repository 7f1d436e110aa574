//! Steps of a recipe, each of which adds files to the tree of an image.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use extents::Extents;
use tree::{Kind, Meta, Tree};

use super::error::cannot;
use super::files::{self, Entry};
use super::pattern::{self, Selection};
use super::put::{put, put_file};
use super::recipe::{Recipe, Step};
use super::{Options, cargo, kernel, linux};
use crate::arch::Arch;
use crate::debian::{self, Query, deb};
use crate::diagnostic::Diagnostic;
use crate::reporter::Reporter;
use crate::time::default_meta;

/// Adds the files of one step.
///
/// # Errors
/// Sources that are missing or invalid, programs that fail, and paths that the tree refuses.
pub fn add(
    tree: &mut Tree,
    step: &Step,
    dir: &Path,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<(), Diagnostic> {
    match step {
        Step::Debian {
            debian,
            component,
            closure,
            paths,
            exclude,
        } => {
            let query = Query {
                packages: debian.clone(),
                component: component.clone(),
                closure: *closure,
            };
            let debs = debian::fetch(&query, &options.debian())?;
            if !unpack(tree, &debs, Selection { paths, exclude })? {
                let message = format!("`paths` matches no file of {}", debian.join(", "));
                return Err(Diagnostic::error(message).help("list the files with `dpkg --contents FILE.deb`"));
            }
            Ok(())
        }
        Step::Cargo { cargo, bin, to } => {
            let program = cargo::build(cargo, bin.as_ref().unwrap_or(cargo), dir, options)?;
            put_file(tree, to, 0o755, Extents::from_bytes(program))
        }
        Step::Copy { copy, to } => copy_files(tree, &dir.join(copy), to),
        Step::File {
            file,
            contents,
            mode,
            uid,
            gid,
        } => {
            let meta = Meta {
                uid: *uid,
                gid: *gid,
                ..default_meta(parse_mode(mode.as_deref(), 0o644)?)
            };
            put(tree, file, meta, Kind::File(Extents::from_bytes(contents.as_bytes())))
        }
        Step::Directory { directory, mode } => {
            let meta = default_meta(parse_mode(mode.as_deref(), 0o755)?);
            put(tree, directory, meta, Kind::directory())
        }
        Step::Symlink { symlink, target } => link(tree, symlink, target),
        Step::Concat { concat, to, mode } => concatenate(tree, concat, to, parse_mode(mode.as_deref(), 0o644)?),
        Step::Ldlinux { ldlinux, to } => extract_syslinux(tree, ldlinux, to),
        Step::Kernel { kernel, paths, exclude } => {
            let package = kernel.get(options.arch).ok_or_else(|| {
                let message = format!("cannot find a kernel for {}: `kernel` has no name for it", options.arch);
                Diagnostic::error(message).help(format!("add `{}: PACKAGE`", options.arch))
            })?;
            let debs = debian::fetch(&of_kernel(package), &options.debian())?;
            let selection = Selection { paths, exclude };
            kernel::unpack(&debs, tree, &|path| selection.contains(path))?;
            for deb in debs.iter().filter(|deb| kernel::is_kernel(deb)) {
                deb::record(deb, tree)?;
            }
            Ok(())
        }
        Step::Linux { linux, config } => linux::build(linux, config, dir, options, tree, reporter),
    }
}

/// Returns the queries for the Debian packages of a recipe, each once.
pub fn queries(recipe: &Recipe, arch: Arch) -> Vec<Query> {
    let mut queries: Vec<Query> = Vec::new();
    for step in &recipe.contents {
        let query = match step {
            Step::Debian {
                debian,
                component,
                closure,
                ..
            } => Some(Query {
                packages: debian.clone(),
                component: component.clone(),
                closure: *closure,
            }),
            Step::Kernel { kernel, .. } => kernel.get(arch).map(of_kernel),
            Step::Linux { linux, .. } => Some(linux::query(linux)),
            _ => None,
        };
        queries.extend(query.filter(|query| !queries.contains(query)));
    }
    queries
}

fn of_kernel(package: &str) -> Query {
    Query {
        packages: vec![package.to_owned()],
        component: None,
        closure: true,
    }
}

/// Unpacks the selected files of `debs`, and returns whether there are any. A path that a release
/// has moved into `usr` is selected, and found, by its name without `usr`, too.
fn unpack(tree: &mut Tree, debs: &[PathBuf], selection: Selection) -> Result<bool, Diagnostic> {
    let is_merged = deb::is_usr_merged(debs)?;
    let is_any = Cell::new(false);
    for file in debs {
        let has_files = deb::unpack(file, tree, &|path| {
            let outside = path.strip_prefix("usr/").filter(|_| is_merged);
            let names = [Some(path), outside];
            let mut names = names.iter().flatten();
            let is_selected =
                names.clone().any(|name| selection.includes(name)) && !names.any(|name| selection.excludes(name));
            is_any.set(is_any.get() || is_selected);
            is_selected
        })?;
        if has_files {
            deb::record(file, tree)?;
        }
    }
    for name in ["bin", "sbin", "lib", "lib64"].iter().filter(|_| is_merged) {
        let target = format!("usr/{name}");
        if tree.lookup(target.as_bytes()).is_some() && tree.lookup(name.as_bytes()).is_none() {
            put(tree, name, default_meta(0o777), Kind::Symlink(target.into_bytes()))?;
        }
    }
    Ok(is_any.get())
}

/// Copies a file, or everything below a directory, to `to`.
fn copy_files(tree: &mut Tree, from: &Path, to: &str) -> Result<(), Diagnostic> {
    for (relative, entry) in files::walk(from)? {
        let path = if relative.is_empty() {
            to.to_owned()
        } else {
            format!("{to}/{relative}")
        };
        let (mode, kind) = match entry {
            Entry::File(file) => {
                let content = files::content(&file)?;
                let mode = if files::is_executable(&content)? { 0o755 } else { 0o644 };
                (mode, Kind::File(content))
            }
            Entry::Symlink(target) => (0o777, Kind::Symlink(target.into_bytes())),
            Entry::EmptyDirectory => (0o755, Kind::directory()),
        };
        put(tree, &path, default_meta(mode), kind)?;
    }
    Ok(())
}

/// Adds a symbolic link, unless it would point to itself: where /sbin leads to /usr/sbin, so would a
/// link from the one to the other.
fn link(tree: &mut Tree, symlink: &str, target: &str) -> Result<(), Diagnostic> {
    let id = |path: &str| tree.lookup_following(path.as_bytes());
    if target.starts_with('/') && id(target).is_some_and(|target| id(symlink) == Some(target)) {
        return Ok(());
    }
    put(
        tree,
        symlink,
        default_meta(0o777),
        Kind::Symlink(target.to_owned().into_bytes()),
    )
}

/// Concatenates the files that match a pattern.
fn concatenate(tree: &mut Tree, patterns: &[String], to: &str, mode: u32) -> Result<(), Diagnostic> {
    let mut all = Extents::new();
    for named in tree.walk() {
        let path = tree::show(&named.path);
        if let Kind::File(content) = &named.node.kind
            && patterns.iter().any(|pattern| pattern::matches(pattern, &path))
        {
            all.push(content);
        }
    }
    if all.is_empty() {
        let message = format!("cannot write {to}: no file matches {}", patterns.join(", "));
        return Err(Diagnostic::error(message).help("list the steps that add the files before this one"));
    }
    put_file(tree, to, mode, all)
}

/// Replaces the program extlinux by the boot sector and `ldlinux.sys` inside it.
fn extract_syslinux(tree: &mut Tree, ldlinux: &str, to: &str) -> Result<(), Diagnostic> {
    let found = tree
        .lookup_following(ldlinux.as_bytes())
        .map(|id| tree.node(id).kind.clone());
    let Some(Kind::File(program)) = found else {
        let message = format!("cannot extract ldlinux.sys: {ldlinux} is not in the image");
        return Err(Diagnostic::error(message).help("add the package extlinux in a step before"));
    };
    let program = program.to_vec().map_err(cannot(format!("read {ldlinux}")))?;
    let extracting = format!("extract ldlinux.sys from {ldlinux}");
    let loader = syslinux::from_program(&program).map_err(cannot(extracting))?;
    tree.remove(ldlinux.as_bytes());
    for (name, content) in [("ldlinux.bss", loader.boot_sector()), ("ldlinux.sys", loader.system())] {
        put_file(tree, &format!("{to}/{name}"), 0o644, Extents::from_bytes(content))?;
    }
    Ok(())
}

fn parse_mode(mode: Option<&str>, default: u32) -> Result<u32, Diagnostic> {
    let Some(text) = mode else {
        return Ok(default);
    };
    u32::from_str_radix(text, 8).map_err(|error| {
        let message = format!("invalid mode {text:?}: {error}");
        Diagnostic::error(message)
            .help("write it in octal, such as \"0755\"")
            .caused_by(error)
    })
}
