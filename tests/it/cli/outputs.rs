//! Output files of `moby build`, and the arguments of `moby run`.

use std::fs;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, YAML, files, good, refused};

#[cfg(unix)]
#[test]
fn a_pipe_is_written_to_and_a_link_is_followed() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let site = Site::new();
    good(site.build(&["-f", "tar", "machine.yml"]));
    let expected = fs::read(site.path("machine.tar")).unwrap();

    site.run("mkfifo", &["pipe"]);
    let pipe = site.path("pipe");
    let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
    good(site.build(&["-f", "tar", "-o", "pipe", "machine.yml"]));
    assert!(reader.join().unwrap() == expected);
    assert!(fs::symlink_metadata(site.path("pipe")).unwrap().file_type().is_fifo());

    fs::create_dir(site.path("else")).unwrap();
    site.write("else/there.tar", "old");
    symlink("else/there.tar", site.path("link.tar")).unwrap();
    good(site.build(&["-f", "tar", "-o", "link.tar", "machine.yml"]));
    assert!(fs::symlink_metadata(site.path("link.tar")).unwrap().is_symlink());
    assert!(fs::read(site.path("else/there.tar")).unwrap() == expected);
    assert_eq!(files(&site.path("else")), ["there.tar"]);
}

#[cfg(target_os = "linux")]
#[test]
fn link_to_a_pipe_is_written_to() {
    let site = Site::new();
    good(site.build(&["-f", "tar", "machine.yml"]));
    let expected = fs::read(site.path("machine.tar")).unwrap();
    // As /dev/stdout is, without the risk that it is replaced.
    assert!(good(site.build(&["-f", "tar", "-o", "/proc/self/fd/1", "machine.yml"])) == expected);
}

#[test]
fn several_outputs_appear_all_or_none() {
    let site = Site::new();
    fs::create_dir_all(site.path("out/m-initrd.img")).unwrap();
    site.write("out/m-kernel", "the old one");
    let message = refused(
        site.build(&["-f", "kernel+initrd,tar", "--dir", "out", "--name", "m", "machine.yml"]),
        1,
    );
    assert!(message.contains("m-initrd.img"), "{message}");
    assert_eq!(files(&site.path("out")), ["m-initrd.img", "m-kernel"]);
    assert_eq!(fs::read(site.path("out/m-kernel")).unwrap(), b"the old one");
}

#[test]
fn dry_run_builds_nothing() {
    let site = Site::new();
    let printed = good(site.build(&["--dry-run", "machine.yml"]));
    assert!(String::from_utf8(printed).unwrap().contains("docker.io/moby/init:"));
    assert!(!site.path("cache").exists());
}

#[test]
fn dry_run_output_is_valid_input() {
    let site = Site::new();
    site.write(
        "odd.yml",
        r#"services:
  - name: a
    image: a
    annotations: {"b\nc": "\ufeffd\x7fe", "f": "g\n", "\x85": "\u2028"}
"#,
    );
    let first = good(site.build(&["--dry-run", "odd.yml"]));
    fs::write(site.path("again.yml"), &first).unwrap();
    let again = good(site.build(&["--dry-run", "again.yml"]));
    let (first, again) = (String::from_utf8(first).unwrap(), String::from_utf8(again).unwrap());
    assert_eq!(first, again);
    for part in [r#""b\nc": "\ufeffd\u007fe""#, r#""\u0085""#] {
        assert!(first.contains(part), "{first}");
    }
}

#[test]
fn size_beyond_any_file_is_refused() {
    let site = Site::new();
    for size in ["17592186044415M", "4194305T", "99999999999999999999T"] {
        let message = refused(site.build(&["--size", size, "-f", "raw", "machine.yml"]), 2);
        assert!(message.contains("--size"), "{message}");
    }
}

