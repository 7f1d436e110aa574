//! Reproducible outputs of every format: in any directory, under any umask, locale and time zone, with any
//! number of threads; and the one thing that may change them, `SOURCE_DATE_EPOCH`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::formats::{FORMATS, Format, groups, named};
use crate::common::layout::digest;
use crate::common::site::{Site, files, good, refused};

/// A machine with nothing but a program and a file, in a directory of a name that is its own, and
/// its images as a layout.
fn site() -> Site {
    let site = Site::new();
    site.write("init/noise", "a little noise");
    good(site.moby(&["-q", "pkg", "build", "kernel", "init"]));
    let tag = |package: &str| {
        let out = good(site.moby(&["pkg", "show-tag", package]));
        String::from_utf8(out).unwrap().trim().to_owned()
    };
    let yaml = crate::common::site::YAML
        .replace("@pkg:kernel", &tag("kernel"))
        .replace("@pkg:init", &tag("init"));
    site.write("machine.yml", &yaml);
    site
}

/// Builds formats by a shell script, with the boot loaders of the cache that all tests have.
fn build(site: &Site, script: &str, formats: &str, to: [&str; 2]) -> Output {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache");
    Command::new("sh")
        .args([
            "-c",
            &format!("{script}; exec \"$@\""),
            "sh",
            env!("CARGO_BIN_EXE_moby"),
        ])
        .args([
            "-q",
            "build",
            "--rebuild",
            "--arch",
            "amd64",
            "--layout",
            "cache",
            "-f",
            formats,
        ])
        .args(to)
        .arg("machine.yml")
        .env_remove("SOURCE_DATE_EPOCH")
        .env("MOBY_CACHE", cache)
        .current_dir(site.0.path())
        .output()
        .unwrap()
}

/// All formats for amd64, in groups in which no two write a file of the same name.
fn formats() -> Vec<String> {
    let groups = groups(
        FORMATS.iter().filter(|format| format.arches.contains(&"amd64")),
        usize::MAX,
    );
    let names = |group: Vec<&Format>| group.iter().map(|format| format.name).collect::<Vec<_>>().join(",");
    groups.into_iter().map(names).collect()
}

fn digests(directory: &Path) -> BTreeMap<String, String> {
    let read = |name: String| {
        let bytes = fs::read(directory.join(&name)).unwrap();
        (name, digest(&bytes))
    };
    files(directory).into_iter().map(read).collect()
}

/// Every format that is one file is the same to standard output.
fn through_a_pipe(site: &Site, formats: &str, digests: &BTreeMap<String, String>) {
    for format in formats.split(',') {
        if let [suffix] = named(format).files.as_slice() {
            let piped = good(build(site, ":", format, ["-o", "-"]));
            assert_eq!(digest(&piped), digests[&format!("machine{suffix}")], "{format}");
        }
    }
}

