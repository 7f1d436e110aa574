//! Trees as filesystems, judged by fsck.fat, mtools and the fatfs crate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use extents::{Extents, emit};
use fat::{Error, Options, Type, plan};
use proptest::prelude::*;
use tree::{Kind, Meta, Time, Tree};

const MTIME: i64 = 1_700_000_000;

fn meta() -> Meta {
    Meta::new(0o644, Time::from_seconds(MTIME))
}

fn put(tree: &mut Tree, path: &str, content: Kind) {
    tree.insert(path.as_bytes(), meta(), content, &meta()).unwrap();
}

fn file(len: usize, seed: u8) -> Kind {
    let bytes: Vec<u8> = (0..len)
        .map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ seed)
        .collect();
    Kind::File(Extents::from_bytes(bytes))
}

/// `fsck.fat -n` has nothing to say but its summary.
fn fsck(image: &Path) {
    let out = Command::new("fsck.fat")
        .arg("-n")
        .arg(image)
        .output()
        .expect("fsck.fat (dosfstools)");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && text.lines().count() == 2,
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

type Listing = BTreeMap<String, Option<Vec<u8>>>;

/// What the tree has, by path; folders without content.
fn expected(tree: &Tree) -> Listing {
    tree.walk()
        .filter(|item| !item.path.is_empty())
        .map(|item| {
            let content = match &item.node.kind {
                Kind::File(content) => Some(content.to_vec().unwrap()),
                _ => None,
            };
            (String::from_utf8(item.path).unwrap(), content)
        })
        .collect()
}

/// What fatfs finds.
fn found(image: &Extents, kind: Type) -> Listing {
    struct Disk<'a>(extents::Reader<'a>);
    impl Read for Disk<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buf)
        }
    }
    impl Seek for Disk<'_> {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    impl std::io::Write for Disk<'_> {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    fn folder(dir: &fatfs::Dir<'_, Disk<'_>>, path: &str, all: &mut Listing) {
        for entry in dir.iter() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let modified = entry.modified();
            assert_eq!(
                (modified.date.year, modified.date.month, modified.date.day),
                (2023, 11, 14)
            );
            assert_eq!((modified.time.hour, modified.time.min, modified.time.sec), (22, 13, 20));
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            if entry.is_dir() {
                folder(&entry.to_dir(), &path, all);
                all.insert(path, None);
            } else {
                let mut bytes = Vec::new();
                entry.to_file().read_to_end(&mut bytes).unwrap();
                all.insert(path, Some(bytes));
            }
        }
    }
    let fs = fatfs::FileSystem::new(Disk(image.reader()), fatfs::FsOptions::new()).unwrap();
    let want = match kind {
        Type::Fat12 => fatfs::FatType::Fat12,
        Type::Fat16 => fatfs::FatType::Fat16,
        Type::Fat32 => fatfs::FatType::Fat32,
    };
    assert_eq!(fs.fat_type(), want);
    let mut all = Listing::new();
    folder(&fs.root_dir(), "", &mut all);
    all
}

