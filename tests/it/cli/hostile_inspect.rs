//! `moby inspect` on files made to exhaust it or to deceive its reader.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Longest time for one file, also of a program without optimization on a busy machine.
const MAX_TIME: Duration = Duration::from_secs(20);
/// Memory of a run, in KiB.
const MAX_MEMORY: u32 = 1_500_000;

/// Writes `bytes` to a file and runs `moby inspect` on it, with limited memory.
fn inspect(bytes: &[u8], arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, bytes).unwrap();
    inspect_file(&file, arguments)
}

fn inspect_file(file: &Path, arguments: &[&str]) -> Output {
    let script = format!("ulimit -v {MAX_MEMORY}; exec \"$0\" inspect \"$@\"");
    let started = Instant::now();
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_moby")])
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    let time = started.elapsed();
    assert!(time < MAX_TIME, "{time:?}");
    let stderr = text(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0 | 1)) && !stderr.contains("panicked"),
        "{:?} {stderr}",
        output.status
    );
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Packs members, with content or as hard links, into a tar archive.
fn tar(members: &[(&str, Member)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, member) in members {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        match member {
            Member::File(bytes) => {
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, name, *bytes).unwrap();
            }
            Member::Link(target) => {
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Link);
                archive.append_link(&mut header, name, target).unwrap();
            }
        }
    }
    archive.into_inner().unwrap()
}

enum Member<'a> {
    File(&'a [u8]),
    Link(&'a str),
}

/// Compresses `len` zeros.
fn zeros(len: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let unit = vec![0; 1 << 20];
    for _ in 0..len >> 20 {
        encoder.write_all(&unit).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_text_is_an_error_with_every_option() {
    for arguments in [&[][..], &["--ls"], &["--all"], &["--cat", "a"]] {
        let output = inspect(b"root:x:0:0:root:/root:/bin/sh\n", arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(
            text(&output.stderr).starts_with("error: cannot "),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn what_is_not_a_regular_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for file in [fifo.as_path(), directory.path(), Path::new("/dev/zero")] {
        let output = Command::new(env!("CARGO_BIN_EXE_moby"))
            .arg("inspect")
            .arg(file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).ends_with(": not a regular file\n"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn gzip_bombs_are_left_compressed() {
    let bomb = zeros(256 << 20);
    let names: Vec<String> = (0..200).map(|number| format!("{number:03}.gz")).collect();
    let members: Vec<(&str, Member)> = names.iter().map(|name| (name.as_str(), Member::File(&bomb))).collect();
    let archive = tar(&members);
    assert!(archive.len() > 50_000_000);
    let output = inspect(&archive, &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).lines().count() <= 40);
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("compressed files not inspected") && stderr.contains("--all"),
        "{stderr}"
    );
    let listed = text(&inspect(&archive, &["--ls"]).stdout);
    assert_eq!(listed.lines().count(), 200);
    assert_eq!(inspect(&archive, &["--cat", "199.gz"]).stdout, bomb);
}

#[test]
fn hard_links_to_one_bomb_count_each() {
    let bomb = zeros(256 << 20);
    let names: Vec<String> = (0..1000).map(|number| format!("link-{number}")).collect();
    let mut members = vec![("bomb", Member::File(&bomb))];
    members.extend(names.iter().map(|name| (name.as_str(), Member::Link("bomb"))));
    let output = inspect(&tar(&members), &["--ls"]);
    assert_eq!(text(&output.stdout).lines().count(), 1001);
}

#[test]
fn archives_within_archives_end() {
    let mut archive = tar(&[("file", Member::File(b"content"))]);
    for _ in 0..20 {
        archive = tar(&[("one", Member::File(&archive)), ("two", Member::Link("one"))]);
    }
    let output = inspect(&archive, &["--ls"]);
    assert!(output.status.success());
    // Two names at each of 13 levels.
    assert_eq!(text(&output.stdout).lines().count(), (1 << 14) - 2);
}

#[test]
fn a_corrupt_part_leaves_the_others() {
    let mut corrupt = zeros(1 << 20);
    corrupt.truncate(corrupt.len() / 2);
    let archive = tar(&[("a.gz", Member::File(&corrupt)), ("cmdline", Member::File(b"a=b"))]);
    let output = inspect(&archive, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("cmdline: kernel command line: a=b"));
    assert!(text(&output.stderr).contains("a.gz: cannot read the gzip data: "));
    assert_eq!(inspect(&archive, &["--cat", "cmdline"]).stdout, b"a=b");
}

#[test]
fn names_cannot_control_the_terminal() {
    let name = "boot/\x1b]0;title\x07";
    let kernel_arguments = b"a=\x1b[31m";
    let archive = tar(&[(name, Member::File(b"x")), ("cmdline", Member::File(kernel_arguments))]);
    for arguments in [&[][..], &["--ls"], &["--all"]] {
        let output = inspect(&archive, arguments);
        assert!(!output.stdout.contains(&0x1b), "{}", text(&output.stdout));
    }
}

#[test]
fn names_that_are_not_text_stay_different() {
    use crate::common::layout;
    let archive = layout::tar(&[(b'0', "dev-disk\\x2dlabel", "", b"unit")]);
    let mut archive = archive[..1024].to_vec();
    for (byte, content) in [(0x80, b"one"), (0x81, b"two")] {
        let mut member = layout::tar(&[(b'0', "etc/?", "", content)])[..1024].to_vec();
        member[4] = byte;
        let mut header = tar::Header::from_byte_slice(&member[..512]).clone();
        header.set_cksum();
        member[..512].copy_from_slice(header.as_bytes());
        archive.extend(member);
    }
    archive.extend([0; 1024]);
    let listed = text(&inspect(&archive, &["--ls"]).stdout);
    for name in ["dev-disk\\x2dlabel", "etc/\\x80", "etc/\\x81"] {
        assert!(listed.contains(name), "{listed}");
    }
    assert_eq!(inspect(&archive, &["--cat", "etc/\\x80"]).stdout, b"one");
    assert_eq!(inspect(&archive, &["--cat", "etc/\\x81"]).stdout, b"two");
}

#[test]
fn a_file_that_is_mostly_a_hole_is_not_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let disk = fs::File::create(&file).unwrap();
    disk.set_len(1 << 43).unwrap();
    // A master boot record with a partition of 2^32 - 1 sectors.
    let mut sector = [0; 512];
    sector[446 + 4] = 0x83;
    sector[446 + 8] = 1;
    sector[446 + 12..446 + 16].fill(0xff);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    (&disk).write_all(&sector).unwrap();
    let output = inspect_file(&file, &[]);
    assert!(
        text(&output.stdout).starts_with("MBR disk 00000000, 8.00 TiB"),
        "{}",
        text(&output.stdout)
    );
}