/// Describes where a file of two builds differs, as `moby diff` says it. Its name has the number of its group before
/// it.
fn difference(one: &Site, other: &Site, name: &str, number: usize) -> String {
    let (group, file) = name.split_once(' ').unwrap();
    let old = one.path(&format!("out0-{group}/{file}"));
    let new = other.path(&format!("out{number}-{group}/{file}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_moby"));
    let output = command.args(["-q", "diff", "--all"]).args([old, new]).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn every_format_is_the_same_bits() {
    let (one, two) = (site(), site());
    let all = formats();
    let mut first = None;
    for (number, (site, script)) in [
        (&one, r#"umask 022; export LC_ALL=C TZ=UTC; set -- "$@" --jobs 1"#),
        (
            &two,
            r#"umask 077; export LC_ALL=tr_TR.UTF-8 TZ=Asia/Kolkata; set -- "$@" --jobs 2"#,
        ),
        (
            &one,
            r#"umask 000; unset HOME LANG; export TZ=America/St_Johns; set -- "$@" --jobs 7"#,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut found = BTreeMap::new();
        for (group, formats) in all.iter().enumerate() {
            let out = format!("out{number}-{group}");
            good(build(site, script, formats, ["--dir", &out]));
            let digests = digests(&site.path(&out));
            if number == 0 {
                through_a_pipe(site, formats, &digests);
            }
            let digests = digests.into_iter();
            found.extend(digests.map(|(name, digest)| (format!("{group} {name}"), digest)));
        }
        assert!(found.len() > 20, "{found:?}");
        let first = first.get_or_insert_with(|| found.clone());
        let names: Vec<&String> = first.keys().chain(found.keys()).collect();
        let differ = names.into_iter().find(|name| first.get(*name) != found.get(*name));
        if let Some(name) = differ {
            panic!("{script}: {name}: {}", difference(&one, site, name, number));
        }
    }
}

#[test]
fn source_date_epoch_sets_unspecified_times() {
    let site = site();
    // After 2000, so that a program that reads dates of two digits is not led astray.
    let (epoch, date) = ("1000000000", "2001-09-09");
    let build = |epoch: &str, out: &str| {
        build(
            &site,
            &format!("export SOURCE_DATE_EPOCH={epoch}"),
            "tar,iso,raw-bios,tar-kernel-initrd",
            ["--dir", out],
        )
    };
    good(build(epoch, "out"));
    good(build("", "usual"));
    let listed = |directory: &str| {
        String::from_utf8(site.run("tar", &["-tv", "--utc", "-f", &format!("{directory}/machine.tar")])).unwrap()
    };
    let line = |text: &str, path: &str| {
        let found = text.lines().find(|line| line.ends_with(path));
        found.unwrap_or_else(|| panic!("{path} in {text}")).to_owned()
    };
    let (dated, usual) = (listed("out"), listed("usual"));
    // What the YAML brings and what moby adds has the time; what an image brings keeps its own.
    for path in [
        " etc/motd",
        " containers/onboot/000-one/config.json",
        " etc/hosts",
        " sbom.spdx.json",
        " boot/cmdline",
    ] {
        assert!(line(&dated, path).contains(date), "{dated}");
        assert!(line(&usual, path).contains("2017-04-18"), "{usual}");
    }
    assert_eq!(line(&dated, " bin/one"), line(&usual, " bin/one"));
    let payload = String::from_utf8(site.run("tar", &["-tv", "--utc", "-f", "out/machine-initrd.tar"])).unwrap();
    let named = |line: &&str| !line.ends_with(" .");
    assert!(
        payload.lines().filter(named).all(|line| line.contains(date)),
        "{payload}"
    );
    let sbom = String::from_utf8(site.run("tar", &["-xOf", "out/machine.tar", "sbom.spdx.json"])).unwrap();
    assert!(sbom.contains("2001-09-09T01:46:40Z"), "{sbom}");
    let cd = String::from_utf8(site.run("isoinfo", &["-l", "-i", "out/machine-hybrid.iso"])).unwrap();
    assert!(cd.contains("Sep  9 2001") && !cd.contains("2017"), "{cd}");
    let disk = site.run("mdir", &["-i", "out/machine-bios.img@@1M", "-/", "::"]);
    let disk = String::from_utf8(disk).unwrap();
    assert!(disk.contains(date) && !disk.contains("2017"), "{disk}");
    // Times that some formats do not reach become the nearest that they do.
    for epoch in ["0", "253402300799"] {
        let formats = "tar,kernel+squashfs,kernel+erofs,kernel+ext4,raw-bios,raw-ext4,iso-bios,dynamic-vhd,gcp";
        good(self::build(
            &site,
            &format!("export SOURCE_DATE_EPOCH={epoch}"),
            formats,
            ["--dir", "far"],
        ));
    }
    for wrong in ["now", "-1", "1e9"] {
        let message = refused(build(wrong, "wrong"), 2);
        assert!(
            message.contains("SOURCE_DATE_EPOCH") && message.contains(wrong),
            "{message}"
        );
    }
    assert!(!site.path("wrong").exists());
}
