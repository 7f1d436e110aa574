//! How what formats make is started.

use std::fs;
use std::path::{Path, PathBuf};

use moby::plan::formats::{Format, Kind};

use testing::program::checked;

/// The flags of `moby run`, for each firmware that a format claims; a CD is also a stick.
pub fn ways(format: &Format) -> Vec<Vec<&'static str>> {
    let Some(firmware) = format.firmware() else {
        return vec![vec![]];
    };
    let mut ways = Vec::new();
    for (claimed, flags) in [(firmware.bios, &[][..]), (firmware.efi, &["--uefi"][..])] {
        if claimed {
            ways.push(flags.to_vec());
            if matches!(format.kind, Kind::Iso(_)) {
                ways.push([flags, &["--stick"]].concat());
            }
        }
    }
    ways
}

/// A disk taken out of what it is compressed in, in a folder beside it; other files as they are.
pub fn unpacked(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap().to_str().unwrap();
    let folder = file.with_file_name(format!("unpacked-{name}"));
    let (program, disk) = match name.rsplit_once('.').unwrap_or((name, "")) {
        (stem, "gz") if !stem.ends_with(".tar") => ("gzip", folder.join(stem)),
        (stem, "xz") => ("xz", folder.join(stem)),
        (_, "gz") => ("tar", folder.join("disk.raw")),
        (stem, "ova") => ("tar", folder.join(format!("{stem}-disk1.vmdk"))),
        _ => return file.to_owned(),
    };
    if !disk.exists() {
        fs::create_dir_all(&folder).unwrap();
        if program == "tar" {
            checked("tar", &["-C", folder.to_str().unwrap(), "-xSf"], file);
        } else {
            fs::copy(file, folder.join(name)).unwrap();
            checked(program, &["-dq"], &folder.join(name));
        }
    }
    disk
}
