//! `moby build`.

use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::inputs::Inputs;
#[cfg(feature = "sign")]
use super::sign;
use super::terminal::TerminalReporter;
use super::{Environment, Failure, check, explain, host_arch, linuxkit, stdout};
use crate::arch::Arch;
use crate::assemble::metadata;
use crate::build_record::Reused;
use crate::codec::compress::Compression;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::lock::Lock;
use crate::plan::formats::{Archive, FORMATS, Filesystem, Format, Layout, Root, find};
use crate::reporter::Reporter;
#[cfg(feature = "sign")]
use crate::request::ProvenanceKey;
use crate::request::{Document, Request, Reuse, Sbom, Target};
use crate::resolve::packages;
use crate::store;
use crate::trust::Policy;

/// Arguments of `moby build`.
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
    /// Write the output to this file; `-` writes to standard output. Needs exactly one format
    /// that writes a single file
    #[arg(short, long, value_name = "FILE", visible_alias = "o")]
    output: Option<PathBuf>,
    /// Target architecture: amd64, arm64, riscv64 or s390x [default: the host's]
    #[arg(long, default_value = host_arch(), hide_default_value = true)]
    arch: Arch,
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
    #[arg(long, value_name = "ALGORITHM[:LEVEL]", value_parser = Compression::parse_for_disk)]
    compress_disk: Option<Compression>,
    /// Root filesystem of disks and ISOs: initramfs, squashfs, erofs, ext4, or iso (ISOs only)
    /// [default: depends on the format]
    #[arg(long, value_name = "FILESYSTEM")]
    root: Option<Root>,
    /// Verify the root filesystem with dm-verity when it is read: for `kernel+squashfs` and the like,
    /// and for disks and ISOs with --root squashfs, erofs or ext4
    #[arg(long)]
    verity: bool,
    /// Number of threads [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Build the outputs again even if an earlier build of the same inputs has written them, without
    /// compressed pieces of the cache
    #[arg(long)]
    rebuild: bool,
    /// Read the outputs of an earlier build of the same inputs before they are used again. Without this
    /// flag, their sizes and modification times are compared
    #[arg(long, conflicts_with = "rebuild")]
    verify_outputs: bool,
    /// Maximum size of the compressed pieces in the cache, such as 500M or 5G; a plain number is in MiB
    /// [default: 5 GB, or 10 % of the disk if that is less]
    #[arg(long, value_name = "SIZE", value_parser = crate::size::parse)]
    cache_size: Option<u64>,
    /// Write the kernel decompressed
    #[arg(long)]
    decompress_kernel: bool,
    /// Size of disk images, such as 512M or 4G; a plain number is in MiB [default: as small as the
    /// content allows]
    #[arg(long, value_parser = crate::size::parse)]
    size: Option<u64>,
    /// Print the merged YAML without building
    #[arg(long)]
    dry_run: bool,
    /// Print the section, image and layer that provide PATH in the root filesystem, and the earlier ones
    /// they override; do not build
    #[arg(long, value_name = "PATH", conflicts_with = "dry_run")]
    explain: Option<String>,
    /// Apply opaque whiteouts as Docker does: hide the files of lower layers. Without this flag, moby
    /// keeps these files, as LinuxKit does
    #[arg(long)]
    opaque_whiteouts: bool,
    /// Do not add an SBOM to the root filesystem
    #[arg(long)]
    no_sbom: bool,
    /// Path of the SBOM in the root filesystem
    #[arg(long, value_name = "PATH", default_value = "sbom.spdx.json")]
    sbom_output: String,
    /// Write SBOMs beside the outputs: spdx (NAME.spdx.json), cyclonedx (NAME.cdx.json) or both,
    /// separated by a comma
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = ["spdx", "cyclonedx"], hide_possible_values = true)]
    sbom: Vec<String>,
    /// Write SLSA provenance (NAME.provenance.json) and the source of every file
    /// (NAME.sources.json) beside the outputs
    #[arg(long)]
    provenance: bool,
    /// Sign the provenance with this private key (NAME.provenance.sigstore.json): PKCS#8 in PEM, or cosign's
    #[cfg(feature = "sign")]
    #[arg(long, value_name = "FILE", requires = "provenance")]
    provenance_key: Option<PathBuf>,
    /// Record the current time in the SBOM, so that the build is not reproducible
    #[arg(long)]
    sbom_current_time: bool,
    /// Ignored, but the file must exist: the tar of an earlier build
    #[arg(long, value_name = "FILE", help_heading = linuxkit::COMPATIBILITY)]
    input_tar: Option<PathBuf>,
    /// Use only images that this policy file allows, in place of the policy that the YAML names
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Do not contact registries: use only images in --layout and the cache
    #[arg(long, conflicts_with = "pull")]
    offline: bool,
    /// Pull images even if they are cached, because tags may have moved. Locked images are not
    /// affected
    #[arg(long)]
    pull: bool,
    /// Fail if the lock file is missing or does not match the YAML. Without this flag, a partial lock
    /// file is used as far as it applies
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    linuxkit: linuxkit::BuildFlags,
}

