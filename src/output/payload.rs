//! What a boot loader loads: kernel, command line, microcode and initrd.

use std::io;
use std::path::Path;

use extents::Extents;
use tree::{Kind, Tree};

use super::Error;
use super::compress::{self, Compression};
use crate::kernel;

/// What a boot loader loads.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// The kernel, when the YAML names one.
    pub kernel: Option<Extents>,
    /// The command line, without a newline; nothing when it is empty.
    pub cmdline: Option<Extents>,
    /// An uncompressed cpio with microcode, to be put before the initrd.
    pub ucode: Option<Extents>,
    /// The compressed initrd.
    pub initrd: Extents,
    /// How long the initrd is when it is unpacked, in bytes.
    pub unpacked: u64,
    /// What `/etc/os-release` says, or moby when there is none.
    pub os_release: String,
}

/// What is booted when the root does not say it.
const OS_RELEASE: &str = "ID=moby\nNAME=moby\nPRETTY_NAME=\"Linux, by moby\"\n";

impl Payload {
    /// Takes the kernel out of the tree and makes an initrd of the rest. The compressed bytes
    /// are kept in `folder`.
    ///
    /// # Errors
    /// What cpio has no room for, and what reading or writing fails with.
    pub fn new(root: &Tree, compression: Compression, jobs: usize, folder: &Path) -> Result<Payload, Error> {
        let mut root = root.clone();
        let file = |path: &str| {
            let node = root.node(root.lookup(path.as_bytes())?);
            match &node.kind {
                Kind::File(content) if !content.is_empty() => Some(content.clone()),
                _ => None,
            }
        };
        let (kernel, cmdline, ucode) = (file("boot/kernel"), file("boot/cmdline"), file("boot/ucode.cpio"));
        let os_release = match file("etc/os-release") {
            Some(content) => String::from_utf8_lossy(&content.to_vec()?).into_owned(),
            None => OS_RELEASE.into(),
        };
        root.clear(b"boot");
        let archive = cpio::plan(&root)?;
        let initrd = compress::compress(&archive, compression, jobs, folder).map_err(|source| Error::Write {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Payload {
            kernel,
            cmdline,
            ucode,
            initrd,
            unpacked: archive.len(),
            os_release,
        })
    }

    /// Microcode and initrd in one, as a boot loader loads it.
    pub fn combined_initrd(&self) -> Extents {
        let mut all = self.ucode.clone().unwrap_or_default();
        // The kernel looks for the next archive at a multiple of 4 bytes.
        all.align_to(4);
        all.push(&self.initrd);
        all
    }

    /// The command line; empty when there is none.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn cmdline_text(&self) -> Result<String, Error> {
        let bytes = self
            .cmdline
            .as_ref()
            .map(Extents::to_vec)
            .transpose()?
            .unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// What a menu shows: the name that os-release has for people.
    pub fn title(&self) -> &str {
        let line = self
            .os_release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="));
        line.map_or("Linux", |name| name.trim_matches(['"', '\'']))
    }

    /// The version that the kernel says of itself.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn kernel_version(&self) -> Result<Option<String>, Error> {
        let version = self.kernel.as_ref().map(kernel::version).transpose()?;
        Ok(version.flatten())
    }

    /// The same as a tar of files.
    ///
    /// # Errors
    /// What a tar cannot hold.
    pub fn tar(&self) -> Result<Extents, Error> {
        let meta = tree::Meta::new(0o644, tree::Time::from_seconds(crate::rootfs::DEFAULT_TIME));
        let mut files = Tree::default();
        let initrd = Some(self.initrd.clone());
        for (name, content) in [
            ("kernel", &self.kernel),
            ("initrd.img", &initrd),
            ("cmdline", &self.cmdline),
            ("ucode.cpio", &self.ucode),
        ] {
            if let Some(content) = content {
                files
                    .insert(name.as_bytes(), meta.clone(), Kind::File(content.clone()), &meta)
                    .map_err(|error| Error::Write {
                        path: name.into(),
                        source: io::Error::other(error),
                    })?;
            }
        }
        Ok(pax::plan(&files)?)
    }
}
