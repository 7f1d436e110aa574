//! Compression of initrds and other streams on all cores. The output does not depend on their number.

mod gzip;
mod lz4;
mod xz;
mod zstd;

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use extents::{Extents, FileBlob};

use crate::content_id::ContentId;
use crate::pieces::PieceCache;
use crate::reporter::Counter;

/// Compression algorithm with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// One gzip member; level 1 to 9, by default a level that depends on the data.
    Gzip(Option<u32>),
    /// One zstd frame; level 1 to 19.
    Zstd(u32),
    /// LZ4's legacy frame, which Linux reads.
    Lz4,
    /// One xz stream; preset 0 to 9.
    Xz(u32),
    /// No compression.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Gzip(None)
    }
}

impl Compression {
    /// Default compression of disk images. Lower levels do not search for matches of three bytes, and the
    /// file becomes larger than that of `gzip` and `qemu-img`.
    pub const DISK: Compression = Compression::Gzip(Some(9));

    /// Parses the compression of a disk image.
    ///
    /// # Errors
    /// An unknown algorithm or level.
    pub fn parse_for_disk(text: &str) -> Result<Compression, Invalid> {
        match text {
            "gzip" => Ok(Compression::DISK),
            text => text.parse(),
        }
    }

    /// Returns the suffix of the names of compressed files.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::Gzip(_) => ".gz",
            Compression::Zstd(_) => ".zst",
            Compression::Lz4 => ".lz4",
            Compression::Xz(_) => ".xz",
            Compression::None => "",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::Gzip(None) => write!(f, "gzip"),
            Compression::Gzip(Some(level)) => write!(f, "gzip:{level}"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
            Compression::Lz4 => write!(f, "lz4"),
            Compression::Xz(level) => write!(f, "xz:{level}"),
            Compression::None => write!(f, "none"),
        }
    }
}

/// Error of a text that names no compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Unknown algorithm.
    #[error("unknown algorithm {0:?}: expected gzip, zstd, lz4, xz or none")]
    Algorithm(String),
    /// Unknown level.
    #[error("{level:?} is not a compression level of {name}: expected {} to {}", range.start(), range.end())]
    Level {
        /// Algorithm.
        name: String,
        /// Level that was given.
        level: String,
        /// Levels of the algorithm.
        range: RangeInclusive<u32>,
    },
    /// Level of an algorithm without levels.
    #[error("{0} has no compression levels")]
    NoLevels(String),
}

impl FromStr for Compression {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, given) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let level = |range: RangeInclusive<u32>| {
            let Some(text) = given else { return Ok(None) };
            let level = text.parse().ok().filter(|level| range.contains(level));
            level.map(Some).ok_or_else(|| Invalid::Level {
                name: name.to_owned(),
                level: text.to_owned(),
                range,
            })
        };
        let without = |compression| match given {
            Some(_) => Err(Invalid::NoLevels(name.to_owned())),
            None => Ok(compression),
        };
        match name {
            "gzip" => Ok(Compression::Gzip(level(1..=9)?)),
            "zstd" => Ok(Compression::Zstd(level(1..=19)?.unwrap_or(1))),
            "xz" => Ok(Compression::Xz(level(0..=9)?.unwrap_or(6))),
            "lz4" => without(Compression::Lz4),
            "none" => without(Compression::None),
            _ => Err(Invalid::Algorithm(name.to_owned())),
        }
    }
}

/// Receiver of the number of plain bytes that were compressed since the last call.
pub type ProgressFn<'a> = &'a dyn Fn(u64);

/// Writer that reports the number of bytes.
struct Counted<'a, W>(W, ProgressFn<'a>);

