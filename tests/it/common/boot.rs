//! Ways to start the files of a format.

use std::fs;
use std::path::{Path, PathBuf};

use testing::program::checked;

use super::formats::Format;

/// The flags of `moby run` for each firmware that starts a format; an ISO image is also a USB drive.
pub fn ways(format: &Format) -> Vec<Vec<&'static str>> {
    if !format.boots() {
        return vec![vec![]];
    }
    let mut ways = Vec::new();
    for (boots, flags) in [(format.bios, &[][..]), (format.efi, &["--uefi"][..])] {
        if boots {
            ways.push(flags.to_vec());
            if format.kind == "iso" {
                ways.push([flags, &["--usb"]].concat());
            }
        }
    }
    ways
}

/// A disk taken out of an archive or a compressed file, in a directory beside it; other files as they
/// are.
pub fn unpacked(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap().to_str().unwrap();
    let directory = file.with_file_name(format!("unpacked-{name}"));
    let (program, disk) = match name.rsplit_once('.').unwrap_or((name, "")) {
        (stem, "gz") if !stem.ends_with(".tar") => ("gzip", directory.join(stem)),
        (stem, "xz") => ("xz", directory.join(stem)),
        (_, "gz") => ("tar", directory.join("disk.raw")),
        (stem, "ova") => ("tar", directory.join(format!("{stem}-disk1.vmdk"))),
        _ => return file.to_owned(),
    };
    if !disk.exists() {
        fs::create_dir_all(&directory).unwrap();
        if program == "tar" {
            checked("tar", &["-C", directory.to_str().unwrap(), "-xSf"], file);
        } else {
            fs::copy(file, directory.join(name)).unwrap();
            checked(program, &["-dq"], &directory.join(name));
        }
    }
    disk
}
