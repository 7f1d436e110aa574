//! Hash areas of random data, compared bit for bit with those of veritysetup.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use extents::Extents;
use proptest::prelude::*;
use testing::program::checked;
use verity_tree::{Algorithm, Error, Mismatch, Options, Superblock, Uuid, plan, root_hash, verify};

const UUID: Uuid = Uuid::from_u128(0x0b8f_63d1_5a42_4f53_9f0d_27c2_3b1f_5a11);

fn options(algorithm: Algorithm, blocks: (u32, u32), salt: &[u8], jobs: usize) -> Options {
    let mut options = Options::default();
    options.algorithm = algorithm;
    (options.data_block_size, options.hash_block_size) = blocks;
    options.salt = Some(salt.to_vec());
    options.uuid = Some(UUID);
    options.jobs = jobs;
    options
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Data of `len` bytes: zeros with some bytes at some offsets.
fn data(len: u64, pieces: &[(u64, Vec<u8>)]) -> Extents {
    let mut data = Extents::zeros(len);
    for (at, bytes) in pieces {
        data.put_bytes(at % len, bytes.clone());
    }
    data.set_len(len);
    data
}

/// Compares with veritysetup: the hash area that it writes, and its opinion of the planned one.
fn compare(data: &Extents, options: &Options) {
    let planned = plan(data, options).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (data_path, ours, theirs) = (path("data"), path("ours"), path("theirs"));
    data.write_to(&data_path).unwrap();
    planned.extents.write_to(&ours).unwrap();
    let salt = options.salt.as_ref().filter(|salt| !salt.is_empty());
    let mut format: Vec<String> = vec!["format".into()];
    format.push(format!("--hash={}", options.algorithm));
    format.push(format!("--data-block-size={}", options.data_block_size));
    format.push(format!("--hash-block-size={}", options.hash_block_size));
    format.push(format!("--salt={}", salt.map_or("-".to_owned(), |salt| hex(salt))));
    format.push(format!("--uuid={UUID}"));
    format.push(data_path.clone());
    let format: Vec<&str> = format.iter().map(String::as_str).collect();
    let report = checked("veritysetup", &format, Path::new(&theirs));
    let root_hash = hex(&planned.root_hash);
    assert!(report.contains(&format!("Root hash:      \t{root_hash}")), "{report}");
    assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap());
    checked("veritysetup", &["verify", &data_path, &ours], Path::new(&root_hash));
}

#[test]
fn trees_equal_those_of_veritysetup_at_the_borders_of_levels() {
    // 128 digests of SHA-256 fill a hash block: 128 and 16384 blocks fill one and two levels.
    for blocks in [1, 2, 127, 128, 129, 16384, 16385] {
        let pieces = [
            (0, vec![1; 5000]),
            (70 * 4096 + 9, vec![2; 3]),
            (blocks * 4096 - 1, vec![3]),
        ];
        let data = data(blocks * 4096, &pieces);
        compare(&data, &options(Algorithm::Sha256, (4096, 4096), b"salt", 2));
    }
}

#[test]
fn empty_data_is_refused_as_by_veritysetup() {
    assert!(matches!(plan(&Extents::new(), &Options::default()), Err(Error::Empty)));
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let output = std::process::Command::new("veritysetup")
        .arg("format")
        .args([&empty, &dir.path().join("area")])
        .output()
        .unwrap();
    assert!(!output.status.success());
}

#[test]
fn invalid_options_and_partial_blocks_are_refused() {
    let of = |data: u64, blocks, salt: &[u8]| {
        plan(&Extents::zeros(data), &options(Algorithm::Sha256, blocks, salt, 1)).unwrap_err()
    };
    assert!(matches!(
        of(4097, (4096, 4096), b""),
        Error::PartialBlock {
            len: 4097,
            block_size: 4096
        }
    ));
    assert!(matches!(of(8192, (8192, 4096), b""), Error::BlockSize { size: 8192 }));
    assert!(matches!(of(4096, (4096, 256), b""), Error::BlockSize { size: 256 }));
    assert!(matches!(
        of(4096, (4096, 4096), &[0; 257]),
        Error::SaltLength { len: 257 }
    ));
}

#[test]
fn levels_too_long_for_memory_are_equal() {
    // Level 0 of 64 MiB in blocks of 512 bytes has 8 MiB with SHA-512: one block more is spilled.
    let len = (64 << 20) + 512;
    let data = data(len, &[(1 << 20, vec![1; 3 << 20]), (len - 700, vec![2; 700])]);
    compare(&data, &options(Algorithm::Sha512, (512, 4096), b"", 2));
}

