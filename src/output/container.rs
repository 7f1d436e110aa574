//! What a disk is wrapped in.

mod gnu_tar;

use extents::Extents;

use super::compress::{self, Compression};
use super::format::Container;
use super::identity::Identity;
use super::{Error, Options};
use crate::time;

/// The name of the disk in Google's archive.
const GCP_DISK: &str = "disk.raw";

/// A disk in its container.
pub fn wrap(disk: &Extents, container: Container, identity: &Identity, options: &Options) -> Result<Extents, Error> {
    let uuid = identity.uuid("container");
    let vhd = vhd::Options {
        uuid,
        time: time::fixed(),
    };
    Ok(match container {
        Container::Raw => disk.clone(),
        Container::Qcow2 => qcow2::plan(disk)?,
        Container::FixedVhd => vhd::fixed(disk, &vhd)?,
        Container::DynamicVhd => vhd::dynamic(disk, &vhd)?,
        Container::Vmdk => vmdk::plan(disk, identity.number("container"), "disk.vmdk")?,
        Container::Vdi => vdi::plan(disk, uuid)?,
        Container::Gcp => {
            let tar = gnu_tar::sparse(disk, GCP_DISK, time::fixed());
            packed(&tar, Compression::default(), options)?
        }
        Container::Gzip => packed(disk, Compression::default(), options)?,
        Container::Xz => packed(disk, Compression::Xz(6), options)?,
    })
}

/// A file compressed as a whole.
pub fn packed(plain: &Extents, compression: Compression, options: &Options) -> Result<Extents, Error> {
    let folder = options.spill();
    let packed = compress::compress(plain, compression, options.jobs, &folder);
    packed.map_err(|source| Error::Write { path: folder, source })
}