impl Build {
    pub fn run(self, environment: Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        let formats = self.formats().map_err(Failure::Usage)?;
        if self.size.is_some() && !formats.iter().any(|format| format.is_disk()) {
            reporter.notice(&Diagnostic::note(
                "--size has no effect: none of the formats is a disk image",
            ));
        }
        self.linuxkit.check(self.input_tar.is_some(), self.pull, reporter)?;
        self.check_input_tar()?;
        self.check_name()?;
        if matches!(self.target(), Target::Stdout) && !self.dry_run && self.explain.is_none() {
            stdout::check()?;
        }
        let inputs = Inputs::find(&self.files, &self.layout)?;
        let config = check::load_from(&self.files, &inputs)?;
        let lock = super::lock::of_build(&self.files, &config, self.locked, &inputs, reporter)?;
        let sources = inputs.sources()?;
        let tagged = packages::tag(&config, lock.as_ref()).map_err(Failure::Usage)?;
        if self.dry_run {
            let value = serde_json::to_value(&tagged).map_err(|error| Diagnostic::error(error.to_string()))?;
            return super::print(&metadata::yaml(&value));
        }
        if !config.disk.partitions.is_empty() && !formats.iter().any(|format| format.is_disk()) {
            reporter.notice(&Diagnostic::note(
                "`disk:` has no effect: none of the formats is a disk image",
            ));
        }
        let policy = self.policy(&config, &inputs, lock.as_ref(), reporter)?;
        // An explanation needs no boot loader, and no place for outputs.
        let (formats, target) = match self.explain {
            Some(_) => (Vec::new(), Target::Stdout),
            None => (formats, self.target()),
        };
        let request = Request {
            config,
            arch: self.arch,
            formats,
            target,
            name: self.name(),
            image_sources: store::Options {
                opaque_whiteouts: self.opaque_whiteouts,
                pins: lock.as_ref().map(Lock::pins).unwrap_or_default(),
                ..environment.image_sources(&self.layout)
            },
            lock,
            sources,
            policy,
            #[cfg(feature = "registry")]
            registry: environment.registry.access(self.offline, self.pull),
            debs: self.debs.clone(),
            compression: self.compress,
            disk_compression: self.compress_disk,
            root: self.root,
            verity: self.verity,
            size: self.size,
            decompress_kernel: self.decompress_kernel,
            sbom: self.sbom(environment.time),
            documents: self.documents().map_err(Failure::Usage)?,
            #[cfg(feature = "sign")]
            provenance_key: match &self.provenance_key {
                Some(path) => Some(ProvenanceKey(sign::private_key(path)?.into())),
                None => None,
            },
            time: environment.time,
            reuse: self.reuse(),
            cache_size: self.cache_size,
            jobs: super::jobs(self.jobs),
        };
        if let Some(path) = &self.explain {
            return explain::run(&request, path, reporter);
        }
        let built = crate::build(&request, reporter).map_err(Failure::Work)?;
        for path in built.files {
            reporter.wrote(&path);
        }
        report_reused(&built.reused, reporter);
        Ok(())
    }

    fn reuse(&self) -> Reuse {
        if self.rebuild {
            Reuse::Never
        } else if self.verify_outputs {
            Reuse::ByContent
        } else {
            Reuse::BySizeAndTime
        }
    }

    /// Refuses an input tar that LinuxKit refuses: one that is missing, or would be overwritten.
    fn check_input_tar(&self) -> Result<(), Failure> {
        let Some(tar) = self.input_tar.as_ref().filter(|tar| tar.as_os_str() != "-") else {
            return Ok(());
        };
        let found = tar.canonicalize();
        let found = found.map_err(|error| {
            let message = format!("cannot read {}: {error}", tar.display());
            Failure::Usage(Diagnostic::error(message).caused_by(error).into())
        })?;
        let output = self.output.as_ref().and_then(|output| output.canonicalize().ok());
        if output.is_some_and(|output| output == found) {
            let message = "--input-tar and --output cannot be the same file";
            return Err(Failure::Usage(
                Diagnostic::error(message).help("choose another --output").into(),
            ));
        }
        Ok(())
    }

