//! Which files have the same content.
//!
//! Only files of one length can be equal, so only those are read for this. What is hashed are the
//! blocks that are not all zeros, with their numbers: a hole costs nothing, and is the same as zeros.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::data::{File, blocks, is_zero, read};
use crate::{Error, Options};

/// How much is hashed in one piece of work at least, in bytes, when files are small.
const BATCH: u64 = 1 << 20;

/// For each file the first one with its content, which may be itself.
pub(crate) fn first_of(files: &[File<'_>], options: &Options) -> Result<Vec<usize>, Error> {
    let mut by_len: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        if !file.content.is_empty() {
            by_len.entry(file.content.len()).or_default().push(index);
        }
    }
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for (len, group) in by_len.into_iter().filter(|(_, group)| group.len() > 1) {
        for index in group {
            match batches.last_mut() {
                Some(batch) if room >= len => batch.push(index),
                _ => {
                    batches.push(vec![index]);
                    room = BATCH;
                }
            }
            room = room.saturating_sub(len);
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
                let same = *seen.entry((len, hash)).or_insert(index);
                if let Some(first) = first.get_mut(index) {
                    *first = same;
                }
            }
            Ok(())
        },
    )?;
    Ok(first)
}

fn hash(file: &File<'_>, block_size: u32, buf: &mut Vec<u8>) -> Result<[u8; 32], Error> {
    let mut sum = Sha256::new();
    for block in blocks(file.content, block_size) {
        let start = block * u64::from(block_size);
        buf.clear();
        read(file, start, u64::from(block_size).min(file.content.len() - start), buf)?;
        if !is_zero(buf) {
            sum.update(block.to_le_bytes());
            sum.update(&buf);
        }
    }
    Ok(sum.finalize().into())
}
