//! What partitions are for.

/// Types of partitions of a GPT, as 16 bytes in the order in which they are read aloud.
pub type EfiType = u128;
/// Types of partitions of a master boot record.
pub type MbrType = u8;

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// An EFI system partition.
    Efi,
    /// FAT for a BIOS boot loader.
    Fat,
    /// Any Linux filesystem.
    Linux,
}

impl Type {
    /// In a GPT (UAPI.2, Discoverable Partitions Specification; FAT is Microsoft's basic data).
    pub fn efi(self) -> EfiType {
        match self {
            Type::Efi => 0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b,
            Type::Fat => 0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7,
            Type::Linux => 0x0fc63daf_8483_4772_8e79_3d69d8477de4,
        }
    }

    /// In a master boot record; FAT is the FAT32 that is found by LBA.
    pub fn mbr(self) -> MbrType {
        match self {
            Type::Efi => 0xef,
            Type::Fat => 0x0c,
            Type::Linux => 0x83,
        }
    }
}
