//! Digests of every output, compared with `testdata/golden/outputs.txt`.
//!
//! `testdata/golden/outputs.txt` has a line for each file: its SHA-256, architecture, format, name
//! and the options of its build. A change of bits is made on purpose or not at all:
//! `MOBY_BLESS=1 cargo test --test it golden` writes the file anew, and the commit says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

use crate::common::formats::{FORMATS, Format, groups};
use crate::common::images;
use crate::common::layout::Layout;
use sha2::{Digest, Sha256};

/// A build of several formats, whose files have names of their own.
#[derive(Clone, Debug)]
struct Build {
    arch: &'static str,
    kernel: &'static str,
    formats: Vec<&'static Format>,
    options: Vec<&'static str>,
}

/// The key of an output: architecture, format, file, options.
type Key = (String, String, String, String);

/// All builds.
fn builds() -> Vec<Build> {
    let mut builds = Vec::new();
    for arch in ["amd64", "arm64"] {
        let mut add = |kernel, options: &[&'static str], formats: &dyn Fn(&Format) -> bool| {
            let chosen = FORMATS
                .iter()
                .filter(|format| format.arches.contains(&arch) && formats(format));
            for formats in groups(chosen, 12) {
                builds.push(Build {
                    arch,
                    kernel,
                    formats,
                    options: options.to_vec(),
                });
            }
        };
        let one_of = |names: &'static [&str]| move |format: &Format| names.contains(&format.name);
        add("modules", &[], &|_| true);
        for root in ["initramfs", "squashfs", "erofs", "ext4", "iso"] {
            add("modules", &["--root", root], &|format| {
                format.roots().contains(&root) && format.root != Some(root)
            });
        }
        let roots = one_of(&[
            "kernel+squashfs",
            "kernel+erofs",
            "kernel+ext4",
            "kernel+iso",
            "raw-ext4",
        ]);
        for kernel in ["built-in", "silent"] {
            add(kernel, &[], &roots);
            add(kernel, &["--root", "squashfs"], &one_of(&["raw", "raw-bios", "iso"]));
        }
        let kernels = ["kernel+squashfs", "kernel+erofs", "kernel+ext4", "kernel+iso"];
        add("silent", &["--verity"], &|format| kernels.contains(&format.name));
        add(
            "silent",
            &["--root", "squashfs", "--verity"],
            &one_of(&["raw", "raw-bios", "iso"]),
        );
        add("built-in", &[], &one_of(&["uki", "kernel+initrd", "raw", "rpi3"]));
        for compression in ["gzip", "gzip:9", "zstd", "lz4", "xz", "none"] {
            let initrds = one_of(&["kernel+initrd", "uki", "iso"]);
            add("modules", &["--compress", compression], &initrds);
            if compression != "none" {
                add("modules", &["--compress", compression], &one_of(&["kernel+squashfs"]));
            }
            if ["lz4", "none"].contains(&compression) {
                add("modules", &["--compress", compression], &one_of(&["kernel+erofs"]));
            }
            if !["lz4", "xz"].contains(&compression) {
                add("modules", &["--compress", compression], &one_of(&["oci"]));
            }
        }
        for compression in ["gzip", "zstd", "lz4", "xz"] {
            add(
                "modules",
                &["--compress-disk", compression],
                &one_of(&["raw-efi", "raw-ext4", "rpi"]),
            );
        }
        add(
            "modules",
            &["--decompress-kernel"],
            &one_of(&["kernel+initrd", "tar", "uki"]),
        );
        add(
            "modules",
            &["--size", "128M"],
            &one_of(&["raw", "raw-efi", "raw-ext4", "qcow2", "rpi"]),
        );
        add("modules", &["--opaque-whiteouts"], &one_of(&["tar"]));
        add("modules", &["--sbom"], &one_of(&["tar", "kernel+initrd"]));
        add(
            "modules",
            &["--sbom", "--sbom-output", "etc/sbom.json"],
            &one_of(&["tar"]),
        );
        add(
            "modules",
            &["SOURCE_DATE_EPOCH=1700000000"],
            &one_of(&["tar", "kernel+ext4", "raw", "iso", "vhd"]),
        );
    }
    builds
}

