//! Outputs with a verified root filesystem, as `moby inspect` reads them.

use std::fs;

use crate::common::images;
use crate::common::layout::Layout;
use crate::common::site::{Site, good, refused};

#[test]
fn formats_without_an_image_of_the_root_filesystem_are_refused() {
    let site = Site::new();
    for (arguments, said, help) in [
        (&["-f", "raw"][..], "does not apply to raw:", "add `--root squashfs`"),
        (
            &["-f", "iso-bios"],
            "does not apply to iso-bios:",
            "add `--root squashfs`",
        ),
        (
            &["-f", "kernel+squashfs,tar"],
            "does not apply to tar:",
            "use `-f kernel+squashfs`",
        ),
        (&[], "does not apply to kernel+initrd:", "use `-f kernel+squashfs`"),
        (
            &["-f", "raw-ext4"],
            "does not apply to raw-ext4:",
            "use `-f raw-bios --root ext4`",
        ),
    ] {
        let message = refused(site.build(&[arguments, &["--verity", "machine.yml"]].concat()), 2);
        assert!(message.contains(said) && message.contains(help), "{message}");
    }
}

#[test]
fn changed_blocks_are_reported() {
    let site = Site::new();
    images::write(&mut Layout::new(&site.path("layout")));
    let out = site.path("out");
    let formats = ["kernel+squashfs", "kernel+erofs", "kernel+ext4", "kernel+iso"];
    // Outputs without hash areas are replaced, although nothing else has changed.
    for options in [&[][..], &["--verity"]] {
        let mut command = images::build(&site.path(""), "amd64", "silent", &formats, &out);
        good(command.arg("--no-sbom").args(options).output().unwrap());
    }
    for name in ["m-squashfs.img", "m-erofs.img", "m-ext4.img", "m.iso"] {
        let file = out.join(name);
        let inspect = || site.moby(&["inspect", file.to_str().unwrap()]);
        let said = String::from_utf8(good(inspect())).unwrap();
        assert!(
            said.contains("dm-verity, root hash ") && said.contains(", verified"),
            "{said}"
        );
        let mut bytes = fs::read(&file).unwrap();
        // The superblock of the hash area is at a block (cryptsetup, DMVerity).
        let area = bytes
            .chunks(4096)
            .position(|block| block.starts_with(b"verity\0\0"))
            .unwrap();
        assert_eq!(bytes[area * 4096 + 72..][..8], (area as u64).to_le_bytes(), "{name}");
        // The last byte of the filesystem, which is padding or the content of a file in all of them.
        bytes[area * 4096 - 1] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let said = refused(inspect(), 1);
        let block = format!("data block {} does not match its digest", area - 1);
        assert!(said.contains(&block), "{name}: {said}");
    }
}
