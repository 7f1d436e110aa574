//! Kernel, command line, microcode and initrd: the parts that a boot loader loads.

use std::path::Path;

use extents::Extents;
use tree::Tree;

use super::{Error, files};
use crate::codec::compress::{self, Compression};
use crate::kernel;
use crate::pieces::PieceCache;
use crate::reporter::{Progress, Reporter};
use crate::system::System;

/// Names of the system when it has no `/etc/os-release`.
const OS_RELEASE: &str = "ID=moby\nNAME=moby\nPRETTY_NAME=\"Linux, by moby\"\n";

/// Parts that a boot loader loads.
#[derive(Clone, Debug, Default)]
pub struct BootParts {
    /// Kernel, if the YAML names one.
    pub kernel: Option<Extents>,
    /// Kernel command line as the YAML has it.
    pub cmdline: String,
    /// Uncompressed cpio archive with microcode, which precedes the initrd.
    pub microcode: Option<Extents>,
    /// Compressed initrd; `None` if the kernel mounts its root filesystem without one.
    pub initrd: Option<Extents>,
    /// Length of the decompressed initrd in bytes.
    pub initrd_len: u64,
    /// Content of `/etc/os-release`.
    pub os_release: String,
}

impl BootParts {
    /// Creates the parts of a system, without an initrd.
    pub fn new(system: &System) -> BootParts {
        BootParts {
            kernel: system.kernel.clone(),
            cmdline: system.cmdline.clone(),
            microcode: system.microcode.clone(),
            initrd: None,
            initrd_len: 0,
            os_release: system.os_release.clone().unwrap_or_else(|| OS_RELEASE.into()),
        }
    }

    /// Adds a tree as the initrd. Its compressed bytes are kept in a file without a name in `dir`.
    ///
    /// # Errors
    /// A tree that cpio cannot store, and reads and writes that fail.
    pub fn with_initrd(
        &self,
        root: &Tree,
        compression: Compression,
        jobs: usize,
        dir: &Path,
        pieces: &PieceCache,
        reporter: &dyn Reporter,
    ) -> Result<BootParts, Error> {
        let archive = cpio::plan_pieces(root)?;
        reporter.progress(Progress::Begin {
            operation: "compressing the initrd",
            total: archive.content.len(),
        });
        let progress = |bytes| reporter.progress(Progress::Advance(bytes));
        let compressed = compress::compress_archive(&archive, compression, jobs, dir, pieces, &progress);
        let compressed = compressed.map_err(|source| Error::Write {
            path: dir.to_owned(),
            source,
        })?;
        for (counter, number) in compressed.counts {
            reporter.progress(Progress::Count(counter, number));
        }
        Ok(BootParts {
            initrd: Some(compressed.content),
            initrd_len: archive.content.len(),
            ..self.clone()
        })
    }

    /// Adds kernel arguments that locate the root filesystem, except those that the YAML gives.
    pub fn with_arguments(&self, arguments: &[String]) -> BootParts {
        let mut cmdline = self.cmdline_text();
        let name = |argument: &str| match argument.split('=').next() {
            Some("rw") => "ro".to_owned(),
            name => name.unwrap_or_default().to_owned(),
        };
        let given: Vec<String> = cmdline.split_whitespace().map(name).collect();
        for argument in arguments.iter().filter(|argument| !given.contains(&name(argument))) {
            cmdline = format!("{cmdline} {argument}");
        }
        BootParts {
            cmdline: cmdline.trim_start().to_owned(),
            ..self.clone()
        }
    }

    /// Returns microcode and initrd in one file; `None` if there is neither.
    pub fn combined_initrd(&self) -> Option<Extents> {
        let mut all = self.microcode.clone().unwrap_or_default();
        // The kernel looks for the next archive at a multiple of 4 bytes.
        all.align_to(4);
        all.push(&self.initrd.clone().unwrap_or_default());
        (!all.is_empty()).then_some(all)
    }

    /// Returns the command line as a file; `None` if it is empty.
    pub fn cmdline_file(&self) -> Option<Extents> {
        (!self.cmdline.is_empty()).then(|| files::text(self.cmdline.as_str()))
    }

    /// Returns the command line in one line.
    pub fn cmdline_text(&self) -> String {
        // The lines of a block scalar: a boot loader would parse the second as its own.
        self.cmdline.replace(char::is_control, " ").trim().to_owned()
    }

    /// Returns the title for a boot menu, the `PRETTY_NAME` of os-release.
    pub fn title(&self) -> &str {
        let line = self
            .os_release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="));
        line.map_or("Linux", |name| name.trim_matches(['"', '\'']))
    }

    /// Reads the version in the kernel's header.
    ///
    /// # Errors
    /// A kernel that cannot be read.
    pub fn kernel_version(&self) -> Result<Option<String>, Error> {
        let version = self.kernel.as_ref().map(kernel::version).transpose()?;
        Ok(version.flatten())
    }

    /// Returns the kernel.
    ///
    /// # Errors
    /// A YAML without a kernel.
    pub fn require_kernel(&self) -> Result<Extents, Error> {
        self.kernel.clone().ok_or(Error::NoKernel)
    }

    /// Plans a tar of the parts.
    ///
    /// # Errors
    /// Content that a tar cannot store.
    pub fn tar(&self, time: i64) -> Result<Extents, Error> {
        let mut tree = Tree::default();
        for (name, content) in [
            ("kernel", self.kernel.clone()),
            ("initrd.img", self.initrd.clone()),
            ("cmdline", self.cmdline_file()),
            ("ucode.cpio", self.microcode.clone()),
        ] {
            if let Some(content) = content {
                files::put(&mut tree, name, content, time)?;
            }
        }
        Ok(pax::plan(&tree)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_yaml_win() {
        let arguments: Vec<String> = ["root=LABEL=A", "rootfstype=ext4", "ro"].map(str::to_owned).into();
        for (given, expected) in [
            ("", "root=LABEL=A rootfstype=ext4 ro"),
            ("quiet rw", "quiet rw root=LABEL=A rootfstype=ext4"),
            ("root=/dev/sr0", "root=/dev/sr0 rootfstype=ext4 ro"),
            ("ro noroot=1", "ro noroot=1 root=LABEL=A rootfstype=ext4"),
            // A block scalar of the YAML.
            ("ro\nquiet\n", "ro quiet root=LABEL=A rootfstype=ext4"),
        ] {
            let parts = BootParts {
                cmdline: given.to_owned(),
                ..BootParts::default()
            };
            assert_eq!(parts.with_arguments(&arguments).cmdline_text(), expected);
        }
    }
}
