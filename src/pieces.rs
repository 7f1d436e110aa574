//! Piece cache: compressed pieces of outputs, by what they are made from.
//!
//! ```text
//! CACHE/moby/pieces/X/KEY     X: first digit of KEY
//! | magic 8 B | CRC-32 of the content 4 B | length of the content 4 B | checksum 4 B | compressed bytes |
//! ```
//!
//! Numbers are little-endian. The checksum is the CRC-32 of the key, the fields before it and the compressed bytes. A key is
//! a hash of everything that the compressed bytes depend on, so that a piece is found without reading its content. Pieces
//! are saved after the layers that they are from were verified, and found ones are not verified again.
//!
//! Files appear complete or not at all, and several builds may use a cache at once: a piece that one of them removes is
//! made again by the others.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use extents::{Extents, emit};

/// Path of the pieces in a cache directory.
const DIR: &str = "moby/pieces";
const MAGIC: [u8; 8] = *b"mobypc1\n";
/// Length of the fields before the compressed bytes.
const HEADER_LEN: usize = 20;
/// Maximum length of a piece's file, in bytes.
const MAX_FILE_LEN: u64 = 64 << 20;
/// Maximum length of all pieces by default, in bytes, and the divisor of the disk's length.
const DEFAULT_MAX: (u64, u64) = (5_000_000_000, 10);
/// Number of directories. Each has an equal part of the maximum length, so that only those with new pieces are listed.
const DIRS: u64 = 16;
/// Time after which the use of a piece is recorded again.
const USE_INTERVAL: Duration = Duration::from_secs(3600);
/// Age of a file from which no build is still writing it.
const MAX_WRITE_TIME: Duration = Duration::from_secs(24 * 3600);

/// Key of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

/// Piece of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Compressed bytes.
    pub bytes: Vec<u8>,
    /// CRC-32 of the content.
    pub crc: u32,
    /// Length of the content in bytes.
    pub len: u32,
}

/// New piece.
#[derive(Debug)]
pub struct NewPiece {
    /// Key.
    pub key: Key,
    /// CRC-32 of the content.
    pub crc: u32,
    /// Length of the content in bytes.
    pub len: u32,
    /// Compressed bytes.
    pub bytes: Extents,
}

/// Options of [`PieceCache::new`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Cache directory. Without one, no pieces are found or saved.
    pub cache: Option<PathBuf>,
    /// Read-only cache directories of others.
    pub shared: Vec<PathBuf>,
    /// Maximum length of all pieces, in bytes; `None` for the default.
    pub max_len: Option<u64>,
    /// Identity of the program that makes the pieces: another one may make other bits. Empty if it is not known, and
    /// then no pieces are found or saved.
    pub program: String,
    /// True if all pieces are made again.
    pub rebuild: bool,
}

/// Pieces of a cache directory.
#[derive(Debug, Default)]
pub struct PieceCache {
    options: Options,
    made: Mutex<Vec<NewPiece>>,
}

impl Key {
    fn path(&self, cache: &Path) -> PathBuf {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        cache.join(DIR).join(hex.get(..1).unwrap_or_default()).join(hex)
    }

    /// Returns the key that a file is named by.
    fn of_file(path: &Path) -> Option<Key> {
        let name = path.file_name()?.to_str().filter(|name| name.len() == 64)?;
        let mut key = [0; 32];
        for (at, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(name.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Key(key))
    }
}

impl PieceCache {
    /// Creates a piece cache. Nothing is read yet.
    pub fn new(options: Options) -> Self {
        PieceCache {
            options,
            made: Mutex::default(),
        }
    }

    /// Returns the identity of the program, which keys depend on. `None` if no pieces are found or saved.
    pub fn program(&self) -> Option<&str> {
        let is_enabled = self.options.cache.is_some() || !self.options.shared.is_empty();
        Some(self.options.program.as_str()).filter(|program| is_enabled && !program.is_empty())
    }

    /// Returns whether a piece is there. It may be corrupt.
    pub fn has(&self, key: &Key) -> bool {
        self.caches().any(|cache| key.path(cache).is_file())
    }

    /// Reads a piece. `None` if it is missing or corrupt.
    pub fn get(&self, key: &Key) -> Option<Piece> {
        self.caches().find_map(|cache| {
            let path = key.path(cache);
            let mut file = open(&path).ok()?;
            let piece = read(&mut file, key).ok();
            if self.options.cache.as_deref() == Some(cache) {
                match &piece {
                    Some(_) => record_use(&file),
                    // Saved again when the build has made it.
                    None => drop(fs::remove_file(&path)),
                }
            }
            piece
        })
    }

    fn caches(&self) -> impl Iterator<Item = &Path> {
        let caches = self.options.cache.iter().chain(&self.options.shared);
        caches.map(PathBuf::as_path).filter(|_| !self.options.rebuild)
    }

    /// Adds a piece, to be saved by [`PieceCache::save`].
    pub fn add(&self, made: NewPiece) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }

