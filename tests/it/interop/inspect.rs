//! `moby inspect` on all that `moby build` makes, and on what was damaged since.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::formats::{FORMATS, Format};
use crate::common::{build, moby};

const CONFIG: &str = "containers/onboot/000-hello/config.json";

fn inspect(file: &Path, arguments: &[&str]) -> Output {
    moby().arg("inspect").args(arguments).arg(file).output().unwrap()
}

fn good(file: &Path, arguments: &[&str]) -> Vec<u8> {
    let out = inspect(file, arguments);
    assert!(
        out.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&out.stderr)
    );
    out.stdout
}

fn text_of(file: &Path, arguments: &[&str]) -> String {
    String::from_utf8(good(file, arguments)).unwrap()
}

/// Calls `work` with every piece, in two threads.
fn in_two_threads<T: Sync>(pieces: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let take = || {
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(piece);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(take);
        take();
    });
}

/// Checks that the summary of an output names its kernel, if it has one, a container and the boot loader, and
/// that a file in it is the `original`.
fn check_summary(file: &Path, original: &[u8], words: &[&str]) {
    let (said_of, listed) = (text_of(file, &["--all"]), text_of(file, &["--ls"]));
    let summary = text_of(file, &[]);
    assert!(summary.lines().count() <= 40, "{}: {summary}", file.display());
    for words in words.iter().chain(&["container onboot/000-hello: [\"/hello\"]"]) {
        let there = said_of.contains(words) || listed.contains(words);
        assert!(there, "{}: no {words}: {said_of}", file.display());
    }
    let within = listed.lines().find(|line| line.ends_with(CONFIG)).expect(&listed);
    let (len, within) = within.trim().split_once(' ').unwrap();
    assert_eq!(len, original.len().to_string(), "{}", file.display());
    assert!(
        good(file, &["--cat", within]) == original,
        "{}: {within}",
        file.display()
    );
}

/// Texts that `moby inspect` prints of a format, besides its disk image format.
fn expected_texts(format: &Format) -> Vec<&'static str> {
    let mut words = Vec::new();
    if format.boots() {
        words.extend(["Linux kernel 6.", "console=ttyS0 console=ttyAMA0 panic=5"]);
    }
    if format.bios {
        words.push("LABEL linux");
    }
    if format.efi {
        words.push("BOOTX64.EFI");
    }
    if format.kind == "iso" && format.root == Some("iso") {
        words.push("root=LABEL=MOBY_");
    }
    if format.disk().is_some_and(|(table, _)| table != "ext4") {
        words.push("initrd (zstd)");
    }
    words.extend(match format.name {
        "tar-kernel-initrd" | "uki" => &["Linux kernel 6.", "initrd (zstd)", "command line: console=ttyS0"][..],
        "tar" | "docker" => &["boot/kernel: Linux kernel 6.", "tar "],
        "oci" => &["OCI archive (minimal:latest)", "image configuration for linux/amd64"],
        "docker-archive" => &["Docker archive (minimal:latest)", "entrypoint"],
        "raw-ext4" => &["ext4 filesystem", "root=PARTUUID=", "boot/extlinux.conf"],
        "kernel+squashfs" => &["squashfs filesystem, compressed by "],
        "kernel+iso" => &["ISO image \"MOBY_"],
        "kernel+erofs" => &["EROFS filesystem"],
        "kernel+ext4" => &["ext4 filesystem"],
        _ => &[],
    });
    words
}

