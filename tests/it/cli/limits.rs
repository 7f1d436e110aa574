//! Inputs without end, pipes in place of files, and a standard output that is closed: moby ends soon,
//! with a message.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, good, refused};

/// Longest time that a command may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command that must end by itself.
fn run_to_end(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// A site with an image `a` in the layout `layout`, and a YAML with it.
fn site() -> Site {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let image = layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "file", "", b"x")]))]);
    layout.name("docker.io/library/a", image);
    site.write("a.yml", "init: [a]\n");
    site
}

fn fifo(site: &Site, name: &str) {
    let path = site.path(name);
    fs::remove_file(&path).ok();
    let status = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
}

const BUILD: [&str; 10] = [
    "build",
    "--rebuild",
    "--offline",
    "--layout",
    "layout",
    "--arch",
    "amd64",
    "-f",
    "tar",
    "a.yml",
];

#[test]
fn a_yaml_without_end_is_refused() {
    let site = site();
    for file in ["/dev/zero", "/dev/urandom"] {
        let message = refused(run_to_end(&mut site.command(&["check", file])), 2);
        assert!(
            message.contains("more than 32 MiB") && message.contains("help: "),
            "{message}"
        );
    }
    let zero = fs::File::open("/dev/zero").unwrap();
    let message = refused(run_to_end(site.command(&["check", "-"]).stdin(zero)), 2);
    assert!(message.contains("standard input"), "{message}");
}

#[test]
fn comments_need_no_memory() {
    let site = site();
    for yaml in [
        format!("{}init: [a]\n", "# comment\n".repeat(8_000)),
        format!("init:\n{}  - a\n", "  # comment\n".repeat(8_000)),
        format!("init: [a]\n{}", "#\n".repeat(1_000_000)),
    ] {
        site.write("comments.yml", &yaml);
        good(run_to_end(&mut site.command(&["check", "comments.yml"])));
    }
}