#[test]
fn derived_salt_and_identifier_depend_on_the_data_alone() {
    let mut options = Options::default();
    let first = data(1 << 20, &[(5000, vec![1; 9])]);
    let area = plan(&first, &options).unwrap();
    assert_eq!(area.superblock.salt.len(), 32);
    assert_eq!(&area.superblock.uuid.as_bytes()[..], &area.root_hash[..16]);
    options.jobs = 7;
    let again = plan(&first, &options).unwrap();
    assert_eq!(area.extents.to_vec().unwrap(), again.extents.to_vec().unwrap());
    let other = plan(&data(1 << 20, &[(5000, vec![2; 9])]), &options).unwrap();
    assert_ne!(area.superblock.salt, other.superblock.salt);
    assert_ne!(area.superblock.uuid, other.superblock.uuid);
}

/// Block sizes, salts, data, and the bytes of the data that are changed.
fn cases() -> impl Strategy<Value = (Algorithm, (u32, u32), Vec<u8>, Extents)> {
    let size = || (9u32..=12).prop_map(|bits| 1 << bits);
    let algorithm = prop_oneof![Just(Algorithm::Sha256), Just(Algorithm::Sha512)];
    let salt = prop::collection::vec(any::<u8>(), 0..=256);
    let pieces = prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 1..9000)), 0..6);
    (algorithm, (size(), size()), salt, 1u64..2000, pieces).prop_map(|(algorithm, sizes, salt, blocks, pieces)| {
        let pieces: Vec<_> = pieces.into_iter().map(|(at, bytes)| (u64::from(at), bytes)).collect();
        let data = data(blocks * u64::from(sizes.0), &pieces);
        (algorithm, sizes, salt, data)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn trees_equal_those_of_veritysetup((algorithm, sizes, salt, data) in cases(), jobs in 1usize..4) {
        compare(&data, &options(algorithm, sizes, &salt, jobs));
    }

    #[test]
    fn changed_blocks_are_found((algorithm, sizes, salt, data) in cases(), at in any::<u64>(), bit in 0u8..8) {
        let area = plan(&data, &options(algorithm, sizes, &salt, 2)).unwrap();
        let read = verify(&data, &area.extents, &area.root_hash, 2).unwrap();
        prop_assert_eq!(&read, &area.superblock);
        prop_assert_eq!(&root_hash(&data, &area.extents).unwrap(), &area.root_hash);

        let flip = |file: &Extents, at: u64| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            let mut file = file.clone();
            file.put_bytes(at, [byte[0] ^ 1 << bit]);
            file
        };
        let offset = at % data.len();
        let found = verify(&flip(&data, offset), &area.extents, &area.root_hash, 2);
        let block = offset / u64::from(sizes.0);
        if data.len() == u64::from(sizes.0) {
            let differs = matches!(found, Err(Error::RootHash { .. }));
            prop_assert!(differs, "{:?}", found);
        } else {
            let differs = matches!(found, Err(Error::Mismatch(Mismatch::Data { block: number })) if number == block);
            prop_assert!(differs, "{:?}", found);
        }
        // Any byte of the tree, padding included.
        let start = u64::from(sizes.1).max(512);
        if area.extents.len() > start {
            let offset = start + at % (area.extents.len() - start);
            let found = verify(&data, &flip(&area.extents, offset), &area.root_hash, 2);
            let in_top = offset < start + u64::from(sizes.1);
            match found {
                Err(Error::RootHash { .. }) => prop_assert!(in_top),
                Err(Error::Mismatch(Mismatch::Hash { .. })) => prop_assert!(!in_top),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn damaged_superblocks_never_panic(at in 0u64..512, byte in any::<u8>(), cut in 0u64..20_000) {
        let data = data(20 * 4096, &[(3, vec![1; 20_000])]);
        let area = plan(&data, &Options::default()).unwrap();
        let mut damaged = area.extents.clone();
        damaged.put_bytes(at, [byte]);
        damaged.set_len(cut);
        let head = damaged.part(0, 512).to_vec().unwrap();
        drop(Superblock::parse(&head));
        if let Ok(superblock) = verify(&data, &damaged, &area.root_hash, 1) {
            // Only identifier, padding and a smaller number of blocks are not covered by the root hash.
            prop_assert_eq!(superblock.salt, area.superblock.salt);
            prop_assert!(superblock.data_blocks <= 20);
        }
    }
}