#[test]
fn every_output_is_inspected() {
    let directory = tempfile::tempdir().unwrap();
    // Formats whose files have the same names are built apart.
    let apart = ["kernel+iso", "vhd", "kernel+erofs"];
    // It is xz at a level that takes a minute here; `raw-bios` below stands for it.
    let formats = FORMATS
        .iter()
        .filter(|format| format.arches.contains(&"amd64") && format.name != "hetzner");
    let (second, first): (Vec<&Format>, Vec<&Format>) = formats.partition(|format| apart.contains(&format.name));
    let names = |formats: &[&Format]| formats.iter().map(|format| format.name).collect::<Vec<_>>().join(",");
    let (one, two, roots) = (
        directory.path().join("one"),
        directory.path().join("two"),
        directory.path().join("roots"),
    );
    for directory in [&one, &two, &roots] {
        fs::create_dir(directory).unwrap();
    }
    build(
        "minimal.yml",
        &["--compress", "zstd:1", "--format", &names(&first)],
        &one,
    );
    // EROFS with LZ4.
    build("minimal.yml", &["--compress", "lz4", "--format", &names(&second)], &two);
    let mut files: Vec<(PathBuf, Vec<&str>)> = Vec::new();
    for (directory, formats) in [(&one, first), (&two, second)] {
        for format in formats {
            // Kernel, initrd and command line have files of their own.
            let file = format.files[usize::from(["kernel", "rootfs"].contains(&format.kind))];
            let mut words = expected_texts(format);
            if format.name == "vhd" {
                words.retain(|word| *word != "initrd (zstd)");
                words.push("initrd (lz4)");
            }
            files.push((directory.join(format!("minimal{file}")), words));
        }
    }
    // Roots beside the boot loader, each compressed in another way.
    for (root, compress, formats, disk) in [
        ("squashfs", "xz:1", "iso,raw", "none"),
        ("erofs", "none", "iso-efi,raw-efi", "none"),
        ("ext4", "zstd:1", "raw-bios", "xz:1"),
    ] {
        let mut arguments = vec!["--root", root, "--compress", compress, "--format", formats];
        if disk != "none" {
            arguments.extend(["--compress-disk", disk]);
        }
        build("minimal.yml", &arguments, &roots);
    }
    for (file, words) in [
        (
            "-hybrid.iso",
            [
                "root.squashfs: squashfs filesystem, compressed by xz",
                "moby.image=/root.squashfs",
            ],
        ),
        (".img", ["2: squashfs filesystem, compressed by xz", "root=PARTUUID="]),
        ("-efi.iso", ["root.erofs: EROFS", "moby.image=/root.erofs"]),
        ("-efi.img", ["2: EROFS", "root=PARTUUID="]),
        ("-bios.img.xz", ["compressed by xz", "2: ext4 filesystem"]),
    ] {
        let words = [words.as_slice(), &["Linux kernel 6."]].concat();
        files.push((roots.join(format!("minimal{file}")), words));
    }
    let original = good(&one.join("minimal-initrd.img"), &["--cat", CONFIG]);
    assert!(original.starts_with(b"{"));
    in_two_threads(&files, |(file, words)| check_summary(file, &original, words));
    // Compressed pieces of every length.
    let (erofs, ext4) = (two.join("minimal-erofs.img"), one.join("minimal-ext4.img"));
    let listed = text_of(&erofs, &["--ls"]);
    let long = listed.lines().filter_map(|line| {
        let (len, path) = line.trim().split_once(' ')?;
        (len.parse::<u64>().ok()? > 4096).then_some(path)
    });
    let long: Vec<&str> = long.step_by(9).collect();
    assert!(long.len() > 5, "{listed}");
    in_two_threads(&long, |path| {
        let read = |image: &Path| good(image, &["--cat", path]);
        assert!(read(&erofs) == read(&ext4), "{path}");
    });
    // What is beside them.
    assert!(text_of(&one.join("minimal-kernel"), &[]).starts_with("Linux kernel 6."));
    assert!(text_of(&one.join("minimal-cmdline"), &[]).starts_with("kernel command line: console=ttyS0 "));
    assert!(text_of(&one.join("minimal-squashfs-initrd.img"), &[]).starts_with("initrd (gzip)"));

    let hurt = [
        one.join("minimal.qcow2"),
        one.join("minimal-openstack.qcow2"),
        one.join("minimal.vmdk"),
        one.join("minimal-stream.vmdk"),
        one.join("minimal.vdi"),
        one.join("minimal.vhd"),
        one.join("minimal.vhdx"),
        one.join("minimal-efi.img"),
        one.join("minimal-initrd.img"),
        one.join("minimal.tar"),
        one.join("minimal-squashfs.img"),
        one.join("minimal-ext4.img"),
        two.join("minimal-erofs.img"),
        two.join("minimal.iso"),
    ];
    in_two_threads(&hurt, |file| damaged(file));
}

/// Inspects copies with changed bytes and of less length: an answer or an error, never a panic.
fn damaged(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let mut copy = file.as_os_str().to_owned();
    copy.push(".damaged");
    let copy = PathBuf::from(copy);
    let check = |case: &str| {
        let out = inspect(&copy, &["--ls"]);
        let said = String::from_utf8_lossy(&out.stderr);
        let ended = matches!(out.status.code(), Some(0 | 1)) && !said.contains("panicked");
        assert!(ended, "{} {case}: {:?} {said}", file.display(), out.status);
    };
    for len in [600, 40_000, bytes.len() / 2] {
        fs::write(&copy, &bytes[..len.min(bytes.len())]).unwrap();
        check(&format!("cut to {len}"));
    }
    // Everywhere in the first sectors, where headers are, and in the last, with the same numbers
    // every time. Each round adds to the damage.
    let mut at = 7usize;
    for round in 0..3u32 {
        for step in 0..8 {
            at = at.wrapping_mul(1_103_515_245).wrapping_add(12_345) % 2048.min(bytes.len());
            let place = if step % 4 == 3 { bytes.len() - 1 - at } else { at };
            bytes[place] = (round * 37) as u8 ^ 0xff;
        }
        // What it is should still be seen.
        if round < 2 {
            let original = fs::read(file).unwrap();
            for magic in [0..8, 257..262, 510..520, 1024..1028, 1080..1082] {
                bytes[magic.clone()].copy_from_slice(&original[magic]);
            }
        }
        fs::write(&copy, &bytes).unwrap();
        check(&format!("changed in round {round}"));
    }
    fs::remove_file(&copy).unwrap();
}

#[test]
fn unknown_content_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "nothing").unwrap();
    let out = inspect(&file, &[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("unknown format"));
    let out = inspect(&directory.path().join("missing"), &[]);
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn erofs_of_mkfs_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (files, image) = (directory.path().join("files"), directory.path().join("image"));
    fs::create_dir(&files).unwrap();
    let program = fs::read(env!("CARGO_BIN_EXE_moby")).unwrap();
    let text: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let contents = [
        ("program", &program[..300_001]),
        ("text", text.as_bytes()),
        ("short", b"short"),
    ];
    for (name, content) in contents {
        fs::write(files.join(name), content).unwrap();
    }
    let from = files.to_str().unwrap();
    for options in [
        &["-zlz4"][..],
        &["-zlz4", "-C65536"],
        &["-zlz4hc", "-C65536", "-Elegacy-compress"],
        &[],
    ] {
        fs::remove_file(&image).ok();
        let made = Command::new("mkfs.erofs").args(options).arg(&image).arg(from).output();
        assert!(made.expect("erofs-utils").status.success(), "{options:?}");
        for (name, content) in contents {
            assert!(good(&image, &["--cat", name]) == content, "{options:?} {name}");
        }
    }
    // Told from damage.
    fs::remove_file(&image).unwrap();
    let options = ["-zlz4", "-Elegacy-compress"];
    let made = Command::new("mkfs.erofs").args(options).arg(&image).arg(from).output();
    assert!(made.unwrap().status.success());
    let out = inspect(&image, &["--cat", "text"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && said.contains("compression is not supported"),
        "{said}"
    );
}
