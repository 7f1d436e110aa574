//! Trees as filesystems, judged by fsck.fat, mtools and the fatfs crate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use extents::{Extents, emit};
use fat_image::{Error, Options, Type, plan};
use proptest::prelude::*;
use tree::{Image, Kind, Meta, Time, Tree};

const MTIME: i64 = 1_700_000_000;

fn meta() -> Meta {
    Meta::new(0o644, Time::from_seconds(MTIME))
}

fn put(tree: &mut Tree, path: &str, content: Kind) {
    tree.insert(path.as_bytes(), meta(), content, &meta()).unwrap();
}

/// Options with a length in bytes.
fn sized(size: u64) -> Options {
    let mut options = Options::default();
    options.size = Some(size);
    options
}

fn file(len: usize, seed: u8) -> Kind {
    let bytes: Vec<u8> = (0..len)
        .map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ seed)
        .collect();
    Kind::File(Extents::from_bytes(bytes))
}

/// Asserts that `fsck.fat -n` prints nothing but its summary.
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

/// Expected files and directories by path; directories have no content.
fn expected(tree: &Tree) -> Listing {
    tree.walk()
        .filter(|named| !named.path.is_empty())
        .map(|named| {
            let content = match &named.node.kind {
                Kind::File(content) => Some(content.to_vec().unwrap()),
                _ => None,
            };
            (String::from_utf8(named.path).unwrap(), content)
        })
        .collect()
}

/// Files and directories that fatfs finds.
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
    fn directory(dir: &fatfs::Dir<'_, Disk<'_>>, path: &str, all: &mut Listing) {
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
                directory(&entry.to_dir(), &path, all);
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
    directory(&fs.root_dir(), "", &mut all);
    all
}

/// Type by the text in the boot sector, which nothing but this test reads.
fn kind(image: &Image) -> Type {
    let text = |at| image.extents().part(at, 8).to_vec().unwrap();
    match (text(54).as_slice(), text(82).as_slice()) {
        (b"FAT12   ", _) => Type::Fat12,
        (b"FAT16   ", _) => Type::Fat16,
        (_, b"FAT32   ") => Type::Fat32,
        other => panic!("{other:?}"),
    }
}

