//! The root filesystem when images and files get in each other's way.

use crate::common::layout::tar;
use crate::common::site::{Site, good, refused};

/// The entries in the tar of a machine: mode, name and the target of a link.
fn listed(site: &Site, yaml: &str) -> Vec<String> {
    site.write("m.yml", yaml);
    good(site.build(&["-f", "tar", "--no-sbom", "m.yml"]));
    let text = String::from_utf8(site.run("tar", &["tvf", "m.tar"])).unwrap();
    let short = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        [&words[..1], &words[5..]].concat().join(" ")
    };
    text.lines().map(short).collect()
}

#[test]
fn modules_stay_when_lib_becomes_a_link() {
    let site = Site::new();
    site.package(
        "vmlinuz",
        "  - file: /kernel\n    contents: MZ, a kernel\n  - copy: kernel.tar\n    to: /kernel.tar\n",
    );
    let modules = [
        (b'5', "lib/modules/6.1/", "", b"".as_slice()),
        (b'0', "lib/modules/6.1/modules.dep", "", b"none"),
    ];
    std::fs::write(site.path("vmlinuz/kernel.tar"), tar(&modules)).unwrap();
    site.package(
        "merged",
        "  - file: /usr/lib/libc.so\n    contents: c\n  - symlink: /lib\n    target: usr/lib\n",
    );
    let names = listed(
        &site,
        "kernel: {image: '@pkg:vmlinuz', cmdline: x}\ninit: ['@pkg:merged']\n",
    );
    for name in [
        "lrwxrwxrwx lib -> usr/lib",
        "-rw-r--r-- usr/lib/libc.so",
        "-rw-r--r-- usr/lib/modules/6.1/modules.dep",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:#?}");
    }
}

#[test]
fn nonempty_directory_is_not_replaced() {
    let site = Site::new();
    let machine = |files: &str| {
        site.write("m.yml", &format!("init: ['@pkg:init']\nfiles:\n{files}"));
        refused(site.build(&["-f", "tar", "m.yml"]), 1)
    };
    for files in [
        "  - {path: bin, contents: x}\n",
        "  - {path: /bin, symlink: usr/bin}\n",
        "  - {path: a/b, contents: x}\n  - {path: a, contents: x}\n",
    ] {
        let message = machine(files);
        assert!(message.contains("is a directory that is not empty"), "{message}");
        assert!(message.contains("--> m.yml:"), "{message}");
    }
    let message = machine("  - {path: a, contents: x}\n  - {path: a/b, contents: x}\n");
    assert!(
        message.contains("`a` is not a directory, and `a/b` needs one there"),
        "{message}"
    );
    site.write("m.yml", "init: ['@pkg:init']\n");
    let message = refused(site.build(&["-f", "tar", "--sbom-output", "bin", "m.yml"]), 1);
    assert!(message.contains("is a directory that is not empty"), "{message}");
}

#[test]
fn dots_in_a_path_create_no_directories() {
    let site = Site::new();
    let names = listed(
        &site,
        "init: ['@pkg:init']\nfiles:\n  - {path: ./motd, contents: x}\n  - {path: a, directory: true, mode: '0755'}\n  - {path: a/./b, contents: x}\n",
    );
    assert!(names.contains(&"drwxr-xr-x a".to_owned()), "{names:#?}");
    assert!(names.contains(&"-rw------- motd".to_owned()), "{names:#?}");
    assert!(!names.iter().any(|name| name.starts_with("drwx------")), "{names:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_source_without_a_length_is_read() {
    let site = Site::new();
    site.write(
        "m.yml",
        "init: ['@pkg:init']\nfiles:\n  - {path: v, source: /proc/version}\n",
    );
    good(site.build(&["-f", "tar", "m.yml"]));
    let there = std::fs::read("/proc/version").unwrap();
    assert_eq!(site.run("tar", &["xOf", "m.tar", "v"]), there);
}

#[test]
fn files_that_lose_capabilities_are_listed() {
    let site = Site::new();
    let mut layout = crate::common::layout::Layout::new(&site.path("cache"));
    // A pax record of a file that may open raw sockets (getfattr -n security.capability).
    let record = b"57 SCHILY.xattr.security.capability=\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\n";
    let layer = tar(&[
        (b'x', "bin/ping", "", record),
        (b'0', "bin/ping", "", b"ping"),
        (b'0', "bin/sh", "", b"sh"),
    ]);
    let image = layout.manifest("amd64", &[crate::common::layout::Layer::gzip(&layer)]);
    layout.name("example.org/ping:1", image);
    site.write(
        "m.yml",
        "kernel: {image: '@pkg:kernel', cmdline: x, tar: none}\ninit: ['example.org/ping:1']\n",
    );
    let said = |format: &str| {
        let output = site.moby(&["build", "--rebuild", "-f", format, "m.yml"]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let note = "file capabilities of /bin/ping are lost";
    assert!(said("kernel+initrd").contains(note));
    assert!(!said("kernel+squashfs,tar").contains(note));
}

#[test]
fn identifiers_follow_the_content() {
    let site = Site::new();
    site.write(
        "m.yml",
        "kernel: {image: '@pkg:kernel', cmdline: x, tar: none}\ninit: ['@pkg:init']\n",
    );
    // In the superblock (ext4, Super Block: `s_uuid`).
    let uuid = |name: &str| {
        good(site.build(&["-f", "kernel+ext4", "--name", name, "m.yml"]));
        std::fs::read(site.path(&format!("{name}-ext4.img"))).unwrap()[1024 + 0x68..][..16].to_vec()
    };
    let mut noise = std::fs::read_to_string(site.path("init/noise")).unwrap();
    let (first, again) = (uuid("first"), uuid("again"));
    assert_eq!(first, again);
    let middle = noise.len() / 2;
    noise.replace_range(middle..middle + 1, "~");
    site.write("init/noise", &noise);
    assert_ne!(first, uuid("other"));
}
