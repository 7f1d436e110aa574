//! Insertion, links, removal and grafting, as the layers of an image need them.

use extents::Extents;

use crate::store::MAX_WEIGHT;
use crate::*;

fn file(tree: &mut Tree, path: &str, text: &str) {
    let content = Extents::from_bytes(text.as_bytes());
    tree.insert(
        path.as_bytes(),
        Meta::new(0o644, Time::default()),
        Kind::File(content),
        &Meta::new(0o755, Time::default()),
    )
    .unwrap();
}

fn symlink(tree: &mut Tree, path: &str, target: &str) {
    let kind = Kind::Symlink(target.into());
    tree.insert(
        path.as_bytes(),
        Meta::new(0o777, Time::default()),
        kind,
        &Meta::default(),
    )
    .unwrap();
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.walk().skip(1).map(|named| show(&named.path)).collect()
}

#[test]
fn device_numbers_are_encoded_as_linux_does() {
    let encoded = |major, minor| Device { major, minor }.encoded();
    assert_eq!(encoded(8, 1), 0x0801);
    assert_eq!(encoded(0xfff, 0xf_ffff), u32::MAX);
    assert_eq!(encoded(1, 0x100), 0x10_0100);
}

#[test]
fn parents_are_created_and_the_order_is_by_name() {
    let mut tree = Tree::default();
    file(&mut tree, "./b//c", "1");
    file(&mut tree, "/a", "2");
    assert_eq!(paths(&tree), ["a", "b", "b/c"]);
}

#[test]
fn a_symlink_as_parent_stays_inside() {
    let mut tree = Tree::default();
    symlink(&mut tree, "lib", "usr/lib");
    symlink(&mut tree, "out", "../../../etc");
    file(&mut tree, "lib/a", "1");
    file(&mut tree, "out/passwd", "2");
    assert_eq!(
        paths(&tree),
        ["etc", "etc/passwd", "lib", "out", "usr", "usr/lib", "usr/lib/a"]
    );
    assert_eq!(tree.lookup_following(b"lib"), tree.lookup(b"usr/lib"));
}

#[test]
fn directories_that_a_path_leaves_again_are_not_created() {
    let mut tree = Tree::default();
    symlink(&mut tree, "link", "missing/../other");
    file(&mut tree, "link/a", "1");
    assert_eq!(paths(&tree), ["link", "other", "other/a"]);
    // A file in place of a directory is replaced only where something is created below it.
    file(&mut tree, "file", "2");
    symlink(&mut tree, "through", "file/../other");
    file(&mut tree, "through/b", "3");
    assert_eq!(paths(&tree), ["file", "link", "other", "other/a", "other/b", "through"]);
    file(&mut tree, "file/c/d", "4");
    assert!(paths(&tree).contains(&"file/c/d".to_owned()));
}

#[test]
fn upward_paths_and_loops_are_refused() {
    let mut tree = Tree::default();
    let meta = Meta::default();
    let up = tree.insert(b"a/../../b", meta.clone(), Kind::Fifo, &meta);
    assert_eq!(
        up.unwrap_err(),
        Error::Upward {
            path: b"a/../../b".to_vec()
        }
    );
    symlink(&mut tree, "x", "y");
    symlink(&mut tree, "y", "x");
    let around = tree.insert(b"x/f", meta.clone(), Kind::Fifo, &meta);
    assert_eq!(around.unwrap_err(), Error::Loop { path: b"x/f".to_vec() });
    assert!(tree.insert(b"/", meta.clone(), Kind::Fifo, &meta).is_err());
}

#[test]
fn types_replace_each_other() {
    let mut tree = Tree::default();
    file(&mut tree, "d/inner", "1");
    file(&mut tree, "d", "2");
    assert_eq!(paths(&tree), ["d"]);
    file(&mut tree, "d/again", "3");
    assert_eq!(paths(&tree), ["d", "d/again"]);
}

#[test]
fn hard_links_share_a_node_until_the_last_name_goes() {
    let mut tree = Tree::default();
    let meta = Meta::default();
    file(&mut tree, "b", "1");
    let id = tree.link(b"a", b"b", &meta).unwrap();
    assert_eq!(tree.node(id).nlink(), 2);
    assert_eq!(
        tree.walk().map(|named| named.link).collect::<Vec<_>>(),
        [false, true, false]
    );
    let mut other = Tree::default();
    other.graft(b"sub", tree.clone(), &meta).unwrap();
    assert_eq!(other.lookup(b"sub/a"), other.lookup(b"sub/b"));
    assert!(tree.remove(b"b"));
    assert_eq!(tree.node(id).nlink(), 1);
    assert!(tree.link(b"c", b"gone", &meta).is_err());
}

#[test]
fn paths_that_linux_cannot_open_are_refused() {
    let mut tree = Tree::default();
    let put =
        |tree: &mut Tree, path: &str, kind: Kind| tree.insert(path.as_bytes(), Meta::default(), kind, &Meta::default());
    let too_long = |result: Result<NodeId, Error>| matches!(result, Err(Error::TooLong { .. }));
    put(&mut tree, &"d/".repeat(4000), Kind::directory()).unwrap();
    assert!(too_long(put(&mut tree, &"d/".repeat(5000), Kind::directory())));
    // Symbolic links do not help, whether their target exists or not.
    symlink(&mut tree, "there", &"d/".repeat(2000));
    let there = format!("there/{}", "d/".repeat(2000));
    put(&mut tree, &format!("{there}a"), Kind::Fifo).unwrap();
    let name = "a".repeat(200);
    assert!(too_long(put(&mut tree, &format!("{there}{name}"), Kind::Fifo)));
    let directories = "b/".repeat(200);
    assert!(too_long(put(&mut tree, &format!("{there}{directories}"), Kind::Fifo)));
    symlink(&mut tree, "missing", &"m/".repeat(2000));
    let directories = "m/".repeat(2100);
    assert!(too_long(put(&mut tree, &format!("missing/{directories}"), Kind::Fifo)));
    let longest = tree.walk().map(|named| named.path.len()).max();
    assert!(longest.is_some_and(|longest| longest <= 8192), "{longest:?}");
}

