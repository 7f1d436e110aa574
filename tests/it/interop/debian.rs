//! Packages made of .debs, beside dpkg-deb and depmod on the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::layout::tar;
use crate::common::site::{Site, files, good, refused};

/// Makes a .deb of a directory by dpkg-deb, after its control file was written.
fn deb(site: &Site, name: &str, fields: &str, compression: &str) {
    versioned(site, name, "1.0", fields, compression);
}

fn versioned(site: &Site, name: &str, version: &str, fields: &str, compression: &str) {
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n{fields}Description: a test\n with more lines\n"
    );
    site.write(&format!("tree/{name}/DEBIAN/control"), &control);
    let (compression, tree) = (format!("-Z{compression}"), format!("tree/{name}"));
    let file = format!("debs/{name}_{version}_all.deb");
    fs::create_dir_all(site.path("debs")).unwrap();
    site.run(
        "dpkg-deb",
        &[&compression, "--root-owner-group", "--build", &tree, &file],
    );
}

/// A package of .debs, for moby.
fn recipe(site: &Site, contents: &str) {
    site.write("package/build.yml", &format!("image: package\ncontents:\n{contents}"));
}

/// Builds it with nothing in PATH.
fn build(site: &Site) -> Output {
    site.moby(&["-q", "pkg", "build", "--debs", "debs", "package"])
}

/// Unpacks what moby built.
fn unpacked(site: &Site, name: &str, directory: &str) {
    good(site.moby(&[
        "cache",
        "export",
        name.trim(),
        "--format",
        "filesystem",
        "-o",
        "files.tar",
    ]));
    fs::create_dir(site.path(directory)).unwrap();
    site.run("tar", &["-C", directory, "-xpf", "files.tar"]);
}

const FILES: &str = r#"
cd package
mkdir -p files/bin files/empty files/target files/deep/er files/.git files/built
printf '#!/bin/sh\n' > files/bin/script; printf '\177ELF' > files/bin/program
echo text > files/target/text; echo text > files/deep/er/text; chmod 755 files/deep/er/text
ln -s deep/er files/link; ln -s /nowhere files/dangling; ln -s .. files/deep/circle
touch files/.git/config files/built/CACHEDIR.TAG
"#;

#[test]
fn directories_are_copied_with_metadata() {
    let site = Site::new();
    recipe(&site, "  - copy: files\n    to: /opt\n");
    site.run("sh", &["-c", &format!("umask 077; {FILES}")]);
    let name = String::from_utf8(good(build(&site))).unwrap();
    unpacked(&site, &name, "ours");
    let there = listed(&site, "ours");
    let there: Vec<String> = there
        .iter()
        .map(|(path, what)| format!("{path} {}", what.rsplit_once(' ').unwrap().0))
        .collect();
    assert_eq!(
        there,
        [
            "opt d 755 6  0:0",
            "opt/bin d 755 2  0:0",
            "opt/bin/program f 755 1  0:0",
            "opt/bin/script f 755 1  0:0",
            "opt/dangling l 777 1 /nowhere 0:0",
            "opt/deep d 755 3  0:0",
            "opt/deep/circle l 777 1 .. 0:0",
            "opt/deep/er d 755 2  0:0",
            "opt/deep/er/text f 644 1  0:0",
            "opt/empty d 755 2  0:0",
            "opt/link l 777 1 deep/er 0:0",
            "opt/target d 755 2  0:0",
            "opt/target/text f 644 1  0:0",
        ]
    );
    // What a link points to is of the hash.
    site.run("ln", &["-sfn", "deep", "package/files/link"]);
    assert_ne!(name, String::from_utf8(good(build(&site))).unwrap());
}

/// Lists every path below a directory: type, mode, link count, target and content.
fn listed(site: &Site, directory: &str) -> BTreeMap<String, String> {
    let format = r"%P\0%y %m %n %l %U:%G\0";
    let found = site.run("find", &[directory, "-mindepth", "1", "-printf", format]);
    let text = String::from_utf8(found).unwrap();
    let mut parts = text.split('\0');
    let mut paths = BTreeMap::new();
    while let (Some(path), Some(what)) = (parts.next(), parts.next()) {
        let file = site.path(directory).join(path);
        let content = fs::symlink_metadata(&file)
            .unwrap()
            .is_file()
            .then(|| fs::read(&file).unwrap());
        let content = content
            .map(|bytes| crate::common::layout::digest(&bytes))
            .unwrap_or_default();
        paths.insert(path.to_owned(), format!("{what} {content}"));
    }
    paths
}

