//! `cargo xtask windows`: moby.exe, compiled and run under wine. It must print and write the same
//! bytes as moby on Linux.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::command::{root, succeed};
use crate::compare::{ensure_equal, files};
use crate::cross;
use crate::error::{Error, Result, cannot};
use crate::{debian, inputs};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Debian 12 calls wine64 just wine, and names the linker after its thread library.
const PACKAGES: &[&str] = &["gcc-mingw-w64-x86-64-win32", "wine", "wine64"];
const LINKER: &str = "x86_64-w64-mingw32-gcc-win32";

/// Source of bcryptprimitives.dll, from which Rust's standard library takes the seeds of hash maps.
/// Windows has it since version 7, Debian 12's wine does not.
const BCRYPTPRIMITIVES: &str = "
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
";

/// Directories of a cache with what a program has kept for itself.
const OF_ONE_PROGRAM: [&str; 2] = ["cache/moby/builds/", "cache/moby/pieces/"];

/// Builds moby.exe, compares it, or does both.
pub fn run(part: Option<&str>) -> Result {
    let (building, running) = match part {
        None => (true, true),
        Some("build") => (true, false),
        Some("run") => (false, true),
        Some(other) => return Err(Error::new(format!("unknown part {other:?}")).help("use build or run")),
    };
    cross::install()?;
    debian::ensure(PACKAGES)?;
    if building {
        let mut command = cargo("build");
        command.args(["--package", "moby"]);
        succeed(command)?;
        let mut command = cargo("test");
        command.args(["--package", "image-extents", "--lib", "--no-run"]);
        succeed(command)?;
    }
    if running {
        crate::run("cargo", &["build", "--package", "moby"])?;
        compare()?;
    }
    Ok(())
}

fn cargo(task: &str) -> Command {
    let mut command = cross::cargo(task, TARGET, "windows");
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER);
    // A short build matters more than a fast program; these two packages would take a quarter of it.
    command.args(["--release", "--config", "profile.release.opt-level=1"]);
    for package in ["structured-zstd", "zstd"] {
        command.args(["--config", &format!("profile.release.package.{package}.opt-level=0")]);
    }
    command
}

/// Wine with a prefix, and so a drive C:, of its own.
struct Wine {
    work: PathBuf,
}

impl Wine {
    fn start(work: &Path) -> Result<Wine> {
        let wine = Wine { work: work.to_owned() };
        fs::write(work.join("bcryptprimitives.c"), BCRYPTPRIMITIVES).map_err(cannot("write bcryptprimitives.c"))?;
        let mut command = Command::new(LINKER);
        command
            .args([
                "-shared",
                "-O2",
                "-s",
                "-o",
                "bcryptprimitives.dll",
                "bcryptprimitives.c",
            ])
            .arg("-ladvapi32")
            .current_dir(work);
        succeed(command)?;
        // Services that wine starts for one program end after it, and sometimes crash while the next
        // one starts, with a message among that program's own. Under a persistent server they stay.
        let prefix = work.join("wine");
        fs::create_dir_all(&prefix).map_err(cannot(format!("create {}", prefix.display())))?;
        let mut command = wine.command("wineserver");
        command.arg("-p");
        succeed(command)?;
        let mut command = wine.command("wineboot");
        // It warns about 32-bit programs, which are not needed.
        command.arg("-i").stderr(Stdio::null());
        succeed(command)?;
        Ok(wine)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", self.work.join("wine"))
            .env("WINEPATH", &self.work)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env_remove("DISPLAY");
        command
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // The server of this prefix only.
        let _ = self.command("wineserver").arg("-k").status();
    }
}

/// moby on Linux and moby.exe, each in a directory with the inputs.
struct Pair {
    wine: Wine,
    linux: PathBuf,
    windows: PathBuf,
    runs: usize,
}

impl Pair {
    fn commands(&self, arguments: &[&str]) -> [Command; 2] {
        let mut linux = Command::new(root().join("target/debug/moby"));
        linux.env("HOME", &self.linux).current_dir(&self.linux);
        let mut windows = self.wine.command("wine");
        windows.arg(self.wine.work.join("moby.exe")).current_dir(&self.windows);
        [linux, windows].map(|mut command| {
            command.env("MOBY_OFFLINE", "1");
            for name in ["MOBY_CACHE", "LINUXKIT_CACHE", "SOURCE_DATE_EPOCH"] {
                command.env_remove(name);
            }
            command.args(arguments);
            command
        })
    }

