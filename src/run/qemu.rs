//! QEMU on this host: its programs, its firmware, and the packages that have them.

use std::path::{Path, PathBuf};

use super::Error;

/// QEMU for an architecture.
#[derive(Clone, Copy, Debug)]
pub struct Qemu {
    /// The program.
    pub program: &'static str,
    /// The machine type.
    pub machine: &'static str,
    /// True if the architecture is the host's.
    pub is_native: bool,
    /// True for a PC.
    is_pc: bool,
}

/// Returns QEMU for an architecture.
pub fn qemu(arch: &str) -> Result<Qemu, Error> {
    let host = std::env::consts::ARCH;
    match arch {
        "amd64" => Ok(Qemu {
            program: "qemu-system-x86_64",
            machine: "pc",
            is_native: host == "x86_64",
            is_pc: true,
        }),
        "arm64" => Ok(Qemu {
            program: "qemu-system-aarch64",
            machine: "virt",
            is_native: host == "aarch64",
            is_pc: false,
        }),
        other => Err(Error::Arch(other.to_owned())),
    }
}

/// Files of UEFI firmware as distributions install it: code, and a template of the variables.
const X64: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    (
        "/usr/share/qemu/ovmf-x86_64-code.bin",
        "/usr/share/qemu/ovmf-x86_64-vars.bin",
    ),
];
const AA64: &[(&str, &str)] = &[
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    (
        "/usr/share/edk2/aarch64/QEMU_CODE.fd",
        "/usr/share/edk2/aarch64/QEMU_VARS.fd",
    ),
    (
        "/usr/share/qemu/aavmf-aarch64-code.bin",
        "/usr/share/qemu/aavmf-aarch64-vars.bin",
    ),
];

/// Directories of QEMU's own data, seen from that of its programs: as `make install` and Homebrew, and
/// as the installer for Windows puts them.
const DATA: [&str; 2] = ["../share/qemu", "share"];

impl Qemu {
    /// Finds the program: in `PATH`, else where the installers of Windows and macOS put it.
    ///
    /// # Errors
    /// A QEMU that is not installed.
    pub fn find(&self) -> Result<PathBuf, Error> {
        self.installed().ok_or(Error::NoQemu {
            program: self.program,
            install: self.install_help(),
        })
    }

    fn installed(&self) -> Option<PathBuf> {
        let file = format!("{}{}", self.program, std::env::consts::EXE_SUFFIX);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual: Vec<PathBuf> = match std::env::consts::OS {
            "windows" => std::env::var_os("ProgramFiles")
                .map(|programs| Path::new(&programs).join("qemu"))
                .into_iter()
                .collect(),
            "macos" => vec!["/opt/homebrew/bin".into(), "/usr/local/bin".into()],
            _ => Vec::new(),
        };
        let mut programs = std::env::split_paths(&path)
            .chain(usual)
            .map(|directory| directory.join(&file));
        programs.find(|program| program.is_file())
    }

    /// Finds UEFI firmware: code, and a template of the variables.
    ///
    /// # Errors
    /// Firmware that is not installed.
    pub fn firmware(&self) -> Result<(PathBuf, PathBuf), Error> {
        let (known, [code, variables]) = if self.is_pc {
            (X64, ["edk2-x86_64-code.fd", "edk2-i386-vars.fd"])
        } else {
            (AA64, ["edk2-aarch64-code.fd", "edk2-arm-vars.fd"])
        };
        let known = known.iter().map(|(code, variables)| (code.into(), variables.into()));
        let programs = self.installed().and_then(|program| Some(program.parent()?.to_owned()));
        let own = programs.into_iter().flat_map(|programs| {
            let data = DATA.map(|data| programs.join(data));
            data.map(|data| (data.join(code), data.join(variables)))
        });
        let is_there = |(code, variables): &(PathBuf, PathBuf)| code.is_file() && variables.is_file();
        known.chain(own).find(is_there).ok_or_else(|| Error::NoFirmware {
            arch: if self.is_pc { "amd64" } else { "arm64" },
            install: self.firmware_help(),
        })
    }

    /// Returns the command that installs the program on this host, and other hosts' if this one's is unknown.
    fn install_help(&self) -> Vec<String> {
        help(Manager::of_host(), |manager| manager.qemu.get(usize::from(!self.is_pc)))
    }

    fn firmware_help(&self) -> Vec<String> {
        help(Manager::of_host(), |manager| {
            manager.firmware.get(usize::from(!self.is_pc))
        })
    }
}

