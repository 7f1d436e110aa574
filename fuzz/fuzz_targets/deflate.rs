//! A raw deflate stream: accepted exactly if zlib-rs accepts it, with the same content, and its tokens used again
//! give that content.
#![no_main]

use std::io::Read;

use deflate::{Encoder, GzipReader, Recorded, Segment};
use extents::Extents;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Limit of a content in bytes: more takes time and shows nothing.
const MAX: usize = 1 << 20;

/// Verdict of zlib-rs.
enum Verdict {
    Content(Vec<u8>, usize),
    Refused,
    Large,
}

fn zlib_rs(stream: &[u8]) -> Verdict {
    let mut zlib = Decompress::new(false);
    let mut content = Vec::with_capacity(64 << 10);
    loop {
        let before = (zlib.total_in(), zlib.total_out());
        match zlib.decompress_vec(&stream[zlib.total_in() as usize..], &mut content, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return Verdict::Content(content, zlib.total_in() as usize),
            Ok(_) if content.len() > MAX => return Verdict::Large,
            Ok(_) if content.len() == content.capacity() => content.reserve(256 << 10),
            Ok(_) if (zlib.total_in(), zlib.total_out()) != before => {}
            _ => return Verdict::Refused,
        }
    }
}

fn inflated(file: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let result = GzipReader::new(file).read_to_end(&mut content);
    result.ok().map(|_| content)
}

fuzz_target!(|stream: &[u8]| {
    let (content, len) = match zlib_rs(stream) {
        Verdict::Content(content, len) => (content, len),
        Verdict::Large => return,
        Verdict::Refused => {
            let file = [&HEADER, stream].concat();
            assert!(inflated(&file).is_none(), "zlib-rs refuses it");
            assert!(Recorded::scan(Extents::from_bytes(file)).is_err());
            return;
        }
    };
    let mut sum = Crc::new();
    sum.update(&content);
    let trailer = [sum.sum().to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
    let file = [&HEADER, &stream[..len], &trailer].concat();
    assert!(inflated(&file).expect("zlib-rs accepts it") == content);
    let recorded = Recorded::scan(Extents::from_bytes(file)).expect("zlib-rs accepts it");
    assert_eq!(recorded.len(), content.len() as u64);
    // Parts in another order, with others between them, cut where the input says.
    let cut = |index: usize| stream.get(stream.len() / 2 + index).copied().unwrap_or(9) as usize * content.len() / 256;
    let (mut again, mut segments) = (Vec::new(), Vec::new());
    for (from, to, known) in [(cut(0), content.len(), true), (cut(1), cut(2), false), (0, cut(0), true), (0, content.len(), true)] {
        let part = content.get(from..to).unwrap_or_default();
        again.extend_from_slice(part);
        segments.push(Segment {
            len: part.len(),
            origin: known.then_some((&recorded, from as u64)),
        });
    }
    let mut out = Vec::new();
    Encoder::default().encode(&again, 0, &segments, &mut out).expect("all segments are there");
    out.extend([3, 0]);
    let Verdict::Content(read, len) = zlib_rs(&out) else {
        assert!(again.len() > MAX, "zlib-rs refuses what was written");
        return;
    };
    assert!(read == again && len == out.len());
});