const SCRIPT: &str = r#"
set -e
cd tree/everything
mkdir -p usr/bin usr/share/doc/e usr/lib/empty "usr/share/with space" etc "usr/share/Größe"
long=usr/share/$(printf 'long%.0s' $(seq 30))/$(printf 'name%.0s' $(seq 40))
mkdir -p "${long%/*}"; echo long > "$long"
echo program > usr/bin/program; chmod 4755 usr/bin/program
ln usr/bin/program usr/bin/other
ln -s ../share/doc/e usr/bin/link; ln -s /etc/conf usr/share/absolute
ln -s "$(printf '../%.0s' $(seq 60))etc/conf" usr/share/long-link
echo secret > etc/conf; chmod 600 etc/conf
echo text > "usr/share/with space/a b"; echo text > usr/share/Größe/файл; : > usr/share/doc/e/empty
chmod 1777 usr/lib/empty; chmod 2755 usr/share/doc/e
head -c 300000 /dev/zero | tr '\0' x > usr/share/large
"#;

#[test]
fn debs_unpack_as_with_dpkg_deb() {
    let mut archives = BTreeSet::new();
    for compression in ["gzip", "xz", "zstd", "none"] {
        let site = Site::new();
        fs::create_dir_all(site.path("tree/everything")).unwrap();
        site.run("sh", &["-c", &format!("umask 022; {SCRIPT}")]);
        deb(&site, "everything", "", compression);
        recipe(&site, "  - debian: [everything]\n");
        let name = String::from_utf8(good(build(&site))).unwrap();
        unpacked(&site, &name, "ours");
        site.run("dpkg-deb", &["-x", "debs/everything_1.0_all.deb", "theirs"]);
        // The control file, where distroless images have it.
        let status = "theirs/var/lib/dpkg/status.d";
        let record = format!(
            "umask 022; mkdir -p {status}; dpkg-deb --info debs/everything_1.0_all.deb control > {status}/everything"
        );
        site.run("sh", &["-c", &record]);
        let (ours, theirs) = (listed(&site, "ours"), listed(&site, "theirs"));
        assert!(
            theirs.len() > 20 && theirs.contains_key("usr/share/Größe/файл"),
            "{theirs:?}"
        );
        assert_eq!(ours, theirs, "{compression}");
        // The files are the same however the .deb was compressed; a label has the digest of the .deb.
        archives.insert(fs::read(site.path("files.tar")).unwrap());
        assert!(name.starts_with("docker.io/moby/package:"), "{name}");
    }
    assert_eq!(archives.len(), 1);
}

