//! Kernels that have drivers built in: no initrd is made for them.

use std::fs;
use std::io::Write;

use crate::common::site::{Site, YAML, good, initrds, refused};

#[test]
fn modules_builtin_decides_without_an_initrd() {
    let site = Site::new();
    let list = "kernel/drivers/block/virtio_blk.ko\\nkernel/fs/squashfs/squashfs.ko\\n";
    let file = format!("  - path: lib/modules/6.1.0/modules.builtin\n    contents: \"{list}\"\n");
    site.write("vm.yml", &format!("{YAML}{file}"));
    let output = site.moby(&["build", "--rebuild", "-f", "kernel+squashfs", "--dir", "out", "vm.yml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(said.contains("the kernel has squashfs built in"), "{said}");
    assert!(site.path("out/vm-squashfs.img").is_file());
    assert_eq!(initrds(&site.path("out")), [""; 0]);
    let said = refused(site.build(&["-f", "kernel+erofs", "--dir", "out", "vm.yml"]), 1);
    assert!(
        said.contains("erofs neither built in nor as a module (lib/modules/6.1.0/modules.builtin)"),
        "{said}"
    );
}

#[test]
fn embedded_configuration_decides_without_modules_builtin() {
    let site = Site::new();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let config = gzip(b"CONFIG_SQUASHFS=y\n# CONFIG_EROFS_FS is not set\nCONFIG_EXT4_FS=m\n");
    let kernel = gzip(&[b"code IKCFG_ST".as_slice(), &config, b"IKCFG_ED data"].concat());
    site.write(
        "kernel/build.yml",
        "image: kernel\ncontents:\n  - copy: kernel\n    to: /kernel\n",
    );
    fs::write(site.path("kernel/kernel"), kernel).unwrap();
    let output = site.moby(&[
        "build",
        "--rebuild",
        "-f",
        "kernel+squashfs",
        "--dir",
        "out",
        "machine.yml",
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(said.contains("the kernel has squashfs built in"), "{said}");
    assert_eq!(initrds(&site.path("out")), [""; 0]);
    for name in ["erofs", "ext4"] {
        let said = refused(site.build(&["-f", &format!("kernel+{name}"), "machine.yml"]), 1);
        let expected = format!("{name} neither built in nor as a module (its configuration)");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn missing_kernel_build_tools_are_named() {
    let site = Site::new();
    let recipe = "image: vm\narches: [amd64]\ncontents:\n  - linux: linux-source-6.1\n    config: [tinyconfig]\n";
    site.write("vm/build.yml", recipe);
    // No program is found.
    let said = refused(site.moby(&["pkg", "build", "--arch", "amd64", "vm"]), 1);
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert!(said.contains("make, gcc, ld, perl, flex, bison, bc"), "{said}");
        assert!(said.contains("apt-get install build-essential flex bison"), "{said}");
    }
}
