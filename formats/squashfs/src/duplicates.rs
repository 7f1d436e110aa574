//! Files with equal contents.
//!
//! Only files that share their length with another are read. The hash covers the blocks that are
//! not all zeros, with their numbers, so that holes cost nothing and equal zeros.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::content::{File, is_zero};
use crate::error::Error;
use crate::options::Options;

/// Number of bytes that a thread hashes at a time, if files are small.
const BATCH: u64 = 1 << 20;

/// Finds the first file with the content of each file, which may be the file itself.
pub(crate) fn first_of(files: &[File<'_>], options: &Options) -> Result<Vec<usize>, Error> {
    let mut by_len: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        if !file.content.is_empty() {
            by_len.entry(file.content.len()).or_default().push(index);
        }
    }
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut free = 0;
    for (len, group) in by_len.into_iter().filter(|(_, group)| group.len() > 1) {
        for index in group {
            match batches.last_mut() {
                Some(batch) if free >= len => batch.push(index),
                _ => {
                    batches.push(vec![index]);
                    free = BATCH;
                }
            }
            free = free.saturating_sub(len);
        }
    }

    let mut first: Vec<usize> = (0..files.len()).collect();
    let mut seen: BTreeMap<(u64, [u8; 32]), usize> = BTreeMap::new();
    ordered::map(
        batches.into_iter(),
        options.jobs,
        Vec::new,
        |buf: &mut Vec<u8>, batch: Vec<usize>| {
            let hashed = batch.into_iter().filter_map(|index| Some((index, files.get(index)?)));
            hashed
                .map(|(index, file)| Ok((index, file.content.len(), hash(file, options.block_size, buf)?)))
                .collect::<Result<Vec<_>, Error>>()
        },
        |hashes| {
            for (index, len, hash) in hashes {
                let original = *seen.entry((len, hash)).or_insert(index);
                if let Some(first) = first.get_mut(index) {
                    *first = original;
                }
            }
            Ok(())
        },
    )?;
    Ok(first)
}

fn hash(file: &File<'_>, block_size: u32, buf: &mut Vec<u8>) -> Result<[u8; 32], Error> {
    let mut sum = Sha256::new();
    for block in file.blocks(block_size) {
        let start = block * u64::from(block_size);
        buf.clear();
        file.read(start, u64::from(block_size).min(file.content.len() - start), buf)?;
        if !is_zero(buf) {
            sum.update(block.to_le_bytes());
            sum.update(&buf);
        }
    }
    Ok(sum.finalize().into())
}
