//! A kernel that has all built in: no initrd is made for it. The one of `kernel/vm` is compiled
//! and booted when the tests that are left out are asked for: `cargo xtask test --all`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;

use common::site::{Site, YAML, good, refused};

/// The files in a folder that are, or may be, initrds.
fn initrds(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("initrd")).collect()
}

#[test]
fn a_kernel_is_believed_what_it_has_built_in() {
    let site = Site::new();
    let list = "kernel/drivers/block/virtio_blk.ko\\nkernel/fs/squashfs/squashfs.ko\\n";
    let file = format!("  - path: lib/modules/6.1.0/modules.builtin\n    contents: \"{list}\"\n");
    site.write("vm.yml", &format!("{YAML}{file}"));
    let output = site.moby(&["build", "-f", "kernel+squashfs", "--dir", "out", "vm.yml"]);
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
fn a_kernel_without_a_list_is_asked_for_its_configuration() {
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
    let output = site.moby(&["build", "-f", "kernel+squashfs", "--dir", "out", "machine.yml"]);
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
fn what_compiles_a_kernel_is_asked_for_by_name() {
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

/// Kernels are compiled on these machines only.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod compiled {
    use std::fs;

    use super::common::site::{Site, YAML, good, refused};
    use super::common::{boots, build, moby};
    use super::initrds;

    /// What the container prints when the machine is up.
    const MARKER: &str = "hello from a container";

    /// A makefile's worth of a kernel: it writes down how it is called, and has no option `LOST`.
    const MAKE: &str = r#"#!/bin/sh
for goal; do
  case $goal in
    tinyconfig) echo CONFIG_TINY=y > .config ;;
    vm.config) grep -v LOST kernel/configs/$goal >> .config ;;
    include/config/kernel.release) mkdir -p include/config && echo 6.1.5-vm > $goal ;;
    bzImage)
      mkdir -p arch/x86/boot
      echo "$KBUILD_BUILD_TIMESTAMP $KBUILD_BUILD_USER@$KBUILD_BUILD_HOST, ${STRAY-nothing stray}" > arch/x86/boot/bzImage
      echo kernel/fs/squashfs/squashfs.ko > modules.builtin
      test ! -e fails || { echo the compiler is not content >&2; exit 2; } ;;
  esac
