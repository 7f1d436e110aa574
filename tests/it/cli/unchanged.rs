//! Builds of inputs that an earlier build had: nothing is done, and nothing else may come of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, files, good, refused};

/// Builds `machine.yml` and returns what is reported.
fn build(site: &Site, arguments: &[&str]) -> String {
    let mut all = vec!["build"];
    all.extend(arguments);
    if !all.iter().any(|argument| argument.ends_with(".yml")) {
        all.push("machine.yml");
    }
    let output = site.moby(&all);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    text
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// Changes the first byte of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Damages every layer of the cache, so that only a build that reads none succeeds.
fn damage_layers(site: &Site) {
    damage(&site.blob(true));
    fs::remove_dir_all(site.path("cache/moby/layers")).unwrap();
}

#[test]
fn nothing_is_read_or_written() {
    let site = Site::new();
    let first = build(&site, &["--dir", "out"]);
    assert!(
        first.contains("wrote out/machine-kernel\n") && !first.contains("unchanged"),
        "{first}"
    );
    let before: Vec<SystemTime> = files(&site.path("out"))
        .iter()
        .map(|name| modified(&site.path("out").join(name)))
        .collect();
    damage_layers(&site);
    let expected = "unchanged: out/machine-kernel, out/machine-initrd.img, out/machine-cmdline\n";
    // Threads, comments and flags that change no bits.
    site.write("machine.yml", &format!("# A comment.\n{}", crate::common::site::YAML));
    for arguments in [&["-j", "1"][..], &["--offline"], &["--verify-outputs"]] {
        let mut all = vec!["--dir", "out"];
        all.extend(arguments);
        assert_eq!(build(&site, &all), expected);
    }
    let after: Vec<SystemTime> = files(&site.path("out"))
        .iter()
        .map(|name| modified(&site.path("out").join(name)))
        .collect();
    assert_eq!(before, after);
    // Told to build, it does, and finds the damage.
    let message = refused(
        site.moby(&["-q", "build", "--dir", "out", "--rebuild", "machine.yml"]),
        1,
    );
    assert!(message.contains("digest"), "{message}");
}

#[test]
fn every_input_counts() {
    let site = Site::new();
    let yaml = format!(
        "{}  - {{path: etc/host, source: host, mode: \"0644\"}}\n",
        crate::common::site::YAML
    );
    site.write("machine.yml", &yaml);
    site.write("host", "one");
    let is_built = |arguments: &[&str]| {
        let text = build(&site, arguments);
        let (wrote, unchanged) = (text.contains("wrote "), text.contains("unchanged: "));
        assert_ne!(wrote, unchanged, "{text}");
        wrote
    };
    let base = ["-f", "tar"];
    assert!(is_built(&base) && !is_built(&base));
    site.write("host", "two");
    assert!(is_built(&base) && !is_built(&base));
    assert!(
        fs::read(site.path("machine.tar"))
            .unwrap()
            .windows(3)
            .any(|bytes| bytes == b"two")
    );
    site.write("init/noise", "quiet");
    assert!(is_built(&base) && !is_built(&base));
    site.write("machine.yml", &yaml.replace("hello", "goodbye"));
    assert!(is_built(&base) && !is_built(&base));
    for arguments in [
        &["-f", "kernel+initrd"][..],
        &["-f", "kernel+initrd", "--compress", "gzip:1"],
        &["-f", "kernel+initrd", "--compress", "zstd"],
        &["-f", "kernel+initrd", "--no-sbom"],
        &["-f", "kernel+initrd", "--sbom-output", "etc/sbom.json"],
        &["-f", "tar", "--sbom", "spdx"],
        &["-f", "tar", "--provenance"],
        &["-f", "tar", "--opaque-whiteouts"],
        &["-f", "docker-archive"],
    ] {
        assert!(is_built(arguments), "{arguments:?}");
        assert!(!is_built(arguments), "{arguments:?}");
    }
    // Formats of several builds lie beside each other.
    assert!(!is_built(&["-f", "docker-archive"]));
    let later = |arguments: &[&str]| {
        let mut command = site.command(&["build", "machine.yml"]);
        let output = command.args(arguments).env("SOURCE_DATE_EPOCH", "1700000000").output();
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        good(output);
        text
    };
    assert!(later(&base).contains("wrote") && later(&base).contains("unchanged"));
    // An optional file that appears.
    let yaml = yaml.replace("source: host,", "source: late, optional: true,");
    site.write("machine.yml", &yaml);
    assert!(is_built(&base) && !is_built(&base));
    site.write("late", "here");
    assert!(is_built(&base) && !is_built(&base));
    // The time that the SBOM records is another at every build.
    assert!(is_built(&["-f", "tar", "--sbom-current-time"]));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(is_built(&["-f", "tar", "--sbom-current-time"]));
}

#[test]
fn a_changed_output_is_built_again() {
    let site = Site::new();
    build(&site, &[]);
    let output = site.path("machine-initrd.img");
    let intact = fs::read(&output).unwrap();
    let touch = |path: &Path, time| {
        File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap()
    };
    let changes: [fn(&Path); 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "shorter").unwrap(),
        damage,
        |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("nowhere", path).unwrap();
        },
    ];
    for change in changes {
        change(&output);
        let text = build(&site, &[]);
        assert!(text.contains("wrote machine-initrd.img\n"), "{text}");
        assert!(fs::read(site.path("machine-initrd.img")).unwrap() == intact);
        if output.is_symlink() {
            fs::remove_file(&output).unwrap();
            build(&site, &[]);
        }
        assert!(build(&site, &[]).starts_with("unchanged: "));
    }
    // A change that neither size nor time tells is found by reading.
    let time = modified(&output);
    damage(&output);
    touch(&output, time);
    assert!(build(&site, &[]).starts_with("unchanged: "));
    let text = build(&site, &["--verify-outputs"]);
    assert!(text.contains("wrote machine-initrd.img\n"), "{text}");
    assert!(fs::read(&output).unwrap() == intact);
    touch(&output, SystemTime::UNIX_EPOCH);
    assert!(build(&site, &["--verify-outputs"]).contains("wrote machine-initrd.img\n"));
}