impl Build {
    /// Makes the files, and returns the digest of each.
    fn digests(&self, site: &Path, number: usize) -> Vec<(Key, String)> {
        let out = site.join(format!("out-{number}"));
        let names: Vec<&str> = self.formats.iter().map(|format| format.name).collect();
        // Both give the same bits.
        let jobs = if number.is_multiple_of(2) { "1" } else { "3" };
        let mut command = images::build(site, self.arch, self.kernel, &names, &out);
        command.args(["--jobs", jobs]);
        let (with_sbom, mut options): (Vec<&str>, Vec<&str>) =
            self.options.iter().partition(|option| **option == "--sbom");
        if with_sbom.is_empty() {
            options.push("--no-sbom");
        }
        for option in options {
            match option.split_once('=') {
                Some((variable, value)) => command.env(variable, value),
                None => command.arg(option),
            };
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{self:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut options = vec![self.kernel];
        options.extend(&self.options);
        let mut digests = Vec::new();
        for entry in fs::read_dir(&out).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let digest = digest(&out.join(&file));
            let owners = self.formats.iter().filter(|format| {
                let suffixes = &mut format.files.iter();
                let rest = file.strip_prefix('m').unwrap();
                suffixes.any(|suffix| rest == *suffix || self.compressed(format, suffix).as_deref() == Some(rest))
            });
            for format in owners {
                let key = [self.arch, format.name, &file, &options.join(" ")].map(str::to_owned);
                digests.push((key.into(), digest.clone()));
            }
        }
        fs::remove_dir_all(out).unwrap();
        digests
    }

    /// The end of a disk's name with `--compress-disk`.
    fn compressed(&self, format: &Format, suffix: &str) -> Option<String> {
        let at = self.options.iter().position(|option| *option == "--compress-disk")?;
        let end = match self.options[at + 1] {
            "gzip" => "gz",
            "zstd" => "zst",
            other => other,
        };
        let disk = format.kind.contains('/') || format.kind == "sd-card";
        disk.then(|| format!("{suffix}.{end}"))
    }
}

fn digest(path: &Path) -> String {
    let mut file = fs::File::open(path).unwrap();
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => break,
            len => hash.update(&buffer[..len]),
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_output_has_its_bits() {
    let site = tempfile::tempdir().unwrap();
    images::write(&mut Layout::new(&site.path().join("layout")));
    let left = Mutex::new(builds().into_iter().enumerate().rev().collect::<Vec<_>>());
    let all_digests = Mutex::new(BTreeMap::new());
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((number, build)) = next else { return };
                    let digests = build.digests(site.path(), number);
                    all_digests.lock().unwrap().extend(digests);
                }
            });
        }
    });
    let all_digests = all_digests.into_inner().unwrap();
    check_completeness(&all_digests);
    let lines: BTreeMap<String, String> = all_digests
        .into_iter()
        .map(|((arch, format, file, options), digest)| (format!("{arch} {format} {file} {options}"), digest))
        .collect();
    let path = images::directory().join("outputs.txt");
    if std::env::var_os("MOBY_BLESS").is_some() {
        let text: String = lines.iter().map(|(key, digest)| format!("{digest} {key}\n")).collect();
        fs::write(&path, text).unwrap();
        return;
    }
    let golden = fs::read_to_string(&path).unwrap();
    let golden: BTreeMap<String, String> = golden
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(digest, key)| (key.to_owned(), digest.to_owned()))
        .collect();
    let keys: BTreeSet<&String> = golden.keys().chain(lines.keys()).collect();
    let different: Vec<&str> = keys
        .into_iter()
        .filter(|key| golden.get(*key) != lines.get(*key))
        .map(String::as_str)
        .collect();
    assert!(
        different.is_empty(),
        "{} of {} outputs differ from {}:\n{}\nMOBY_BLESS=1 takes the new bits, if they are meant",
        different.len(),
        golden.len(),
        path.display(),
        different.join("\n")
    );
}

/// Checks that every row of the table has its files, on both architectures and with each root that it takes.
fn check_completeness(all_digests: &BTreeMap<Key, String>) {
    let has = |arch: &str, format: &Format, file: &str, options: &str| {
        let key = (arch.into(), format.name.into(), format!("m{file}"), options.into());
        assert!(all_digests.contains_key(&key), "{key:?} was not built");
    };
    for format in FORMATS.iter() {
        for arch in ["amd64", "arm64"].iter().filter(|arch| format.arches.contains(arch)) {
            for file in &format.files {
                has(arch, format, file, "modules");
            }
            for root in format.roots().iter().filter(|root| Some(**root) != format.root) {
                has(arch, format, format.files[0], &format!("modules --root {root}"));
            }
        }
    }
}