fn check(tree: &Tree, options: &Options) -> Type {
    let image = plan(tree, options).unwrap();
    let again = plan(tree, options).unwrap();
    assert_eq!(found(image.extents(), image.kind()), expected(tree));
    for (path, content) in expected(tree) {
        let place = image.extent_of(path.as_bytes());
        assert_eq!(place.is_some(), content.is_some());
        if let (Some((sector, len)), Some(content)) = (place, content) {
            let there = image.extents().part(sector * fat::SECTOR, len).to_vec().unwrap();
            assert_eq!(there, content);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    emit::to_path(image.extents(), &one).unwrap();
    emit::to_path(again.extents(), &two).unwrap();
    fsck(&one);
    assert!(Command::new("cmp").arg(&one).arg(&two).status().unwrap().success());
    image.kind()
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z0-9]{1,8}(\\.[A-Z0-9]{1,3})?",
        "[a-z0-9_. +,;=\\[\\]-]{0,30}[a-z0-9]",
        "[äöüßéñ你好🦀a-z]{1,40}",
        "[a-z]{200,255}",
        Just("initrd-of-a-long-name".to_owned()),
        "initrd-of-a-long-[0-9]{1,3}",
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    let path = prop::collection::vec(names(), 1..5);
    let node = prop_oneof![
        4 => (0usize..5000, any::<u8>()).prop_map(|(len, seed)| file(len, seed)),
        1 => Just(Kind::directory()),
    ];
    prop::collection::vec((path, node), 0..40).prop_map(|all| {
        let mut tree = Tree::new(meta());
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        'all: for (path, kind) in all {
            let mut whole = String::new();
            let count = path.len();
            for (at, name) in path.into_iter().enumerate() {
                whole = if at == 0 { name } else { format!("{whole}/{name}") };
                // Neither names that differ in case only, nor files that become folders.
                let known = seen.entry(whole.to_uppercase()).or_insert_with(|| whole.clone());
                let there = tree
                    .lookup(whole.as_bytes())
                    .map(|id| tree.node(id).kind.is_directory());
                if *known != whole || there == Some(false) || (at + 1 == count && there.is_some()) {
                    continue 'all;
                }
            }
            put(&mut tree, &whole, kind);
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_trees(tree in trees(), kind in prop::option::of(prop::sample::select(&Type::ALL[..])), label in "[A-Z0-9 ]{0,11}") {
        let label = label.trim().to_owned();
        check(&tree, &Options { kind, label, time: Time::from_seconds(MTIME), ..Options::default() });
    }

    #[test]
    fn random_clusters(tree in trees(), shift in 9u32..16, size in prop::option::of((80u64 << 20)..(90 << 20))) {
        let options = Options { least_cluster: 1 << shift, size, ..Options::default() };
        check(&tree, &options);
        let made = plan(&tree, &options).unwrap();
        for item in tree.walk().filter(|item| matches!(item.node.kind, Kind::File(_))) {
            if let Some((first, _)) = made.extent_of(&item.path) {
                // Clusters begin at 4 KiB, and are no shorter than was asked for.
                prop_assert_eq!(first * 512 % (1 << shift.min(12)), 0);
            }
        }
    }

    #[test]
    fn random_sizes(tree in trees(), size in (2u64 << 20)..(80 << 20)) {
        let made = plan(&tree, &Options { size: Some(size), ..Options::default() }).unwrap();
        prop_assert!(made.extents().len() <= size && made.extents().len() + 64 * 512 > size);
        check(&tree, &Options { size: Some(size), ..Options::default() });
    }
}

#[test]
fn many_files_in_a_folder() {
    let mut tree = Tree::new(meta());
    for index in 0..3000 {
        put(
            &mut tree,
            &format!("folder/a file with a long name {index}.txt"),
            file(index % 7, 1),
        );
    }
    assert_eq!(check(&tree, &Options::default()), Type::Fat12);
    assert_eq!(
        check(
            &tree,
            &Options {
                kind: Some(Type::Fat32),
                ..Options::default()
            }
        ),
        Type::Fat32
    );
}

#[test]
fn a_large_file_of_zeros() {
    let mut tree = Tree::new(meta());
    // fsck.fat 4.2 counts a chain of 4 GiB as 0 bytes: one cluster less.
    put(&mut tree, "large", Kind::File(Extents::zeros(fat::LARGEST_FILE - 4096)));
    let image = plan(&tree, &Options::default()).unwrap();
    assert_eq!(image.kind(), Type::Fat32);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    emit::to_path(image.extents(), &path).unwrap();
    fsck(&path);
    put(&mut tree, "large", Kind::File(Extents::zeros(fat::LARGEST_FILE)));
    assert!(plan(&tree, &Options::default()).is_ok());
    put(&mut tree, "large", Kind::File(Extents::zeros(fat::LARGEST_FILE + 1)));
    let error = plan(&tree, &Options::default()).unwrap_err();
    assert!(matches!(&error, Error::LargeFile { .. }) && error.to_string().contains("large has 4294967296 bytes"));
}

#[test]
fn mtools_agree() {
    let mut tree = Tree::new(meta());
    for (index, path) in [
        "LDLINUX.SYS",
        "EFI/BOOT/BOOTX64.EFI",
        "loader/entries/one entry.conf",
        "empty",
    ]
    .into_iter()
    .enumerate()
    {
        put(&mut tree, path, file(index * 3000, 7));
    }
    let options = Options {
        label: "Boot".into(),
        system_files: vec![b"LDLINUX.SYS".to_vec()],
        ..Options::default()
    };
    let image = plan(&tree, &options).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("image"), dir.path().join("out"));
    emit::to_path(image.extents(), &path).unwrap();
    std::fs::create_dir(&out).unwrap();
    let mtools = |program: &str, arguments: &[&str]| {
        let run = Command::new(program)
            .arg("-i")
            .arg(&path)
            .args(arguments)
            .output()
            .expect("mtools");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    mtools("mcopy", &["-s", "-n", "::/", out.to_str().unwrap()]);
    for (path, content) in expected(&tree) {
        if let Some(content) = content {
            assert_eq!(std::fs::read(out.join(&path)).unwrap(), content, "{path}");
        }
    }
    assert!(mtools("mlabel", &["-s", "::"]).contains("BOOT"));
    let attributes = mtools("mattrib", &["::/LDLINUX.SYS"]);
    assert!(attributes.split(':').next().unwrap().contains("SHR"), "{attributes}");
}

#[test]
fn what_fat_cannot_hold() {
    let error = |path: &str, kind: Kind| {
        let mut tree = Tree::new(meta());
        put(&mut tree, "folder/name", file(1, 1));
        put(&mut tree, path, kind);
        plan(&tree, &Options::default()).unwrap_err().to_string()
    };
    let seen: BTreeSet<String> = [
        error("folder/NAME", file(1, 1)),
        error("folder/a:b", file(1, 1)),
        error("folder/ends.", file(1, 1)),
        error("folder/link", Kind::Symlink(b"name".to_vec())),
        error("folder/pipe", Kind::Fifo),
    ]
    .into();
    assert_eq!(seen.len(), 5);
    assert!(
        seen.iter()
            .all(|text| text.contains("folder/") && text.contains("help:")),
        "{seen:#?}"
    );
    let label = Options {
        label: "TWELVE CHARS".into(),
        ..Options::default()
    };
    assert!(plan(&Tree::default(), &label).is_err());
    let small = Options {
        size: Some(1 << 20),
        ..Options::default()
    };
    let mut tree = Tree::new(meta());
    put(&mut tree, "file", file(2 << 20, 1));
    assert!(
        plan(&tree, &small)
            .unwrap_err()
            .to_string()
            .contains("bytes are missing")
    );
}
