//! The description of a disk.

use std::num::NonZeroU8;

use extents::Extents;
use uuid::Uuid;

use crate::PartitionType;

/// A disk: its table, its boot code and its partitions in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiskLayout {
    /// Kind of partition table, with the disk's identifiers.
    pub table: Table,
    /// Code before the table of the MBR, at most [`crate::MAX_BOOT_CODE_LEN`] bytes.
    pub boot_code: Vec<u8>,
    /// Partitions in the order of the table, which is the order on the disk.
    pub partitions: Vec<Partition>,
    /// Bytes at the start of the disk that no partition of a GPT may use, besides the table itself.
    pub reserved: u64,
    /// Geometry for the cylinder, head and sector addresses of an MBR. Without one every entry
    /// says that only its LBA counts (1023/254/63).
    pub geometry: Option<Geometry>,
    /// Bytes below tables and partitions, from the start of the disk: an ISO image whose
    /// partitions are parts of it, or a boot loader at a fixed sector.
    pub base: Extents,
}

/// A partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A master boot record.
    Mbr {
        /// Disk signature; a PARTUUID is this and the number of the partition. Some systems take
        /// 0 for "none".
        signature: u32,
    },
    /// A GPT, with a protective MBR.
    Gpt {
        /// Identifier of the disk.
        guid: Uuid,
    },
    /// A GPT, with an MBR that has the first three partitions as well, for a BIOS that boots only
    /// from a disk with an active partition. UEFI does not specify it (UEFI 2.10, 5.2.3), but
    /// firmware and partitioning programs accept it.
    Hybrid {
        /// Identifier of the disk in the GPT.
        guid: Uuid,
        /// Disk signature in the MBR.
        signature: u32,
    },
}

/// Heads and sectors per track that cylinder, head and sector addresses are computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Heads per cylinder.
    pub heads: NonZeroU8,
    /// Sectors per track.
    pub sectors: NonZeroU8,
}

/// A partition of a [`DiskLayout`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Partition {
    /// Purpose of the partition, which the table stores as a GUID or a byte.
    pub kind: PartitionType,
    /// Name in a GPT, at most [`crate::MAX_LABEL_LEN`] UTF-16 code units. An MBR has no names.
    pub label: String,
    /// Identifier in a GPT (PARTUUID). An MBR has no identifiers of partitions.
    pub guid: Uuid,
    /// Attributes in a GPT, as defined in [`attribute`]. An MBR has none.
    pub attributes: u64,
    /// BIOS boot: the active partition of an MBR, [`attribute::LEGACY_BIOS_BOOTABLE`] in a GPT.
    pub bootable: bool,
    /// First byte on the disk, a multiple of the sector. Without one the partition begins at the
    /// next multiple of [`crate::ALIGNMENT`].
    pub start: Option<u64>,
    /// Bytes from the start of the partition on; a longer partition continues with what
    /// [`DiskLayout::base`] has there, or with zeros.
    pub content: Extents,
    /// Minimum length in bytes. The partition is at least as long as its content.
    pub min_size: u64,
    /// The partition takes the space that the disk has left. At most one partition can.
    pub grow: bool,
}

/// Attributes of partitions in a GPT.
pub mod attribute {
    /// The platform needs the partition to work (UEFI 2.10, table 5.8).
    pub const REQUIRED: u64 = 1 << 0;
    /// Firmware ignores the partition (UEFI 2.10, table 5.8).
    pub const NO_BLOCK_IO: u64 = 1 << 1;
    /// A BIOS boots from the partition (UEFI 2.10, table 5.8).
    pub const LEGACY_BIOS_BOOTABLE: u64 = 1 << 2;
    /// The filesystem is grown to the partition when mounted (Discoverable Partitions
    /// Specification).
    pub const GROW_FILESYSTEM: u64 = 1 << 59;
    /// The partition is mounted read-only (Discoverable Partitions Specification).
    pub const READ_ONLY: u64 = 1 << 60;
    /// The partition is not mounted automatically (Discoverable Partitions Specification).
    pub const NO_AUTO: u64 = 1 << 63;
}

impl DiskLayout {
    /// Creates a disk without partitions.
    pub fn new(table: Table) -> Self {
        DiskLayout {
            table,
            boot_code: Vec::new(),
            partitions: Vec::new(),
            reserved: 0,
            geometry: None,
            base: Extents::new(),
        }
    }
}

impl Table {
    /// Returns whether the disk has a GPT.
    pub fn has_gpt(&self) -> bool {
        !matches!(self, Table::Mbr { .. })
    }

    /// Returns the name used in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Table::Mbr { .. } => "MBR",
            Table::Gpt { .. } => "GPT",
            Table::Hybrid { .. } => "hybrid MBR",
        }
    }
}

impl Partition {
    /// Creates a partition as long as `content`, with an empty label and the nil identifier.
    pub fn new(kind: PartitionType, content: Extents) -> Self {
        Partition {
            kind,
            label: String::new(),
            guid: Uuid::nil(),
            attributes: 0,
            bootable: false,
            start: None,
            content,
            min_size: 0,
            grow: false,
        }
    }
}