#[test]
fn names_beyond_the_memory_limit_are_refused() {
    let mut tree = Tree::default();
    let mut meta = Meta::default();
    meta.xattrs.insert(b"user.large".to_vec(), vec![0; 6000]);
    tree.weight = MAX_WEIGHT - 50_000;
    let fits = (0..100).take_while(|number: &i32| {
        let inserted = tree.insert(
            number.to_string().as_bytes(),
            meta.clone(),
            Kind::Fifo,
            &Meta::default(),
        );
        !matches!(inserted, Err(Error::TooMany { .. }))
    });
    assert_eq!(fits.count(), 7);
}

#[test]
fn names_and_targets_that_linux_does_not_have_are_refused() {
    let mut tree = Tree::default();
    let long = "n".repeat(256);
    symlink(&mut tree, "to-long", &long);
    for path in ["a\0b", &long, &format!("{long}/file"), "to-long/file", "a\0b/file"] {
        let inserted = tree.insert(path.as_bytes(), Meta::default(), Kind::Fifo, &Meta::default());
        assert!(matches!(inserted, Err(Error::Name { .. })), "{path:?}: {inserted:?}");
    }
    file(&mut tree, &"n".repeat(255), "1");
    let linked = tree.link(b"a\0b", "n".repeat(255).as_bytes(), &Meta::default());
    assert!(matches!(linked, Err(Error::Name { .. })), "{linked:?}");
    for target in ["", "a\0b", &"t".repeat(4096)] {
        let kind = Kind::Symlink(target.into());
        let inserted = tree.insert(b"link", Meta::default(), kind, &Meta::default());
        assert!(matches!(inserted, Err(Error::Target { .. })), "{inserted:?}");
    }
    symlink(&mut tree, "link", &"t".repeat(4095));
}

#[test]
fn a_hard_link_cannot_replace_the_directory_of_its_target() {
    let mut tree = Tree::default();
    file(&mut tree, "d/f", "1");
    file(&mut tree, "g", "2");
    let meta = Meta::default();
    for (path, target) in [("d", "d/f"), ("g/x", "g")] {
        let linked = tree.link(path.as_bytes(), target.as_bytes(), &meta);
        assert!(matches!(linked, Err(Error::NoTarget { .. })), "{linked:?}");
    }
    // With another name the target survives.
    file(&mut tree, "e/f", "3");
    let id = tree.link(b"other", b"e/f", &meta).unwrap();
    assert_eq!(tree.link(b"e", b"e/f", &meta), Ok(id));
    assert_eq!((tree.lookup(b"e"), tree.node(id).nlink()), (Some(id), 2));
    assert!(matches!(&tree.node(id).kind, Kind::File(content) if content.len() == 1));
}

#[test]
fn entries_of_a_directory_move_to_the_target_of_a_link_in_its_place() {
    let mut tree = Tree::default();
    for (path, text) in [("lib/modules/6.1/a.ko", "1"), ("lib/both/old", "2"), ("lib/same", "3")] {
        file(&mut tree, path, text);
    }
    tree.link(b"lib/b.ko", b"lib/modules/6.1/a.ko", &Meta::default())
        .unwrap();
    tree.link(b"outside", b"lib/same", &Meta::default()).unwrap();
    let mut image = Tree::default();
    symlink(&mut image, "lib", "usr/lib");
    for (path, text) in [("usr/lib/both/new", "44"), ("usr/lib/same", "55")] {
        file(&mut image, path, text);
    }
    tree.graft(b"", image, &Meta::default()).unwrap();
    assert_eq!(
        paths(&tree),
        [
            "lib",
            "outside",
            "usr",
            "usr/lib",
            "usr/lib/b.ko",
            "usr/lib/both",
            "usr/lib/both/new",
            "usr/lib/both/old",
            "usr/lib/modules",
            "usr/lib/modules/6.1",
            "usr/lib/modules/6.1/a.ko",
            "usr/lib/same"
        ]
    );
    let len = |path: &str| match tree.lookup(path.as_bytes()).map(|id| &tree.node(id).kind) {
        Some(Kind::File(content)) => content.len(),
        other => panic!("{path} is {other:?}"),
    };
    assert_eq!((len("lib/same"), len("outside")), (2, 1));
    assert_eq!(tree.lookup(b"lib/b.ko"), tree.lookup(b"lib/modules/6.1/a.ko"));
    let outside = tree.lookup(b"outside").unwrap();
    assert_eq!(tree.node(outside).nlink(), 1);

    // A link without target, and types that cannot be merged.
    let mut other = Tree::default();
    symlink(&mut other, "usr/lib/both", "/else/where");
    tree.graft(b"", other, &Meta::default()).unwrap();
    assert!(tree.lookup(b"else/where/old").is_some());
    let mut other = Tree::default();
    file(&mut other, "usr", "6");
    let occupied = Error::Occupied { path: b"usr".to_vec() };
    assert_eq!(tree.graft(b"", other, &Meta::default()), Err(occupied));
}