#[test]
fn dependencies_are_installed() {
    let site = Site::new();
    for (name, fields, compression) in [
        (
            "top",
            "Depends: middle (>= 1.0), absent | virtual\nPre-Depends: first\n",
            "xz",
        ),
        ("middle", "Depends: top\n", "gzip"),
        ("first", "", "zstd"),
        ("provider", "Provides: virtual (= 2)\n", "none"),
        ("unwanted", "", "gzip"),
    ] {
        site.write(&format!("tree/{name}/usr/share/{name}/text"), name);
        deb(&site, name, fields, compression);
    }
    recipe(&site, "  - debian: [top]\n    exclude: [usr/share/first/]\n");
    let name = String::from_utf8(good(build(&site))).unwrap();
    unpacked(&site, &name, "ours");
    assert_eq!(files(&site.path("ours/usr/share")), ["middle", "provider", "top"]);
    // Only packages with a file in the image are recorded.
    let recorded = files(&site.path("ours/var/lib/dpkg/status.d"));
    assert_eq!(recorded, ["middle", "provider", "top"]);
    // Without: the package alone.
    recipe(&site, "  - debian: [top]\n    closure: false\n");
    let name = String::from_utf8(good(build(&site))).unwrap();
    unpacked(&site, &name, "alone");
    assert_eq!(files(&site.path("alone/usr/share")), ["top"]);
    // What is missing is named.
    fs::remove_file(site.path("debs/first_1.0_all.deb")).unwrap();
    recipe(&site, "  - debian: [top]\n");
    let message = refused(build(&site), 1);
    for text in ["cannot find package first", "debs", "help: put its .deb file into"] {
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn highest_version_wins() {
    let site = Site::new();
    for (version, fields) in [("1.10", "Depends: new\n"), ("1.9", "Depends: old\n"), ("1.10~rc1", "")] {
        fs::remove_dir_all(site.path("tree/a")).ok();
        site.write(&format!("tree/a/usr/share/a/{version}"), version);
        versioned(&site, "a", version, fields, "gzip");
    }
    site.write("tree/new/usr/share/new/text", "new");
    deb(&site, "new", "", "gzip");
    recipe(&site, "  - debian: [a]\n");
    let name = String::from_utf8(good(build(&site))).unwrap();
    unpacked(&site, &name, "ours");
    assert_eq!(files(&site.path("ours/usr/share")), ["a", "new"]);
    assert_eq!(files(&site.path("ours/usr/share/a")), ["1.10"]);
}

#[test]
fn versions_compare_as_in_dpkg() {
    let site = Site::new();
    let versions = [
        "0",
        "0-0",
        "0:0",
        "1",
        "01",
        "1.0",
        "1.0-0",
        "1.0-1",
        "1.0-1~bpo12+1",
        "1.0-1+b1",
        "1.0~rc1",
        "1.0~~",
        "1.0~~a",
        "1.0~",
        "1.0a",
        "1.0+dfsg",
        "1.0.1",
        "1.9",
        "1.10",
        "1.10-2-1",
        "1:0.1",
        "2:0",
        "1.2.3~4-5",
        "20240203",
        "20240203~deb12u1",
        "1.0-a~b",
        "1.0-a",
        "1.0-aa",
        "1.0A",
        "1.0.",
        "1.0-.",
        "1.0-+",
    ];
    for a in versions {
        for b in versions {
            let operator = match moby::debian::version::compare(a, b) {
                std::cmp::Ordering::Less => "lt",
                std::cmp::Ordering::Equal => "eq",
                std::cmp::Ordering::Greater => "gt",
            };
            site.run("dpkg", &["--compare-versions", a, operator, b]);
        }
    }
}

#[test]
fn leftovers_of_a_failed_fetch_are_not_unpacked() {
    let site = Site::new();
    for version in ["1.10", "1.9"] {
        fs::remove_dir_all(site.path("tree/a")).ok();
        site.write(&format!("tree/a/usr/share/a/{version}"), version);
        versioned(&site, "a", version, "", "gzip");
    }
    // An apt-get that gets an old version and fails until it is told to update.
    let script = r#"#!/bin/sh
        for argument; do case $argument in
            update) : > "$SITE/updated"; echo "W: no way to the mirror" >&2 ;;
            lost) echo "E: Unable to locate package lost" >&2; exit 1 ;;
            download) version=1.9; [ -e "$SITE/updated" ] && version=1.10
                /bin/cp "$SITE/debs/a_${version}_all.deb" .; [ $version = 1.10 ] || exit 1 ;;
        esac; done"#;
    site.write("bin/apt-get", script);
    site.run("chmod", &["+x", "bin/apt-get"]);
    site.write("cache/moby/apt/amd64/state/lists/some", "");
    site.write("cache/moby/apt/amd64/state/lists/partial/some", "");
    recipe(&site, "  - debian: [a]\n    closure: false\n");
    let mut command = site.command(&["-q", "pkg", "build", "--arch", "amd64", "package"]);
    command.env("PATH", site.path("bin")).env("SITE", site.path(""));
    let name = String::from_utf8(good(command.output().unwrap())).unwrap();
    unpacked(&site, &name, "ours");
    assert_eq!(files(&site.path("ours/usr/share/a")), ["1.10"]);
    // One cause in one line, with a remedy.
    recipe(&site, "  - debian: [lost]\n    closure: false\n");
    let mut command = site.command(&["-q", "pkg", "build", "--arch", "amd64", "package"]);
    command.env("PATH", site.path("bin")).env("SITE", site.path(""));
    let message = refused(command.output().unwrap(), 1);
    assert!(
        message.contains(
            "package: cannot fetch lost: Unable to locate package lost\nhelp: check the name and the version"
        )
    );
}

/// A fake apt-get that prints what the real one prints without a network.
#[test]
fn without_a_network_there_is_one_cause_and_a_remedy() {
    let site = Site::new();
    let script = r#"#!/bin/sh
        for argument; do case $argument in
            update) for suite in a b c d e f; do
                echo "W: Failed to fetch http://deb.example.org/debian/dists/$suite/InRelease  Temporary failure resolving 'deb.example.org'" >&2
                done ;;
            download) echo "E: Unable to locate package a" >&2; exit 100 ;;
        esac; done"#;
    site.write("bin/apt-get", script);
    site.run("chmod", &["+x", "bin/apt-get"]);
    recipe(&site, "  - debian: [a]\n    closure: false\n");
    let mut command = site.command(&["-q", "pkg", "build", "--arch", "amd64", "package"]);
    command.env("PATH", site.path("bin")).env("SITE", site.path(""));
    let message = refused(command.output().unwrap(), 1);
    let expected = "error: package: cannot fetch a: deb.example.org is unreachable: Temporary failure resolving 'deb.example.org'\nhelp: connect this machine to the network, or use --debs with a directory of .deb files\n";
    assert_eq!(message, expected);
}