#[test]
fn outputs_elsewhere_are_copies() {
    let site = Site::new();
    build(&site, &["-f", "tar"]);
    let original = fs::read(site.path("machine.tar")).unwrap();
    damage_layers(&site);
    let copy = |arguments: &[&str], path: &str| {
        let mut all = vec!["-f", "tar"];
        all.extend(arguments);
        let text = build(&site, &all);
        assert!(
            text.contains("copied ") && text.ends_with(&format!(" to {path}\n")),
            "{text}"
        );
        assert!(fs::read(site.path(path)).unwrap() == original);
        assert_eq!(build(&site, &all), format!("unchanged: {path}\n"));
    };
    copy(&["--dir", "new/dir"], "new/dir/machine.tar");
    copy(&["--name", "other"], "other.tar");
    copy(&["-o", "file"], "file");
    assert_eq!(build(&site, &["-f", "tar"]), "unchanged: machine.tar\n");
    let piped = good(site.moby(&["-q", "build", "-f", "tar", "-o", "-", "machine.yml"]));
    assert!(piped == original);
    // Any of the copies serves, as long as one is intact.
    for path in ["machine.tar", "new/dir/machine.tar", "other.tar"] {
        damage(&site.path(path));
    }
    copy(&["--dir", "last"], "last/machine.tar");
    for path in ["file", "last/machine.tar"] {
        fs::remove_file(site.path(path)).unwrap();
    }
    let message = refused(
        site.moby(&["-q", "build", "-f", "tar", "--dir", "again", "machine.yml"]),
        1,
    );
    assert!(
        message.contains("digest") && !site.path("again/machine.tar").exists(),
        "{message}"
    );
}

#[test]
fn a_name_within_an_output_is_the_own_one() {
    let site = Site::new();
    for (format, documents) in [("docker-archive", false), ("oci", false), ("tar", true)] {
        let options = if documents { &["--provenance"][..] } else { &[] };
        let run = |name: &str, extra: &[&str]| {
            let mut all = vec!["-f", format, "--name", name, "--dir", name];
            all.extend(options);
            all.extend(extra);
            build(&site, &all)
        };
        run("one", &[]);
        run("two", &[]);
        let read = |file: &String| fs::read(site.path("two").join(file)).unwrap();
        let names = files(&site.path("two"));
        let reused: Vec<Vec<u8>> = names.iter().map(read).collect();
        run("two", &["--rebuild"]);
        assert!(reused == names.iter().map(read).collect::<Vec<_>>(), "{format}");
    }
    let provenance = fs::read_to_string(site.path("two/two.provenance.json")).unwrap();
    assert!(
        provenance.contains("\"two.tar\"") && !provenance.contains("one.tar"),
        "{provenance}"
    );
}

#[test]
fn notes_are_repeated_and_policies_enforced() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let lower = tar(&[(b'5', "d/", "", b""), (b'0', "d/low", "", b"low")]);
    let upper = tar(&[(b'5', "d/", "", b""), (b'0', "d/.wh..wh..opq", "", b"")]);
    let image = layout.manifest("amd64", &[Layer::gzip(&lower), Layer::gzip(&upper)]);
    layout.name("example.org/opaque:1", image);
    site.write("one.yml", "init: [\"example.org/opaque:1\"]\n");
    let arguments = ["--arch", "amd64", "--layout", "layout", "-f", "tar", "one.yml"];
    let first = build(&site, &arguments);
    let note = first.lines().find(|line| line.starts_with("note: ")).unwrap();
    assert!(note.contains("opaque whiteouts"), "{first}");
    let second = build(&site, &arguments);
    assert!(
        second.contains(&format!("{note}\n")) && second.ends_with("unchanged: one.tar\n"),
        "{second}"
    );
    assert_eq!(second.matches(note).count(), 1);
    site.write("policy.yml", "default: reject\n");
    let mut all = vec!["build", "--policy", "policy.yml"];
    all.extend(arguments);
    let message = refused(site.moby(&all), 1);
    assert!(message.contains("policy.yml"), "{message}");
}

#[test]
fn records_are_verified_and_removed() {
    let site = Site::new();
    build(&site, &["-f", "tar"]);
    let records = site.path("cache/moby/builds");
    let record: PathBuf = records.join(&files(&records)[0]);
    let text = fs::read_to_string(&record).unwrap();
    let output = site.moby(&["cache", "verify"]);
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(reported.contains("build records: 1 intact\n"), "{reported}");
    for damaged in [
        text.replace("machine", "nowhere"),
        text[..text.len() / 2].to_owned(),
        String::new(),
    ] {
        fs::write(&record, damaged).unwrap();
        let message = refused(site.moby(&["cache", "verify"]), 1);
        assert!(
            message.contains("moby/builds/") && message.contains("moby cache clean"),
            "{message}"
        );
        assert!(build(&site, &["-f", "tar"]).contains("wrote machine.tar"));
        assert!(build(&site, &["-f", "tar"]).contains("unchanged: machine.tar"));
    }
    good(site.moby(&["cache", "clean"]));
    assert_eq!(files(&records).len(), 0);
    assert!(build(&site, &["-f", "tar"]).contains("wrote machine.tar"));
}
