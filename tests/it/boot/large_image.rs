//! A machine with a large image: boot loaders, firmware and filesystems meet their limits.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::common::boot::{unpacked, ways};
use crate::common::formats::{FORMATS, Format, named};
use crate::common::{boots, build_file};
use testing::program::checked;
use testing::sample::noise;

/// Length of the incompressible file, in bytes.
const LARGE: usize = 256 << 20;

/// `examples/nginx.yml` with a large file, of which a container says the sum.
struct LargeImage {
    directory: tempfile::TempDir,
    /// The line on the console when the machine reads the file unchanged.
    marker: String,
}

impl LargeImage {
    fn new() -> LargeImage {
        let directory = tempfile::tempdir().unwrap();
        let mut file = fs::File::create(directory.path().join("large")).unwrap();
        for piece in 0..LARGE >> 20 {
            file.write_all(&noise(1 << 20, piece as u64)).unwrap();
        }
        let sum = checked("md5sum", &[], &directory.path().join("large"));
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let example = fs::read_to_string(examples.join("nginx.yml")).unwrap();
        let example = example.replace("@pkg:", &format!("@pkg:{}/", examples.display()));
        let hello = examples.join("../pkg/hello");
        let container = format!(
            "onboot:\n  - name: sum\n    image: \"@pkg:{}\"\n    command: [/bin/busybox, md5sum, /large]\n    binds: [\"/opt/large:/large:ro\"]\n",
            hello.display()
        );
        let large = directory.path().join("large");
        let file = format!("  - path: opt/large\n    source: {}\n", large.display());
        let yaml = example.replace("onboot:\n", &container) + &file;
        fs::write(directory.path().join("large.yml"), yaml).unwrap();
        let marker = format!("{}  /large", sum.split_whitespace().next().unwrap());
        LargeImage { directory, marker }
    }

    /// Makes it in a format and boots it in all ways that the format claims.
    fn boots(&self, format: &Format, arguments: &[&str]) {
        let directory = self.directory.path().join(format.name);
        let flags = [&["--format", format.name], arguments].concat();
        build_file(&self.directory.path().join("large.yml"), &flags, &directory);
        let file = unpacked(&started(&directory, format));
        for way in ways(format) {
            boots(&file, &way, &self.marker);
        }
        fs::remove_dir_all(directory).unwrap();
    }
}

/// The argument of `moby run` for the files of a format.
fn started(directory: &Path, format: &Format) -> PathBuf {
    match format.kind {
        "kernel" => directory.join("large"),
        _ => directory.join(format!("large{}", format.started())),
    }
}

#[test]
fn large_image_boots() {
    let large = LargeImage::new();
    std::thread::scope(|scope| {
        scope.spawn(|| large.boots(named("raw-bios"), &[]));
        large.boots(named("raw-efi"), &["--root", "squashfs"]);
    });
}

#[test]
#[ignore = "some of these boots take a minute: `cargo xtask test --all`"]
fn large_image_boots_in_every_format() {
    let large = LargeImage::new();
    let boot = |format: &&Format| format.boots() || ["kernel", "rootfs"].contains(&format.kind);
    for format in FORMATS.iter().filter(boot) {
        large.boots(format, &[]);
    }
    for root in ["squashfs", "erofs", "ext4"] {
        large.boots(named("raw"), &["--root", root]);
        large.boots(named("iso"), &["--root", root]);
    }
}