/// An ar archive of members.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            0,
            "100644",
            content.len()
        );
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

/// Debian 12 has `bin/busybox`, 13 has `usr/bin/busybox`, and the same recipe takes both.
#[test]
fn recipes_find_files_moved_into_usr() {
    let site = Site::new();
    let contents = "  - debian: [busybox-static]\n    paths: [bin/busybox, lib/]\n    exclude: [lib/unwanted]\n  - symlink: /bin/sh\n    target: /bin/busybox\n  - symlink: /sbin/tool\n    target: /usr/sbin/tool\n";
    for (directory, expected) in [("", "bin/busybox"), ("usr/", "usr/bin/busybox")] {
        for file in ["bin/busybox", "lib/wanted", "lib/unwanted", "share/doc/text"] {
            site.write(&format!("tree/busybox-static/{directory}{file}"), file);
        }
        deb(&site, "busybox-static", "", "xz");
        fs::remove_dir_all(site.path("tree")).unwrap();
        recipe(
            &site,
            &format!("{contents}  - file: /which\n    contents: \"{directory}\"\n"),
        );
        let name = String::from_utf8(good(build(&site))).unwrap();
        let target = format!("files-{}", directory.trim_end_matches('/'));
        unpacked(&site, &name, &target);
        let at = |path: &str| site.path(&target).join(path);
        assert!(fs::symlink_metadata(at(expected)).unwrap().is_file());
        for name in ["bin/sh", "bin/busybox"] {
            let program =
                fs::read_link(at(name)).map_or(at(name), |target| at(target.to_str().unwrap().trim_start_matches('/')));
            assert_eq!(fs::read_to_string(program).unwrap(), "bin/busybox");
        }
        assert!(at("lib/wanted").exists() && !at("lib/unwanted").exists() && !at("usr/share").exists());
        assert_eq!(at("bin").is_symlink(), directory == "usr/");
    }
    for (contents, expected) in [
        (
            "  - debian: [busybox-static]\n    paths: [bin/busibox]\n",
            "`paths` matches no file of busybox-static",
        ),
        ("  - concat: [\"**/*.crt\"]\n    to: /all\n", "no file matches **/*.crt"),
    ] {
        recipe(&site, contents);
        let message = refused(build(&site), 1);
        assert!(message.contains(expected), "{message}");
    }
}

/// On a merged /usr, a link from /sbin to /usr/sbin exists already.
#[test]
fn link_to_itself_is_left_out() {
    let site = Site::new();
    let link = "  - symlink: /sbin/tool\n    target: /usr/sbin/tool\n";
    recipe(
        &site,
        &format!("  - file: /usr/sbin/tool\n    contents: tool\n  - symlink: /sbin\n    target: usr/sbin\n{link}"),
    );
    let name = String::from_utf8(good(build(&site))).unwrap();
    unpacked(&site, &name, "files");
    assert_eq!(fs::read_to_string(site.path("files/sbin/tool")).unwrap(), "tool");
}

