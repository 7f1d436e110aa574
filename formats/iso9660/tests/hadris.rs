//! Images read by hadris-iso, by all three names of the files.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{base, file, set};
use hadris_fs::MountOptions;
use hadris_fs::sync::Volume;
use hadris_iso::Namespace;
use hadris_iso::sync::IsoFs;
use iso9660_image::{Options, plan};
use tree::{Kind, Tree};

#[test]
fn every_namespace_has_the_files() {
    let mut tree = Tree::new(base());
    let deep = (1..20).map(|level| level.to_string()).collect::<Vec<_>>().join("/");
    let large: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let long = "n".repeat(240);
    for (path, text) in [
        ("boot/My Kernel.conf", large.as_slice()),
        (&format!("{deep}/file"), b"deep"),
        (&format!("usr/{long}"), b"long"),
    ] {
        tree.insert(path.as_bytes(), base(), file(text), &base()).unwrap();
    }
    let target = b"../usr/./x".to_vec();
    tree.insert(b"bin/link", base(), Kind::Symlink(target.clone()), &base())
        .unwrap();
    let options = set(Options::default(), |o| o.joliet = true);
    let bytes = plan(&tree, &options).unwrap().extents().to_vec().unwrap();
    let mount = |namespace| {
        let fs = IsoFs::mount_namespace(bytes.clone(), MountOptions::new(), namespace);
        Volume::new(fs.unwrap_or_else(|_| panic!("{namespace:?}")))
    };

    let rock_ridge = mount(Namespace::RockRidge);
    assert!(rock_ridge.read("/boot/My Kernel.conf").unwrap() == large);
    assert_eq!(rock_ridge.read(format!("/{deep}/file")).unwrap(), b"deep");
    assert_eq!(rock_ridge.read(format!("/usr/{long}")).unwrap(), b"long");
    assert_eq!(rock_ridge.read_link("/bin/link").unwrap(), target);
    let joliet = mount(Namespace::Joliet);
    assert!(joliet.read("/boot/My Kernel.conf").unwrap() == large);
    assert_eq!(joliet.read(format!("/{deep}/file")).unwrap(), b"deep");
    let primary = mount(Namespace::Primary);
    assert!(primary.read("/BOOT/MY_KERNEL.CONF").unwrap() == large);
    assert_eq!(primary.read(format!("/USR/{}", "N".repeat(30))).unwrap(), b"long");
}
