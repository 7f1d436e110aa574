//! The acceptance test of an archive: unpacked, without a source tree, a network and privileges, it builds
//! and boots an example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::images::Images;
use super::{Distribution, VERSION, host_program, images_name, manual, output, platform, remove};
use crate::command::{root, succeed};
use crate::error::{Error, Result, cannot};

/// Formats of the example, and the file that boots.
const FORMATS: &str = "iso,raw,qcow2";
const BOOTED: &str = "out/hello-hybrid.iso";

/// Makes the archive of this host from the program that the tests use, and tries it.
pub fn run(directory: &Path) -> Result {
    let moby = host_program()?;
    remove(directory)?;
    let images = Images::build(&moby, &["amd64"], &directory.join("images"))?;
    let stage = staged(&moby, &images, directory)?;
    let platform = platform::of_host()?;
    let archive = platform.archive(&stage, directory)?;
    let first = digest(&archive)?;
    images.copy(&moby)?;
    let archive = platform.archive(&staged(&moby, &images, directory)?, directory)?;
    if digest(&archive)? != first {
        return Err(Error::new(format!(
            "{} differs when it is made again",
            archive.display()
        )));
    }
    images.archive(&directory.join(images_name()))?;
    sboms(&stage)?;

    let place = Place::new()?;
    let mut unpack = Command::new("tar");
    succeed(unpack.arg("-xzf").arg(&archive).arg("-C").arg(&place.directory))?;
    let unpacked = place.directory.join(stage.file_name().unwrap_or_default());
    place.succeeds(
        &unpacked,
        &[
            "build",
            "--arch",
            "amd64",
            "-f",
            FORMATS,
            "--dir",
            "../out",
            "examples/hello.yml",
        ],
    )?;
    place.succeeds(
        &place.directory,
        &[
            "run",
            "--arch",
            "amd64",
            "--accel",
            "tcg",
            "--timeout",
            "600",
            "--expect",
            "hello from second",
            "--expect-http",
            "80",
            "--usb",
            BOOTED,
        ],
    )?;
    without_images(&place, &unpacked, &directory.join(images_name()))?;
    println!("dist: {} builds and boots {BOOTED}", archive.display());
    Ok(())
}

/// Writes the files of the archive of this host.
pub fn staged(program: &Path, images: &Images, directory: &Path) -> Result<PathBuf> {
    let distribution = Distribution {
        platform: platform::of_host()?,
        program,
        host_program: program,
        images,
        man: &manual()?,
    };
    distribution.stage(&directory.join("stage"))
}

/// Checks what the program alone does: it names the file to fetch, and works once that was imported.
fn without_images(place: &Place, unpacked: &Path, images: &Path) -> Result {
    let program = place.directory.join("moby");
    super::copy(&unpacked.join("bin/moby"), &program)?;
    super::copy(
        &unpacked.join("examples/minimal.yml"),
        &place.directory.join("minimal.yml"),
    )?;
    super::copy(images, &place.directory.join(images_name()))?;
    let build = [
        "build",
        "-q",
        "--offline",
        "--arch",
        "amd64",
        "-f",
        "raw-bios",
        "--dir",
        "out",
        "minimal.yml",
    ];
    let refused = place.command(&program, &place.directory, &build)?.output();
    let refused = refused.map_err(cannot("run moby"))?;
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    let help = format!("moby cache import {}", images_name());
    if refused.status.code() != Some(1) || !message.contains(&help) {
        return Err(Error::new(format!(
            "a build without images ended with {}: {message}",
            refused.status
        )));
    }
    succeed(place.command(&program, &place.directory, &["cache", "import", "-q", &images_name()])?)?;
    succeed(place.command(&program, &place.directory, &build)?)
}

/// Checks the SBOMs with another program.
fn sboms(stage: &Path) -> Result {
    crate::python::install()?;
    for file in ["moby.spdx.json", "images/nginx-amd64.spdx.json"] {
        let mut check = Command::new(root().join("target/python/bin/pyspdxtools"));
        succeed(check.arg("--infile").arg(stage.join("share/doc/moby").join(file)))?;
    }
    Ok(())
}

fn digest(file: &Path) -> Result<Vec<u8>> {
    let mut sum = Command::new("sha256sum");
    sum.arg(file);
    output(sum)
}

fn is_root() -> Result<bool> {
    let mut id = Command::new("id");
    id.arg("-u");
    Ok(output(id)? == b"0\n")
}

/// A directory of a user without privileges, network and source tree.
struct Place {
    directory: PathBuf,
}

impl Place {
    fn new() -> Result<Place> {
        let directory = std::env::temp_dir().join(format!("moby-{VERSION}-{}", std::process::id()));
        let created = fs::create_dir_all(directory.join("home"));
        created.map_err(cannot(format!("create {}", directory.display())))?;
        Ok(Place { directory })
    }

    /// Runs the program of an unpacked archive, in its directory or beside it.
    fn succeeds(&self, unpacked: &Path, arguments: &[&str]) -> Result {
        let name = format!("moby-{VERSION}-{}", platform::of_host()?.name);
        let program = self.directory.join(name).join("bin/moby");
        succeed(self.command(&program, unpacked, arguments)?)
    }

    /// Returns the command that runs moby there.
    fn command(&self, program: &Path, directory: &Path, arguments: &[&str]) -> Result<Command> {
        // The network is the loopback device alone, which QEMU and moby talk over. The source tree is
        // covered, unless it cannot be seen anyway.
        let script = r#"set -e
            ip link set lo up
            mount -t tmpfs none "$1" 2> /dev/null || test ! -r "$1/Cargo.toml"
            shift
            cd "$1"; shift
            exec env -i HOME="$1/home" PATH=/usr/bin:/bin:/usr/sbin:/sbin "${@:2}""#;
        let mut open = Command::new("chmod");
        succeed(open.args(["-R", "a+rwX"]).arg(&self.directory))?;
        let mut command = Command::new("unshare");
        if is_root()? {
            command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare"]);
        }
        command
            .args([
                "--user",
                "--map-root-user",
                "--net",
                "--mount",
                "bash",
                "-c",
                script,
                "bash",
            ])
            .arg(root())
            .arg(directory)
            .arg(&self.directory)
            .arg(program)
            .args(arguments);
        command.current_dir(&self.directory);
        Ok(command)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What another user has written there, root may remove.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
