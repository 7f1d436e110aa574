//! Sizes, journals and features of filesystems, checked by the programs of e2fsprogs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use ext4_image::{BLOCK, Error, Journal, Options, plan};
use extents::{Extents, emit};
use proptest::prelude::*;
use tree::{Device, Kind, Meta, Time, Tree};
use uuid::Uuid;

const GIB: u64 = 1 << 30;
const UUID: Uuid = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);

fn some() -> Tree {
    let mut tree = Tree::new(meta());
    for index in 0..300 {
        put(&mut tree, format!("directory/{index}"), file(index * 50, index as u8));
    }
    put(&mut tree, "boot/ldlinux.sys", file(60_000, 1));
    put(&mut tree, "boot/zeros", Kind::File(Extents::zeros(60_000)));
    tree
}

fn head(dir: &tempfile::TempDir) -> std::collections::HashMap<String, String> {
    fields(&run("tune2fs", &["-l", dir.path().join("image").to_str().unwrap()]))
}

fn number(fields: &std::collections::HashMap<String, String>, key: &str) -> u64 {
    fields[key].split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_default_is_the_smallest_size() {
    let (image, dir) = check(&some(), &Options::default());
    let fields = head(&dir);
    assert_eq!(number(&fields, "Free blocks"), 0);
    assert_eq!(number(&fields, "Block count"), image.extents().len() / BLOCK);
    assert!(number(&fields, "Free inodes") < 16);
    assert_eq!(fields["Filesystem state"], "clean");
    // The same size given is enough, and a block less is not.
    let size = image.extents().len();
    let with = |size| set(Options::default(), |o| o.size = Some(size));
    assert_eq!(check(&some(), &with(size)).0.extents().len(), size);
    let Err(Error::TooSmall { needed, size: given }) = plan(&some(), &with(size - 1)) else {
        panic!("too small");
    };
    assert_eq!((needed, given), (size, size - 1));
    let text = plan(&some(), &with(size - BLOCK)).unwrap_err().to_string();
    assert!(
        text.contains(&format!("4096 more than its size of {}", size - BLOCK)),
        "{text}"
    );
    let nothing = plan(&Tree::new(meta()), &Options::default()).unwrap();
    assert!(nothing.extents().len() <= 400 << 10, "{}", nothing.extents().len());
}

#[test]
fn features() {
    let all = "ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum";
    let options = set(Options::default(), |o| {
        o.label = "sixteen bytes ok".into();
        o.uuid = Some(UUID);
        o.time = Time::from_seconds(MTIME);
    });
    let (image, dir) = check(&some(), &options);
    assert_eq!(image.uuid(), Some(UUID));
    let fields = head(&dir);
    assert_eq!(fields["Filesystem features"], all);
    assert_eq!(fields["Filesystem UUID"], "01234567-89ab-4def-8123-456789abcdef");
    assert_eq!(fields["Filesystem volume name"], "sixteen bytes ok");
    assert_eq!(fields["Filesystem flags"], "signed_directory_hash");
    assert_eq!(fields["Default directory hash"], "half_md4");
    assert_eq!(fields["Checksum type"], "crc32c");
    assert_eq!(fields["Inode size"], "256");
    assert_eq!(fields["Flex block group size"], "16");
    assert_eq!(fields["Filesystem created"], "Tue Nov 14 22:13:20 2023");

    let (image, dir) = check(&some(), &set(options, |o| o.boot = true));
    let fields = head(&dir);
    assert_eq!(
        fields["Filesystem features"],
        all.replace("64bit ", "").replace(" metadata_csum", "")
    );
    // A file for a boot loader: its sectors are its content.
    let extents = extents_of(&image, &some(), "boot/ldlinux.sys");
    assert_eq!((extents.len(), extents[0].logical, extents[0].len), (1, 0, 60_000));
    let found = image.extents().part(extents[0].physical, 60_000).to_vec().unwrap();
    let Kind::File(content) = file(60_000, 1) else {
        unreachable!()
    };
    assert!(found == content.to_vec().unwrap());
    // The sectors for a boot loader are free.
    assert!(image.extents().part(0, 1024).extents().is_empty());
}

#[test]
fn uuids_follow_from_the_content() {
    let one = plan(&some(), &Options::default()).unwrap().uuid();
    let mut tree = some();
    assert_eq!(plan(&tree, &Options::default()).unwrap().uuid(), one);
    put(&mut tree, "one more", Kind::Fifo);
    assert_ne!(plan(&tree, &Options::default()).unwrap().uuid(), one);
    let one = one.unwrap();
    assert_eq!((one.get_version_num(), one.get_variant()), (8, uuid::Variant::RFC4122));
}

#[test]
fn immutable_files_have_all_their_blocks() {
    let options = set(Options::default(), |o| {
        o.boot = true;
        o.immutable = vec![b"boot/ldlinux.sys".to_vec(), b"boot/zeros".to_vec(), b"boot".to_vec()];
    });
    let (image, dir) = check(&some(), &options);
    let path = dir.path().join("image");
    for name in ["boot/ldlinux.sys", "boot/zeros", "boot"] {
        let text = debugfs(&path, &format!("stat {name}"));
        assert!(text.contains("Flags: 0x80010"), "{text}");
    }
    let zeros: u64 = extents_of(&image, &some(), "boot/zeros")
        .iter()
        .map(|extent| extent.len)
        .sum();
    assert_eq!(zeros, 60_000);
    for (wrong, fault) in [("nothing", "not in the tree"), ("pipe", "neither")] {
        let mut tree = some();
        put(&mut tree, "pipe", Kind::Fifo);
        let options = set(Options::default(), |o| o.immutable = vec![wrong.into()]);
        assert!(plan(&tree, &options).unwrap_err().to_string().contains(fault));
    }
}

#[test]
fn journals() {
    for (journal, size, blocks) in [
        (Journal::Auto, None, 1024),
        (Journal::Auto, Some(GIB), 8192),
        (Journal::Auto, Some(40 * GIB), 32_768),
        (Journal::Size(5 << 20), None, 1280),
        (Journal::Size((5 << 20) + 1), Some(GIB), 1281),
        (Journal::Size(2 * GIB), None, 524_288),
    ] {
        for boot in [false, true] {
            let options = set(Options::default(), |o| {
                o.journal = journal;
                o.size = size;
                o.boot = boot;
            });
            let (_, dir) = planned(&some(), &options);
            let text = run("dumpe2fs", &["-h", dir.path().join("image").to_str().unwrap()]);
            assert!(text.contains("has_journal"), "{text}");
            assert!(text.contains(&format!("Total journal blocks:     {blocks}")), "{text}");
            // e2fsck takes the journal for one to be replayed, and finds nothing.
            let path = dir.path().join("image");
            run("e2fsck", &["-fy", path.to_str().unwrap()]);
            fsck(&path);
        }
    }
}

#[test]
fn sizes_around_the_edges_of_groups() {
    for groups in [1u64, 2, 3, 16, 17, 20] {
        for more in [-3000i64, -100, -1, 0, 1, 40, 64, 65, 130, 1000] {
            let blocks = (groups * 32_768).checked_add_signed(more).unwrap();
            for boot in [false, true] {
                let options = set(Options::default(), |o| {
                    o.size = Some(blocks * BLOCK);
                    o.boot = boot;
                });
                let image = plan(&some(), &options).unwrap();
                let len = image.extents().len() / BLOCK;
                assert!(len <= blocks && blocks - len < 1300, "{groups} {more}: {len}");
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("image");
                emit::to_path(image.extents(), &path).unwrap();
                fsck(&path);
            }
        }
    }
}

#[test]
fn sizes_up_to_the_limit() {
    for size in [5 * GIB, 70 * GIB, 1024 * GIB] {
        let options = set(Options::default(), |o| {
            o.size = Some(size);
            o.journal = Journal::Auto;
        });
        let (image, dir) = planned(&some(), &options);
        assert_eq!(image.extents().len(), size);
        let fields = head(&dir);
        assert_eq!(number(&fields, "Inode count"), size / 16_384);
    }
    // The largest is not checked, which would take minutes.
    for boot in [false, true] {
        let largest = set(Options::default(), |o| {
            o.size = Some(ext4_image::MAX_BLOCKS * BLOCK);
            o.boot = boot;
        });
        let image = plan(&some(), &largest).unwrap();
        assert_eq!(image.extents().len(), ext4_image::MAX_BLOCKS * BLOCK);
    }
}

#[test]
fn free_space_and_inodes() {
    let options = set(Options::default(), |o| {
        o.free = 300 << 20;
        o.bytes_per_inode = Some(8192);
    });
    let (_, dir) = planned(&some(), &options);
    let fields = head(&dir);
    let free = number(&fields, "Free blocks") * BLOCK;
    assert!((300 << 20..310 << 20).contains(&free), "{free}");
    assert_eq!(number(&fields, "Inodes per group"), 16_384);
    let (_, dir) = planned(&some(), &set(options, |o| o.bytes_per_inode = None));
    let free = number(&head(&dir), "Free inodes");
    assert!((19_200..19_500).contains(&free), "{free}");
}

/// Inodes beyond the ratio to the blocks of the content.
#[test]
fn more_inodes_than_blocks() {
    let mut tree = Tree::new(meta());
    for index in 0..70_000 {
        put(&mut tree, format!("{}/{index}", index % 100), Kind::Socket);
    }
    let (_, dir) = planned(&tree, &Options::default());
    assert!(number(&head(&dir), "Free inodes") < 64);
}

#[test]
fn resize2fs_makes_it_larger() {
    let with = |size: Option<u64>, boot, journal| {
        set(Options::default(), |o| {
            o.size = size;
            o.boot = boot;
            o.journal = journal;
            o.bytes_per_inode = Some(16_384);
        })
    };
    for (options, to) in [
        (with(None, false, Journal::None), 3 * GIB),
        (with(None, false, Journal::Auto), 50 * GIB),
        (with(None, true, Journal::None), 20 * GIB),
        (with(Some(GIB), true, Journal::Auto), 7 * GIB),
        (with(Some(5 * GIB), false, Journal::Auto), 200 * GIB),
    ] {
        let (_, dir) = planned(&some(), &options);
        let path = dir.path().join("image");
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(to)
            .unwrap();
        let before = head(&dir);
        run("resize2fs", &[path.to_str().unwrap()]);
        fsck(&path);
        let after = head(&dir);
        assert_eq!(number(&after, "Block count"), to / BLOCK);
        // The tables stayed where they were: the reserved blocks were used.
        let reserved = |fields| number(fields, "Reserved GDT blocks");
        assert!(reserved(&before) - u64::from(to > 16 * GIB) >= reserved(&after));
    }
}

#[test]
fn resize2fs_makes_it_smaller() {
    let options = set(Options::default(), |o| o.size = Some(5 * GIB));
    let (_, dir) = planned(&some(), &options);
    let path = dir.path().join("image");
    run("resize2fs", &["-M", path.to_str().unwrap()]);
    fsck(&path);
}

/// debugfs puts files into it, by the index of a directory and into a new group.
#[test]
fn can_be_written() {
    let options = set(Options::default(), |o| o.size = Some(GIB));
    let (_, dir) = planned(&some(), &options);
    let path = dir.path().join("image");
    let script = dir.path().join("script");
    let mut text = "cd directory\n".to_owned();
    for index in 0..3000 {
        text.push_str(&format!("mknod new{index} p\n"));
    }
    for index in 0..300 {
        text.push_str(&format!("rm {index}\n"));
    }
    text.push_str(&format!(
        "write {} copy\n",
        path.with_file_name("script").to_str().unwrap()
    ));
    std::fs::write(&script, text).unwrap();
    run(
        "debugfs",
        &["-w", "-f", script.to_str().unwrap(), path.to_str().unwrap()],
    );
    // debugfs leaves only the counts in the summary of e2fsck out of order.
    run("e2fsck", &["-fy", path.to_str().unwrap()]);
    fsck(&path);
}

#[test]
fn nodes_and_options_that_ext4_cannot_store_are_refused() {
    let error = |path: &str, meta: Meta, kind: Kind| {
        let mut tree = Tree::new(common::meta());
        tree.insert(path.as_bytes(), meta, kind, &common::meta()).unwrap();
        let error = plan(&tree, &Options::default()).unwrap_err();
        assert!(error.help().is_some());
        error.to_string()
    };
    let attribute = |name: &str, value: &[u8]| {
        let mut meta = meta();
        meta.xattrs.insert(name.into(), value.into());
        error("directory/it", meta, Kind::Fifo)
    };
    let device = Device { major: 4096, minor: 0 };
    let seen = std::collections::BTreeSet::from([
        error("directory/it", meta(), Kind::CharDevice(device)),
        error(
            "directory/it",
            meta(),
            Kind::File(Extents::zeros(ext4_image::MAX_FILE_LEN + 1)),
        ),
        error("directory/it", meta(), Kind::File(Extents::zeros(u64::MAX))),
        attribute("btrfs.compression", b"x"),
        attribute("user.", b"x"),
        attribute("user.\0", b"x"),
        attribute("system.posix_acl_access", b"x"),
        attribute("system.posix_acl_accessory", b"x"),
        attribute("user.large", &[0; 4096]),
        attribute(&format!("user.{}", "x".repeat(256)), b"x"),
    ]);
    assert_eq!(seen.len(), 10);
    for text in seen {
        assert!(text.contains("directory/"), "{text}");
    }
    let text = error("lost+found", meta(), Kind::Fifo);
    assert!(text.contains("lost+found"), "{text}");

    let option = |options: Options| plan(&some(), &options).unwrap_err().to_string();
    let label = |label: &str| option(set(Options::default(), |o| o.label = label.into()));
    assert!(label("seventeen bytes..").contains("16 bytes"));
    assert!(label("\0").contains("zero byte"));
    for size in [0, (4 << 20) - 1, ext4_image::MAX_JOURNAL_LEN + 1] {
        let journal = Journal::Size(size);
        assert!(option(set(Options::default(), |o| o.journal = journal)).contains("journal"));
    }
    let size = Some((ext4_image::MAX_BLOCKS + 1) * BLOCK);
    assert!(option(set(Options::default(), |o| o.size = size)).contains("16 TiB"));
    let free = u64::MAX;
    assert!(option(set(Options::default(), |o| o.free = free)).contains("16 TiB"));

    let mut tree = Tree::new(meta());
    put(&mut tree, "one", file(1, 1));
    for index in 1..=ext4_image::MAX_LINKS {
        tree.link(format!("links/{index}").as_bytes(), b"one", &meta()).unwrap();
    }
    let text = plan(&tree, &Options::default()).unwrap_err().to_string();
    assert!(text.contains("has 65001 hard links"), "{text}");
    tree.remove(b"one");
    planned(&tree, &Options::default());
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..1 << 24,
        (0u32..64, any::<u16>()).prop_map(|(shift, more)| (1u64 << shift).wrapping_add_signed(i64::from(more as i16)))
    ]
}

