//! What the kernel's command line says of the root filesystem.

use std::fs;

use crate::process::list;

/// Where an initrd has what the kernel's command line need not say (dracut.cmdline(7)).
const DEFAULTS: &str = "/etc/cmdline.d";

/// The root filesystem, by the kernel's command line
/// (Documentation/admin-guide/kernel-parameters.txt).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    /// `root=`: the device.
    pub root: String,
    /// `rootfstype=`: the types to try, between commas; all when it is empty.
    pub kind: String,
    /// `rootflags=`: the options of the mount.
    pub flags: String,
    /// `rw`, in place of `ro`.
    pub writable: bool,
    /// `init=`.
    pub init: String,
    /// `moby.image=`: the file on the device that has the filesystem.
    pub image: Option<String>,
}

impl Cmdline {
    /// The initrd's own words first, then the kernel's: the last counts.
    pub fn read() -> Cmdline {
        let mut all = String::new();
        for file in list(DEFAULTS).into_iter().chain(["/proc/cmdline".into()]) {
            all.push_str(&fs::read_to_string(file).unwrap_or_default());
            all.push(' ');
        }
        Cmdline::of(&all)
    }

    fn of(text: &str) -> Cmdline {
        let mut found = Cmdline::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                // Another root is not in the file of the first.
                "root" => {
                    found.image = None;
                    found.root = value.trim_matches('"').to_owned();
                }
                "rootfstype" => found.kind = value.to_owned(),
                "rootflags" => found.flags = value.to_owned(),
                "init" => found.init = value.to_owned(),
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
    fn the_last_word_counts() {
        let text =
            "root=LABEL=MOBY moby.image=/root.img rootfstype=squashfs ro\nconsole=ttyS0 root=/dev/vda rw init=/bin/sh";
        let found = Cmdline::of(text);
        assert_eq!(
            (found.root.as_str(), found.kind.as_str(), found.init.as_str()),
            ("/dev/vda", "squashfs", "/bin/sh")
        );
        assert!(found.writable && found.image.is_none());
        assert_eq!(Cmdline::of("root=A moby.image=/r").image.as_deref(), Some("/r"));
    }
}