impl<W: io::Write> io::Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        (self.1)(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Compresses a content to an unnamed file in `dir`, since it may not fit into memory.
///
/// # Errors
/// Read and write errors.
pub fn compress(
    plain: &Extents,
    compression: Compression,
    jobs: usize,
    dir: &Path,
    progress: ProgressFn<'_>,
) -> io::Result<Extents> {
    if compression == Compression::None {
        return Ok(plain.clone());
    }
    let digest = ContentId::from_content(plain)?.derive(&compression.to_string());
    to_unnamed_file(dir, digest, |out| write(plain, compression, jobs, out, progress))
}

/// Compressed archive, and the work that it took.
#[derive(Clone, Debug)]
pub struct CompressedArchive {
    /// Compressed bytes.
    pub content: Extents,
    /// Work by its kind.
    pub counts: Vec<(Counter, u64)>,
}

/// Compresses a cpio archive to an unnamed file in `dir`. For gzip without a level, the parts of the archive that
/// come from gzip files are copied from there as they are, and parts that the piece cache has are not made again.
///
/// # Errors
/// Read and write errors.
pub fn compress_archive(
    archive: &cpio::Archive,
    compression: Compression,
    jobs: usize,
    dir: &Path,
    cache: &PieceCache,
    progress: ProgressFn<'_>,
) -> io::Result<CompressedArchive> {
    let plain = &archive.content;
    if compression != Compression::Gzip(None) {
        let content = compress(plain, compression, jobs, dir, progress)?;
        let counts = vec![(Counter::Compressed, plain.len())];
        return Ok(CompressedArchive { content, counts });
    }
    let origins = gzip::origins(std::slice::from_ref(plain));
    let origins: Vec<&str> = origins.iter().map(|origin| origin.digest()).collect();
    let digest = ContentId::from_content(plain)?.derive(&format!("gzip of {}", origins.join(" ")));
    let mut written = gzip::Written::default();
    let kept = to_unnamed_file(dir, digest, |out| {
        written = gzip::write_pieces(plain, &archive.pieces, jobs, out, cache, progress)?;
        Ok(())
    })?;
    let counts = vec![
        (Counter::Inflated, written.inflated),
        (Counter::Copied, written.stats.copied),
        (Counter::Encoded, written.stats.encoded),
        (Counter::Compressed, written.stats.compressed),
        (Counter::PiecesMade, written.made),
        (Counter::PiecesReused, written.reused),
    ];
    written.cache(&kept, cache);
    Ok(CompressedArchive { content: kept, counts })
}

/// Stores the output of `write` in an unnamed file in `dir`.
fn to_unnamed_file(
    dir: &Path,
    digest: impl Into<Vec<u8>>,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<Extents> {
    let mut file = tempfile::tempfile_in(dir)?;
    {
        let mut out = io::BufWriter::with_capacity(1 << 20, &mut file);
        write(&mut out)?;
        io::Write::flush(&mut out)?;
    }
    let blob = FileBlob::new(file)?.with_digest(digest);
    Ok(Extents::from_blob(Arc::new(blob)))
}

/// Writes the compressed bytes.
///
/// # Errors
/// Read and write errors.
pub fn write(
    plain: &Extents,
    compression: Compression,
    jobs: usize,
    out: &mut dyn io::Write,
    progress: ProgressFn<'_>,
) -> io::Result<()> {
    match compression {
        Compression::Gzip(level) => gzip::write(plain, level, jobs, out, progress),
        Compression::Zstd(level) => zstd::write(plain, level, out, progress),
        Compression::Lz4 => lz4::write(plain, jobs, out, progress),
        Compression::Xz(level) => xz::write(plain, level, jobs, out, progress),
        Compression::None => extents::emit::stream(plain, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::gzip_origin::GzipOrigin;
    use extents::Slice;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn sample() -> Extents {
        let mut text = Vec::new();
        for line in 0..400_000u32 {
            writeln!(text, "line {line} of {}", line.wrapping_mul(2_654_435_761) >> 20).unwrap();
        }
        let mut file = Extents::from_bytes(text);
        file.push_zeros(3_000_000);
        file.push_bytes(*b"the end");
        file
    }

    fn filtered(program: &str, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is missing ({error}): apt-get install gzip zstd lz4 xz-utils"));
        let mut stdin = child.stdin.take().unwrap();
        let feed = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        feed.join().unwrap().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    #[test]
    fn the_usual_programs_read_it_and_threads_change_nothing() {
        let plain = sample();
        let expected = plain.to_vec().unwrap();
        for (text, program) in [
            ("gzip", "gzip"),
            ("gzip:9", "gzip"),
            ("zstd", "zstd"),
            ("zstd:3", "zstd"),
            ("lz4", "lz4"),
            ("xz:1", "xz"),
        ] {
            let compression: Compression = text.parse().unwrap();
            let pack = |jobs| {
                let mut bytes = Vec::new();
                let done = std::cell::Cell::new(0);
                let progress = |bytes| done.set(done.get() + bytes);
                write(&plain, compression, jobs, &mut bytes, &progress).unwrap();
                assert_eq!(done.get(), plain.len());
                bytes
            };
            let one = pack(1);
            assert!(one == pack(3), "{text}");
            assert!(one.len() < expected.len() / 2, "{text}: {}", one.len());
            assert!(filtered(program, &["-dc"], one) == expected, "{text}");
        }
    }

    #[test]
    fn what_a_thread_compressed_before_changes_nothing() {
        // Code and tables, as in an initrd.
        let program = std::env::current_exe().unwrap();
        let program = Extents::from_blob(Arc::new(FileBlob::open(&program).unwrap()));
        let plain = program.part(0, program.len().min(24 << 20));
        for text in ["gzip", "gzip:6", "lz4"] {
            let pack = |jobs| {
                let mut bytes = Vec::new();
                write(&plain, text.parse().unwrap(), jobs, &mut bytes, &|_| {}).unwrap();
                bytes
            };
            let one = pack(1);
            for jobs in [2, 3, 5] {
                assert!(one == pack(jobs), "{text}, {jobs}");
            }
        }
    }

    #[test]
    fn effort_goes_where_it_pays() {
        let easy = sample().part(0, 3 << 20);
        let hard = Extents::from_bytes(testing::sample::noise(3 << 20, 1));
        let mut short = easy.part(0, 5000);
        let mut all = easy.clone();
        all.push(&hard);
        all.push(&short);
        let compressed_len = |plain: &Extents, text: &str| {
            let mut bytes = Vec::new();
            write(plain, text.parse().unwrap(), 2, &mut bytes, &|_| {}).unwrap();
            assert!(filtered("gzip", &["-dc"], bytes.clone()) == plain.to_vec().unwrap());
            bytes.len()
        };
        assert!(compressed_len(&easy, "gzip") < compressed_len(&easy, "gzip:3"));
        assert_eq!(compressed_len(&hard, "gzip"), compressed_len(&hard, "gzip:3"));
        assert!(compressed_len(&all, "gzip") < compressed_len(&all, "gzip:3"));
        short.set_len(1);
        compressed_len(&short, "gzip");
    }

    /// Returns a tree with files of a gzip layer of `content`, and others, with the numbers of their bytes.
    fn tree_of_a_layer(content: &[u8], origin: bool) -> (tree::Tree, u64) {
        use tree::{Kind, Meta, Time, Tree};

        let gzip = filtered("gzip", &["-c"], content.to_vec());
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            FileBlob::new(file).unwrap()
        };
        let compressed = Slice::from_blob(Arc::new(file(&gzip)));
        let blob = match GzipOrigin::new(&compressed, "sha256:1") {
            Some(origin_of_blob) if origin => file(content).with_origin(origin_of_blob),
            _ => file(content),
        };
        let layer = Slice::from_blob(Arc::new(blob));
        let meta = Meta::new(0o644, Time::from_seconds(1));
        let mut tree = Tree::new(meta.clone());
        let mut put = |name: String, content: Extents| {
            tree.insert(name.as_bytes(), meta.clone(), Kind::File(content), &meta)
                .unwrap();
        };
        let mut reused = 0;
        for (index, start) in (0..content.len() as u64).step_by(20_000).enumerate() {
            let part = layer.part(start + 512, [700_000, 3000, 60_000, 0][index % 4]);
            reused += part.len();
            put(format!("usr/file{index}"), Extents::from_slice(part));
        }
        put("large".into(), Extents::from_bytes(testing::sample::text(1_300_000, 1)));
        put("zeros".into(), Extents::zeros(2 << 20));
        (tree, reused)
    }

    #[test]
    fn an_archive_takes_the_bits_of_gzip_files() {
        let content = sample().to_vec().unwrap();
        let pack = |origin, jobs| {
            let (tree, reused) = tree_of_a_layer(content.get(..1_000_000).unwrap(), origin);
            let archive = cpio::plan_pieces(&tree).unwrap();
            let done = std::cell::Cell::new(0);
            let progress = |bytes| done.set(done.get() + bytes);
            let mut bytes = Vec::new();
            let cache = PieceCache::default();
            let written = gzip::write_pieces(&archive.content, &archive.pieces, jobs, &mut bytes, &cache, &progress);
            let stats = written.unwrap().stats;
            assert_eq!(done.get(), archive.content.len());
            (bytes, stats, reused, archive)
        };
        let (bytes, stats, reused, archive) = pack(true, 1);
        assert!(pack(true, 3).0 == bytes);
        let plain = archive.content.to_vec().unwrap();
        assert!(filtered("gzip", &["-dc"], bytes.clone()) == plain);
        // Nothing of the layer is compressed again.
        assert_eq!(stats.copied + stats.encoded, reused);
        assert_eq!(stats.compressed, archive.content.len() - reused);
        assert!(stats.copied > reused / 2, "{stats:?}");
        // Without the layer's blob, everything is compressed.
        let (other, stats, ..) = pack(false, 2);
        assert_eq!(stats.compressed, archive.content.len());
        assert!(filtered("gzip", &["-dc"], other) == plain);
        // The content ID depends on the blobs that the content is from.
        let dir = tempfile::tempdir().unwrap();
        let cache = PieceCache::default();
        let digest = |origin| {
            let archive = pack(origin, 1).3;
            let kept = compress_archive(&archive, Compression::default(), 1, dir.path(), &cache, &|_| {}).unwrap();
            ContentId::from_content(&kept.content).unwrap().derive("")
        };
        assert_ne!(digest(true), digest(false));
        // A level compresses anew.
        let kept = compress_archive(&archive, Compression::Gzip(Some(9)), 1, dir.path(), &cache, &|_| {}).unwrap();
        let mut anew = Vec::new();
        write(&archive.content, Compression::Gzip(Some(9)), 1, &mut anew, &|_| {}).unwrap();
        assert!(kept.content.to_vec().unwrap() == anew);
    }

    #[test]
    fn a_corrupt_gzip_file_is_not_used() {
        let content = testing::sample::text(100_000, 3);
        let mut tree = tree::Tree::default();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let corrupt = Slice::from_blob(Arc::new({
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&filtered("gzip", &["-c"], content.clone())[..8000])
                .unwrap();
            FileBlob::new(file).unwrap()
        }));
        let origin = GzipOrigin::new(&corrupt, "sha256:1").unwrap();
        let blob = FileBlob::new(file).unwrap().with_origin(origin);
        let kind = tree::Kind::File(Extents::from_slice(Slice::from_blob(Arc::new(blob))));
        let meta = tree::Meta::new(0o644, tree::Time::from_seconds(1));
        tree.insert(b"a", meta.clone(), kind, &meta).unwrap();
        let archive = cpio::plan_pieces(&tree).unwrap();
        let mut bytes = Vec::new();
        let cache = PieceCache::default();
        let written = gzip::write_pieces(&archive.content, &archive.pieces, 1, &mut bytes, &cache, &|_| {});
        let stats = written.unwrap().stats;
        assert_eq!(stats.compressed, archive.content.len());
        assert!(filtered("gzip", &["-dc"], bytes) == archive.content.to_vec().unwrap());
    }

    #[test]
    fn an_empty_file_is_a_valid_stream() {
        for (text, program) in [("gzip", "gzip"), ("zstd", "zstd"), ("xz", "xz"), ("lz4", "lz4")] {
            let mut bytes = Vec::new();
            write(&Extents::new(), text.parse().unwrap(), 2, &mut bytes, &|_| {}).unwrap();
            assert!(filtered(program, &["-dc"], bytes).is_empty(), "{text}");
        }
    }

    #[test]
    fn levels_are_checked() {
        for text in ["gzip:0", "gzip:10", "zstd:20", "lz4:1", "none:1", "bzip2", "xz:a"] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
        assert_eq!("zstd:19".parse(), Ok(Compression::Zstd(19)));
        assert_eq!("gzip".parse(), Ok(Compression::default()));
    }
}