    /// Saves the pieces that were added, and removes the least recently used ones beyond the maximum length. Everything that
    /// they are from must have been verified. A cache that cannot be written costs time later, not the build.
    pub fn save(&self) {
        let Some(cache) = &self.options.cache else { return };
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        if made.is_empty() {
            return;
        }
        let mut dirs: Vec<PathBuf> = Vec::new();
        for piece in &made {
            let path = piece.key.path(cache);
            if write(piece, &path).is_err() {
                break;
            }
            dirs.extend(path.parent().map(Path::to_owned));
        }
        dirs.sort();
        dirs.dedup();
        let max_len = self.options.max_len.unwrap_or_else(|| default_max(cache));
        for dir in dirs {
            prune(&dir, max_len / DIRS);
        }
    }
}

/// Returns the maximum length of all pieces in a cache directory by default.
fn default_max(cache: &Path) -> u64 {
    let (max, part) = DEFAULT_MAX;
    emit::disk_len(cache).map_or(max, |len| max.min(len / part))
}

fn checksum(key: &Key, fields: &[u8], bytes: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&key.0);
    sum.update(fields);
    sum.update(bytes);
    sum.finalize()
}

/// Opens a regular file: a pipe in its place would be waited for.
fn open(path: &Path) -> io::Result<File> {
    if path.metadata()?.is_file() {
        File::open(path)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn read(file: &mut File, key: &Key) -> io::Result<Piece> {
    let corrupt = || io::Error::from(io::ErrorKind::InvalidData);
    let len = file.metadata()?.len().min(MAX_FILE_LEN);
    let mut header = [0; HEADER_LEN];
    file.read_exact(&mut header)?;
    let (fields, sum) = header.split_last_chunk().ok_or_else(corrupt)?;
    let (magic, numbers) = fields.split_first_chunk().ok_or_else(corrupt)?;
    let (crc, content_len) = numbers.split_first_chunk().ok_or_else(corrupt)?;
    let content_len = content_len.first_chunk().ok_or_else(corrupt)?;
    let mut bytes = Vec::with_capacity((len as usize).saturating_sub(HEADER_LEN));
    file.take(MAX_FILE_LEN).read_to_end(&mut bytes)?;
    if *magic != MAGIC || checksum(key, fields, &bytes) != u32::from_le_bytes(*sum) {
        return Err(corrupt());
    }
    Ok(Piece {
        bytes,
        crc: u32::from_le_bytes(*crc),
        len: u32::from_le_bytes(*content_len),
    })
}

/// Writes a piece unless it is there.
fn write(piece: &NewPiece, path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent().filter(|_| !path.exists()) else {
        return Ok(());
    };
    fs::create_dir_all(dir)?;
    let bytes = piece.bytes.to_vec()?;
    let mut fields = MAGIC.to_vec();
    fields.extend(piece.crc.to_le_bytes());
    fields.extend(piece.len.to_le_bytes());
    let sum = checksum(&piece.key, &fields, &bytes);
    fields.extend(sum.to_le_bytes());
    let mut file = tempfile::Builder::new().prefix(emit::TEMP_PREFIX).tempfile_in(dir)?;
    file.write_all(&fields)?;
    file.write_all(&bytes)?;
    // Not synced: after a power failure, the checksum tells.
    match file.persist(path) {
        // Another build was faster, and Windows does not replace a file that is being read.
        Err(_) if path.exists() => Ok(()),
        persisted => Ok(persisted.map(drop)?),
    }
}

/// Sets the modification time of a file, by which [`prune`] goes, unless it is recent.
fn record_use(file: &File) {
    let modified = file.metadata().and_then(|meta| meta.modified());
    if modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > USE_INTERVAL)) {
        // A cache that cannot be written keeps the earlier time.
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Removes the least recently used files of a directory until it has at most `max_len` bytes, and what killed builds have
/// left.
fn prune(dir: &Path, max_len: u64) {
    let mut files = Vec::new();
    let mut total: u64 = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if Key::of_file(&entry.path()).is_some() {
            total = total.saturating_add(meta.len());
            files.push((modified, meta.len(), entry.path()));
        } else if is_temporary(&entry.file_name()) && modified.elapsed().is_ok_and(|age| age > MAX_WRITE_TIME) {
            let _ = fs::remove_file(entry.path());
        }
    }
    files.sort();
    for (_, len, path) in files {
        if total <= max_len {
            break;
        }
        if fs::remove_file(path).is_ok() {
            total -= len;
        }
    }
}

fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(emit::TEMP_PREFIX.as_bytes())
}

/// Lists the files in the piece cache of a cache directory, with their lengths.
fn files(cache: &Path) -> Vec<(PathBuf, u64)> {
    let dirs = fs::read_dir(cache.join(DIR)).into_iter().flatten().flatten();
    let entries = dirs.flat_map(|dir| fs::read_dir(dir.path()).into_iter().flatten().flatten());
    let files = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())));
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// Returns the number of pieces in a cache directory, and the length of their files in bytes.
pub fn usage(cache: &Path) -> (usize, u64) {
    let pieces = files(cache)
        .into_iter()
        .filter(|(path, _)| Key::of_file(path).is_some());
    pieces.fold((0, 0), |(count, total), (_, len)| {
        (count + 1, total.saturating_add(len))
    })
}