done
"#;

    /// A site with a recipe for a kernel, the .deb that its sources are in, and what compiles it.
    fn site_with_sources(files: &str) -> Site {
        let site = Site::new();
        let recipe =
            "image: vm\narches: [amd64]\ncontents:\n  - linux: linux-source-6.1\n    config: [tinyconfig, vm.config]\n";
        site.write("vm/build.yml", recipe);
        site.write("vm/vm.config", "# what it is for\nCONFIG_SQUASHFS=y\n");
        site.write(
            "vm.yml",
            &YAML.replace("pkg:kernel", "pkg:vm").replace("  tar: none\n", ""),
        );
        site.write("programs/make", MAKE);
        for program in ["gcc", "ld", "perl", "flex", "bison", "bc", "zstd", "cpio"] {
            site.write(&format!("programs/{program}"), "#!/bin/sh\n");
        }
        site.run("sh", &["-c", "chmod +x programs/*"]);
        site.write("deb/DEBIAN/control", "Package: linux-source-6.1\nVersion: 1\nArchitecture: all\nMaintainer: me <me@example.org>\nDescription: sources\n");
        let pack = format!(
            "mkdir -p linux/kernel/configs deb/usr/src debs && touch linux/kernel/configs/x.config {files} && tar -cJf deb/usr/src/linux-source-6.1.tar.xz linux && dpkg-deb --build deb debs/sources.deb"
        );
        site.run("sh", &["-c", &pack]);
        site
    }

    /// Runs moby with the programs of the site before those of this machine.
    fn with_programs(site: &Site, arguments: &[&str]) -> std::process::Output {
        let path = format!("{}:{}", site.path("programs").display(), std::env::var("PATH").unwrap());
        let mut command = site.command(arguments);
        command.env("PATH", path).env("STRAY", "a stray one").output().unwrap()
    }

    #[test]
    fn sources_are_configured_and_compiled() {
        let site = site_with_sources("");
        let build = [
            "build",
            "--arch",
            "amd64",
            "-f",
            "kernel+squashfs",
            "--debs",
            "debs",
            "--dir",
            "out",
            "vm.yml",
        ];
        let output = with_programs(&site, &build);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        good(output);
        assert!(said.contains("compiling Linux 6.1.5-vm"), "{said}");
        assert!(said.contains("the kernel has squashfs built in"), "{said}");
        let kernel = fs::read_to_string(site.path("out/vm-kernel")).unwrap();
        assert_eq!(kernel, "2017-04-18T16:30:00Z moby@moby, nothing stray\n");
        assert_eq!(initrds(&site.path("out")), [""; 0]);
        // 2 GB in earnest.
        assert!(!site.path("cache/moby/linux").exists());
    }

    #[test]
    fn what_hinders_the_compiler_is_said() {
        let site = site_with_sources("linux/fails");
        let package = ["pkg", "build", "--arch", "amd64", "--debs", "debs", "vm"];
        let said = refused(with_programs(&site, &package), 1);
        assert!(
            said.contains("bzImage failed in ") && said.contains("cache/moby/linux:"),
            "{said}"
        );
        assert!(said.contains("the compiler is not content"), "{said}");
        site.write("vm/vm.config", "CONFIG_LOST=y\nCONFIG_SQUASHFS=y\n");
        let said = refused(with_programs(&site, &package), 1);
        assert!(said.contains("does not come to have CONFIG_LOST=y\n"), "{said}");
        site.write("vm/vm.config", "CONFIG_SQUASHFS=m\n");
        let said = refused(with_programs(&site, &package), 1);
        assert!(said.contains("CONFIG_SQUASHFS=m asks for a module"), "{said}");
        site.write(
            "vm/build.yml",
            &fs::read_to_string(site.path("vm/build.yml"))
                .unwrap()
                .replace("linux-source-6.1", "sources"),
        );
        let said = refused(with_programs(&site, &package), 1);
        assert!(said.contains("there is no package sources"), "{said}");
    }

    #[test]
    #[ignore = "compiles a kernel, which takes 10 to 40 minutes"]
    fn it_boots_every_root_filesystem_without_an_initrd() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed, disk) = (folder.path(), folder.path().join("lz4"), folder.path().join("disk"));
        build(
            "vm.yml",
            &["--format", "kernel+squashfs,kernel+erofs,kernel+iso,kernel+ext4"],
            plain,
        );
        build(
            "vm.yml",
            &["--compress", "lz4", "--format", "kernel+squashfs,kernel+erofs"],
            &packed,
        );
        build("vm.yml", &["--root", "squashfs", "--format", "raw-efi,raw-bios"], &disk);
        build("vm.yml", &["--root", "squashfs", "--format", "iso"], &disk);
        for folder in [plain, &packed, &disk] {
            assert_eq!(initrds(folder), [""; 0]);
        }
        for name in ["vm-squashfs.img", "vm-erofs.img", "vm.iso", "vm-ext4.img"] {
            boots(&plain.join(name), &[], MARKER);
        }
        for name in ["vm-squashfs.img", "vm-erofs.img"] {
            boots(&packed.join(name), &[], MARKER);
        }
        // Nor is there one within the disks.
        for (name, arguments) in [("vm-efi.img", &["--uefi"][..]), ("vm-bios.img", &[])] {
            let listed = moby().arg("inspect").arg("--ls").arg(disk.join(name)).output().unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert!(
                listed.to_lowercase().contains("kernel") || listed.contains("EFI/BOOT"),
                "{listed}"
            );
            assert!(!listed.contains("initrd"), "{listed}");
            boots(&disk.join(name), arguments, MARKER);
        }
        // A CD has one, without modules, which finds the CD.
        boots(&disk.join("vm-hybrid.iso"), &[], MARKER);
    }
}
