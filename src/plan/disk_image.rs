//! Disk image formats.

mod gnu_tar;

use extents::Extents;

use super::formats::DiskImage;
use super::{Error, Options};
use crate::codec::compress::{self, Compression};
use crate::content_id::ContentId;
use crate::reporter::{Progress, Reporter};

/// File name of the disk in Google Cloud's archive.
const GCP_DISK: &str = "disk.raw";

/// Memory of an appliance in MiB.
const MEMORY: u64 = 1024;

/// Plans a disk in a disk image format.
///
/// # Errors
/// A disk that the format cannot store, and reads and writes that fail.
pub fn wrap(
    disk: &Extents,
    format: DiskImage,
    id: &ContentId,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Extents, Error> {
    let uuid = ::disk::Uuid::from_u128(id.uuid("container"));
    let vhd = |kind| {
        let mut vhd = vhd::Options::default();
        (vhd.kind, vhd.uuid, vhd.time) = (kind, uuid, options.time);
        vhd::plan(disk, &vhd)
    };
    Ok(match format {
        DiskImage::Raw => disk.clone(),
        DiskImage::Qcow2 => qcow2::plan(disk, &qcow2::Options::default())?,
        DiskImage::Qcow2Compressed => {
            let mut qcow2 = qcow2::Options::default();
            // Every reader has zlib; for the level see Compression::DISK.
            qcow2.compressor = Some(qcow2::Compressor::Zlib(9));
            qcow2.jobs = options.jobs;
            qcow2.temp_dir = options.temp_dir.clone();
            qcow2::plan(disk, &qcow2)?
        }
        DiskImage::FixedVhd => vhd(vhd::Kind::Fixed)?,
        DiskImage::DynamicVhd => vhd(vhd::Kind::Dynamic)?,
        DiskImage::Vmdk => vmdk(disk, vmdk::Kind::Sparse, "disk.vmdk", id, options)?,
        DiskImage::StreamVmdk => vmdk(disk, vmdk::Kind::Stream, "disk.vmdk", id, options)?,
        DiskImage::Ova => {
            let name = options.name_within();
            let image = format!("{name}-disk1.vmdk");
            let image = vmdk(disk, vmdk::Kind::Stream, &image, id, options)?;
            let mut machine = ova::Options::default();
            machine.name = name;
            machine.capacity = disk.len();
            machine.memory_mib = MEMORY;
            machine.time = u64::try_from(options.time).unwrap_or(0);
            ova::plan(&image, &machine)?
        }
        DiskImage::Vhdx => {
            let mut vhdx = vhdx::Options::default();
            (vhdx.uuid, vhdx.creator) = (uuid, "moby".to_owned());
            vhdx::plan(disk, &vhdx)?
        }
        DiskImage::Vdi => {
            let mut vdi = vdi::Options::default();
            vdi.uuid = uuid;
            vdi::plan(disk, &vdi)?
        }
        DiskImage::Gcp => {
            let tar = gnu_tar::sparse(disk, GCP_DISK, options.time);
            compressed(&tar, Compression::DISK, options, reporter)?
        }
        DiskImage::Compressed(compression) => compressed(disk, compression, options, reporter)?,
        DiskImage::DigitalOcean => compressed(disk, Compression::DISK, options, reporter)?,
    })
}

fn vmdk(disk: &Extents, kind: vmdk::Kind, name: &str, id: &ContentId, options: &Options) -> Result<Extents, Error> {
    let mut vmdk = vmdk::Options::default();
    vmdk.kind = kind;
    vmdk.content_id = id.number("container");
    vmdk.file_name = name.to_owned();
    vmdk.jobs = options.jobs;
    vmdk.temp_dir = options.temp_dir.clone();
    Ok(vmdk::plan(disk, &vmdk)?)
}

/// Compresses a file as one stream.
///
/// # Errors
/// Reads and writes that fail.
pub fn compressed(
    plain: &Extents,
    compression: Compression,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Extents, Error> {
    reporter.progress(Progress::Begin {
        operation: "compressing the disk image",
        total: plain.len(),
    });
    let progress = |bytes| reporter.progress(Progress::Advance(bytes));
    let dir = options.temp_dir.clone();
    let compressed = compress::compress(plain, compression, options.jobs, &dir, &progress);
    compressed.map_err(|source| Error::Write { path: dir, source })
}
