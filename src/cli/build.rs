//! `moby build`.

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use tree::Tree;

use super::report::Report;
use super::{Failure, cache, check, foreign, host_arch};
use crate::arch::Arch;
use crate::assemble;
use crate::codec::compress::Compression;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::pkg;
use crate::plan::formats::{FORMATS, Filesystem, Format, Kind, Root, find};
use crate::plan::{self, Target};
use crate::reporter::Reporter;
use crate::resolve::{boot_files, packages};
use crate::store::{self, Store};

/// The arguments of `moby build`.
#[derive(Debug, Args)]
pub struct Build {
    /// YAML files, merged from left to right; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Output formats, separated by commas; `moby formats` lists them [default: kernel+initrd, or
    /// tar with --output]
    #[arg(short, long = "format", value_name = "FORMAT", value_delimiter = ',')]
    formats: Vec<String>,
    /// Directory for the output files [default: the current directory]
    #[arg(long, conflicts_with = "output")]
    dir: Option<PathBuf>,
    /// Prefix of the output file names [default: the name of the last YAML file without its
    /// extension]
    #[arg(long, conflicts_with = "output")]
    name: Option<String>,
    /// Write the output to this file; `-` writes to standard output. Needs one format that is a
    /// single file
    #[arg(short, long, value_name = "FILE", visible_alias = "o")]
    output: Option<PathBuf>,
    /// Target architecture: amd64, arm64, riscv64 or s390x [default: the host's]
    #[arg(long, default_value = host_arch(), hide_default_value = true)]
    arch: Arch,
    /// The cache folder, which is an argument of moby itself.
    #[arg(skip)]
    cache: Option<PathBuf>,
    /// Read images from this OCI layout directory, OCI archive or `docker save` tar, before the
    /// cache; repeatable
    #[arg(long, value_name = "PATH")]
    layout: Vec<PathBuf>,
    /// Take Debian packages from this directory of .deb files instead of running apt-get
    #[arg(long, value_name = "DIR")]
    debs: Option<PathBuf>,
    /// Compression of the initrd, squashfs, EROFS and OCI layers: gzip, zstd, lz4, xz or none. EROFS
    /// takes lz4 and none, OCI layers gzip, zstd and none. Levels: gzip 1 to 9, zstd 1 to 19, xz 0 to
    /// 9 [default: gzip; EROFS: none]
    #[arg(long, value_name = "ALGORITHM[:LEVEL]")]
    compress: Option<Compression>,
    /// Compress disk image files: gzip, zstd, lz4 or xz, with levels as for --compress
    #[arg(long, value_name = "ALGORITHM[:LEVEL]", value_parser = Compression::of_disk)]
    compress_disk: Option<Compression>,
    /// Root filesystem of disks and ISOs: initramfs, squashfs, erofs, ext4, or iso (ISOs only)
    /// [default: depends on the format]
    #[arg(long, value_name = "FILESYSTEM")]
    root: Option<Root>,
    /// Number of threads [default: one per core]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Decompress the kernel
    #[arg(long)]
    decompress_kernel: bool,
    /// Size of disk images, such as 512M or 4G; a plain number is in MiB [default: as small as the
    /// content allows]
    #[arg(long, value_parser = size)]
    size: Option<u64>,
    /// Print the merged YAML without building
    #[arg(long)]
    dry_run: bool,
    /// Apply opaque whiteouts as Docker does, so that they hide the files of lower layers.
    /// LinuxKit keeps those files, and so does moby without this flag
    #[arg(long)]
    opaque_whiteouts: bool,
    /// Do not add an SBOM to the root filesystem
    #[arg(long)]
    no_sbom: bool,
    /// Path of the SBOM in the root filesystem
    #[arg(long, value_name = "PATH", default_value = "sbom.spdx.json")]
    sbom_output: String,
    /// Record the current time in the SBOM. The build is then not reproducible
    #[arg(long)]
    sbom_current_time: bool,
    /// Ignored: the tar of an earlier build. It must exist
    #[arg(long, value_name = "FILE", help_heading = foreign::COMPATIBILITY)]
    input_tar: Option<PathBuf>,
    /// Accepted for compatibility: moby build never uses the network
    #[arg(long, hide = true)]
    offline: bool,
    #[command(flatten)]
    foreign: foreign::BuildFlags,
}

