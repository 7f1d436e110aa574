//! Types of partitions.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Purpose of a partition.
///
/// The named types have a GUID (UAPI.2, Discoverable Partitions Specification) and, where there is
/// one, a byte for an MBR. Parsed from and displayed as the names of `systemd-repart`, a GUID, or
/// a byte such as `0x0c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionType {
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition.
    Xbootldr,
    /// Core image of GRUB on a GPT (BIOS boot partition).
    BiosBoot,
    /// Microsoft's basic data, in an MBR FAT32 with LBA addresses.
    BasicData,
    /// Any Linux filesystem.
    Linux,
    /// Swap space.
    Swap,
    /// Filesystem for `/home`.
    Home,
    /// Filesystem for `/srv`.
    Srv,
    /// Filesystem for `/var`.
    Var,
    /// Filesystem for `/var/tmp`.
    Tmp,
    /// Root filesystem for an architecture.
    Root(Architecture),
    /// dm-verity hash tree of a root filesystem.
    RootVerity(Architecture),
    /// Any other type of a GPT.
    Guid(Uuid),
    /// Any other type of an MBR.
    Byte(u8),
}

/// CPU architecture of a root filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// AMD64, Intel 64.
    X86_64,
    /// 64-bit Arm (AArch64).
    Arm64,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit IBM Z.
    S390x,
}

/// Text that is neither the name of a type, nor a GUID, nor a byte in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a partition type")]
pub struct ParseTypeError {
    /// The text.
    pub text: String,
}

impl PartitionType {
    /// All named types.
    pub const NAMED: [PartitionType; 18] = [
        PartitionType::Esp,
        PartitionType::Xbootldr,
        PartitionType::BiosBoot,
        PartitionType::BasicData,
        PartitionType::Linux,
        PartitionType::Swap,
        PartitionType::Home,
        PartitionType::Srv,
        PartitionType::Var,
        PartitionType::Tmp,
        PartitionType::Root(Architecture::X86_64),
        PartitionType::Root(Architecture::Arm64),
        PartitionType::Root(Architecture::Riscv64),
        PartitionType::Root(Architecture::S390x),
        PartitionType::RootVerity(Architecture::X86_64),
        PartitionType::RootVerity(Architecture::Arm64),
        PartitionType::RootVerity(Architecture::Riscv64),
        PartitionType::RootVerity(Architecture::S390x),
    ];

    /// Returns the GUID in a GPT; `None` for a type that only an MBR has.
    pub fn guid(self) -> Option<Uuid> {
        use Architecture::{Arm64, Riscv64, S390x, X86_64};
        let guid = match self {
            PartitionType::Esp => 0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b,
            PartitionType::Xbootldr => 0xbc13c2ff_59e6_4262_a352_b275fd6f7172,
            PartitionType::BiosBoot => 0x21686148_6449_6e6f_744e_656564454649,
            PartitionType::BasicData => 0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7,
            PartitionType::Linux => 0x0fc63daf_8483_4772_8e79_3d69d8477de4,
            PartitionType::Swap => 0x0657fd6d_a4ab_43c4_84e5_0933c84b4f4f,
            PartitionType::Home => 0x933ac7e1_2eb4_4f13_b844_0e14e2aef915,
            PartitionType::Srv => 0x3b8f8425_20e0_4f3b_907f_1a25a76f98e8,
            PartitionType::Var => 0x4d21b016_b534_45c2_a9fb_5c16e091fd2d,
            PartitionType::Tmp => 0x7ec6f557_3bc5_4aca_b293_16ef5df639d1,
            PartitionType::Root(X86_64) => 0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709,
            PartitionType::Root(Arm64) => 0xb921b045_1df0_41c3_af44_4c6f280d3fae,
            PartitionType::Root(Riscv64) => 0x72ec70a6_cf74_40e6_bd49_4bda08e8f224,
            PartitionType::Root(S390x) => 0x5eead9a9_fe09_4a1e_a1d7_520d00531306,
            PartitionType::RootVerity(X86_64) => 0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5,
            PartitionType::RootVerity(Arm64) => 0xdf3300ce_d69f_4c92_978c_9bfb0f38d820,
            PartitionType::RootVerity(Riscv64) => 0xb6ed5582_440b_4209_b8da_5ff7c419ea3d,
            PartitionType::RootVerity(S390x) => 0xb325bfbe_c7be_4ab8_8357_139e652d2f6b,
            PartitionType::Guid(guid) => return Some(guid),
            PartitionType::Byte(_) => return None,
        };
        Some(Uuid::from_u128(guid))
    }

    /// Returns the byte in an MBR; `None` for a type that only a GPT has.
    pub fn byte(self) -> Option<u8> {
        match self {
            PartitionType::Esp => Some(0xef),
            PartitionType::Xbootldr => Some(0xea),
            PartitionType::BasicData => Some(0x0c),
            PartitionType::Swap => Some(0x82),
            PartitionType::Linux
            | PartitionType::Home
            | PartitionType::Srv
            | PartitionType::Var
            | PartitionType::Tmp
            | PartitionType::Root(_) => Some(0x83),
            PartitionType::Byte(byte) => Some(byte),
            PartitionType::BiosBoot | PartitionType::RootVerity(_) | PartitionType::Guid(_) => None,
        }
    }
}

impl Architecture {
    /// Returns the name in partition types of `systemd-repart`.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86-64",
            Architecture::Arm64 => "arm64",
            Architecture::Riscv64 => "riscv64",
            Architecture::S390x => "s390x",
        }
    }
}

impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionType::Esp => f.write_str("esp"),
            PartitionType::Xbootldr => f.write_str("xbootldr"),
            PartitionType::BiosBoot => f.write_str("bios-boot"),
            PartitionType::BasicData => f.write_str("basic-data"),
            PartitionType::Linux => f.write_str("linux-generic"),
            PartitionType::Swap => f.write_str("swap"),
            PartitionType::Home => f.write_str("home"),
            PartitionType::Srv => f.write_str("srv"),
            PartitionType::Var => f.write_str("var"),
            PartitionType::Tmp => f.write_str("tmp"),
            PartitionType::Root(arch) => write!(f, "root-{}", arch.name()),
            PartitionType::RootVerity(arch) => write!(f, "root-{}-verity", arch.name()),
            PartitionType::Guid(guid) => guid.fmt(f),
            PartitionType::Byte(byte) => write!(f, "{byte:#04x}"),
        }
    }
}

impl FromStr for PartitionType {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        let named = Self::NAMED.into_iter().find(|kind| kind.to_string() == text);
        let byte = || {
            let digits = text.strip_prefix("0x").filter(|digits| digits.len() <= 2)?;
            u8::from_str_radix(digits, 16).ok().map(PartitionType::Byte)
        };
        let guid = || Uuid::try_parse(text).ok().map(PartitionType::Guid);
        named
            .or_else(byte)
            .or_else(guid)
            .ok_or_else(|| ParseTypeError { text: text.to_owned() })
    }
}