#[test]
fn aliases_are_limited_in_bytes() {
    let site = site();
    let yaml = format!(
        "files:\n  - path: a\n    contents: &a \"{}\"\n{}",
        "x".repeat(1 << 20),
        "  - {path: b, contents: *a}\n".repeat(3000)
    );
    site.write("aliases.yml", &yaml);
    let start = Instant::now();
    let message = refused(run_to_end(&mut site.command(&["check", "aliases.yml"])), 2);
    assert!(message.contains("more than 64 MiB of text"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_yaml_may_be_a_pipe() {
    let site = site();
    fifo(&site, "pipe.yml");
    let path = site.path("pipe.yml");
    let writer = std::thread::spawn(move || fs::write(path, "init: [a]\n").unwrap());
    good(run_to_end(&mut site.command(&["check", "pipe.yml"])));
    writer.join().unwrap();
}

#[test]
fn pipes_in_place_of_files_are_refused() {
    for replaced in ["layout/index.json", "layout", "source", "a.lock"] {
        let site = site();
        site.write("a.yml", "init: [a]\nfiles: [{path: x, source: source}]\n");
        site.write("source", "x");
        if replaced == "layout" {
            fs::remove_dir_all(site.path("layout")).unwrap();
        }
        fifo(&site, replaced);
        let output = run_to_end(&mut site.command(&BUILD));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && message.contains("regular file"),
            "{replaced}: {message}"
        );
    }
    let site = site();
    for blob in fs::read_dir(site.path("layout/blobs/sha256")).unwrap() {
        let name = blob.unwrap().file_name().into_string().unwrap();
        fs::rename(site.path("layout"), site.path("good")).ok();
        site.run("cp", &["-r", "good", "layout"]);
        fifo(&site, &format!("layout/blobs/sha256/{name}"));
        let output = run_to_end(&mut site.command(&BUILD));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && message.contains("regular file"),
            "{name}: {message}"
        );
        fs::remove_dir_all(site.path("layout")).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_nobody_reads_is_an_error() {
    let site = site();
    fifo(&site, "out");
    let mut arguments = BUILD.to_vec();
    arguments.extend(["-o", "out"]);
    let message = refused(run_to_end(&mut site.command(&arguments)), 1);
    assert!(message.contains("no process reads from this pipe"), "{message}");
    // With a reader it is written to.
    let path = site.path("out");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    });
    // The reader may open the pipe later than the program.
    let written = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        run_to_end(&mut site.command(&arguments)).status.success()
    });
    assert!(written);
    let bytes = reader.join().unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut paths = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path_bytes().into_owned());
    assert!(paths.any(|path| path == b"file"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_standard_output_is_an_error() {
    let site = site();
    good(site.moby(&["cache", "import", "layout"]));
    for command in [
        "build --arch amd64 -f tar -o - a.yml",
        "cache export a --arch amd64 -o -",
    ] {
        let script = format!("exec {} {command} >&-", env!("CARGO_BIN_EXE_moby"));
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(site.0.path())
            .env("MOBY_CACHE", site.path("cache"))
            .output()
            .unwrap();
        let message = refused(output, 2);
        assert!(
            message.contains("standard output: it is closed"),
            "{command}: {message}"
        );
        let script = script.replace(">&-", ">/dev/null");
        good(
            Command::new("sh")
                .args(["-c", &script])
                .current_dir(site.0.path())
                .env("MOBY_CACHE", site.path("cache"))
                .output()
                .unwrap(),
        );
    }
}

#[test]
fn files_of_the_kernel_are_read_as_long_as_they_are() {
    let source = "/sys/kernel/mm/transparent_hugepage/enabled";
    let Ok(expected) = fs::read(source) else {
        // A kernel without the option: every kernel has this one.
        return check_source("/proc/version");
    };
    assert_ne!(expected.len() as u64, fs::metadata(source).unwrap().len());
    check_source(source);
}

fn check_source(source: &str) {
    let site = site();
    site.write("a.yml", &format!("files: [{{path: x, source: {source}}}]\n"));
    let mut arguments = BUILD.to_vec();
    arguments.extend(["-o", "out.tar", "--no-sbom"]);
    good(site.moby(&arguments));
    let archive = fs::read(site.path("out.tar")).unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let mut content = Vec::new();
    archive
        .entries()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    assert_eq!(content, fs::read(source).unwrap());
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let site = site();
    site.write("file", "");
    let mut arguments = BUILD.to_vec();
    arguments.extend(["--cache", "file/cache", "-o", "out.tar"]);
    let output = site.moby(&arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(
        message.contains("warning: cannot write a decompressed layer to file/cache"),
        "{message}"
    );
    assert_eq!(message.matches("warning: ").count(), 1, "{message}");
}

#[test]
fn sizes_beyond_a_format_are_refused() {
    let site = site();
    for (format, size, given, max) in [
        ("raw-bios", "100T", "100 TiB", "2 TiB (2199023255040 bytes)"),
        ("raw-ext4", "2T", "2 TiB", "2 TiB (2199023255040 bytes)"),
        ("azure", "100T", "100 TiB", "2040 GiB"),
        ("dynamic-vhd", "2T", "2 TiB", "2040 GiB"),
        ("vhdx", "100T", "100 TiB", "64 TiB"),
        ("vmdk", "2T", "2 TiB", "1 TiB (1099511627520 bytes)"),
        ("ova", "2T", "2 TiB", "1 TiB (1099511627520 bytes)"),
        ("vdi", "2000T", "2 PiB", "1048064 GiB"),
        ("openstack", "3000T", "2.9 PiB", "2048 TiB"),
        ("digitalocean", "100T", "100 TiB", "93.1 GiB (100000000000 bytes)"),
        ("hetzner", "100T", "100 TiB", "2 TiB"),
    ] {
        let arguments = [
            "build",
            "--rebuild",
            "--offline",
            "--layout",
            "layout",
            "--arch",
            "amd64",
            "-f",
            format,
        ];
        let mut arguments = arguments.to_vec();
        arguments.extend(["--size", size, "a.yml"]);
        let output = run_to_end(&mut site.command(&arguments));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        let expected = format!("--size is too large for {format}: {given}, but it takes at most {max}");
        assert!(message.contains(&expected), "{format}: {message}");
    }
}

#[test]
fn a_build_needs_no_threads() {
    let site = site();
    let build = |jobs: &str, dir: &str, environment: &[(&str, &str)]| {
        let mut command = site.command(&[
            "-q",
            "build",
            "--rebuild",
            "--offline",
            "--layout",
            "layout",
            "--arch",
            "amd64",
        ]);
        command.args(["-f", "tar,tar-kernel-initrd,oci", "-j", jobs, "--dir", dir, "a.yml"]);
        command.envs(environment.iter().copied());
        run_to_end(&mut command)
    };
    good(build("1", "one", &[]));
    good(build("100000", "many", &[]));
    // A stack as large as the address space: no thread can be started.
    good(build("4", "none", &[("RUST_MIN_STACK", "140737488355328")]));
    for suffix in [".tar", "-initrd.tar", "-oci.tar"] {
        let read = |dir: &str| fs::read(site.path(&format!("{dir}/a{suffix}"))).unwrap();
        assert!(read("one") == read("many") && read("one") == read("none"), "{suffix}");
    }
    let message = refused(build("0", "out", &[]), 2);
    assert!(message.contains("invalid value '0' for '--jobs <N>'"), "{message}");
}
