//! `examples/hello.yml` in every format: booted, checked by other programs, and the same bits twice.

mod matrix;
mod validation;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::common::boot::unpacked;
use crate::common::build;
use crate::common::formats::{FORMATS, Format, with_rootfs};
use crate::common::shared::Shared;

/// A line that a container prints when the machine is up.
const MARKER: &str = "hello from second";

/// Values of `--root` other than the default of a format: one disk or ISO image of each kind.
const ROOTS: [(&str, &str); 3] = [("squashfs", "raw,iso"), ("ext4", "raw-efi"), ("erofs", "qcow2-bios")];

/// The example in every format that firmware starts, and with a root filesystem beside a kernel;
/// built once.
fn built() -> &'static Path {
    static BUILT: OnceLock<Shared> = OnceLock::new();
    let make = |directory: &Path| {
        build("hello.yml", &["--format", &names().join(",")], directory);
        build("hello.yml", &["--format", "vhd"], &directory.join("vhd"));
        for (root, formats) in ROOTS {
            build(
                "hello.yml",
                &["--root", root, "--format", formats],
                &directory.join(root),
            );
        }
        let kernels: Vec<&str> = with_rootfs().map(|format| format.name).collect();
        build(
            "hello.yml",
            &["--format", &kernels.join(",")],
            &directory.join("kernels"),
        );
    };
    BUILT.get_or_init(|| Shared::new("formats", make)).path()
}

/// The root filesystem of a format that has it beside a kernel.
fn rootfs(format: &Format) -> PathBuf {
    built().join(format!("kernels/hello{}", format.started()))
}

/// The formats that firmware starts.
fn formats() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().filter(|format| format.boots())
}

/// All but one of two that have the same file name.
fn names() -> Vec<&'static str> {
    let all = formats().map(|format| format.name);
    all.filter(|name| *name != "vhd").collect()
}

fn file(format: &Format) -> PathBuf {
    let directory = if format.name == "vhd" { "vhd" } else { "" };
    built().join(directory).join(format!("hello{}", format.files[0]))
}

/// The disk of a format, taken out of what it is compressed in.
fn bootable(format: &Format) -> PathBuf {
    static UNPACKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = UNPACKING.lock().unwrap();
    unpacked(&file(format))
}
