//! Gzip files of other programs are inflated, and parts of them are used again in new files, which other programs
//! inflate (Debian packages `gzip`, `pigz`, `zopfli`, `isal`, `libdeflate-tools`, `p7zip-full`, `umoci`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use deflate_blocks::{Encoder, GzipReader, Recorded, Segment, Stats};
use extents::Extents;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;

/// Header of a gzip file without a name.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// Returns text, tables, noise, zeros and repetitions at all distances.
fn sample(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = Vec::with_capacity(len + 70_000);
    while bytes.len() < len {
        match random.below(6) {
            0 => (0..random.below(3000)).for_each(|_| bytes.push(random.next() as u8)),
            1 => (0..random.below(40_000)).for_each(|at| bytes.push((at % 97 * at / 5 % 251) as u8)),
            2 => bytes.resize(bytes.len() + random.below(20_000) as usize, 0),
            3 => (0..random.below(2000)).for_each(|_| {
                write!(bytes, "line {} of a text, ", random.below(700)).unwrap();
            }),
            _ => {
                let from = random.below(bytes.len() as u64) as usize;
                let end = bytes.len().min(from + random.below(9000) as usize);
                bytes.extend_from_within(from..end);
            }
        }
    }
    bytes.truncate(len);
    bytes
}

fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is missing ({error}): cargo xtask install-tools"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && message.is_empty(),
        "{program} {arguments:?}: {message}"
    );
    output.stdout
}

/// Returns the result of a program that reads and writes files.
fn run_on_file(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, input).unwrap();
    let arguments: Vec<&str> = arguments.iter().copied().chain(path.to_str()).collect();
    run(program, &arguments, &[])
}

/// Returns a content as umoci compresses it, with the package `pgzip` of Go.
fn umoci(content: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("layer"), content).unwrap();
    let image = format!("{}:tag", path("layout"));
    run("umoci", &["init", "--layout", &path("layout")], &[]);
    run("umoci", &["new", "--image", &image], &[]);
    run("umoci", &["raw", "add-layer", "--image", &image, &path("layer")], &[]);
    let blobs = std::fs::read_dir(path("layout/blobs/sha256")).unwrap();
    let mut blobs = blobs.map(|blob| std::fs::read(blob.unwrap().path()).unwrap());
    blobs.find(|blob| blob.starts_with(&HEADER[..3])).unwrap()
}

/// Compresses with zlib-rs, with a flush every `step` bytes.
fn zlib(content: &[u8], level: u32, step: usize, flush: FlushCompress) -> Vec<u8> {
    let mut compressor = Compress::new(Compression::new(level), false);
    let mut out = HEADER.to_vec();
    let mut parts = content.chunks(step.max(1)).peekable();
    loop {
        let part = parts.next().unwrap_or_default();
        let flush = if parts.peek().is_some() {
            flush
        } else {
            FlushCompress::Finish
        };
        let start = compressor.total_in();
        loop {
            out.reserve(part.len() + 100);
            let rest = &part[(compressor.total_in() - start) as usize..];
            let status = compressor.compress_vec(rest, &mut out, flush).unwrap();
            let done = compressor.total_in() - start == part.len() as u64 && out.len() < out.capacity();
            if status == Status::StreamEnd || (done && flush != FlushCompress::Finish) {
                break;
            }
        }
        if parts.peek().is_none() && flush == FlushCompress::Finish {
            break;
        }
    }
    out.extend(trailer(content));
    out
}

fn trailer(content: &[u8]) -> Vec<u8> {
    let mut sum = Crc::new();
    sum.update(content);
    [sum.sum().to_le_bytes(), (content.len() as u32).to_le_bytes()].concat()
}

fn inflated(file: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    GzipReader::new(file).read_to_end(&mut content)?;
    Ok(content)
}