impl Build {
    pub fn run(mut self, cache: Option<PathBuf>, report: &Report) -> Result<(), Failure> {
        self.cache = cache;
        let formats = self.formats()?;
        if self.size.is_some() && !formats.iter().any(|format| format.takes_size()) {
            report.info("note: --size is for the files of disks, and there is none among the formats");
        }
        let jobs = super::jobs(self.jobs);
        self.foreign.explain(self.input_tar.is_some(), report)?;
        self.check_input_tar()?;
        let config = check::load(&self.files)?;
        let config = if self.dry_run {
            packages::tag(&config)
        } else {
            packages::replace(&config, &|dir| self.package(dir, jobs, report))
        }
        .map_err(Failure::Usage)?;
        if self.dry_run {
            let value = serde_json::to_value(&config).map_err(Failure::work)?;
            return super::print(&assemble::metadata::yaml(&value));
        }
        let mut store = Store::open(&self.store_options()).map_err(Failure::work)?;
        if jobs > 1 {
            store.defer();
        }
        match self.make(&config, &store, &formats, jobs, report) {
            Err(_) if store.kept_damaged() => {
                report.info("a layer that was kept decompressed is damaged: it is made again");
                // Windows removes no file that is open.
                drop(store);
                let store = Store::open(&self.store_options()).map_err(Failure::work)?;
                self.make(&config, &store, &formats, jobs, report)
            }
            made => made,
        }
    }

    /// Makes the outputs, while what they are made of is verified.
    fn make(
        &self,
        config: &Config,
        store: &Store,
        formats: &[&Format],
        jobs: usize,
        report: &Report,
    ) -> Result<(), Failure> {
        let options = assemble::Options {
            arch: self.arch,
            jobs,
            decompress_kernel: self.decompress_kernel,
            sbom: self.sbom(),
        };
        std::thread::scope(|scope| {
            let root = assemble::build(config, store, &options, &|progress| report.progress(progress));
            explain_unhidden(store, report);
            let threads: Vec<_> = (1..jobs).map(|_| scope.spawn(|| store.settle())).collect();
            let threads = Cell::new(threads);
            let settled = OnceCell::new();
            let settle = || {
                let own = store.settle();
                let results = threads.take().into_iter().map(|thread| {
                    let result = thread.join();
                    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                });
                results.fold(own, Result::and)
            };
            let sound = || settled.get_or_init(settle).is_ok();
            let written = root
                .map_err(Failure::work)
                .and_then(|root| self.write(&root, config, formats, jobs, report, &sound));
            sound();
            if let Some(Err(error)) = settled.get() {
                return Err(Failure::work(assemble::explain(config, error)));
            }
            written
        })
    }

    fn write(
        &self,
        root: &Tree,
        config: &Config,
        formats: &[&Format],
        jobs: usize,
        report: &Report,
        sound: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let options = plan::Options {
            target: self.target(),
            name: self.name(),
            compression: self.compress,
            disk_compression: self.compress_disk,
            root: self.root,
            jobs,
            arch: self.arch,
            size: self.size,
            timeout: config.boot.timeout.unwrap_or(0),
        };
        let package = |dir: &Path| {
            let name = self.package(dir, jobs, report);
            name.map_err(|error| error.to_string())
        };
        let find = |loader| boot_files::find(loader, &config.boot, self.arch, &self.store_options(), &package);
        for path in plan::write(root, formats, &options, &find, report, sound).map_err(Failure::work)? {
            report.info(&format!("wrote {}", path.display()));
        }
        Ok(())
    }

