//! CPU architectures.

use std::fmt;
use std::str::FromStr;

/// A CPU architecture for which images are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// x86, 64 bits.
    Amd64,
    /// Arm, 64 bits.
    Arm64,
    /// RISC-V, 64 bits.
    Riscv64,
    /// IBM Z.
    S390x,
}

/// Error of a text that names no architecture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown architecture {0:?}: {hint}", hint = expected(.0))]
pub struct Unknown(String);

/// Returns the name that is meant, or all names.
fn expected(text: &str) -> &'static str {
    match text.to_ascii_lowercase().as_str() {
        "x86" | "x86_64" | "x86-64" | "x64" | "i386" | "amd" => "did you mean amd64?",
        "aarch64" | "arm" | "armv8" => "did you mean arm64?",
        "riscv" | "riscv64gc" => "did you mean riscv64?",
        "s390" => "did you mean s390x?",
        _ => "expected amd64, arm64, riscv64 or s390x",
    }
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Arch; 4] = [Arch::Amd64, Arch::Arm64, Arch::Riscv64, Arch::S390x];

    /// Returns the architecture of the CPU that runs the program; `None` if moby builds no images for it.
    pub fn host() -> Option<Arch> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Arch::Amd64),
            "aarch64" => Some(Arch::Arm64),
            other => other.parse().ok(),
        }
    }

    /// Returns the flag that a command needs for the architecture, with a blank before it: empty for the
    /// host's.
    pub(crate) fn flag(self) -> String {
        if Arch::host() == Some(self) {
            String::new()
        } else {
            format!(" --arch {self}")
        }
    }

    /// Returns Go's name, which OCI, Docker, LinuxKit and Debian use (`GOARCH`).
    pub fn name(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
            Arch::Riscv64 => "riscv64",
            Arch::S390x => "s390x",
        }
    }

    /// Returns the suffix of UEFI file names, in lower case (UEFI 2.10, 3.5.1.1); none where UEFI is
    /// unknown.
    pub fn efi_suffix(self) -> Option<&'static str> {
        match self {
            Arch::Amd64 => Some("x64"),
            Arch::Arm64 => Some("aa64"),
            Arch::Riscv64 => Some("riscv64"),
            Arch::S390x => None,
        }
    }

    /// Returns the platform of an OCI image, such as `linux/amd64`.
    pub fn platform(self) -> String {
        format!("linux/{self}")
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Arch {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let found = Arch::ALL.into_iter().find(|arch| arch.name() == text);
        found.ok_or_else(|| Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed() {
        for arch in Arch::ALL {
            assert_eq!(arch.name().parse(), Ok(arch));
        }
        for text in ["", "x86_64", "AMD64", "arm"] {
            assert!(text.parse::<Arch>().is_err(), "{text}");
        }
        let unknown = "x86".parse::<Arch>().unwrap_err().to_string();
        assert_eq!(unknown, "unknown architecture \"x86\": did you mean amd64?");
    }
}
