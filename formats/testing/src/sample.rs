//! Contents, and a tree with a bit of everything.

use extents::Extents;
use tree::{Device, Kind, Meta, Time, Tree};

/// Time of the nodes, in seconds since the Unix epoch.
pub const MTIME: i64 = 1_700_000_000;

/// Returns the metadata of the nodes.
pub fn meta() -> Meta {
    Meta::new(0o644, Time::from_seconds(MTIME))
}

/// Inserts a node with its parent directories.
pub fn put(tree: &mut Tree, path: &str, kind: Kind) {
    tree.insert(
        path.as_bytes(),
        meta(),
        kind,
        &Meta::new(0o755, Time::from_seconds(MTIME)),
    )
    .unwrap();
}

/// Returns bytes that no compressor shortens.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Returns bytes that every compressor shortens.
pub fn text(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 40);
    let mut line = seed;
    while bytes.len() < len {
        bytes.extend_from_slice(format!("line {line} of {seed}\n").as_bytes());
        line += 1;
    }
    bytes.truncate(len);
    bytes
}

/// Returns a file with these bytes.
pub fn file(bytes: Vec<u8>) -> Kind {
    Kind::File(Extents::from_bytes(bytes))
}

/// Builds a tree with nodes of every type.
pub fn sample() -> Tree {
    let mut tree = Tree::new(Meta::new(0o751, Time::from_seconds(5)));
    put(&mut tree, "empty", file(Vec::new()));
    put(&mut tree, "one", file(b"1".to_vec()));
    put(&mut tree, "etc/motd", file(text(300, 1)));
    put(&mut tree, "usr/bin/large", file(text(700_000, 2)));
    put(&mut tree, "usr/bin/noise", file(noise(300_001, 3)));
    put(&mut tree, "usr/bin/block", file(noise(131_072, 4)));
    put(&mut tree, "usr/zeros", file(vec![0; 500_000]));
    put(&mut tree, "usr/hole", Kind::File(Extents::zeros(500_000)));
    put(&mut tree, "empty-directory/empty-directory", Kind::directory());
    put(&mut tree, "lib", Kind::Symlink(b"usr/lib".to_vec()));
    put(&mut tree, "dev/null", Kind::CharDevice(Device { major: 1, minor: 3 }));
    put(
        &mut tree,
        "dev/disk",
        Kind::BlockDevice(Device {
            major: 259,
            minor: 70_000,
        }),
    );
    put(&mut tree, "run/fifo", Kind::Fifo);
    put(&mut tree, "run/socket", Kind::Socket);
    tree.link(b"other-name", b"usr/bin/large", &meta()).unwrap();
    tree.link(b"run/fifo-too", b"run/fifo", &meta()).unwrap();
    tree
}