    /// Refuses what LinuxKit refuses: a tar that is not there, and one that would be overwritten.
    fn check_input_tar(&self) -> Result<(), Failure> {
        let Some(tar) = self.input_tar.as_ref().filter(|tar| tar.as_os_str() != "-") else {
            return Ok(());
        };
        let there = tar.canonicalize();
        let there = there.map_err(|error| Failure::usage(format!("cannot read {}: {error}", tar.display())))?;
        let output = self.output.as_ref().and_then(|output| output.canonicalize().ok());
        match output.is_some_and(|output| output == there) {
            true => Err(Failure::usage("input-tar and output file cannot be the same")),
            false => Ok(()),
        }
    }

    fn sbom(&self) -> Option<assemble::sbom::Options> {
        let now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs() as i64
        };
        (!self.no_sbom).then(|| assemble::sbom::Options {
            path: self.sbom_output.clone(),
            time: self.sbom_current_time.then(now),
        })
    }

    fn store_options(&self) -> store::Options {
        store::Options {
            cache: cache(self.cache.clone()),
            layouts: self.layout.clone(),
            opaque_whiteouts: self.opaque_whiteouts,
        }
    }

    /// The name of a package, which is built when no layout has it.
    fn package(&self, dir: &Path, jobs: usize, reporter: &dyn Reporter) -> Result<String, Diagnostics> {
        let name = pkg::tag(dir)?;
        let store = cache(self.cache.clone()).ok_or_else(|| {
            let message = "cannot find the image cache: there is no home directory";
            Diagnostic::error(message).help("name a directory with --cache")
        })?;
        let found = Store::open(&store::Options {
            cache: Some(store.clone()),
            layouts: self.layout.clone(),
            ..store::Options::default()
        });
        if found.is_ok_and(|found| found.image(&name, self.arch).is_ok()) {
            return Ok(name);
        }
        let options = pkg::Options {
            store,
            arch: self.arch,
            debs: self.debs.clone(),
            jobs,
        };
        pkg::build(dir, &options, reporter)
    }

    fn formats(&self) -> Result<Vec<&'static Format>, Failure> {
        let mut formats: Vec<&Format> = Vec::new();
        for name in &self.formats {
            let format = find(name).ok_or_else(|| {
                let known = FORMATS.iter().map(|format| format.name);
                let help = crate::diagnostic::nearest(name, known.clone())
                    .unwrap_or_else(|| format!("there are {}", known.collect::<Vec<_>>().join(", ")));
                Failure::usage(format!("unknown format {name:?}\nhelp: {help}"))
            })?;
            if !format.arches.contains(&self.arch) {
                return Err(Failure::usage(format!(
                    "the format {name} is not for {}, only for {}\nhelp: {}",
                    self.arch,
                    names(format.arches).join(", "),
                    others(self.arch)
                )));
            }
            if let Some((other, file)) = formats
                .iter()
                .filter(|other| other.name != format.name)
                .find_map(|other| Some((other, format.clashes(other)?)))
            {
                return Err(Failure::usage(format!(
                    "{name} and {} both write NAME{file}\nhelp: make them in two runs, with another --name or --dir",
                    other.name
                )));
            }
            if !formats.iter().any(|other| other.name == format.name) {
                formats.push(format);
            }
        }
        if formats.is_empty() {
            let default = if self.output.is_some() { "tar" } else { "kernel+initrd" };
            formats.extend(find(default));
        }
        let names: Vec<&str> = formats.iter().map(|format| format.name).collect();
        let names = names.join(", ");
        if self.compress_disk.is_some() && !formats.iter().any(|format| format.is_disk()) {
            return Err(Failure::usage(
                "--compress-disk is for the files of disks, and there is none among the formats\nhelp: `moby formats` lists them; --compress is for initrds and squashfs",
            ));
        }
        if self.compress.is_some() && !formats.iter().any(|format| format.compresses()) {
            return Err(Failure::usage(format!(
                "--compress is for initrds, squashfs and the layers of OCI, and there is none in the formats: {names}\nhelp: what `-o -` writes can be compressed by another program"
            )));
        }
        // The media types of layers (OCI Image Specification).
        if let Some(compression @ (Compression::Lz4 | Compression::Xz(_))) = self.compress
            && formats.iter().any(|format| format.kind == Kind::OciArchive)
        {
            return Err(Failure::usage(format!(
                "--compress {compression} is not for the layers of the format oci\nhelp: gzip, zstd and none are"
            )));
        }
        if let Some(root) = self.root
            && !formats.iter().any(|format| format.takes_root(root))
        {
            let message = match root {
                Root::On(Filesystem::Iso9660) => {
                    format!("--root iso is for CDs, and none of the formats takes it: {names}")
                }
                _ => format!("--root is for disks and CDs, and none of the formats takes it: {names}"),
            };
            return Err(Failure::usage(format!("{message}\nhelp: `moby formats` lists them")));
        }
        match (&self.output, formats.as_slice()) {
            (Some(_), [one]) if one.is_stream() => Ok(formats),
            (Some(_), _) => Err(Failure::usage(
                "--output takes one format that is a single file\nhelp: --dir and --name choose where other formats go",
            )),
            (None, _) => Ok(formats),
        }
    }

    fn target(&self) -> Target {
        match &self.output {
            Some(path) if path.as_os_str() == "-" => Target::Stdout,
            Some(path) => Target::File(path.clone()),
            None => Target::Folder(self.dir.clone().unwrap_or_default()),
        }
    }

    /// What files, and machines and images in them, are called.
    fn name(&self) -> String {
        let last = self.files.last().filter(|file| file.as_os_str() != "-");
        let stem = last
            .and_then(|file| file.file_stem())
            .map(|stem| stem.to_string_lossy().into_owned());
        let given = self.name.clone().filter(|name| !name.is_empty());
        given.or(stem).unwrap_or_else(|| "moby".into())
    }
}

