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
    /// The root filesystem of a Linux for a processor.
    Root(Processor),
}

/// What runs the programs of a root filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// AMD's and Intel's with 64 bits.
    X86_64,
    /// Arm's with 64 bits.
    Arm64,
    /// RISC-V with 64 bits.
    Riscv64,
    /// IBM's mainframes.
    S390x,
}

impl Type {
    /// In a GPT (UAPI.2, Discoverable Partitions Specification; FAT is Microsoft's basic data).
    pub fn efi(self) -> EfiType {
        match self {
            Type::Efi => 0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b,
            Type::Fat => 0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7,
            Type::Linux => 0x0fc63daf_8483_4772_8e79_3d69d8477de4,
            Type::Root(Processor::X86_64) => 0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709,
            Type::Root(Processor::Arm64) => 0xb921b045_1df0_41c3_af44_4c6f280d3fae,
            Type::Root(Processor::Riscv64) => 0x72ec70a6_cf74_40e6_bd49_4bda08e8f224,
            Type::Root(Processor::S390x) => 0x5eead9a9_fe09_4a1e_a1d7_520d00531306,
        }
    }

    /// In a master boot record; FAT is the FAT32 that is found by LBA.
    pub fn mbr(self) -> MbrType {
        match self {
            Type::Efi => 0xef,
            Type::Fat => 0x0c,
            Type::Linux | Type::Root(_) => 0x83,
        }
    }
}
