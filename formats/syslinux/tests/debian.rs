//! Installations, compared with those by Debian's syslinux.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use extents::{Extents, emit};
use syslinux_install::{Ldlinux, Run, from_program};
use tree::{Kind, Meta, Tree};

fn loader() -> Ldlinux {
    from_program(&std::fs::read("/usr/bin/extlinux").expect("extlinux")).unwrap()
}

/// A filesystem with a file for the loader, which is installed or not.
fn filesystem(kind: fat::Type, directory: &str, install: bool) -> Extents {
    let mut tree = Tree::default();
    let meta = Meta::default();
    let path = format!("{directory}/ldlinux.sys")
        .trim_start_matches('/')
        .to_uppercase();
    let loader = loader();
    for (name, content) in [(path.as_str(), loader.file()), ("first", vec![1; 70_000])] {
        let content = Extents::from_bytes(content);
        tree.insert(name.as_bytes(), meta.clone(), Kind::File(content), &meta)
            .unwrap();
    }
    let mut options = fat::Options::default();
    options.kind = Some(kind);
    // Debian's program needs free space to write its files again.
    options.size = Some(if kind == fat::Type::Fat32 {
        48 << 20
    } else {
        2 << 20 << (kind as u32 * 2)
    });
    options.hidden_sectors = 2048;
    options.system_files = vec![path.clone().into_bytes()];
    let image = fat::plan(&tree, &options).unwrap();
    let extent = image
        .file_extents(tree.lookup(path.as_bytes()).unwrap())
        .next()
        .unwrap();
    let (first, len) = (extent.physical / 512, extent.len);
    let mut extents = image.into_extents();
    if install {
        let count = len.div_ceil(512);
        loader
            .install_fat(&mut extents, &[Run { first, count }], directory)
            .unwrap();
    }
    extents
}

fn read(path: &Path, name: &str) -> Vec<u8> {
    let out = Command::new("mtype")
        .arg("-i")
        .arg(path)
        .arg(format!("::{name}"))
        .output()
        .expect("mtools");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

#[test]
fn installation_has_debians_bytes() {
    let dir = tempfile::tempdir().unwrap();
    for kind in fat::Type::ALL {
        for directory in ["", "/boot/syslinux"] {
            let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
            emit::to_path(&filesystem(kind, directory, true), &ours).unwrap();
            emit::to_path(&filesystem(kind, directory, false), &theirs).unwrap();
            let mut install = Command::new("syslinux");
            install.arg("--install");
            if !directory.is_empty() {
                install.args(["--directory", directory]);
            }
            let status = install.arg(&theirs).status().expect("syslinux");
            assert!(status.success());
            let name = format!("{directory}/ldlinux.sys");
            // Its mtools may move the file; then only the lists of sectors differ.
            if read(&ours, &name) != read(&theirs, &name) {
                let show = |path: &Path| {
                    let out = Command::new("mshowfat")
                        .arg("-i")
                        .arg(path)
                        .arg(format!("::{name}"))
                        .output()
                        .unwrap();
                    String::from_utf8_lossy(&out.stdout).into_owned()
                };
                assert_ne!(
                    show(&ours),
                    show(&theirs),
                    "{kind} {directory:?}: other bytes in one place"
                );
                // Installed where Debian put it, it has Debian's bytes.
                reinstall(&theirs, &name, directory);
                continue;
            }
            assert_eq!(
                std::fs::read(&ours).unwrap()[..512],
                std::fs::read(&theirs).unwrap()[..512],
                "{kind} {directory:?}"
            );
        }
    }
}

/// Installs over Debian's installation, which must not change it.
fn reinstall(image: &Path, name: &str, directory: &str) {
    let before = std::fs::read(image).unwrap();
    let out = Command::new("mshowfat")
        .arg("-i")
        .arg(image)
        .arg(format!("::{name}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    // "::/LDLINUX.SYS <140-256>" with numbers of clusters.
    let number = |at: usize, len: usize| {
        before[at..at + len]
            .iter()
            .rev()
            .fold(0u64, |n, b| n << 8 | u64::from(*b))
    };
    let per = number(13, 1);
    let table = if number(22, 2) == 0 {
        number(36, 4)
    } else {
        number(22, 2)
    };
    let data = number(14, 2) + 2 * table + number(17, 2) * 32 / 512;
    let runs: Vec<Run> = text
        .split(['<', '>'])
        .skip(1)
        .step_by(2)
        .flat_map(|part| part.split(','))
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u64, u64) = (first.trim().parse().unwrap(), last.trim().parse().unwrap());
            Run {
                first: data + (first - 2) * per,
                count: (last - first + 1) * per,
            }
        })
        .collect();
    let mut extents = Extents::from_bytes(before.clone());
    loader().install_fat(&mut extents, &runs, directory).unwrap();
    assert!(extents.to_vec().unwrap() == before, "{text}: other bytes than Debian's");
}

#[test]
fn impossible_installations_are_refused() {
    let loader = loader();
    let corrupt = |sector: &[u8], system: &[u8]| Ldlinux::new(sector, system).unwrap_err().to_string();
    let (sector, system) = (loader.boot_sector(), loader.system());
    assert!(corrupt(&sector[1..], system).contains("511 bytes"));
    assert!(corrupt(sector, &system[..system.len() - 1]).contains("ldlinux.sys has"));
    assert!(corrupt(sector, &[&system[..0x18], &vec![0; system.len() - 0x18]].concat()).contains("no patch area"));
    assert!(corrupt(system, sector).contains("corrupt") || corrupt(system, sector).contains("bytes"));
    assert!(from_program(b"\x7fELF").unwrap_err().to_string().contains("extlinux"));

    let mut other = Extents::zeros(1 << 20);
    assert!(loader.install_fat(&mut other, &[], "").is_err());
    let mut fat = filesystem(fat::Type::Fat16, "", false);
    let run = |first, count| Run { first, count };
    assert!(
        loader
            .install_fat(&mut fat, &[run(100, 10)], "")
            .unwrap_err()
            .to_string()
            .contains("has 10")
    );
    let scattered: Vec<Run> = (0..600).map(|at| run(100 + 2 * at, 1)).collect();
    assert!(loader.install_fat(&mut fat, &scattered, "").is_ok());
    assert!(
        loader
            .install_fat(&mut fat, &[run(100, 200)], &"x".repeat(300))
            .is_err()
    );
}