/// Gzip files of a content, by the programs that wrote them.
fn files(content: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut add = |name: String, file: Vec<u8>| files.push((name, file));
    for level in ["-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"] {
        add(format!("gzip {level}"), run("gzip", &["-c", level], content));
        add(format!("pigz {level}"), run("pigz", &["-c", "-p2", level], content));
    }
    for arguments in [
        ["-c", "-i", "-b128"],
        ["-c", "-R", "-6"],
        ["-c", "-H", "-6"],
        ["-c", "-U", "-6"],
        ["-c", "-0", "-n"],
    ] {
        add(format!("pigz {arguments:?}"), run("pigz", &arguments, content));
    }
    for level in ["-0", "-1", "-2", "-3"] {
        add(format!("igzip {level}"), run("igzip", &["-c", level], content));
    }
    for level in ["-1", "-4", "-9", "-12"] {
        add(
            format!("libdeflate {level}"),
            run("libdeflate-gzip", &["-c", level], content),
        );
    }
    add("umoci".into(), umoci(content));
    for level in [0, 1, 3, 6, 9] {
        for (step, flush) in [
            (usize::MAX, FlushCompress::None),
            (70_000, FlushCompress::Sync),
            (5000, FlushCompress::Full),
            (999, FlushCompress::Partial),
        ] {
            add(format!("zlib-rs {level} {flush:?}"), zlib(content, level, step, flush));
        }
    }
    let several: Vec<u8> = content
        .chunks(150_001)
        .flat_map(|part| zlib(part, 6, usize::MAX, FlushCompress::None))
        .collect();
    let several = if content.is_empty() {
        zlib(b"", 6, 1, FlushCompress::None)
    } else {
        several
    };
    add(
        "members".into(),
        [several, zlib(b"", 6, 1, FlushCompress::None)].concat(),
    );
    let mut named = HEADER.to_vec();
    named[3] = 4 | 8 | 16;
    named.extend(b"\x03\0abcname\0comment\0");
    named.extend(&zlib(content, 6, usize::MAX, FlushCompress::None)[10..]);
    add("all fields".into(), named);
    files
}

/// Encodes segments of a content as a gzip file, the first `skip` bytes without their origin.
fn encode(content: &[u8], skip: usize, segments: &[Segment<'_>]) -> (Vec<u8>, Stats) {
    let mut out = HEADER.to_vec();
    let mut encoder = Encoder::default();
    let before = Segment {
        len: skip,
        origin: None,
    };
    encoder.encode(&content[..skip], 0, &[before], &mut out).unwrap();
    let stats = encoder.encode(content, skip, segments, &mut out).unwrap();
    out.extend([3, 0]);
    out.extend(trailer(content));
    (out, stats)
}

/// Returns a content of slices of two files and bytes of none, with its segments.
fn mix<'a>(old: &[(&'a Recorded, &[u8])], seed: u64, mean: u64) -> (Vec<u8>, Vec<Segment<'a>>) {
    let mut random = Random(seed);
    let (mut content, mut segments) = (Vec::new(), Vec::new());
    let count = 1 + random.below(40);
    for _ in 0..count {
        let (file, bytes) = &old[random.below(old.len() as u64) as usize];
        let position = random.below(bytes.len() as u64 + 1) as usize;
        let len = (random.below(random.0 % (2 * mean) + 1) as usize).min(bytes.len() - position);
        let origin = (random.below(4) > 0).then_some((*file, position as u64));
        content.extend_from_slice(&bytes[position..position + len]);
        segments.push(Segment { len, origin });
    }
    (content, segments)
}

#[test]
fn files_of_all_programs_are_inflated_and_used_again() {
    for (len, seed) in [(0, 1), (1, 1), (40_000, 2), (700_000, 3)] {
        let content = sample(len, seed);
        let mut files = files(&content);
        if len < 100_000 {
            files.push(("zopfli".into(), run_on_file("zopfli", &["-c", "--i1"], &content)));
            files.push((
                "7z".into(),
                run(
                    "7z",
                    &["a", "-tgzip", "-mx9", "-bd", "-si", "-so", "stdin.gz"],
                    &content,
                ),
            ));
        }
        for (name, file) in files {
            assert!(
                inflated(&file).unwrap_or_else(|error| panic!("{name}: {error}")) == content,
                "{name}"
            );
            let recorded = Recorded::scan(Extents::from_bytes(file.clone())).unwrap();
            assert_eq!(recorded.len(), content.len() as u64, "{name}");
            let mut reader = GzipReader::new(file.as_slice());
            std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
            let same = reader.into_recorded(recorded.file().clone()).unwrap();
            assert_eq!(format!("{same:?}"), format!("{recorded:?}"), "{name}");
            // The whole content, and all but its start.
            for skip in [0, len / 3] {
                let whole = Segment {
                    len,
                    origin: Some((&recorded, 0)),
                };
                let (again, stats) = encode(&content, skip, &[whole]);
                assert!(inflated(&again).unwrap() == content, "{name}");
                assert_eq!(stats.copied + stats.encoded, (len - skip) as u64);
                assert!(len < 100_000 || stats.copied > stats.encoded, "{name}: {stats:?}");
                let limit = file.len() as u64 * 105 / 100 + 1000;
                assert!(again.len() as u64 <= limit, "{name}: {} of {}", again.len(), file.len());
            }
            for seed in 0..3 {
                let (content, segments) = mix(&[(&recorded, &content)], seed, 1 + len as u64 / 4);
                let (file, _) = encode(&content, 0, &segments);
                assert!(inflated(&file).unwrap() == content, "{name}");
            }
        }
    }
}