/// Says of which images files remain that Docker would not show.
fn explain_unhidden(store: &Store, report: &Report) {
    for (image, folders) in store.unhidden() {
        let folders: Vec<String> = folders.iter().map(|folder| folder.escape_ascii().to_string()).collect();
        report.info(&format!(
            "note: {image}: opaque whiteouts hide nothing, as in LinuxKit: /{} keep the files of lower layers\nhelp: --opaque-whiteouts hides them, as Docker does",
            folders.join(", /")
        ));
    }
}

/// Names of architectures.
fn names(arches: &[Arch]) -> Vec<&'static str> {
    arches.iter().map(|arch| arch.name()).collect()
}

/// The formats for an architecture.
fn others(arch: Arch) -> String {
    let fitting = FORMATS.iter().filter(|format| format.arches.contains(&arch));
    let names: Vec<&str> = fitting.map(|format| format.name).collect();
    format!("for {arch} there are {}", names.join(", "))
}

/// A size in bytes: with K, M, G or T, else in MiB, as LinuxKit has it.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text
        .get(digits.len()..)
        .unwrap_or_default()
        .to_ascii_uppercase()
        .as_str()
    {
        "K" | "KB" | "KIB" => 1 << 10,
        "" | "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1u64 << 40,
        _ => return Err("a size is a number with K, M, G or T behind it, or with nothing for MiB".into()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "a size is a number, as in 512M".to_owned())?;
    let size = number.checked_mul(unit).filter(|size| *size <= LARGEST_SIZE);
    size.ok_or_else(|| "this is too large: no file has more than 4 EiB here".into())
}

/// The largest `--size` in bytes: all that is rounded up from it has a length that files have.
const LARGEST_SIZE: u64 = 1 << 62;