    /// Runs both, which must end with `status` and print equal text.
    fn run_expecting(&mut self, status: i32, arguments: &[&str]) -> Result<Vec<u8>> {
        self.runs += 1;
        let mut outputs = Vec::new();
        for mut command in self.commands(arguments) {
            let out = command.output().map_err(cannot(format!("run {command:?}")))?;
            if out.status.code() != Some(status) {
                return Err(Error::new(format!(
                    "{command:?} ended with {}, not with {status}:\n{}",
                    out.status,
                    text(&out)
                )));
            }
            outputs.push(out);
        }
        match outputs.as_slice() {
            [linux, windows] if linux.stdout == windows.stdout && linux.stderr == windows.stderr => {
                Ok(linux.stdout.clone())
            }
            [linux, windows] => Err(Error::new(format!(
                "moby {} prints on Linux:\n{}\nand on Windows:\n{}",
                arguments.join(" "),
                text(linux),
                text(windows)
            ))),
            _ => Err(Error::new("two programs did not run")),
        }
    }

    fn run(&mut self, arguments: &[&str]) -> Result<Vec<u8>> {
        self.run_expecting(0, arguments)
    }

    /// Fails unless both directories have equal files. Returns the number of files, and of bytes.
    fn same_files(&self) -> Result<(usize, u64)> {
        let (mut linux, mut windows) = (files(&self.linux)?, files(&self.windows)?);
        // They are for one program: their names are digests of its identity, too.
        let is_for_both = |name: &str| !OF_ONE_PROGRAM.iter().any(|directory| name.starts_with(directory));
        linux.retain(|name, _| is_for_both(name));
        windows.retain(|name, _| is_for_both(name));
        let mut bytes = 0;
        for (name, path) in &linux {
            let other = windows.get(name);
            let other = other.ok_or_else(|| Error::new(format!("{name} exists on Linux only")))?;
            bytes += ensure_equal(path, other)?;
        }
        if let Some(name) = windows.keys().find(|name| !linux.contains_key(*name)) {
            return Err(Error::new(format!("{name} exists on Windows only")));
        }
        Ok((linux.len(), bytes))
    }
}

/// Returns the beginning of the text that a program printed.
fn text(out: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..4000).unwrap_or(bytes)).into_owned();
    format!("{}{}", text(&out.stderr), text(&out.stdout))
}

/// Finds the newest file with this beginning and end of its name, to which cargo adds a hash.
fn newest_file(directory: &Path, start: &str, end: &str) -> Result<PathBuf> {
    let listed = fs::read_dir(directory).map_err(cannot(format!("read {}", directory.display())))?;
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with(start) && name.ends_with(end)
    };
    let newest = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    let found = listed.filter_map(|entry| Some(entry.ok()?.path())).filter(named);
    found.max_by_key(newest).ok_or_else(|| {
        let message = format!("cannot find {start}*{end} in {}", directory.display());
        Error::new(message).help("run `cargo xtask windows build`")
    })
}

fn compare() -> Result {
    let built = root().join("target/windows").join(TARGET).join("release");
    let work = root().join("target/windows/compare");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(cannot(format!("remove {}", work.display())))?;
    }
    fs::create_dir_all(&work).map_err(cannot(format!("create {}", work.display())))?;
    let copied = fs::copy(newest_file(&built, "moby", ".exe")?, work.join("moby.exe"));
    copied.map_err(cannot("copy moby.exe"))?;
    let (linux, windows) = (work.join("linux"), work.join("windows"));
    inputs::write(&linux)?;
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(&linux).arg(&windows);
    succeed(copy)?;
    let wine = Wine::start(&work)?;
    let mut tests = wine.command("wine");
    tests.arg(newest_file(&built.join("deps"), "image_extents-", ".exe")?);
    succeed(tests)?;
    let mut pair = Pair {
        wine,
        linux,
        windows,
        runs: 0,
    };
    packages(&mut pair)?;
    yaml(&mut pair)?;
    builds(&mut pair)?;
    let (files, bytes) = pair.same_files()?;
    println!(
        "windows: {} commands, {files} files with {} MiB: the same as on Linux",
        pair.runs,
        bytes >> 20
    );
    home(&mut pair)?;
    concurrent(&pair)
}

/// Compares packages of files and of .debs: names and bits.
fn packages(pair: &mut Pair) -> Result {
    let names = pair.run(&[&["pkg", "show-tag"], inputs::PACKAGES].concat())?;
    let arguments = [
        "-q", "pkg", "build", "--arch", "amd64", "--cache", "images", "--debs", "debs",
    ];
    let built = pair.run(&[&arguments, inputs::PACKAGES].concat())?;
    if names != built || names.iter().filter(|&&byte| byte == b'\n').count() != inputs::PACKAGES.len() {
        let names = String::from_utf8_lossy(&names);
        return Err(Error::new(format!("unexpected names of packages: {names}")));
    }
    pair.same_files()?;
    // A layout as one file.
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--exclude=./moby",
        "-cf",
        "images.tar",
        "-C",
        "images",
        ".",
    ]);
    tar.current_dir(&pair.linux);
    succeed(tar)?;
    let copied = fs::copy(pair.linux.join("images.tar"), pair.windows.join("images.tar"));
    copied.map(drop).map_err(cannot("copy images.tar"))
}

