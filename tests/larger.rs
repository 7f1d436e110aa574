//! A machine several times as large as those of the other tests, where boot loaders, firmware and
//! filesystems meet their limits.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::media::{unpacked, ways};
use common::{boots, build_file};
use moby::plan::formats::{FORMATS, Format, Kind};
use testing::program::checked;
use testing::sample::noise;

/// The length of what nothing makes smaller, in bytes.
const LARGE: usize = 256 << 20;

/// `examples/nginx.yml` with a large file, of which a container says the sum.
struct Larger {
    folder: tempfile::TempDir,
    /// What is on the console when the file has come to the machine as it is.
    marker: String,
}

impl Larger {
    fn new() -> Larger {
        let folder = tempfile::tempdir().unwrap();
        let mut file = fs::File::create(folder.path().join("large")).unwrap();
        for piece in 0..LARGE >> 20 {
            file.write_all(&noise(1 << 20, piece as u64)).unwrap();
        }
        let sum = checked("md5sum", &[], &folder.path().join("large"));
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let example = fs::read_to_string(examples.join("nginx.yml")).unwrap();
        let example = example.replace("@pkg:", &format!("@pkg:{}/", examples.display()));
        let hello = examples.join("../pkg/hello");
        let container = format!(
            "onboot:\n  - name: sum\n    image: \"@pkg:{}\"\n    command: [/bin/busybox, md5sum, /large]\n    binds: [\"/opt/large:/large:ro\"]\n",
            hello.display()
        );
        let large = folder.path().join("large");
        let file = format!("  - path: opt/large\n    source: {}\n", large.display());
        let yaml = example.replace("onboot:\n", &container) + &file;
        fs::write(folder.path().join("larger.yml"), yaml).unwrap();
        let marker = format!("{}  /large", sum.split_whitespace().next().unwrap());
        Larger { folder, marker }
    }

    /// Makes it in a format and boots it in all ways that the format claims.
    fn boots(&self, format: &Format, arguments: &[&str]) {
        let folder = self.folder.path().join(format.name);
        let flags = [&["--format", format.name], arguments].concat();
        build_file(&self.folder.path().join("larger.yml"), &flags, &folder);
        let file = unpacked(&started(&folder, format));
        for way in ways(format) {
            boots(&file, &way, &self.marker);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}

/// What of a format's files `moby run` is given.
fn started(folder: &Path, format: &Format) -> PathBuf {
    match format.kind {
        Kind::KernelInitrd => folder.join("larger"),
        Kind::KernelRoot(_) => folder.join(format!("larger{}", format.files[1])),
        _ => folder.join(format!("larger{}", format.files[0])),
    }
}

fn named(name: &str) -> &'static Format {
    FORMATS.iter().find(|format| format.name == name).unwrap()
}

#[test]
fn a_larger_machine_boots() {
    let larger = Larger::new();
    std::thread::scope(|scope| {
        scope.spawn(|| larger.boots(named("raw-bios"), &[]));
        larger.boots(named("raw-efi"), &["--root", "squashfs"]);
    });
}

#[test]
#[ignore = "some of these boots take a minute: `cargo xtask test --all`"]
fn a_larger_machine_boots_in_every_format() {
    let larger = Larger::new();
    let boot = |format: &&Format| {
        format.firmware().is_some() || matches!(format.kind, Kind::KernelInitrd | Kind::KernelRoot(_))
    };
    for format in FORMATS.iter().filter(boot) {
        larger.boots(format, &[]);
    }
    for root in ["squashfs", "erofs", "ext4"] {
        larger.boots(named("raw"), &["--root", root]);
        larger.boots(named("iso"), &["--root", root]);
    }
}