#[test]
fn other_programs_inflate_what_is_written() {
    let (one, two) = (sample(900_000, 5), sample(400_000, 6));
    let gzip = Recorded::scan(Extents::from_bytes(run("gzip", &["-c", "-9"], &one))).unwrap();
    let stored = Recorded::scan(Extents::from_bytes(zlib(&two, 0, 10_000, FlushCompress::Sync))).unwrap();
    let igzip = Recorded::scan(Extents::from_bytes(run("igzip", &["-c", "-1"], &two))).unwrap();
    for seed in 0..12 {
        let mean = [300_000, 30_000, 500][seed as usize % 3];
        let (content, segments) = mix(&[(&gzip, &one), (&stored, &two), (&igzip, &two)], seed, mean);
        let (file, _) = encode(&content, 0, &segments);
        for (program, arguments) in [
            ("gzip", &["-dc"][..]),
            ("pigz", &["-dc"]),
            ("igzip", &["-dc"]),
            ("libdeflate-gzip", &["-dc"]),
            ("7z", &["x", "-tgzip", "-si", "-so"]),
        ] {
            assert!(run(program, arguments, &file) == content, "{program}, {seed}");
        }
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(file.as_slice())
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == content);
    }
}

/// Returns the content of a raw stream and the number of bytes that it has, if zlib-rs takes it.
fn zlib_rs(stream: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut zlib = Decompress::new(false);
    let mut content = Vec::with_capacity(4096);
    loop {
        let rest = &stream[zlib.total_in() as usize..];
        let before = (zlib.total_in(), zlib.total_out());
        match zlib.decompress_vec(rest, &mut content, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return Some((content, zlib.total_in() as usize)),
            Ok(_) if content.len() == content.capacity() => content.reserve(1 << 16),
            Ok(_) if (zlib.total_in(), zlib.total_out()) != before => {}
            _ => return None,
        }
    }
}