    /// Refuses a name that leads out of the output directory.
    fn check_name(&self) -> Result<(), Failure> {
        let Some(name) = &self.name else { return Ok(()) };
        let inside = |part| matches!(part, Component::Normal(_));
        if Path::new(name).components().all(inside) && !name.contains('\0') {
            return Ok(());
        }
        let message = format!("--name {name:?} leads out of the output directory");
        Err(Failure::Usage(
            Diagnostic::error(message)
                .help("choose the directory with --dir")
                .into(),
        ))
    }

    /// Reads the policy, and warns if LinuxKit's form of `trust:` asks for one in vain.
    fn policy(
        &self,
        config: &Config,
        inputs: &Inputs,
        lock: Option<&Lock>,
        reporter: &dyn Reporter,
    ) -> Result<Option<Policy>, Failure> {
        let policy = inputs.policy(self.policy.as_deref(), config, lock, reporter)?;
        let named = config.trust.image.iter().chain(&config.trust.org);
        let named: Vec<&str> = named.map(String::as_str).collect();
        if policy.is_none() && !named.is_empty() {
            let message = format!(
                "signatures are not verified: `trust` requires them for {}, but no policy is set",
                named.join(", ")
            );
            reporter
                .notice(&Diagnostic::warning(message).help("add `policy: FILE` under `trust`, or pass --policy FILE"));
        }
        Ok(policy)
    }

    fn sbom(&self, time: i64) -> Option<Sbom> {
        let now = || {
            let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
            elapsed.unwrap_or_default().as_secs() as i64
        };
        (!self.no_sbom).then(|| Sbom {
            path: self.sbom_output.clone(),
            time: if self.sbom_current_time { now() } else { time },
        })
    }

    /// Returns the documents to write.
    ///
    /// # Errors
    /// An output without a name, beside which nothing can be written.
    fn documents(&self) -> Result<Vec<Document>, Diagnostics> {
        let mut documents = Vec::new();
        for (document, is_wanted) in [
            (Document::Spdx, self.sbom.iter().any(|format| format == "spdx")),
            (
                Document::CycloneDx,
                self.sbom.iter().any(|format| format == "cyclonedx"),
            ),
            (Document::Provenance, self.provenance),
        ] {
            if is_wanted {
                documents.push(document);
            }
        }
        let unnamed = match self.target() {
            Target::Stdout => Some("standard output".to_owned()),
            Target::File(path) if extents::emit::is_stream(&path) => Some(path.display().to_string()),
            Target::File(_) | Target::Directory(_) => None,
        };
        match unnamed.filter(|_| !documents.is_empty() && self.explain.is_none()) {
            None => Ok(documents),
            Some(output) => {
                let message = format!("--sbom and --provenance write files beside the output, which is {output}");
                Err(Diagnostic::error(message).help("write the output to a file").into())
            }
        }
    }

    /// Returns the formats, each once.
    ///
    /// # Errors
    /// Formats that are unknown, not for the architecture or not for the other options.
    fn formats(&self) -> Result<Vec<&'static Format>, Diagnostics> {
        let (mut formats, mut errors): (Vec<&Format>, _) = (Vec::new(), Vec::new());
        for name in &self.formats {
            let format = match format(name) {
                Ok(format) => format,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            if !format.arches.contains(&self.arch) {
                let message = format!(
                    "the format {name} is not for {}, only for {}",
                    self.arch,
                    names(format.arches).join(", ")
                );
                errors.push(Diagnostic::error(message).help(formats_for(self.arch)));
            }
            let clash = formats
                .iter()
                .filter(|other| other.name != format.name)
                .find_map(|other| Some((other.name, format.clashes(other)?)));
            if let Some((other, file)) = clash {
                let message = format!("{name} and {other} both write NAME{file}");
                let help = "build them separately, with another --name or --dir";
                errors.push(Diagnostic::error(message).help(help));
            }
            if !formats.iter().any(|other| other.name == format.name) {
                formats.push(format);
            }
        }
        if self.formats.is_empty() {
            let default = if self.output.is_some() { "tar" } else { "kernel+initrd" };
            formats.extend(find(default));
        }
        if errors.is_empty() {
            errors = self.inapplicable_options(&formats);
        }
        if errors.is_empty() {
            Ok(formats)
        } else {
            Err(Diagnostics(errors))
        }
    }

