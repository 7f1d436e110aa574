//! Kernel modules for tests.

use std::io::Write;

/// Returns a module with a section `.modinfo` alone.
pub fn module(info: &[&str]) -> Vec<u8> {
    let info = info.join("\0") + "\0";
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut file = b"\x7fELF\x02\x01".to_vec();
    file.resize(64, 0);
    file.extend(info.as_bytes());
    file.extend(names);
    let table = file.len() as u64;
    // Where a section's name is among the names, where the section is, and its length.
    for (name, offset, len) in [(0, 0, 0), (1, 64, info.len()), (10, 64 + info.len(), names.len())] {
        let mut header = [0; 64];
        header[0] = name;
        header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(len as u64).to_le_bytes());
        file.extend(header);
    }
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    for (at, number) in [(0x3a, 64), (0x3c, 3), (0x3e, 2)] {
        file[at] = number;
    }
    file
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Compresses like the kernel's makefile: `xz --check=crc32`.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(0);
    options.check_type = lzma_rust2::CheckType::Crc32;
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = zstd::Stream::new(&mut out, 3);
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap();
    out
}
