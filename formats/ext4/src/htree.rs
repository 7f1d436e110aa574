//! Index of a large directory (ext4, Hash Tree Directories).
//!
//! ```text
//! block 0      . │ .. up to the end of the block; hidden in it: version of the hash, number of
//!              levels, and pairs of a hash and a block
//! block 1...   only with two levels: an entry without name up to the end; hidden in it: pairs
//! then         leaves: blocks of entries, by hash
//! ```
//!
//! Names with the hash of a pair and greater ones are in its block, up to the hash of the next
//! pair. The first pair has the possible and the actual number of pairs in place of a hash. Hashes
//! are even: the lowest bit of a pair is set if names with its hash are in the block before, too.

use crate::bytes::{put, put16, put32};
use crate::checksum::Checksum;
use crate::entry_block::{Directory, EntryBlock, Name, SIZE};

/// Half MD4 (ext4, Hash Tree Directories: `dx_root.info.hash_version`). The superblock has a flag
/// that characters are signed, as some readers take for granted.
pub const HALF_MD4: u8 = 1;
/// Offsets of the pairs in the root and in other blocks, in bytes.
const ROOT_PAIRS: usize = 0x20;
const NODE_PAIRS: usize = 8;
/// Length of a pair in bytes.
const PAIR: usize = 8;
/// Length of the tail in bytes: 4 that are 0, and the checksum.
const TAIL: usize = 8;

/// Returns the number of pairs that fit a block.
fn limit(start: usize, checksum: Option<Checksum>) -> usize {
    let tail = if checksum.is_some() { TAIL } else { 0 };
    (SIZE - start - tail) / PAIR
}

/// Encodes a directory with an index; returns `None` if there are too many names.
pub fn encode(directory: &Directory, names: &[Name]) -> Option<Vec<u8>> {
    let checksum = directory.checksum;
    let leaves = leaves(directory, names);
    let (in_root, in_node) = (limit(ROOT_PAIRS, checksum), limit(NODE_PAIRS, checksum));
    let nodes = if leaves.len() > in_root {
        leaves.len().div_ceil(in_node)
    } else {
        0
    };
    if nodes > in_root {
        return None;
    }
    // Block numbers within the directory; `nodes` and `leaves` are less than 2^19.
    let numbered: Vec<(u32, u32)> = (1 + nodes as u32..)
        .zip(&leaves)
        .map(|(number, (hash, _))| (*hash, number))
        .collect();
    let mut bytes = Vec::with_capacity((1 + nodes + leaves.len()) * SIZE);
    if nodes == 0 {
        bytes.extend(root(directory, &numbered, 0));
    } else {
        let upper: Vec<(u32, u32)> = (1..)
            .zip(numbered.chunks(in_node))
            .map(|(number, pairs)| (pairs.first().map_or(0, |pair| pair.0), number))
            .collect();
        bytes.extend(root(directory, &upper, 1));
        for pairs in numbered.chunks(in_node) {
            bytes.extend(node(pairs, checksum));
        }
    }
    for (_, leaf) in leaves {
        bytes.extend(leaf);
    }
    Some(bytes)
}

/// Encodes blocks of entries in order of their hashes, each with the hash of its pair.
fn leaves(directory: &Directory, names: &[Name]) -> Vec<(u32, Vec<u8>)> {
    let mut hashed: Vec<(u32, &Name)> = names
        .iter()
        .map(|name| (half_md4(name.name, directory.hash_seed), name))
        .collect();
    hashed.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(y.name)));
    let mut leaves = Vec::new();
    let mut block = EntryBlock::new(directory.checksum);
    let (mut first, mut last) = (0, None);
    for (hash, name) in hashed {
        if !block.push(name) {
            leaves.push((first, block.finish()));
            block = EntryBlock::new(directory.checksum);
            block.push(name);
            first = hash | u32::from(last == Some(hash));
        }
        last = Some(hash);
    }
    leaves.push((first, block.finish()));
    leaves
}

