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
    let uuid = disk::Uuid::from_u128(identity.uuid("container"));
    let vhd = |kind| {
        let mut vhd = vhd::Options::default();
        (vhd.kind, vhd.uuid, vhd.time) = (kind, uuid, time::fixed());
        vhd::plan(disk, &vhd)
    };
    Ok(match container {
        Container::Raw => disk.clone(),
        Container::Qcow2 => qcow2::plan(disk, &qcow2::Options::default())?,
        Container::CompressedQcow2 => {
            let mut qcow2 = qcow2::Options::default();
            // What every reader knows; and see Compression::DISK.
            qcow2.compressor = Some(qcow2::Compressor::Zlib(9));
            qcow2.jobs = options.jobs;
            qcow2.temp_dir = options.spill();
            qcow2::plan(disk, &qcow2)?
        }
        Container::FixedVhd => vhd(vhd::Kind::Fixed)?,
        Container::DynamicVhd => vhd(vhd::Kind::Dynamic)?,
        Container::Vmdk => vmdk(disk, vmdk::Kind::Sparse, "disk.vmdk", identity, options)?,
        Container::StreamVmdk => vmdk(disk, vmdk::Kind::Stream, "disk.vmdk", identity, options)?,
        Container::Ova => {
            let name = options.name_within();
            let image = format!("{name}-disk1.vmdk");
            let image = vmdk(disk, vmdk::Kind::Stream, &image, identity, options)?;
            let mut machine = ova::Options::default();
            machine.name = name;
            machine.capacity = disk.len();
            machine.memory_mib = MEMORY;
            machine.time = u64::try_from(time::fixed()).unwrap_or(0);
            ova::plan(&image, &machine)?
        }
        Container::Vhdx => {
            let mut vhdx = vhdx::Options::default();
            (vhdx.uuid, vhdx.creator) = (uuid, "moby".to_owned());
            vhdx::plan(disk, &vhdx)?
        }
        Container::Vdi => {
            let mut vdi = vdi::Options::default();
            vdi.uuid = uuid;
            vdi::plan(disk, &vdi)?
        }
        Container::Gcp => {
            let tar = gnu_tar::sparse(disk, GCP_DISK, time::fixed());
            packed(&tar, Compression::DISK, options)?
        }
        Container::Packed(compression) => packed(disk, compression, options)?,
    })
}

fn vmdk(
    disk: &Extents,
    kind: vmdk::Kind,
    name: &str,
    identity: &ContentId,
    options: &Options,
) -> Result<Extents, Error> {
    let mut vmdk = vmdk::Options::default();
    vmdk.kind = kind;
    vmdk.content_id = identity.number("container");
    vmdk.file_name = name.to_owned();
    vmdk.jobs = options.jobs;
    vmdk.temp_dir = options.spill();
    Ok(vmdk::plan(disk, &vmdk)?)
}

/// A file compressed as a whole.
pub fn packed(plain: &Extents, compression: Compression, options: &Options) -> Result<Extents, Error> {
    let folder = options.spill();
    let packed = compress::compress(plain, compression, options.jobs, &folder);
    packed.map_err(|source| Error::Write { path: folder, source })
}
