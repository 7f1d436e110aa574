//! A hash area of dm-verity, followed by its data.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;
use verity::{Error, Superblock};

fuzz_target!(|bytes: &[u8]| {
    let file = Extents::from_bytes(bytes);
    let Ok(superblock) = Superblock::parse(bytes) else {
        assert!(verity::root_hash(&file, &file).is_err());
        return;
    };
    let end = superblock.hash_area_len();
    let (area, data) = (file.part(0, end), file.part(end, u64::MAX));
    let Ok(root_hash) = verity::root_hash(&data, &area) else {
        return;
    };
    if let Err(error) = verity::verify(&data, &area, &root_hash, 1) {
        assert!(matches!(error, Error::Mismatch(_)), "{error}");
        return;
    }
    // A tree that verifies is the one that is planned for the data, except for padding.
    let mut options = verity::Options::default();
    options.algorithm = superblock.algorithm;
    options.data_block_size = superblock.data_block_size;
    options.hash_block_size = superblock.hash_block_size;
    options.salt = Some(superblock.salt.clone());
    let planned = verity::plan(&data.part(0, superblock.data_len()), &options).expect("valid options");
    assert_eq!(planned.extents.len(), end);
});