/// Verifies the pieces in a cache directory. Returns the number of intact ones, and the files of the others.
pub fn verify(cache: &Path) -> (usize, Vec<PathBuf>) {
    let (mut intact, mut corrupt) = (0, Vec::new());
    for (path, _) in files(cache) {
        let Some(key) = Key::of_file(&path) else { continue };
        match open(&path).and_then(|mut file| read(&mut file, &key)) {
            Ok(_) => intact += 1,
            // Another process may have removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => corrupt.push(path),
        }
    }
    (intact, corrupt)
}

/// Removes the pieces in a cache directory. Returns the number of files, and their length in bytes.
pub fn clean(cache: &Path) -> (u64, u64) {
    let mut removed = (0, 0);
    for (path, len) in files(cache) {
        let is_own = Key::of_file(&path).is_some() || path.file_name().is_some_and(is_temporary);
        if is_own && fs::remove_file(path).is_ok() {
            removed = (removed.0 + 1, removed.1 + len);
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cache(dir: &Path, max_len: u64) -> PieceCache {
        PieceCache::new(Options {
            cache: Some(dir.to_owned()),
            max_len: Some(max_len),
            ..Options::default()
        })
    }

    fn key(number: u8) -> Key {
        // All in one directory.
        let mut key = [7; 32];
        key[31] = number;
        Key(key)
    }

    fn save(cache: &PieceCache, number: u8, len: usize) {
        cache.add(NewPiece {
            key: key(number),
            crc: 1,
            len: 2,
            bytes: Extents::from_bytes(vec![number; len]),
        });
        cache.save();
    }

    #[test]
    fn pieces_are_found_when_they_are_saved() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1 << 20);
        assert!(cache.get(&key(1)).is_none() && !cache.has(&key(1)));
        save(&cache, 1, 1000);
        let piece = Piece {
            bytes: vec![1; 1000],
            crc: 1,
            len: 2,
        };
        assert_eq!(cache.get(&key(1)), Some(piece.clone()));
        assert_eq!(usage(dir.path()), (1, 1000 + HEADER_LEN as u64));
        // Other users read it, and change nothing.
        let shared = PieceCache::new(Options {
            shared: vec![dir.path().to_owned()],
            ..Options::default()
        });
        assert_eq!(shared.get(&key(1)), Some(piece));
        let rebuilt = PieceCache::new(Options {
            cache: Some(dir.path().to_owned()),
            rebuild: true,
            ..Options::default()
        });
        assert!(rebuilt.get(&key(1)).is_none());
    }

    #[test]
    fn corrupt_pieces_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1 << 20);
        save(&cache, 1, 1000);
        let path = key(1).path(dir.path());
        let intact = fs::read(&path).unwrap();
        for at in 0..intact.len() {
            let mut damaged = intact.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(verify(dir.path()), (0, vec![path.clone()]));
            assert!(cache.get(&key(1)).is_none() && !path.exists());
        }
        for len in [0, 5, HEADER_LEN, intact.len() - 1] {
            fs::write(&path, &intact[..len]).unwrap();
            assert!(cache.get(&key(1)).is_none() && !path.exists());
        }
        // A file of another name.
        fs::write(key(2).path(dir.path()), &intact).unwrap();
        assert!(cache.get(&key(2)).is_none());
        save(&cache, 1, 1000);
        assert!(fs::read(&path).unwrap() == intact);
        assert_eq!(verify(dir.path()), (1, Vec::new()));
        assert_eq!(clean(dir.path()).0, 1);
    }

    #[test]
    fn the_least_recently_used_pieces_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 2048 * DIRS);
        for number in 1..=3 {
            save(&cache, number, 900);
            let file = File::options().append(true).open(key(number).path(dir.path())).unwrap();
            let age = Duration::from_secs(3 * 24 * 3600 - u64::from(number));
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        assert_eq!([1, 2, 3].map(|number| cache.has(&key(number))), [false, true, true]);
        cache.get(&key(2)).unwrap();
        let stray = key(9)
            .path(dir.path())
            .with_file_name(format!("{}1", emit::TEMP_PREFIX));
        fs::write(&stray, "half").unwrap();
        let file = File::options().append(true).open(&stray).unwrap();
        file.set_modified(SystemTime::now() - 2 * MAX_WRITE_TIME).unwrap();
        save(&cache, 4, 900);
        assert_eq!([2, 3, 4].map(|number| cache.has(&key(number))), [true, false, true]);
        assert!(!stray.exists());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("moby"), "a file").unwrap();
        let cache = cache(dir.path(), 1 << 20);
        save(&cache, 1, 10);
        assert!(cache.get(&key(1)).is_none());
    }
}
