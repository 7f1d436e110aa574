//! The tree as files that boot.

pub mod compress;
mod container;
pub mod format;
mod identity;
pub mod loader;
mod media;
mod payload;

use std::io;
use std::path::{Path, PathBuf};

use extents::{Extents, emit};
use tree::{Kind as Node, Tree};

use compress::Compression;
use format::{Format, Kind};
use loader::Loaders;
use media::Media;
pub use payload::Payload;

/// The file that LinuxKit adds for `docker build`.
const DOCKERFILE: &str = "\nFROM scratch\n\nCOPY . ./\n\nENTRYPOINT [\"/bin/rc.init\"]\n";

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something does not fit an initrd.
    #[error("the initrd cannot be made: {0}\nhelp: leave it out, or use a format with the root filesystem on a disk")]
    Cpio(#[from] cpio::Error),
    /// Something does not fit a tar.
    #[error("the tar cannot be made: {0}")]
    Pax(#[from] pax::Unwritable),
    /// Something does not fit a FAT filesystem.
    #[error(transparent)]
    Fat(#[from] fat::Error),
    /// Something does not fit a CD.
    #[error(transparent)]
    Iso(#[from] iso9660::Error),
    /// The partitions do not fit the disk.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// A boot loader that cannot be installed.
    #[error("{0}\nhelp: `moby pkg build pkg/syslinux` makes the image of the boot loader anew")]
    Syslinux(#[from] syslinux::Error),
    /// No unified kernel image can be made.
    #[error(transparent)]
    Uki(#[from] uki::Error),
    /// There is no boot loader.
    #[error("{0}")]
    Loader(String),
    /// The YAML has no kernel.
    #[error("there is no kernel to boot\nhelp: name its image under kernel: in the YAML")]
    NoKernel,
    /// The kernel is not what the format needs.
    #[error("{0}")]
    Kernel(String),
    /// The command line is longer than the boot loader takes.
    #[error(
        "the kernel's command line has {len} bytes, and syslinux takes 2047\nhelp: make it shorter, or use a format for UEFI"
    )]
    Cmdline {
        /// Its length in bytes.
        len: usize,
    },
    /// The disk does not fit its container.
    #[error(transparent)]
    Qcow2(#[from] qcow2::Error),
    /// The same.
    #[error(transparent)]
    Vhd(#[from] vhd::Error),
    /// The same.
    #[error(transparent)]
    Vmdk(#[from] vmdk::Error),
    /// The same.
    #[error(transparent)]
    Vdi(#[from] vdi::Error),
    /// What goes into an output cannot be read.
    #[error("cannot read what goes into the output: {0}")]
    Read(#[from] io::Error),
    /// The host's filesystem.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// Where a build goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Files of a name in a folder.
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What their names begin with.
        name: String,
    },
    /// One file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// How to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub target: Target,
    /// How an initrd is compressed.
    pub compression: Compression,
    /// How many threads.
    pub jobs: usize,
    /// The architecture as Go names it.
    pub arch: String,
    /// The length of disks in bytes; otherwise as long as need be.
    pub size: Option<u64>,
    /// How many seconds a boot menu waits.
    pub timeout: u32,
}

impl Options {
    /// The folder for what is compressed before it is written.
    fn spill(&self) -> PathBuf {
        match &self.target {
            Target::Folder { dir, .. } if dir.as_os_str().is_empty() => ".".into(),
            Target::Folder { dir, .. } => dir.clone(),
            _ => std::env::temp_dir(),
        }
    }
}

/// How much memory a machine needs for its initrd without a word of warning, in bytes.
const USUAL_MEMORY: u64 = 1 << 30;

/// Writes the tree in all the formats, and returns the files written.
///
/// # Errors
/// What a format cannot hold, and what writing fails with. A file appears only when it is
/// complete.
pub fn write(
    root: &Tree,
    formats: &[&Format],
    options: &Options,
    find: &loader::Find<'_>,
    warn: &dyn Fn(&str),
) -> Result<Vec<PathBuf>, Error> {
    if let Target::Folder { dir, .. } = &options.target
        && !dir.as_os_str().is_empty()
    {
        std::fs::create_dir_all(dir).map_err(|source| Error::Write {
            path: dir.clone(),
            source,
        })?;
    }
    let mut written = Vec::new();
    let mut payload = None;
    let loaders = Loaders::new(find);
    for format in formats {
        let files = files(root, format, options, &mut payload, &loaders)?;
        if let (Some(_), Some(payload)) = (format.firmware(), &payload) {
            large(payload, warn);
        }
        for (suffix, content) in files {
            match &options.target {
                Target::Stdout => {
                    let mut out = io::stdout().lock();
                    let streamed = emit::stream(&content, &mut out).and_then(|()| io::Write::flush(&mut out));
                    streamed.map_err(|source| Error::Write {
                        path: "standard output".into(),
                        source,
                    })?;
                }
                Target::File(path) => written.push(emit_file(&content, path, options.jobs)?),
                Target::Folder { dir, name } => {
                    let path = dir.join(format!("{name}{suffix}"));
                    written.push(emit_file(&content, &path, options.jobs)?);
                }
            }
        }
    }
    Ok(written)
}

fn emit_file(content: &Extents, path: &Path, jobs: usize) -> Result<PathBuf, Error> {
    emit::to_path(content, path, jobs).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(path.to_owned())
}

/// The files of a format, by what is added to the name.
fn files(
    root: &Tree,
    format: &Format,
    options: &Options,
    payload: &mut Option<Payload>,
    loaders: &Loaders,
) -> Result<Vec<(&'static str, Extents)>, Error> {
    let suffixes = format.files.iter().copied();
    let contents = match format.kind {
        Kind::Tar => vec![Some(pax::plan(root)?)],
        Kind::Docker => {
            let mut root = root.clone();
            let meta = tree::Meta::new(0o644, tree::Time::from_seconds(crate::rootfs::DEFAULT_TIME));
            let content = Node::File(Extents::from_bytes(DOCKERFILE.as_bytes()));
            // A name at the root always fits.
            let _ = root.insert(b"Dockerfile", meta.clone(), content, &meta);
            vec![Some(pax::plan(&root)?)]
        }
        Kind::KernelInitrd => {
            let payload = prepared(root, options, payload)?;
            vec![
                payload.kernel.clone(),
                Some(payload.combined_initrd()),
                payload.cmdline.clone(),
            ]
        }
        Kind::Uki => vec![Some(media(root, options, payload, loaders)?.uki()?)],
        Kind::Iso(firmware) => {
            let media = media(root, options, payload, loaders)?;
            vec![Some(media.iso(firmware.on(&options.arch))?)]
        }
        Kind::Disk(table, firmware, container) => {
            let media = media(root, options, payload, loaders)?;
            let (disk, identity) = media.disk(table, firmware.on(&options.arch), container.unit())?;
            vec![Some(container::wrap(&disk, container, &identity, options)?)]
        }
        Kind::TarKernelInitrd => vec![Some(prepared(root, options, payload)?.tar()?)],
    };
    let files = suffixes.zip(contents);
    Ok(files.filter_map(|(suffix, content)| Some((suffix, content?))).collect())
}

/// Says so when an initrd needs more memory than machines usually have: it is there twice while
/// it is unpacked.
fn large(payload: &Payload, warn: &dyn Fn(&str)) {
    let memory = payload.initrd.len().saturating_add(payload.unpacked);
    if memory > USUAL_MEMORY {
        let mib = |bytes: u64| bytes >> 20;
        warn(&format!(
            "warning: the initrd has {} MiB and is unpacked to {} MiB: the machine needs more than {} MiB of memory\nhelp: `--compress zstd:19` or xz makes it smaller; leave out what is not needed",
            mib(payload.initrd.len()),
            mib(payload.unpacked),
            mib(memory)
        ));
    }
}

fn media<'a>(
    root: &Tree,
    options: &'a Options,
    payload: &'a mut Option<Payload>,
    loaders: &'a Loaders<'a>,
) -> Result<Media<'a>, Error> {
    Ok(Media {
        payload: prepared(root, options, payload)?,
        loaders,
        arch: &options.arch,
        timeout: options.timeout,
        size: options.size,
    })
}

/// The payload, made once for all formats.
fn prepared<'a>(root: &Tree, options: &Options, payload: &'a mut Option<Payload>) -> Result<&'a Payload, Error> {
    let made = match payload.take() {
        Some(payload) => payload,
        None => Payload::new(root, options.compression, options.jobs, &options.spill())?,
    };
    Ok(payload.insert(made))
}