/// Compares the verdict about a raw stream with that of zlib-rs.
fn check(stream: &[u8]) {
    let file = |stream: &[u8], content: &[u8]| [&HEADER, stream, &trailer(content)].concat();
    match zlib_rs(stream) {
        Some((content, len)) => {
            let file = file(&stream[..len], &content);
            assert!(inflated(&file).unwrap() == content);
            let recorded = Recorded::scan(Extents::from_bytes(file)).unwrap();
            assert_eq!(recorded.len(), content.len() as u64);
            let half = content.len() / 2;
            let segment = |from: usize, to: usize| Segment {
                len: to - from,
                origin: Some((&recorded, from as u64)),
            };
            for segments in [
                vec![segment(0, content.len())],
                vec![segment(0, half), segment(half, content.len())],
            ] {
                let (again, _) = encode(&content, 0, &segments);
                assert!(zlib_rs(&again[10..]).unwrap().0 == content);
            }
        }
        None => {
            let file = [&HEADER, stream].concat();
            assert!(inflated(&file).is_err());
            assert!(Recorded::scan(Extents::from_bytes(file)).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_have_the_verdict_of_zlib(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0u8..8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = *first & !7 | kind;
        }
        check(&bytes);
    }

    #[test]
    fn damaged_streams_have_the_verdict_of_zlib(
        seed in 0u64..50,
        level in 0u32..10,
        len in 0usize..6000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u32..8), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let content = sample(len, seed);
        let file = zlib(&content, level, 900, [FlushCompress::None, FlushCompress::Sync][seed as usize % 2]);
        let mut stream = file[10..file.len() - 8].to_vec();
        for (at, bit) in changes {
            let at = at.index(stream.len());
            stream[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            stream.truncate(cut.index(stream.len() + 1));
        }
        check(&stream);
    }

    /// Headers of dynamic blocks with arbitrary code lengths, over-subscribed and incomplete ones.
    #[test]
    fn arbitrary_codes_have_the_verdict_of_zlib(
        counts in (0u32..32, 0u32..32, 0u32..16),
        lengths in prop::collection::vec(0u32..5, 19),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bits: Vec<bool> = Vec::new();
        let mut put = |value: u32, len: u32| (0..len).for_each(|at| bits.push(value >> at & 1 == 1));
        put(0b101, 3);
        put(counts.0, 5);
        put(counts.1, 5);
        put(counts.2, 4);
        lengths.iter().take(counts.2 as usize + 4).for_each(|len| put(*len, 3));
        let mut bytes: Vec<u8> = bits.chunks(8)
            .map(|byte| byte.iter().enumerate().map(|(at, bit)| u8::from(*bit) << at).sum())
            .collect();
        bytes.extend(rest);
        check(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_slices_of_two_files_inflate(seed in any::<u64>(), levels in (0u32..10, 0u32..10), mean in 1u64..200_000) {
        let (one, two) = (sample(300_000, seed), sample(90_000, seed ^ 1));
        let recorded = |content: &[u8], level: u32| {
            let (step, flush) = [(usize::MAX, FlushCompress::None), (9000, FlushCompress::Sync)][seed as usize % 2];
            Recorded::scan(Extents::from_bytes(zlib(content, level, step, flush))).unwrap()
        };
        let (first, second) = (recorded(&one, levels.0), recorded(&two, levels.1));
        let (content, segments) = mix(&[(&first, &one), (&second, &two)], seed, mean);
        let skip = Random(seed).below(content.len() as u64 + 1) as usize;
        let (file, stats) = encode(&content, skip, &segments);
        prop_assert!(inflated(&file).unwrap() == content);
        prop_assert_eq!(stats.copied + stats.encoded + stats.compressed, (content.len() - skip) as u64);
        prop_assert!(encode(&content, skip, &segments).0 == file);
        let raw = &file[10..file.len() - 8];
        prop_assert!(zlib_rs(raw).unwrap().0 == content);
    }
}

#[test]
fn damaged_members_are_refused() {
    let content = sample(5000, 9);
    let good = zlib(&content, 6, usize::MAX, FlushCompress::None);
    let refused = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut file = good.clone();
        change(&mut file);
        let error = inflated(&file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&|file| file[0] = 0, "no gzip header");
    refused(&|file| file[2] = 7, "no gzip header");
    refused(&|file| file[3] = 0x20, "reserved flags");
    refused(&|file| file.truncate(5), "ends early");
    refused(&|file| file.truncate(file.len() - 1), "ends early");
    refused(&|file| *file.last_mut().unwrap() ^= 1, "wrong length");
    refused(
        &|file| {
            let at = file.len() - 8;
            file[at] ^= 1;
        },
        "wrong checksum",
    );
    refused(&|file| file.push(0), "ends early");
    refused(&|file| file.extend([0; 20]), "no gzip header");
    refused(
        &|file| {
            file[3] = 2;
            file.splice(10..10, [0, 0]);
        },
        "wrong checksum of the gzip header",
    );
    assert!(inflated(&[]).is_err());
}

#[test]
fn what_precedes_damage_is_read() {
    let content = sample(500_000, 14);
    let mut file = zlib(&content, 6, 10_000, FlushCompress::Full);
    let at = file.len() - 8;
    file[at] ^= 1;
    for (file, min) in [(&file[..], content.len()), (&file[..file.len() / 2], content.len() / 4)] {
        let mut reader = GzipReader::new(file);
        let mut read = Vec::new();
        assert!(reader.read_to_end(&mut read).is_err());
        assert!(
            read.len() >= min && content.starts_with(&read),
            "{} of {min}",
            read.len()
        );
        assert!(reader.read(&mut [0]).is_err());
        assert!(reader.into_recorded(Extents::new()).is_none());
    }
}

#[test]
fn a_file_of_other_content_does_no_harm() {
    // Tokens are used only where they give the content. Copied bits are not compared: the caller has verified
    // that the content is the file's.
    let (one, other) = (sample(30_000, 11), sample(30_000, 12));
    let recorded = Recorded::scan(Extents::from_bytes(zlib(&other, 6, usize::MAX, FlushCompress::None))).unwrap();
    let (file, _) = encode(
        &one,
        0,
        &[Segment {
            len: one.len(),
            origin: Some((&recorded, 0)),
        }],
    );
    assert!(inflated(&file).unwrap() == one);
    let long = sample(200_000, 13);
    let beyond = Segment {
        len: long.len(),
        origin: Some((&recorded, 20_000)),
    };
    assert!(Encoder::default().encode(&long, 0, &[beyond], &mut Vec::new()).is_err());
}
