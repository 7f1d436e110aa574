//! What a disk is wrapped in.

mod gnu_tar;

use extents::Extents;

use super::formats::Container;
use super::{Error, Options};
use crate::codec::compress::{self, Compression};
use crate::content_id::ContentId;
use crate::time;

/// The name of the disk in Google's archive.
const GCP_DISK: &str = "disk.raw";

/// The memory of an appliance, as ova counts it: what an initramfs needs, and a little.
const MEMORY: u64 = 1024;

/// A disk in its container.
pub fn wrap(disk: &Extents, container: Container, identity: &ContentId, options: &Options) -> Result<Extents, Error> {
    let uuid = identity.uuid("container");
    let vhd = vhd::Options {
        uuid,
        time: time::fixed(),
    };
    Ok(match container {
        Container::Raw => disk.clone(),
        Container::Qcow2 => qcow2::plan(disk)?,
        Container::CompressedQcow2 => {
            let how = qcow2::Options {
                // What every reader knows; and see Compression::DISK.
                compressor: qcow2::Compressor::Zlib(9),
                jobs: options.jobs,
                folder: options.spill(),
            };
            qcow2::compressed(disk, &how)?
        }
        Container::FixedVhd => vhd::fixed(disk, &vhd)?,
        Container::DynamicVhd => vhd::dynamic(disk, &vhd)?,
        Container::Vmdk => vmdk::plan(disk, identity.number("container"), "disk.vmdk")?,
        Container::StreamVmdk => stream_vmdk(disk, "disk.vmdk", identity, options)?,
        Container::Ova => {
            let name = options.name_within();
            let packed = stream_vmdk(disk, &format!("{name}-disk1.vmdk"), identity, options)?;
            let machine = ova::Options {
                name,
                cpus: 1,
                memory: MEMORY,
                firmware: ova::Firmware::Bios,
                time: u64::try_from(time::fixed()).unwrap_or(0),
            };
            ova::plan(&packed, disk.len(), &machine)?
        }
        Container::Vhdx => vhdx::plan(disk, uuid)?,
        Container::Vdi => vdi::plan(disk, uuid)?,
        Container::Gcp => {
            let tar = gnu_tar::sparse(disk, GCP_DISK, time::fixed());
            packed(&tar, Compression::DISK, options)?
        }
        Container::Packed(compression) => packed(disk, compression, options)?,
    })
}

fn stream_vmdk(disk: &Extents, name: &str, identity: &ContentId, options: &Options) -> Result<Extents, Error> {
    let how = vmdk::Options {
        id: identity.number("container"),
        name: name.into(),
        jobs: options.jobs,
        folder: options.spill(),
    };
    Ok(vmdk::stream_optimized(disk, &how)?)
}

/// A file compressed as a whole.
pub fn packed(plain: &Extents, compression: Compression, options: &Options) -> Result<Extents, Error> {
    let folder = options.spill();
    let packed = compress::compress(plain, compression, options.jobs, &folder);
    packed.map_err(|source| Error::Write { path: folder, source })
}