const PATHS: &[&str] = &["directory/1", "/", "..", "", "boot", "nothing"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any options give a filesystem or an error.
    #[test]
    fn any_options(
        label in "\\PC{0,20}",
        uuid: Option<u128>,
        seconds: i64,
        nanoseconds: u32,
        size in prop::option::of(numbers()),
        free in numbers(),
        bytes_per_inode in prop::option::of(numbers()),
        journal in prop_oneof![Just(Journal::None), Just(Journal::Auto), numbers().prop_map(Journal::Size)],
        boot: bool,
        immutable in prop::collection::vec(prop::sample::select(PATHS).prop_map(str::as_bytes).prop_map(<[u8]>::to_vec), 0..3),
    ) {
        let options = set(Options::default(), |o| { o.label = label; o.uuid = uuid.map(Uuid::from_u128); o.time = Time { seconds, nanoseconds }; o.size = size; o.free = free; o.bytes_per_inode = bytes_per_inode; o.journal = journal; o.boot = boot; o.immutable = immutable; });
        let mut tree = Tree::new(Meta::new(u32::MAX, Time { seconds, nanoseconds }));
        put(&mut tree, "directory/1", file(5000, 1));
        put(&mut tree, "boot/1", file(5, 1));
        match plan(&tree, &options) {
            Ok(image) if image.extents().len() < 20 * GIB && (0..MTIME).contains(&seconds) => {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("image");
                emit::to_path(image.extents(), &path).unwrap();
                fsck(&path);
            }
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
