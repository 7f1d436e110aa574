//! `cargo xtask windows`: moby.exe is built, run under wine on the same inputs as moby on Linux,
//! and must write the same bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::foreign::{self, root, succeed};
use crate::{debian, inputs};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Debian 12 calls wine64 nothing but wine, and knows the linker by the name of its threads.
const PACKAGES: &[&str] = &["gcc-mingw-w64-x86-64-win32", "wine", "wine64"];
const LINKER: &str = "x86_64-w64-mingw32-gcc-win32";

/// Debian 12's wine has no bcryptprimitives.dll, which Rust's standard library asks for the seeds
/// of its hash maps. Windows has it since version 7.
const BCRYPTPRIMITIVES: &str = "
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
";

/// Builds, runs, or does both.
pub fn run(part: Option<&str>) -> Result<(), String> {
    let (building, running) = match part {
        None => (true, true),
        Some("build") => (true, false),
        Some("run") => (false, true),
        Some(other) => return Err(format!("unknown part {other:?}\nhelp: there are build and run")),
    };
    foreign::install()?;
    debian::want(PACKAGES)?;
    if building {
        let mut command = cargo("build");
        command.args(["--package", "moby"]);
        succeed(command)?;
        let mut command = cargo("test");
        command.args(["--package", "extents", "--lib", "--no-run"]);
        succeed(command)?;
    }
    if running {
        crate::run("cargo", &["build", "--package", "moby"])?;
        compare()?;
    }
    Ok(())
}

fn cargo(task: &str) -> Command {
    let mut command = foreign::cargo(task, TARGET, "windows");
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER);
    // Optimized for the time that building takes; these two alone would be a quarter of it.
    command.args(["--release", "--config", "profile.release.opt-level=1"]);
    for package in ["structured-zstd", "zstd"] {
        command.args(["--config", &format!("profile.release.package.{package}.opt-level=0")]);
    }
    command
}

/// Wine, with a C: drive of its own.
struct Wine {
    work: PathBuf,
}

impl Wine {
    fn start(work: &Path) -> Result<Wine, String> {
        let wine = Wine { work: work.to_owned() };
        fs::write(work.join("bcryptprimitives.c"), BCRYPTPRIMITIVES).map_err(|error| error.to_string())?;
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
        let mut command = wine.command("wineboot");
        // It complains about 32-bit programs, which are not wanted here.
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
        // Only the server of this prefix.
        let _ = self.command("wineserver").arg("-k").status();
    }
}

/// The same inputs twice, each with a moby of its own.
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
            for name in ["MOBY_CACHE", "LINUXKIT_CACHE", "SOURCE_DATE_EPOCH"] {
                command.env_remove(name);
            }
            command.args(arguments);
            command
        })
    }

    /// Runs both mobys, which must end with a status and say the same.
    fn ends(&mut self, status: i32, arguments: &[&str]) -> Result<Vec<u8>, String> {
        self.runs += 1;
        let mut outputs = Vec::new();
        for mut command in self.commands(arguments) {
            let out = command
                .output()
                .map_err(|error| format!("cannot run {command:?}: {error}"))?;
            if out.status.code() != Some(status) {
                return Err(format!(
                    "{command:?} ended with {}, not with {status}:\n{}",
                    out.status,
                    said(&out)
                ));
            }
            outputs.push(out);
        }
        match outputs.as_slice() {
            [linux, windows] if linux.stdout == windows.stdout && linux.stderr == windows.stderr => {
                Ok(linux.stdout.clone())
            }
            [linux, windows] => Err(format!(
                "moby {} says on Linux:\n{}\nand on Windows:\n{}",
                arguments.join(" "),
                said(linux),
                said(windows)
            )),
            _ => Err("two programs were to run".into()),
        }
    }

    fn good(&mut self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        self.ends(0, arguments)
    }

    /// All files of both sides have the same names and bytes. Returns how many, and their bytes.
    fn same_files(&self) -> Result<(usize, u64), String> {
        let (linux, windows) = (files(&self.linux)?, files(&self.windows)?);
        let mut bytes = 0;
        for (name, path) in &linux {
            let other = windows.get(name).ok_or_else(|| format!("{name} is on Linux only"))?;
            bytes += same(path, other)?;
        }
        match windows.keys().find(|name| !linux.contains_key(*name)) {
            Some(name) => Err(format!("{name} is on Windows only")),
            None => Ok((linux.len(), bytes)),
        }
    }
}

fn said(out: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..4000).unwrap_or(bytes)).into_owned();
    format!("{}{}", text(&out.stderr), text(&out.stdout))
}