    /// Reports options that apply to none of the formats.
    fn inapplicable_options(&self, formats: &[&Format]) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        let names: Vec<&str> = formats.iter().map(|format| format.name).collect();
        let names = names.join(", ");
        if self.compress_disk.is_some() && !formats.iter().any(|format| format.takes_disk_compression()) {
            let message = format!("--compress-disk does not apply to {names}: none is an uncompressed disk image");
            let help = "choose a disk format with -f, such as raw-bios, or omit --compress-disk";
            errors.push(Diagnostic::error(message).help(help));
        }
        if self.compress.is_some() && !formats.iter().any(|format| format.takes_compression()) {
            let message =
                format!("--compress does not apply to {names}: it compresses initrds, squashfs, EROFS and OCI layers");
            let help = "compress the output of `-o -` with another program";
            errors.push(Diagnostic::error(message).help(help));
        }
        // The media types of layers (OCI Image Specification).
        if let Some(compression @ (Compression::Lz4 | Compression::Xz(_))) = self.compress
            && formats
                .iter()
                .any(|format| format.layout == Layout::Archive(Archive::Oci))
        {
            let message = format!("--compress {compression} does not apply to the layers of the format oci");
            errors.push(Diagnostic::error(message).help("use gzip, zstd or none"));
        }
        if let Some(root) = self.root
            && !formats.iter().any(|format| format.takes_root(root))
        {
            let message = if root == Root::On(Filesystem::Iso9660) {
                format!("--root iso does not apply to {names}: none is an ISO image")
            } else {
                format!("--root does not apply to {names}: none is a disk or ISO image")
            };
            errors.push(Diagnostic::error(message).help("choose a disk or ISO format with -f, or omit --root"));
        }
        let unverified = formats
            .iter()
            .find(|format| !format.takes_verity(format.root(self.root)));
        if let (true, Some(format)) = (self.verity, unverified) {
            let message = format!(
                "--verity does not apply to {}: it has no image of the root filesystem",
                format.name
            );
            let help = match format.layout {
                Layout::Disk(..) | Layout::Iso(_) => "add `--root squashfs`",
                Layout::Extlinux => "use `-f raw-bios --root ext4`",
                _ => "use `-f kernel+squashfs`, or a disk or ISO format with `--root squashfs`",
            };
            errors.push(Diagnostic::error(message).help(help));
        }
        if self.output.is_some() && !matches!(formats, [one] if one.is_single_file()) {
            let message = "--output needs exactly one format that writes a single file";
            errors.push(Diagnostic::error(message).help("use --dir and --name instead"));
        }
        errors
    }

    fn target(&self) -> Target {
        match &self.output {
            Some(path) if path.as_os_str() == "-" => Target::Stdout,
            Some(path) => Target::File(path.clone()),
            None => Target::Directory(self.dir.clone().unwrap_or_default()),
        }
    }

    /// Returns the name of the build: the one given, else that of the last YAML file.
    fn name(&self) -> String {
        let last = self.files.last().filter(|file| file.as_os_str() != "-");
        let stem = last
            .and_then(|file| file.file_stem())
            .map(|stem| stem.to_string_lossy().into_owned());
        let given = self.name.clone().filter(|name| !name.is_empty());
        given.or(stem).unwrap_or_else(|| "moby".into())
    }
}

/// Reports the outputs that did not have to be built: in one line those that were there.
fn report_reused(reused: &[Reused], reporter: &dyn Reporter) {
    let mut unchanged = Vec::new();
    for Reused { path, copied_from } in reused {
        match (path, copied_from) {
            (Some(path), None) => unchanged.push(path.display().to_string()),
            (Some(path), Some(from)) => {
                reporter.info(&format!("copied {} to {}", from.display(), path.display()));
            }
            (None, _) => {}
        }
    }
    if !unchanged.is_empty() {
        reporter.info(&format!("unchanged: {}", unchanged.join(", ")));
    }
}

/// Returns the format of a name.
///
/// # Errors
/// A name that no format has.
pub fn format(name: &str) -> Result<&'static Format, Diagnostic> {
    let known = || FORMATS.iter().map(|format| format.name);
    let all = || format!("known formats: {}", known().collect::<Vec<_>>().join(", "));
    find(name).ok_or_else(|| {
        Diagnostic::error(format!("unknown format {name:?}")).help(nearest(name, known()).unwrap_or_else(all))
    })
}

/// Lists the names of architectures.
fn names(arches: &[Arch]) -> Vec<&'static str> {
    arches.iter().map(|arch| arch.name()).collect()
}

/// Lists the formats for an architecture.
fn formats_for(arch: Arch) -> String {
    let fitting = FORMATS.iter().filter(|format| format.arches.contains(&arch));
    let names: Vec<&str> = fitting.map(|format| format.name).collect();
    format!("formats for {arch}: {}", names.join(", "))
}
