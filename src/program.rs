//! Identity of the running program.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use extents::{Extents, FileBlob};
use goblin::container::{Container, Ctx};
use goblin::elf::header::header64;
use goblin::elf::note::NT_GNU_BUILD_ID;
use goblin::elf::{Elf, ProgramHeader};

use crate::oci::digest_of;

/// Length of the start of an ELF file in which linkers put the note with the build ID, in bytes.
const START_LEN: u64 = 64 << 10;

/// Returns what tells this program from every other: the build ID that its linker computed from its content, else
/// its digest. `None` if the program cannot be read, as when it was removed while it runs.
pub fn identity() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    let mut start = Vec::new();
    File::open(&path).ok()?.take(START_LEN).read_to_end(&mut start).ok()?;
    let id = build_id(&start).or_else(|| {
        let program = FileBlob::open(&path).ok()?;
        digest_of(&Extents::from_blob(Arc::new(program))).ok()
    })?;
    Some(format!("{} {id}", env!("CARGO_PKG_VERSION")))
}

/// Returns the build ID in the notes of a 64-bit ELF file, given its start.
fn build_id(start: &[u8]) -> Option<String> {
    let header = Elf::parse_header(start.get(..header64::SIZEOF_EHDR)?).ok()?;
    let context = Ctx::new(Container::Big, header.endianness().ok()?);
    let (offset, count) = (usize::try_from(header.e_phoff).ok()?, usize::from(header.e_phnum));
    let mut elf = Elf::lazy_parse(header).ok()?;
    elf.program_headers = ProgramHeader::parse(start, offset, count, context).ok()?;
    let notes = elf.iter_note_headers(start)?;
    let id = notes
        .flatten()
        .find(|note| note.n_type == NT_GNU_BUILD_ID && note.name == "GNU")?;
    Some(id.desc.iter().map(|byte| format!("{byte:02x}")).collect())
}