/// A package manager, and its packages for amd64 and for arm64.
struct Manager {
    /// Values of `ID` and `ID_LIKE` in os-release(5); Rust's names of operating systems without one.
    systems: &'static [&'static str],
    install: &'static str,
    qemu: [&'static str; 2],
    firmware: [&'static str; 2],
}

const MANAGERS: [Manager; 7] = [
    Manager {
        systems: &["debian", "ubuntu"],
        install: "apt-get install",
        qemu: ["qemu-system-x86", "qemu-system-arm"],
        firmware: ["ovmf", "qemu-efi-aarch64"],
    },
    Manager {
        systems: &["fedora"],
        install: "dnf install",
        qemu: ["qemu-system-x86", "qemu-system-aarch64"],
        firmware: ["edk2-ovmf", "edk2-aarch64"],
    },
    Manager {
        systems: &["arch"],
        install: "pacman -S",
        qemu: ["qemu-system-x86", "qemu-system-aarch64"],
        firmware: ["edk2-ovmf", "edk2-aarch64"],
    },
    Manager {
        systems: &["alpine"],
        install: "apk add",
        qemu: ["qemu-system-x86_64", "qemu-system-aarch64"],
        firmware: ["ovmf", "aavmf"],
    },
    Manager {
        systems: &["opensuse", "suse"],
        install: "zypper install",
        qemu: ["qemu-x86", "qemu-arm"],
        firmware: ["qemu-ovmf-x86_64", "qemu-uefi-aarch64"],
    },
    // Both include the firmware.
    Manager {
        systems: &["macos"],
        install: "brew install",
        qemu: ["qemu"; 2],
        firmware: ["qemu"; 2],
    },
    Manager {
        systems: &["windows"],
        install: "winget install",
        qemu: ["SoftwareFreedomConservancy.QEMU"; 2],
        firmware: ["SoftwareFreedomConservancy.QEMU"; 2],
    },
];

impl Manager {
    fn of_host() -> Option<&'static Manager> {
        let os_release = crate::bounded::text(Path::new("/etc/os-release"), MAX_OS_RELEASE)
            .or_else(|_| crate::bounded::text(Path::new("/usr/lib/os-release"), MAX_OS_RELEASE));
        Manager::of(std::env::consts::OS, &os_release.unwrap_or_default())
    }

    /// Returns the package manager of an operating system, by Rust's name of it and its os-release(5).
    fn of(os: &str, os_release: &str) -> Option<&'static Manager> {
        let value = |key: &str| {
            let mut lines = os_release.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches(['"', '\''])
        };
        let mut systems = std::iter::once(os)
            .chain(value("ID").split_whitespace())
            .chain(value("ID_LIKE").split_whitespace());
        systems.find_map(|system| MANAGERS.iter().find(|manager| manager.systems.contains(&system)))
    }
}

/// Maximum length of an os-release(5) file that is read.
const MAX_OS_RELEASE: u64 = 64 << 10;

/// Returns the commands that install a package: the host's, else those of every distribution.
fn help(manager: Option<&Manager>, package: impl Fn(&Manager) -> Option<&&'static str>) -> Vec<String> {
    let command = |manager: &Manager| Some(format!("{} {}", manager.install, package(manager)?));
    if let Some(command) = manager.and_then(command) {
        return vec![format!("run `{command}`")];
    }
    let on = |manager: &Manager| {
        let system = manager.systems.first()?;
        Some(format!("on {system}, run `{}`", command(manager)?))
    };
    MANAGERS.iter().filter_map(on).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_told_its_own_command() {
        for (os, os_release, expected) in [
            (
                "linux",
                "NAME=\"Debian\"\nID=debian\n",
                "apt-get install qemu-system-x86",
            ),
            (
                "linux",
                "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                "apt-get install qemu-system-x86",
            ),
            ("linux", "ID=fedora\nVERSION_ID=43\n", "dnf install qemu-system-x86"),
            ("linux", "ID=manjaro\nID_LIKE=arch\n", "pacman -S qemu-system-x86"),
            ("linux", "ID=alpine\n", "apk add qemu-system-x86_64"),
            (
                "linux",
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n",
                "zypper install qemu-x86",
            ),
            ("macos", "", "brew install qemu"),
            ("windows", "", "winget install SoftwareFreedomConservancy.QEMU"),
        ] {
            let help = help(Manager::of(os, os_release), |manager| manager.qemu.first());
            assert_eq!(help, [format!("run `{expected}`")], "{os} {os_release}");
        }
        let help = help(Manager::of("linux", "ID=plan9\n"), |manager| manager.firmware.get(1));
        assert_eq!(help.len(), MANAGERS.len());
        assert_eq!(help[1], "on fedora, run `dnf install edk2-aarch64`");
    }
}