fn root(directory: &Directory, pairs: &[(u32, u32)], levels: u8) -> Vec<u8> {
    let mut block = vec![0; SIZE];
    let mut rest = SIZE;
    for (at, dot) in [0, 12].into_iter().zip(directory.dots()) {
        let len = if at == 0 { 12 } else { rest };
        rest -= 12;
        put32(&mut block, at, dot.inode);
        put16(&mut block, at + 4, len as u16);
        put(&mut block, at + 6, &[dot.name.len() as u8, dot.kind]);
        put(&mut block, at + 8, dot.name);
    }
    // After 4 bytes that are 0: version of the hash, length of this, levels between, no flags.
    put(&mut block, 0x1c, &[HALF_MD4, 8, levels, 0]);
    put_pairs(&mut block, ROOT_PAIRS, pairs, directory.checksum);
    block
}

fn node(pairs: &[(u32, u32)], checksum: Option<Checksum>) -> Vec<u8> {
    let mut block = vec![0; SIZE];
    put16(&mut block, 4, SIZE as u16);
    put_pairs(&mut block, NODE_PAIRS, pairs, checksum);
    block
}

fn put_pairs(block: &mut [u8], start: usize, pairs: &[(u32, u32)], checksum: Option<Checksum>) {
    let limit = limit(start, checksum);
    for (index, (hash, number)) in pairs.iter().enumerate() {
        put32(block, start + index * PAIR, *hash);
        put32(block, start + index * PAIR + 4, *number);
    }
    put16(block, start, limit as u16);
    put16(block, start + 2, pairs.len() as u16);
    if let Some(checksum) = checksum {
        // The checksum covers the pairs in use, and the tail with its own field 0.
        let used = block.get(..start + pairs.len() * PAIR).unwrap_or_default();
        let sum = checksum.then(used).then(&[0; TAIL]);
        put32(block, start + limit * PAIR + 4, sum.value());
    }
}

/// Hash of the end, which no name has.
const END: u32 = 0x7fff_ffff << 1;

/// Hashes a name by MD4 (RFC 1320) with rounds cut to 8 steps each.
pub fn half_md4(name: &[u8], seed: [u32; 4]) -> u32 {
    let mut state = if seed == [0; 4] {
        [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]
    } else {
        seed
    };
    let mut rest = name;
    while !rest.is_empty() {
        state = transform(state, words(rest));
        rest = rest.get(32..).unwrap_or_default();
    }
    let [_, hash, _, _] = state;
    match hash & !1 {
        END => END - 2,
        hash => hash,
    }
}

/// Returns up to 32 bytes as words, the first byte the highest, filled with the length of the
/// rest of the name.
fn words(name: &[u8]) -> [u32; 8] {
    let length = name.len() as u32 & 0xff;
    let fill = length * 0x0101_0101;
    let mut words = [fill; 8];
    for (word, bytes) in words.iter_mut().zip(name.chunks(4)) {
        for byte in bytes {
            *word = (*word << 8).wrapping_add_signed(i32::from(*byte as i8));
        }
    }
    words
}

/// Order of the words in the steps of a round, rotations of four steps in turn, and constant.
const ROUNDS: [([usize; 8], [u32; 4], u32); 3] = [
    ([0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19], 0),
    ([1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13], 0x5a82_7999),
    ([3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15], 0x6ed9_eba1),
];

fn transform(state: [u32; 4], input: [u32; 8]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    for (round, (order, rotations, constant)) in ROUNDS.iter().enumerate() {
        for (word, rotation) in order.iter().zip(rotations.iter().cycle()) {
            let mixed = match round {
                0 => d ^ (b & (c ^ d)),
                1 => (b & c).wrapping_add((b ^ c) & d),
                _ => b ^ c ^ d,
            };
            let word = input.get(*word).copied().unwrap_or_default();
            let sum = a.wrapping_add(mixed).wrapping_add(word).wrapping_add(*constant);
            (a, b, c, d) = (d, sum.rotate_left(*rotation), b, c);
        }
    }
    let [p, q, r, s] = state;
    [
        p.wrapping_add(a),
        q.wrapping_add(b),
        r.wrapping_add(c),
        s.wrapping_add(d),
    ]
}
