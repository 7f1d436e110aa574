//! What a boot loader loads: kernel, command line, microcode and initrd.

use std::io;
use std::path::Path;

use extents::Extents;
use tree::{Kind, Tree};

use super::Error;
use crate::codec::compress::{self, Compression};
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
    /// The compressed initrd; nothing when the kernel needs none to mount its root.
    pub initrd: Option<Extents>,
    /// How long the initrd is when it is unpacked, in bytes.
    pub unpacked: u64,
    /// What `/etc/os-release` says, or moby when there is none.
    pub os_release: String,
}

/// What is booted when the root does not say it.
const OS_RELEASE: &str = "ID=moby\nNAME=moby\nPRETTY_NAME=\"Linux, by moby\"\n";

impl Payload {
    /// Takes kernel, command line and microcode out of a tree, and returns what is left of it as
    /// well. There is no initrd yet.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn split(root: &Tree) -> Result<(Payload, Tree), Error> {
        let mut root = root.clone();
        let file = |path: &str| {
            let node = root.node(root.lookup(path.as_bytes())?);
            match &node.kind {
                Kind::File(content) if !content.is_empty() => Some(content.clone()),
                _ => None,
            }
        };
        let payload = Payload {
            kernel: file("boot/kernel"),
            cmdline: file("boot/cmdline"),
            ucode: file("boot/ucode.cpio"),
            initrd: None,
            unpacked: 0,
            os_release: match file("etc/os-release") {
                Some(content) => String::from_utf8_lossy(&content.to_vec()?).into_owned(),
                None => OS_RELEASE.into(),
            },
        };
        root.clear(b"boot");
        Ok((payload, root))
    }

    /// The same with a tree as the initrd. The compressed bytes are kept in `folder`.
    ///
    /// # Errors
    /// What cpio has no room for, and what reading or writing fails with.
    pub fn with_initrd(
        &self,
        root: &Tree,
        compression: Compression,
        jobs: usize,
        folder: &Path,
    ) -> Result<Payload, Error> {
        let archive = cpio::plan(root)?;
        let initrd = compress::compress(&archive, compression, jobs, folder).map_err(|source| Error::Write {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Payload {
            initrd: Some(initrd),
            unpacked: archive.len(),
            ..self.clone()
        })
    }

    /// The same with words on the command line that say where the root filesystem is. What the
    /// YAML says of it stands.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn with_root(&self, words: &[String]) -> Result<Payload, Error> {
        let mut cmdline = self.cmdline_text()?;
        let name = |word: &str| match word.split('=').next() {
            Some("rw") => "ro".to_owned(),
            name => name.unwrap_or_default().to_owned(),
        };
        let there: Vec<String> = cmdline.split_whitespace().map(name).collect();
        for word in words.iter().filter(|word| !there.contains(&name(word))) {
            cmdline = format!("{cmdline} {word}");
        }
        let cmdline = cmdline.trim_start().to_owned();
        Ok(Payload {
            cmdline: Some(Extents::from_bytes(cmdline.into_bytes())),
            ..self.clone()
        })
    }

    /// Microcode and initrd in one, as a boot loader loads it; nothing when there is neither.
    pub fn combined_initrd(&self) -> Option<Extents> {
        let mut all = self.ucode.clone().unwrap_or_default();
        // The kernel looks for the next archive at a multiple of 4 bytes.
        all.align_to(4);
        all.push(&self.initrd.clone().unwrap_or_default());
        (!all.is_empty()).then_some(all)
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
        // The lines of a block in the YAML: a boot loader would take the second for its own.
        let line = String::from_utf8_lossy(&bytes).replace(char::is_control, " ");
        Ok(line.trim().to_owned())
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
        let meta = tree::Meta::new(0o644, tree::Time::from_seconds(crate::time::fixed()));
        let mut files = Tree::default();
        for (name, content) in [
            ("kernel", &self.kernel),
            ("initrd.img", &self.initrd),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_of_the_yaml_stand() {
        let words: Vec<String> = ["root=LABEL=A", "rootfstype=ext4", "ro"].map(str::to_owned).into();
        for (given, expected) in [
            ("", "root=LABEL=A rootfstype=ext4 ro"),
            ("quiet rw", "quiet rw root=LABEL=A rootfstype=ext4"),
            ("root=/dev/sr0", "root=/dev/sr0 rootfstype=ext4 ro"),
            ("ro noroot=1", "ro noroot=1 root=LABEL=A rootfstype=ext4"),
            // A block scalar of the YAML.
            ("ro\nquiet\n", "ro quiet root=LABEL=A rootfstype=ext4"),
        ] {
            let payload = Payload {
                cmdline: Some(Extents::from_bytes(given.as_bytes())),
                ..Payload::default()
            };
            let with_root = payload.with_root(&words).unwrap();
            assert_eq!(with_root.cmdline_text().unwrap(), expected);
        }
    }
}