#[test]
fn files_that_cannot_boot_are_refused() {
    let site = Site::new();
    good(site.build(&["-f", "kernel+squashfs,tar", "machine.yml"]));
    for (name, says) in [
        (
            "machine.tar",
            "it has no boot record\nhelp: to see its content, run `moby inspect machine.tar`",
        ),
        ("machine.yml", "cannot boot machine.yml: it is a YAML file"),
        (
            "machine",
            "machine-initrd.img does not exist\nhelp: boot the root filesystem image of that name with `moby run machine-squashfs.img`",
        ),
        ("nothing", "nothing-kernel does not exist"),
    ] {
        let message = refused(site.moby(&["run", "--accel", "tcg", name]), 1);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn missing_qemu_names_its_package() {
    let site = Site::new();
    good(site.build(&["-f", "kernel+initrd", "machine.yml"]));
    let message = refused(site.moby(&["run", "--accel", "tcg", "machine"]), 1);
    assert!(
        message.contains("qemu-system-x86_64 is not installed\nhelp: ") && message.contains("run `"),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn machine_options_reach_qemu() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    good(site.build(&["-f", "kernel+initrd", "machine.yml"]));
    site.write("bin/qemu-system-x86_64", "#!/bin/sh\necho \"$@\"\n");
    let program = site.path("bin/qemu-system-x86_64");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    site.write("data.img", "");
    let asked = |more: &[&str]| {
        let all = [&["run", "--accel", "tcg"], more, &["machine"]].concat();
        let output = site.command(&all).env("PATH", site.path("bin")).output().unwrap();
        String::from_utf8(good(output)).unwrap()
    };
    let all = asked(&[
        "--cpus",
        "3",
        "--mem",
        "777",
        "--disk",
        "data.img",
        "--publish",
        "8081:81",
    ]);
    for part in [
        "-smp 3 -m 777 ",
        "-nographic",
        "if=virtio,format=raw,file=data.img",
        "hostfwd=tcp:127.0.0.1:8081-:81",
        "-kernel machine-kernel -initrd machine-initrd.img",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let window = asked(&["--gui"]);
    assert!(
        window.contains("-serial mon:stdio") && !window.contains("-nographic"),
        "{window}"
    );
}

/// Compressed data waits on disk before it is written, and `TMPDIR` may have no space for it.
#[cfg(unix)]
#[test]
fn temporary_files_stay_in_the_output_directory() {
    let site = Site::new();
    fs::create_dir(site.path("out")).unwrap();
    for target in [["-o", "out/machine.tar"], ["--dir", "out"]] {
        let arguments = [
            &["-q", "build", "--rebuild", "-f", "oci"],
            &target[..],
            &["machine.yml"],
        ]
        .concat();
        let mut command = site.command(&arguments);
        good(command.env("TMPDIR", site.path("nowhere")).output().unwrap());
    }
    assert_eq!(files(&site.path("out")), ["machine-oci.tar", "machine.tar"]);
}

#[test]
fn options_without_effect_are_reported() {
    let site = Site::new();
    for (compression, format, said) in [
        ("xz:1", "oci", "--compress xz:1 does not apply to the layers"),
        ("lz4", "oci", "--compress lz4 does not apply to the layers"),
        ("zstd:3", "tar", "--compress does not apply to tar: "),
        (
            "zstd:3",
            "tar,docker,docker-archive",
            "--compress does not apply to tar, docker, docker-archive: ",
        ),
    ] {
        let message = refused(site.build(&["-f", format, "--compress", compression, "machine.yml"]), 2);
        assert!(message.contains(said) && message.contains("help: "), "{message}");
    }
    good(site.build(&["-f", "tar,kernel+initrd", "--compress", "xz:1", "machine.yml"]));
    good(site.build(&["-f", "oci", "--compress", "none", "machine.yml"]));
    // What is written without a format is a tar.
    let message = refused(site.build(&["-o", "x", "--compress", "zstd:3", "machine.yml"]), 2);
    assert!(message.contains("--compress does not apply to tar: "), "{message}");
    let output = site.moby(&["build", "--rebuild", "-f", "tar", "--size", "4G", "machine.yml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(said.contains("note: --size has no effect"), "{said}");
    refused(site.build(&["-f", "raw", "--size", "512B", "machine.yml"]), 2);
}

#[test]
fn lost_file_capabilities_are_reported() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    // cap_net_raw+ep, as setcap(8) stores it, in a record of PAX.
    let record = b"56 SCHILY.xattr.security.capability=\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\n";
    let record = [format!("{} ", record.len()).as_bytes(), &record[3..]].concat();
    let ping = tar(&[(b'x', "pax", "", &record), (b'0', "bin/ping", "", b"ping")]);
    let image = layout.manifest("amd64", &[Layer::plain(&ping)]);
    layout.name("example.org/ping:1", image);
    site.write(
        "ping.yml",
        &format!("{YAML}\nservices: [{{name: p, image: \"example.org/ping:1\"}}]\n"),
    );
    for (format, what) in [
        ("kernel+initrd", Some("an initrd cannot store extended attributes")),
        ("kernel+iso", Some("ISO 9660 cannot store extended attributes")),
        ("kernel+squashfs", None),
    ] {
        let output = site.moby(&["build", "--rebuild", "-f", format, "ping.yml"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        good(output);
        match what {
            Some(what) => assert!(said.contains(what) && said.contains("bin/ping are lost"), "{said}"),
            None => assert!(!said.contains("extended attributes"), "{said}"),
        }
    }
}