/// The files below a folder by their names.
fn files(folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", next.display());
        for entry in fs::read_dir(&next).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            files.insert(name, path);
        }
    }
    Ok(files)
}

/// Compares two files, and returns their length.
fn same(one: &Path, other: &Path) -> Result<u64, String> {
    let open = |path: &Path| {
        let file = fs::File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let len = file.metadata().map_err(|error| error.to_string())?.len();
        Ok::<_, String>((file, len))
    };
    let ((mut a, len), (mut b, other_len)) = (open(one)?, open(other)?);
    let differ = |what: String| {
        Err(format!(
            "{} and {} differ: {what}\nhelp: cmp -l shows where",
            one.display(),
            other.display()
        ))
    };
    if len != other_len {
        return differ(format!("they have {len} and {other_len} bytes"));
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    while at < len {
        let take = usize::try_from(len - at).unwrap_or(usize::MAX).min(left.len());
        let (left, right) = (left.split_at_mut(take).0, right.split_at_mut(take).0);
        let read = a.read_exact(left).and_then(|()| b.read_exact(right));
        read.map_err(|error| format!("{}: {error}", one.display()))?;
        if left != right {
            let place = left.iter().zip(&*right).take_while(|(a, b)| a == b).count();
            return differ(format!("at byte {}", at + place as u64));
        }
        at += take as u64;
    }
    Ok(len)
}

/// The only file of a name's end in a folder, for what cargo names with a hash.
fn only(folder: &Path, start: &str, end: &str) -> Result<PathBuf, String> {
    let listed = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with(start) && name.ends_with(end)
    };
    let newest = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    let found = listed.filter_map(|entry| Some(entry.ok()?.path())).filter(named);
    found.max_by_key(newest).ok_or_else(|| {
        format!(
            "there is no {start}*{end} in {}\nhelp: `cargo xtask windows build` makes it",
            folder.display()
        )
    })
}

fn compare() -> Result<(), String> {
    let built = root().join("target/windows").join(TARGET).join("release");
    let work = root().join("target/windows/compare");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(|error| format!("cannot remove {}: {error}", work.display()))?;
    }
    fs::create_dir_all(&work).map_err(|error| format!("cannot make {}: {error}", work.display()))?;
    let copied = fs::copy(only(&built, "moby", ".exe")?, work.join("moby.exe"));
    copied.map_err(|error| format!("cannot copy moby.exe: {error}"))?;
    let (linux, windows) = (work.join("linux"), work.join("windows"));
    inputs::write(&linux)?;
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(&linux).arg(&windows);
    succeed(copy)?;
    let wine = Wine::start(&work)?;
    let mut tests = wine.command("wine");
    tests.arg(only(&built.join("deps"), "extents-", ".exe")?);
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
    at_once(&pair)
}

/// Packages, of files and of .debs, have the same names and the same bits.
fn packages(pair: &mut Pair) -> Result<(), String> {
    let names = pair.good(&[&["pkg", "show-tag"], inputs::PACKAGES].concat())?;
    let arguments = [
        "-q", "pkg", "build", "--arch", "amd64", "--cache", "images", "--debs", "debs",
    ];
    let built = pair.good(&[&arguments, inputs::PACKAGES].concat())?;
    if names != built || names.iter().filter(|&&byte| byte == b'\n').count() != inputs::PACKAGES.len() {
        return Err(format!(
            "the names of the packages are {}",
            String::from_utf8_lossy(&names)
        ));
    }
    pair.same_files()?;
    // The same layout as one file.
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
    copied
        .map(drop)
        .map_err(|error| format!("cannot copy images.tar: {error}"))
}

/// What is said about YAMLs is the same, right or wrong.
fn yaml(pair: &mut Pair) -> Result<(), String> {
    pair.good(&["check", "machine.yml"])?;
    pair.good(&["check", "crlf.yml"])?;
    pair.ends(2, &["check", "wrong.yml"])?;
    pair.ends(1, &["build", "--layout", "images", "--cache", "cache", "no-image.yml"])?;
    pair.good(&["schema"])?;
    let yaml = pair.good(&["build", "--dry-run", "--cache", "images", "machine.yml"])?;
    let crlf = pair.good(&["build", "--dry-run", "--cache", "images", "crlf.yml"])?;
    match yaml == crlf {
        true => Ok(()),
        false => Err("crlf.yml, with line ends of Windows, is read otherwise than machine.yml".into()),
    }
}