fn check(tree: &Tree, options: &Options) -> Type {
    let image = plan(tree, options).unwrap();
    let again = plan(tree, options).unwrap();
    assert_eq!(found(image.extents(), kind(&image)), expected(tree));
    for (path, content) in expected(tree) {
        let extents: Vec<_> = image.file_extents(tree.lookup(path.as_bytes()).unwrap()).collect();
        let content = content.unwrap_or_default();
        assert_eq!(extents.len(), usize::from(!content.is_empty()));
        for extent in extents {
            assert_eq!((extent.logical, extent.len), (0, content.len() as u64));
            let found = image.extents().part(extent.physical, extent.len).to_vec().unwrap();
            assert_eq!(found, content);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    emit::to_path(image.extents(), &one).unwrap();
    emit::to_path(again.extents(), &two).unwrap();
    fsck(&one);
    assert!(Command::new("cmp").arg(&one).arg(&two).status().unwrap().success());
    kind(&image)
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
            let mut path_so_far = String::new();
            let count = path.len();
            for (at, name) in path.into_iter().enumerate() {
                path_so_far = if at == 0 { name } else { format!("{path_so_far}/{name}") };
                // Neither names that differ in case only, nor files that become directories.
                let known = seen
                    .entry(path_so_far.to_uppercase())
                    .or_insert_with(|| path_so_far.clone());
                let there = tree
                    .lookup(path_so_far.as_bytes())
                    .map(|id| tree.node(id).kind.is_directory());
                if *known != path_so_far || there == Some(false) || (at + 1 == count && there.is_some()) {
                    continue 'all;
                }
            }
            put(&mut tree, &path_so_far, kind);
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_trees(tree in trees(), kind in prop::option::of(prop::sample::select(&Type::ALL[..])), label in "[A-Z0-9 ]{0,11}") {
        let mut options = Options::default();
        options.kind = kind;
        options.label = label.trim().to_owned();
        options.time = Time::from_seconds(MTIME);
        check(&tree, &options);
    }

    #[test]
    fn random_clusters(tree in trees(), shift in 9u32..16, size in prop::option::of((80u64 << 20)..(90 << 20))) {
        let mut options = Options::default();
        options.min_cluster = 1 << shift;
        options.size = size;
        check(&tree, &options);
        let image = plan(&tree, &options).unwrap();
        for named in tree.walk() {
            for extent in image.file_extents(named.id) {
                // The first cluster begins at a multiple of 4 KiB.
                prop_assert_eq!(extent.physical % (1 << shift.min(12)), 0);
            }
        }
    }

    #[test]
    fn random_sizes(tree in trees(), size in (2u64 << 20)..(80 << 20)) {
        let image = plan(&tree, &sized(size)).unwrap();
        prop_assert!(image.extents().len() <= size && image.extents().len() + 64 * 512 > size);
        check(&tree, &sized(size));
    }
}

#[test]
fn many_files_in_a_directory() {
    let mut tree = Tree::new(meta());
    for index in 0..3000 {
        put(
            &mut tree,
            &format!("directory/a file with a long name {index}.txt"),
            file(index % 7, 1),
        );
    }
    assert_eq!(check(&tree, &Options::default()), Type::Fat12);
    let mut options = Options::default();
    options.kind = Some(Type::Fat32);
    assert_eq!(check(&tree, &options), Type::Fat32);
}

#[test]
fn a_large_file_of_zeros() {
    let mut tree = Tree::new(meta());
    // fsck.fat 4.2 counts a chain of 4 GiB as 0 bytes: one cluster less.
    put(
        &mut tree,
        "large",
        Kind::File(Extents::zeros(fat_image::MAX_FILE_LEN - 4096)),
    );
    let image = plan(&tree, &Options::default()).unwrap();
    assert_eq!(kind(&image), Type::Fat32);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    emit::to_path(image.extents(), &path).unwrap();
    fsck(&path);
    put(&mut tree, "large", Kind::File(Extents::zeros(fat_image::MAX_FILE_LEN)));
    assert!(plan(&tree, &Options::default()).is_ok());
    put(
        &mut tree,
        "large",
        Kind::File(Extents::zeros(fat_image::MAX_FILE_LEN + 1)),
    );
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
    let mut options = Options::default();
    options.label = "Boot".into();
    options.system_files = vec![b"LDLINUX.SYS".to_vec()];
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
fn nodes_and_options_that_fat_cannot_store_are_refused() {
    let error = |path: &str, kind: Kind| {
        let mut tree = Tree::new(meta());
        put(&mut tree, "directory/name", file(1, 1));
        put(&mut tree, path, kind);
        plan(&tree, &Options::default()).unwrap_err()
    };
    let errors = [
        error("directory/NAME", file(1, 1)),
        error("directory/a:b", file(1, 1)),
        error("directory/ends.", file(1, 1)),
        error("directory/link", Kind::Symlink(b"name".to_vec())),
        error("directory/pipe", Kind::Fifo),
    ];
    let texts: BTreeSet<String> = errors.iter().map(Error::to_string).collect();
    assert_eq!(texts.len(), 5);
    assert!(texts.iter().all(|text| text.contains("directory/")), "{texts:#?}");
    assert!(errors.iter().all(|error| error.help().is_some()));
    let mut label = Options::default();
    label.label = "TWELVE CHARS".into();
    assert!(plan(&Tree::default(), &label).is_err());
    let mut tree = Tree::new(meta());
    put(&mut tree, "file", file(2 << 20, 1));
    let error = plan(&tree, &sized(1 << 20)).unwrap_err().to_string();
    assert!(error.contains("more than its size of 1048576"), "{error}");
}