/// Compares messages about valid and invalid YAMLs.
fn yaml(pair: &mut Pair) -> Result {
    pair.run(&["check", "machine.yml"])?;
    pair.run(&["check", "crlf.yml"])?;
    pair.run_expecting(2, &["check", "wrong.yml"])?;
    pair.run_expecting(1, &["build", "--layout", "images", "--cache", "cache", "no-image.yml"])?;
    pair.run(&["schema"])?;
    let yaml = pair.run(&["build", "--dry-run", "--cache", "images", "machine.yml"])?;
    let crlf = pair.run(&["build", "--dry-run", "--cache", "images", "crlf.yml"])?;
    if yaml != crlf {
        return Err(Error::new(
            "crlf.yml, machine.yml with CRLF line ends, has another meaning",
        ));
    }
    Ok(())
}

/// Compares builds: every format and compression, archives, pipes, and existing output files.
fn builds(pair: &mut Pair) -> Result {
    pair.run(&["formats", "--names"])?;
    let table = String::from_utf8_lossy(&pair.run(&["formats"])?).into_owned();
    let rows = table.lines().filter(|row| row.contains("amd64"));
    let build_of = |layout| {
        [
            "-q",
            "build",
            "--rebuild",
            "--arch",
            "amd64",
            "--cache",
            "cache",
            "--layout",
            layout,
        ]
    };
    let build = build_of("images");
    for name in rows.filter_map(|row| row.split_whitespace().next()) {
        eprintln!("windows: {name}");
        let dir = format!("out/{name}");
        pair.run(&[&build[..], &["-f", name, "--dir", &dir, "machine.yml"]].concat())?;
    }
    for compression in ["gzip:9", "zstd", "zstd:19", "lz4", "xz", "none"] {
        let name = compression.replace(':', "-");
        pair.run(&[&build[..], &["--compress", compression, "--name", &name, "machine.yml"]].concat())?;
    }
    let archive = build_of("images.tar");
    for file in ["machine.yml", "crlf.yml", "machine.yml"] {
        pair.run(
            &[
                &archive[..],
                &["-f", "kernel+initrd,raw-bios,tar", "--name", "again", file],
            ]
            .concat(),
        )?;
    }
    pair.run(&[&build[..], &["-f", "tar", "-o", "one.tar", "machine.yml"]].concat())?;
    let piped = pair.run(&[&build[..], &["-f", "tar", "-o", "-", "machine.yml"]].concat())?;
    if piped.is_empty() || fs::read(pair.windows.join("one.tar")).ok() != Some(piped) {
        return Err(Error::new("the tar in a pipe differs from the tar in a file"));
    }
    for file in ["out/raw/machine.img", "out/iso/machine-hybrid.iso"] {
        pair.run(&["inspect", file])?;
        pair.run(&["inspect", "--ls", file])?;
    }
    Ok(())
}

/// Compares the default cache, which is in the home directory.
fn home(pair: &mut Pair) -> Result {
    pair.run(&["-q", "pkg", "build", "hello"])?;
    let users = pair.wine.work.join("wine/drive_c/users");
    let listed = fs::read_dir(&users).map_err(cannot(format!("read {}", users.display())))?;
    let index = |home: &Path| home.join(".linuxkit/cache/index.json");
    let mut found = listed
        .filter_map(|entry| Some(index(&entry.ok()?.path())))
        .filter(|path| path.is_file());
    let windows = found
        .next()
        .ok_or_else(|| Error::new("moby.exe wrote no cache in the home directory"))?;
    ensure_equal(&index(&pair.linux), &windows)?;
    Ok(())
}

/// Checks that several moby.exe with one cache lose no package.
fn concurrent(pair: &Pair) -> Result {
    let mut children = Vec::new();
    for package in ["kernel", "init", "hello", "kernel", "init", "hello"] {
        let arguments = ["-q", "pkg", "build", "--arch", "amd64", "--cache", "shared", package];
        let [_, mut windows] = pair.commands(&arguments);
        windows.stdout(Stdio::null());
        children.push(windows.spawn().map_err(cannot(format!("run {windows:?}")))?);
    }
    for mut child in children {
        let status = child.wait().map_err(cannot("wait for moby.exe"))?;
        if !status.success() {
            let message = format!("one of several moby.exe with one cache ended with {status}");
            return Err(Error::new(message));
        }
    }
    let index = fs::read_to_string(pair.windows.join("shared/index.json"));
    let index = index.map_err(cannot("read the index of the shared cache"))?;
    match ["kernel", "init", "hello"]
        .iter()
        .find(|name| !index.contains(&format!("moby/{name}:")))
    {
        Some(name) => Err(Error::new(format!(
            "several moby.exe with one cache lost package {name}"
        ))),
        None => Ok(()),
    }
}
