//! Kernel arguments that describe the root filesystem.

use std::fs;

use super::verity::RootHash;
use crate::error::Error;
use crate::process::list;

/// Directory with the arguments of an initrd itself (dracut.cmdline(7)).
const DEFAULTS: &str = "/etc/cmdline.d";

/// Root filesystem, by the kernel arguments (Documentation/admin-guide/kernel-parameters.txt).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    /// Device: `root=`.
    pub root: String,
    /// Types to try, between commas; all when it is empty: `rootfstype=`.
    pub kind: String,
    /// Options of the mount: `rootflags=`.
    pub flags: String,
    /// Set if it is mounted writable: `rw` in place of `ro`.
    pub writable: bool,
    /// Program that becomes PID 1: `init=`.
    pub init: String,
    /// File on the device that contains the filesystem: `moby.image=`.
    pub image: Option<String>,
    /// Root hash of the filesystem, in hexadecimal digits: `roothash=`.
    root_hash: Option<String>,
    /// Number of blocks before the hash area: `verity.at=`.
    hash_area: Option<String>,
}

impl Cmdline {
    /// Reads the initrd's own arguments, then the kernel's. The last one counts.
    pub fn read() -> Cmdline {
        let mut all = String::new();
        for file in list(DEFAULTS).into_iter().chain(["/proc/cmdline".into()]) {
            all.push_str(&fs::read_to_string(file).unwrap_or_default());
            all.push(' ');
        }
        Cmdline::parse(&all)
    }

    /// Returns the root hash that the filesystem must have, if one is given.
    ///
    /// # Errors
    /// One of `roothash=` and `verity.at=` without the other, or a number that is none.
    pub fn root_hash(&self) -> Result<Option<RootHash>, Error> {
        match (&self.root_hash, &self.hash_area) {
            (None, None) => Ok(None),
            (Some(digits), Some(blocks)) => {
                let blocks = blocks.parse().map_err(|_| Error::VerityArguments)?;
                let digits = digits.clone();
                Ok(Some(RootHash { digits, blocks }))
            }
            _ => Err(Error::VerityArguments),
        }
    }

    fn parse(text: &str) -> Cmdline {
        let mut found = Cmdline::default();
        for argument in text.split_whitespace() {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            match name {
                // Another root is not in the file of the one before.
                "root" => {
                    found.image = None;
                    found.root = value.trim_matches('"').to_owned();
                }
                "rootfstype" => found.kind = value.to_owned(),
                "rootflags" => found.flags = value.to_owned(),
                "init" => found.init = value.to_owned(),
                "roothash" => found.root_hash = Some(value.to_owned()),
                "verity.at" => found.hash_area = Some(value.to_owned()),
                "moby.image" => found.image = Some(value.to_owned()),
                "ro" => found.writable = false,
                "rw" => found.writable = true,
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_argument_counts() {
        let text =
            "root=LABEL=MOBY moby.image=/root.img rootfstype=squashfs ro\nconsole=ttyS0 root=/dev/vda rw init=/bin/sh";
        let found = Cmdline::parse(text);
        assert_eq!(
            (found.root.as_str(), found.kind.as_str(), found.init.as_str()),
            ("/dev/vda", "squashfs", "/bin/sh")
        );
        assert!(found.writable && found.image.is_none());
        assert_eq!(Cmdline::parse("root=A moby.image=/r").image.as_deref(), Some("/r"));
    }

    #[test]
    fn a_root_hash_stays_when_another_root_is_named() {
        let found = Cmdline::parse("root=A roothash=00ff verity.at=12 root=/dev/vda").root_hash();
        let expected = RootHash {
            digits: "00ff".into(),
            blocks: 12,
        };
        assert_eq!(found.ok().flatten(), Some(expected));
        assert!(matches!(Cmdline::parse("root=A").root_hash(), Ok(None)));
        for text in [
            "roothash=00",
            "verity.at=1",
            "roothash=00 verity.at=",
            "roothash= verity.at=-1",
        ] {
            assert!(Cmdline::parse(text).root_hash().is_err(), "{text}");
        }
    }
}
