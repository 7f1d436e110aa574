//! The descriptor ("The Descriptor File").

use crate::Options;

/// First sector of the descriptor.
pub(crate) const START: u64 = 1;
/// Length of the descriptor in sectors.
pub(crate) const SECTORS: u64 = 20;
/// Geometry that VMware gives disks on a SCSI adapter.
const HEADS: u64 = 255;
const SECTORS_PER_TRACK: u64 = 63;

/// Writes the descriptor of a disk of `capacity` sectors. Adapter and hardware version are those
/// that all VMware products take.
pub(crate) fn text(create_type: &str, access: &str, capacity: u64, options: &Options) -> Vec<u8> {
    let cylinders = capacity.div_ceil(HEADS * SECTORS_PER_TRACK);
    let Options {
        content_id, file_name, ..
    } = options;
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={content_id:08x}\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n\n\
         # Extent description\n{access} {capacity} SPARSE \"{file_name}\"\n\n\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"6\"\nddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{HEADS}\"\nddb.geometry.sectors = \"{SECTORS_PER_TRACK}\"\nddb.adapterType = \"lsilogic\"\n"
    )
    .into_bytes()
}