/// Every format, each by a command of its own; the ways of compressing; archives, pipes, and
/// files that are there already.
fn builds(pair: &mut Pair) -> Result<(), String> {
    pair.good(&["formats", "--names"])?;
    let table = String::from_utf8_lossy(&pair.good(&["formats"])?).into_owned();
    let rows = table.lines().filter(|row| row.contains("amd64"));
    let build = [
        "-q", "build", "--arch", "amd64", "--cache", "cache", "--layout", "images",
    ];
    for name in rows.filter_map(|row| row.split_whitespace().next()) {
        eprintln!("windows: {name}");
        let dir = format!("out/{name}");
        pair.good(&[&build[..], &["-f", name, "--dir", &dir, "machine.yml"]].concat())?;
    }
    for compression in ["gzip:9", "zstd", "zstd:19", "lz4", "xz", "none"] {
        let name = compression.replace(':', "-");
        pair.good(&[&build[..], &["--compress", compression, "--name", &name, "machine.yml"]].concat())?;
    }
    let archive = [
        "-q",
        "build",
        "--arch",
        "amd64",
        "--cache",
        "cache",
        "--layout",
        "images.tar",
    ];
    for file in ["machine.yml", "crlf.yml", "machine.yml"] {
        pair.good(
            &[
                &archive[..],
                &["-f", "kernel+initrd,raw-bios,tar", "--name", "again", file],
            ]
            .concat(),
        )?;
    }
    pair.good(&[&build[..], &["-f", "tar", "-o", "one.tar", "machine.yml"]].concat())?;
    let piped = pair.good(&[&build[..], &["-f", "tar", "-o", "-", "machine.yml"]].concat())?;
    if piped.is_empty() || fs::read(pair.windows.join("one.tar")).ok() != Some(piped) {
        return Err("a tar through a pipe is not the tar in a file".into());
    }
    for file in ["out/raw/machine.img", "out/iso/machine-hybrid.iso"] {
        pair.good(&["inspect", file])?;
        pair.good(&["inspect", "--ls", file])?;
    }
    Ok(())
}

/// Without --cache the cache is in the home folder.
fn home(pair: &mut Pair) -> Result<(), String> {
    pair.good(&["-q", "pkg", "build", "hello"])?;
    let users = pair.wine.work.join("wine/drive_c/users");
    let listed = fs::read_dir(&users).map_err(|error| format!("cannot read {}: {error}", users.display()))?;
    let index = |home: &Path| home.join(".linuxkit/cache/index.json");
    let mut found = listed
        .filter_map(|entry| Some(index(&entry.ok()?.path())))
        .filter(|path| path.is_file());
    let windows = found.next().ok_or("moby.exe made no cache in the home folder")?;
    same(&index(&pair.linux), &windows)?;
    Ok(())
}

/// Several mobys use one cache at the same time, and nobody's package is lost.
fn at_once(pair: &Pair) -> Result<(), String> {
    let mut children = Vec::new();
    for package in ["kernel", "init", "hello", "kernel", "init", "hello"] {
        let arguments = ["-q", "pkg", "build", "--arch", "amd64", "--cache", "shared", package];
        let [_, mut windows] = pair.commands(&arguments);
        windows.stdout(Stdio::null());
        children.push(
            windows
                .spawn()
                .map_err(|error| format!("cannot run {windows:?}: {error}"))?,
        );
    }
    for mut child in children {
        let status = child.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("of several moby.exe with one cache, one ended with {status}"));
        }
    }
    let index = fs::read_to_string(pair.windows.join("shared/index.json")).map_err(|error| error.to_string())?;
    match ["kernel", "init", "hello"]
        .iter()
        .find(|name| !index.contains(&format!("moby/{name}:")))
    {
        Some(name) => Err(format!("several moby.exe with one cache lost the package {name}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{files, same};

    #[test]
    fn a_byte_more_or_less_or_another_is_seen() {
        let folder = std::env::temp_dir().join(format!("moby-xtask-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        let long = vec![7; (1 << 20) + 5];
        let mut other = long.clone();
        other[1 << 20] = 8;
        write("a", &long);
        write("b", &long);
        write("c", &other);
        write("d", &long[1..]);
        let check = |name: &str| same(&folder.join("a"), &folder.join(name));
        assert_eq!(check("b"), Ok(long.len() as u64));
        assert!(check("c").unwrap_err().contains("at byte 1048576"));
        assert!(check("d").unwrap_err().contains("1048581 and 1048580 bytes"));
        assert_eq!(files(&folder).unwrap().len(), 4);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
