//! `cargo xtask dist`: archives that users download, the same bits each time.
//!
//! ```text
//! moby-VERSION-PLATFORM/
//!     bin/moby
//!     examples/                  with the names of the images in place of `@pkg:`
//!     share/moby/images/         OCI layout, which moby finds by its place beside bin
//!     share/man, share/bash-completion, share/zsh, share/fish, share/powershell
//!     share/doc/moby/            licences, SBOMs, sources of the images' packages
//! ```

mod acceptance;
mod debian;
mod images;
mod licenses;
mod platform;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{root, succeed};
use crate::error::{Error, Result, cannot};
use images::Images;
use platform::{PLATFORMS, Platform};

/// Version of the archives.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Time of every file in an archive, in seconds since 1970: that of moby's own outputs.
const TIME: &str = "@1492533000";

/// Makes the archives of the platforms that are named, else of all; with `--check` only that of this
/// host, from the program that the tests use, and tries it.
pub fn run(arguments: &[String]) -> Result {
    let output = root().join("target/dist");
    match arguments {
        [check] if check == "--check" => acceptance::run(&output.join("check")),
        names => {
            let chosen: Result<Vec<&Platform>> = names.iter().map(|name| platform::find(name)).collect();
            let chosen = chosen?;
            let chosen = if chosen.is_empty() {
                PLATFORMS.iter().collect()
            } else {
                chosen
            };
            make(&output, &chosen)
        }
    }
}

fn make(output: &Path, platforms: &[&Platform]) -> Result {
    let moby = host_program()?;
    let images = Images::build(&moby, &["amd64", "arm64"], &output.join("images"))?;
    images.archive(&output.join(images_name()))?;
    let man = manual()?;
    for platform in platforms {
        let program = platform.build()?;
        let distribution = Distribution {
            platform,
            program: &program,
            host_program: &moby,
            images: &images,
            man: &man,
        };
        let stage = distribution.stage(&output.join("stage"))?;
        let archive = platform.archive(&stage, output)?;
        println!("wrote {}", archive.display());
    }
    let mut sums = Command::new("sh");
    sums.args([
        "-c",
        "sha256sum moby-*.tar moby-*.tar.gz moby-*.zip 2> /dev/null > SHA256SUMS; test -s SHA256SUMS",
    ]);
    sums.current_dir(output);
    succeed(sums)
}

/// Returns the name of the archive of all images, which `moby cache import` reads.
fn images_name() -> String {
    format!("moby-{VERSION}-images.tar")
}

/// Builds moby for this host, as the tests do, and returns its path.
fn host_program() -> Result<PathBuf> {
    crate::run("cargo", &["build", "--locked", "--package", "moby"])?;
    Ok(root().join("target/debug/moby"))
}

/// Writes the manual pages, and returns their directory.
fn manual() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "test",
        "--quiet",
        "--package",
        "moby",
        "--test",
        "it",
        "cli::docs::manual_pages",
    ]);
    cargo.env("UPDATE_DOCS", "1").stdout(Stdio::null());
    succeed(cargo)?;
    Ok(root().join("target/man"))
}

/// Content of an archive.
struct Distribution<'a> {
    platform: &'a Platform,
    program: &'a Path,
    /// moby for this host, which prints the completions.
    host_program: &'a Path,
    images: &'a Images,
    man: &'a Path,
}

impl Distribution<'_> {
    /// Writes the files into a new directory `moby-VERSION-PLATFORM` of another.
    fn stage(&self, parent: &Path) -> Result<PathBuf> {
        let stage = parent.join(format!("moby-{VERSION}-{}", self.platform.name));
        remove(&stage)?;
        copy(self.program, &stage.join("bin").join(self.platform.program()))?;
        copy_all(&self.images.layout(), &stage.join("share/moby/images"))?;
        self.images.write_examples(&stage.join("examples"))?;
        copy_all(self.man, &stage.join("share/man/man1"))?;
        for (shell, path) in [
            ("bash", "share/bash-completion/completions/moby"),
            ("zsh", "share/zsh/site-functions/_moby"),
            ("fish", "share/fish/vendor_completions.d/moby.fish"),
            ("powershell", "share/powershell/moby.ps1"),
        ] {
            let mut command = Command::new(self.host_program);
            command.args(["completion", shell]);
            write(&stage.join(path), &output(command)?)?;
        }
        let doc = stage.join("share/doc/moby");
        for file in ["LICENSE", "README.md", "CHANGELOG.md"] {
            copy(&root().join(file), &doc.join(file))?;
        }
        licenses::crates(self.platform, &doc)?;
        copy_all(&self.images.documents(), &doc.join("images"))?;
        Ok(stage)
    }
}

/// Runs a command, and returns what it prints.
fn output(mut command: Command) -> Result<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(cannot(format!("run {command:?}")))?;
    if !output.status.success() {
        return Err(Error::new(format!("{command:?} ended with {}", output.status)));
    }
    Ok(output.stdout)
}

/// Runs a command, and returns the text that it prints.
fn text(command: Command) -> Result<String> {
    String::from_utf8(output(command)?).map_err(cannot("read what a program printed"))
}

fn write(path: &Path, bytes: &[u8]) -> Result {
    let parent = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(parent).and_then(|()| fs::write(path, bytes));
    written.map_err(cannot(format!("write {}", path.display())))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(cannot(format!("read {}", path.display())))
}

fn copy(from: &Path, to: &Path) -> Result {
    let parent = to.parent().unwrap_or(to);
    let copied = fs::create_dir_all(parent).and_then(|()| fs::copy(from, to));
    copied
        .map(drop)
        .map_err(cannot(format!("copy {} to {}", from.display(), to.display())))
}

/// Copies the files below a directory.
fn copy_all(from: &Path, to: &Path) -> Result {
    for (name, path) in crate::compare::files(from)? {
        copy(&path, &to.join(name))?;
    }
    Ok(())
}

/// Removes a directory, which need not exist.
fn remove(directory: &Path) -> Result {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot(format!("remove {}", directory.display()))(error))
        }
        _ => Ok(()),
    }
}