#[test]
fn damaged_debs_are_refused() {
    let site = Site::new();
    site.write("tree/good/usr/share/good", "good");
    deb(&site, "good", "", "xz");
    let good = fs::read(site.path("debs/good_1.0_all.deb")).unwrap();
    let control = tar(&[(b'0', "./control", "", b"Package: good\nVersion: 1\nArchitecture: all\n")]);
    let with = |data: &[u8]| {
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar", data),
        ])
    };
    let outside = with(&tar(&[(b'0', "../../evil", "", b"x")]));
    let bomb = crate::common::layout::through("gzip", &["-n"], &vec![0; 16 << 20]).repeat(65);
    let mut flipped = good.clone();
    let at = flipped.len() - 40;
    flipped[at] ^= 0x55;
    let (mut no_end, mut letters) = (good.clone(), good.clone());
    no_end[8 + 58] = b'x';
    letters[8 + 48] = b'x';
    for (what, bytes, expected) in [
        (
            "no ar",
            b"PK\x03\x04".to_vec(),
            "is not a Debian package: not an ar archive",
        ),
        ("empty", Vec::new(), "is not a Debian package"),
        ("cut in the data", good[..good.len() - 20].to_vec(), "it is truncated"),
        ("cut in a header", good[..90].to_vec(), "is not a Debian package"),
        ("flipped", flipped, "is not a Debian package"),
        (
            "no data",
            ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control)]),
            "it has no data.tar",
        ),
        (
            "no control",
            ar(&[("debian-binary", b"2.0\n")]),
            "it has no control.tar",
        ),
        ("no end of a header", no_end, "a corrupt ar header"),
        ("a size of letters", letters, "a corrupt ar header"),
        ("out of the tree", outside, "`..` component"),
        (
            "a tar that is none",
            with(&[b'x'; 600]),
            "tar header at offset 0 is corrupt",
        ),
        ("a bomb", with(&bomb), "expand to more than"),
    ] {
        fs::write(site.path("debs/good_1.0_all.deb"), &bytes).unwrap();
        recipe(&site, "  - debian: [good]\n");
        let message = refused(build(&site), 1);
        assert!(
            message.contains("debs/good_1.0_all.deb") && message.contains(expected),
            "{what}: {message}"
        );
        assert!(!site.path("evil").exists() && !site.path("../evil").exists());
        assert_eq!(
            String::from_utf8(crate::common::site::good(site.moby(&["cache", "ls"]))).unwrap(),
            "IMAGE  DIGEST  SIZE  USED  PLATFORMS\n"
        );
    }
}

/// The dependencies of each module of a modules.dep.
fn dependencies(path: &Path) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let (module, needed) = line.split_once(':').unwrap();
        (
            module.to_owned(),
            needed.split_whitespace().map(str::to_owned).collect(),
        )
    };
    text.lines().map(line).collect()
}

/// The lines of a modules.alias.
fn aliases(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn module_dependencies_match_depmod() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = root.join("kernel/debian-cloud");
    let moby = |arguments: &[&str]| {
        let mut command = crate::common::moby();
        command.args(arguments).arg(&package);
        command.output().unwrap()
    };
    let tag = String::from_utf8(good(moby(&["pkg", "show-tag"]))).unwrap();
    let site = Site::new();
    let tar = site.path("image.tar");
    let mut export: Command = crate::common::moby();
    export
        .args([
            "cache",
            "export",
            tag.trim(),
            "--arch",
            "amd64",
            "--format",
            "filesystem",
            "-o",
        ])
        .arg(&tar);
    if !export.output().unwrap().status.success() {
        good(moby(&["-q", "pkg", "build", "--arch", "amd64"]));
        good(export.output().unwrap());
    }
    site.run("tar", &["-xf", "image.tar", "kernel.tar"]);
    fs::create_dir(site.path("tree")).unwrap();
    site.run("tar", &["-C", "tree", "-xf", "kernel.tar"]);
    let modules = site.path("tree/lib/modules");
    let version = files(&modules).pop().unwrap();
    let ours = modules.join(&version);
    let depmod = ["/usr/sbin/depmod", "/sbin/depmod", "/usr/bin/depmod"];
    let depmod = depmod
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("depmod, of the package kmod");
    let (our_aliases, our_needs) = (
        aliases(&ours.join("modules.alias")),
        dependencies(&ours.join("modules.dep")),
    );
    // depmod writes its own in their place.
    site.run(depmod, &["-b", "tree", &version]);
    assert!(ours.join("modules.dep.bin").exists());
    let (their_aliases, their_needs) = (
        aliases(&ours.join("modules.alias")),
        dependencies(&ours.join("modules.dep")),
    );
    assert!(their_aliases.len() > 1000, "{}", their_aliases.len());
    let differ: Vec<&String> = our_aliases.symmetric_difference(&their_aliases).take(5).collect();
    assert!(differ.is_empty(), "{differ:?}");
    assert!(their_needs.len() > 300, "{}", their_needs.len());
    assert_eq!(
        our_needs.keys().collect::<Vec<_>>(),
        their_needs.keys().collect::<Vec<_>>()
    );
    for (module, needed) in &our_needs {
        let set = |needed: &[String]| needed.iter().cloned().collect::<BTreeSet<String>>();
        assert_eq!(set(needed), set(&their_needs[module]), "{module}");
        // What is needed by a module stands behind it: the last is loaded first.
        for (at, one) in needed.iter().enumerate() {
            for other in &our_needs[one] {
                let position = needed.iter().position(|path| path == other);
                assert!(position > Some(at), "{module}: {one} needs {other}: {needed:?}");
            }
        }
    }
}
