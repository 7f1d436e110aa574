//! Kernels compiled by `moby pkg build` with stand-ins for make and the compiler, on the machines
//! where moby compiles kernels.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs;

use crate::common::site::{Site, YAML, good, initrds, refused};

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
        "--rebuild",
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
fn kernel_build_failures_are_explained() {
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
    assert!(
        said.contains("the kernel configuration lacks CONFIG_LOST=y\n"),
        "{said}"
    );
    site.write("vm/vm.config", "CONFIG_SQUASHFS=m\n");
    let said = refused(with_programs(&site, &package), 1);
    assert!(
        said.contains("cannot build CONFIG_SQUASHFS=m: only the kernel itself is compiled"),
        "{said}"
    );
    site.write(
        "vm/build.yml",
        &fs::read_to_string(site.path("vm/build.yml"))
            .unwrap()
            .replace("linux-source-6.1", "sources"),
    );
    let said = refused(with_programs(&site, &package), 1);
    assert!(said.contains("cannot find package sources for amd64"), "{said}");
}
