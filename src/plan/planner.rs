//! Planning of several formats, which share what they have in common.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use extents::Extents;
use tree::Tree;

use super::boot_files::BootFiles;
use super::boot_loader::Bootable;
use super::container_image::NamedImage;
use super::disk::{Disk, RootPartition};
use super::drivers::{Drivers, Support};
use super::formats::{Archive, Filesystem, Firmware, Format, Layout, Part, Root, RootMount, Table};
use super::kernel_initrd::BootParts;
use super::root_filesystem::{self, Image};
use super::{Error, Options, container_image, disk as disks, disk_image, files, partitions, verity};
use crate::content_id::ContentId;
use crate::diagnostic::Diagnostic;
use crate::kmod::Installed;
use crate::reporter::Reporter;
use crate::system::System;

/// Dockerfile that LinuxKit adds for `docker build`.
const DOCKERFILE: &str = "\nFROM scratch\n\nCOPY . ./\n\nENTRYPOINT [\"/bin/rc.init\"]\n";
/// Memory for an initrd that needs no warning, in bytes.
const USUAL_MEMORY: u64 = 1 << 30;

/// A planned file.
#[derive(Clone, Debug)]
pub struct File {
    /// Suffix of its name, after the name of the build.
    pub suffix: String,
    /// Content.
    pub content: Extents,
    /// Image in it, of an OCI archive.
    pub image: Option<NamedImage>,
}

/// Plans formats of a system.
pub struct Planner<'a> {
    system: &'a System,
    boot_files: &'a BootFiles,
    options: &'a Options,
    reporter: &'a dyn Reporter,
    /// Parts that boot, without an initrd.
    parts: BootParts,
    installed: Option<Installed>,
    support: Option<Support>,
    /// Root filesystem with its mount points.
    mountable: Option<Tree>,
    /// Identifier of `mountable`.
    id: Option<ContentId>,
    /// Parts that boot with the root filesystem in the initrd.
    with_initramfs: Option<BootParts>,
    images: BTreeMap<Filesystem, Image>,
    /// Image in the OCI archive that was planned last.
    archived: Option<NamedImage>,
    /// Messages so far, none of which is repeated.
    reported: RefCell<BTreeSet<String>>,
}

impl<'a> Planner<'a> {
    /// Creates a planner. Nothing is planned yet.
    ///
    /// # Errors
    /// Lists of kernel modules that cannot be read.
    pub fn new(
        system: &'a System,
        boot_files: &'a BootFiles,
        options: &'a Options,
        reporter: &'a dyn Reporter,
    ) -> Result<Self, Error> {
        Ok(Planner {
            system,
            boot_files,
            options,
            reporter,
            parts: BootParts::new(system),
            installed: Installed::find(&system.root)?,
            support: None,
            mountable: None,
            id: None,
            with_initramfs: None,
            images: BTreeMap::new(),
            archived: None,
            reported: RefCell::default(),
        })
    }

    /// Plans the files of a format.
    ///
    /// # Errors
    /// Content that the format cannot store, missing boot loaders, and reads and writes that fail.
    pub fn plan(&mut self, format: &Format) -> Result<Vec<File>, Error> {
        let root = format.root(self.options.root);
        let compression = self
            .options
            .disk_compression
            .filter(|_| format.takes_disk_compression());
        let mut contents = match format.layout {
            Layout::Kernel => self.kernel(format, root)?,
            layout => vec![(Part::Image, self.image_of(format, layout, root)?)],
        };
        let mut planned = Vec::new();
        for file in format.files {
            let Some(at) = contents.iter().position(|(part, _)| *part == file.part) else {
                continue;
            };
            // A copy would take memory for each file of an archive.
            let (_, content) = contents.swap_remove(at);
            planned.push(match compression {
                None => File {
                    suffix: file.suffix.to_owned(),
                    content,
                    image: self.archived.take(),
                },
                Some(compression) => File {
                    suffix: format!("{}{}", file.suffix, compression.suffix()),
                    content: disk_image::compressed(&content, compression, self.options, self.reporter)?,
                    image: None,
                },
            });
        }
        Ok(planned)
    }

    /// Plans a format of one file.
    fn image_of(&mut self, format: &Format, layout: Layout, root: Root) -> Result<Extents, Error> {
        let arch = self.options.arch;
        let mut disk = match layout {
            // Planned by parts.
            Layout::Kernel => return Ok(Extents::new()),
            Layout::Archive(archive) => return self.archive(archive),
            Layout::Uki => {
                let parts = self.with_initramfs()?;
                return self.bootable(&parts).uki();
            }
            Layout::Iso(firmware) => return self.iso(format, firmware.on(arch), root),
            Layout::Disk(table, firmware) => self.disk(format, table, firmware.on(arch), root)?,
            Layout::Extlinux => self.extlinux(format)?,
            Layout::SdCard => {
                let parts = self.with_initramfs()?;
                let files = self.bootable(&parts).sd_card_files(&self.system.complete)?;
                disks::sd_card(&files, self.options.time)?
            }
        };
        let unit = format.disk_image.unit();
        partitions::apply(&mut disk.layout, &self.system.partitions, self.options, unit)?;
        let content = ::disk::plan(&disk.layout, self.options.size, unit)?;
        disk_image::wrap(&content, format.disk_image, &disk.id, self.options, self.reporter)
    }

    /// Plans kernel, initrd, command line and root filesystem as files.
    fn kernel(&mut self, format: &Format, root: Root) -> Result<Vec<(Part, Extents)>, Error> {
        let (parts, image) = match root {
            Root::Initramfs => (self.with_initramfs()?, None),
            Root::On(filesystem) => {
                let image = self.root_image(filesystem)?;
                let arguments = root_arguments(image.device, filesystem, image.verity_arguments);
                let parts = self.parts.clone();
                let mount = format.root_mount(root, self.options.verity);
                let parts = self.with_drivers(&parts, &mount, false, &arguments)?;
                (parts, Some(image.content))
            }
        };
        let contents = [
            (Part::Kernel, parts.kernel.clone()),
            (Part::Root, image),
            (Part::Cmdline, parts.cmdline_file()),
            (Part::Initrd, parts.combined_initrd()),
        ];
        let planned = contents.into_iter();
        Ok(planned.filter_map(|(part, content)| Some((part, content?))).collect())
    }

    fn archive(&mut self, archive: Archive) -> Result<Extents, Error> {
        match archive {
            Archive::Root => Ok(pax::plan(&self.system.complete)?),
            Archive::Docker => {
                let mut tree = self.system.complete.clone();
                let content = files::text(DOCKERFILE);
                files::put(&mut tree, "Dockerfile", content, self.options.time)?;
                Ok(pax::plan(&tree)?)
            }
            Archive::Oci => {
                let (content, image) = container_image::oci(&self.system.root, self.options, self.reporter)?;
                self.archived = Some(image);
                Ok(content)
            }
            Archive::DockerLoad => container_image::docker_archive(&self.system.root, self.options),
            Archive::KernelInitrd => self.with_initramfs()?.tar(self.options.time),
            Archive::SdCard => {
                let parts = self.with_initramfs()?;
                let files = self.bootable(&parts).sd_card_files(&self.system.complete)?;
                Ok(pax::plan(&files)?)
            }
        }
    }

    /// Plans an ISO image that has the root filesystem in the initrd, as its files, or as an image
    /// among them.
    fn iso(&mut self, format: &Format, firmware: Firmware, root: Root) -> Result<Extents, Error> {
        let time = self.options.time;
        let Root::On(filesystem) = root else {
            let parts = self.with_initramfs()?;
            return self.bootable(&parts).iso(firmware, "MOBY", files::empty(time));
        };
        let volume_id = root_filesystem::volume_id(&self.content_id()?);
        let mut arguments = vec![format!("root=LABEL={volume_id}")];
        let files = if filesystem == Filesystem::Iso9660 {
            self.report_lost_attributes("ISO 9660");
            self.mountable()?.clone()
        } else {
            let name = format!("root.{}", filesystem.name());
            arguments.push(format!("moby.image=/{name}"));
            let image = self.root_image(filesystem)?;
            arguments.extend(image.verity_arguments);
            let mut files = files::empty(time);
            files::put(&mut files, &name, image.content, time)?;
            files
        };
        arguments.extend(mount_arguments(filesystem));
        let parts = self.parts.with_arguments(&arguments);
        // No kernel finds a disk by its label.
        let by_label = parts.cmdline_text().contains(&format!("root=LABEL={volume_id}"));
        let mount = format.root_mount(root, self.options.verity);
        let parts = self.with_drivers(&parts, &mount, by_label, &[])?;
        self.bootable(&parts).iso(firmware, &volume_id, files)
    }

    /// Plans a disk that has the root filesystem in the initrd or in a partition.
    fn disk(&mut self, format: &Format, table: Table, firmware: Firmware, root: Root) -> Result<Disk, Error> {
        let Root::On(filesystem) = root else {
            let parts = self.with_initramfs()?;
            return self.bootable(&parts).disk(table, firmware, None);
        };
        let image = self.root_image(filesystem)?;
        let id = self.content_id()?;
        let device = match table {
            Table::Gpt => format!("PARTUUID={}", root_filesystem::uuid_text(id.uuid("root"))),
            Table::Mbr => format!("PARTUUID={:08x}-02", id.number("disk")),
        };
        let arguments = root_arguments(device, filesystem, image.verity_arguments);
        let parts = self.parts.with_arguments(&arguments);
        let mount = format.root_mount(root, self.options.verity);
        let parts = self.with_drivers(&parts, &mount, false, &[])?;
        let partition = RootPartition {
            content: image.content,
            id,
        };
        self.bootable(&parts).disk(table, firmware, Some(partition))
    }

    /// Plans a disk of one ext4 filesystem.
    fn extlinux(&mut self, format: &Format) -> Result<Disk, Error> {
        let (id, files) = (self.content_id()?, self.mountable()?.clone());
        let mut arguments = vec![format!("root=PARTUUID={:08x}-01", id.number("disk"))];
        arguments.extend(mount_arguments(Filesystem::Ext4));
        let parts = self.parts.with_arguments(&arguments);
        let mount = format.root_mount(format.root, false);
        let parts = self.with_drivers(&parts, &mount, false, &[])?;
        self.bootable(&parts).extlinux(files, id)
    }

    fn bootable<'b>(&'b self, parts: &'b BootParts) -> Bootable<'b> {
        Bootable {
            parts,
            boot_files: self.boot_files,
            options: self.options,
        }
    }

    /// Returns the parts that boot with the root filesystem in the initrd.
    fn with_initramfs(&mut self) -> Result<BootParts, Error> {
        if let Some(parts) = &self.with_initramfs {
            return Ok(parts.clone());
        }
        self.report_lost_attributes("an initrd");
        let compression = self.options.compression.unwrap_or_default();
        let (jobs, dir) = (self.options.jobs, &self.options.temp_dir);
        let parts = self.parts.with_initrd(
            &self.system.root,
            compression,
            jobs,
            dir,
            &self.options.pieces,
            self.reporter,
        )?;
        self.report_memory(&parts);
        Ok(self.with_initramfs.insert(parts).clone())
    }

    /// Adds an initrd that loads drivers if the kernel needs one, if the mount needs an init, or if
    /// `always` is set because the kernel cannot find the root filesystem by itself. `defaults` are
    /// kernel arguments that those of the command line override.
    fn with_drivers(
        &mut self,
        parts: &BootParts,
        mount: &RootMount,
        always: bool,
        defaults: &[String],
    ) -> Result<BootParts, Error> {
        let installed = self.installed.as_ref();
        let support = self
            .support
            .get_or_insert_with(|| Support::from_kernel(installed, self.system.kernel.as_ref()));
        let drivers = Drivers::new(installed, support, mount)?;
        let summary = drivers.summary();
        if self.reported.borrow_mut().insert(summary.clone()) {
            self.reporter.info(&summary);
        }
        if !drivers.needs_initrd() && !mount.needs_init() && !always {
            return Ok(parts.clone());
        }
        let time = self.options.time;
        let tree = drivers.initrd(&self.system.root, self.boot_files.init()?, defaults, time)?;
        let (jobs, dir) = (self.options.jobs, &self.options.temp_dir);
        parts.with_initrd(
            &tree,
            Default::default(),
            jobs,
            dir,
            &self.options.pieces,
            self.reporter,
        )
    }

    /// Returns the root filesystem with its mount points.
    fn mountable(&mut self) -> Result<&Tree, Error> {
        let tree = match self.mountable.take() {
            Some(tree) => tree,
            None => root_filesystem::with_mount_points(&self.system.root, &self.system.containers, self.options.time)?,
        };
        Ok(self.mountable.insert(tree))
    }

    /// Returns the identifier of the root filesystem. It is computed once, since content without a
    /// digest is read for it.
    fn content_id(&mut self) -> Result<ContentId, Error> {
        let id = match self.id {
            Some(id) => id,
            None => root_filesystem::content_id(self.mountable()?)?,
        };
        Ok(*self.id.insert(id))
    }

    /// Returns the image of the root filesystem.
    fn root_image(&mut self, filesystem: Filesystem) -> Result<Image, Error> {
        if let Some(image) = self.images.get(&filesystem) {
            return Ok(image.clone());
        }
        if filesystem == Filesystem::Iso9660 {
            self.report_lost_attributes("ISO 9660");
        }
        let (id, options, reporter) = (self.content_id()?, self.options, self.reporter);
        let mut image = root_filesystem::plan(self.mountable()?, filesystem, &id, options, reporter)?;
        if options.verity {
            image = verity::protect(image, options, reporter)?;
        }
        self.images.insert(filesystem, image.clone());
        Ok(image)
    }

    /// Reports which programs lose their capabilities where there are no extended attributes.
    fn report_lost_attributes(&self, place: &str) {
        let files = self.system.root.walk();
        let mut with = files.filter(|named| named.node.meta.xattrs.contains_key(b"security.capability".as_slice()));
        let Some(first) = with.next() else { return };
        let more = match with.count() {
            0 => String::new(),
            1 => " and 1 more file".into(),
            more => format!(" and {more} more files"),
        };
        let note = Diagnostic::note(format!(
            "{place} cannot store extended attributes: file capabilities of /{}{more} are lost",
            tree::show(&first.path)
        ));
        self.notice(
            &note.help("squashfs stores them: use `-f kernel+squashfs`, or `--root squashfs` for disks and ISOs"),
        );
    }

    /// Warns of an initrd that needs more memory than machines usually have: while it is unpacked,
    /// both forms are in memory.
    fn report_memory(&self, parts: &BootParts) {
        let compressed = parts.initrd.as_ref().map_or(0, Extents::len);
        let memory = compressed.saturating_add(parts.initrd_len);
        if memory <= USUAL_MEMORY {
            return;
        }
        let mib = |bytes: u64| bytes >> 20;
        let warning = Diagnostic::warning(format!(
            "the initrd has {} MiB and is unpacked to {} MiB: the machine needs more than {} MiB of memory",
            mib(compressed),
            mib(parts.initrd_len),
            mib(memory)
        ));
        let help = "use `-f kernel+squashfs`, or `--root squashfs` for disks and ISOs; `--compress zstd:19` or xz makes the initrd smaller";
        self.notice(&warning.help(help));
    }

    /// Reports a note or a warning once.
    fn notice(&self, notice: &Diagnostic) {
        if self.reported.borrow_mut().insert(notice.message.clone()) {
            self.reporter.notice(notice);
        }
    }
}

/// Returns the kernel arguments that locate and mount a root filesystem. One that is verified is located
/// by its root hash, so that an init which does not verify it does not find it.
fn root_arguments(device: String, filesystem: Filesystem, verity: Vec<String>) -> Vec<String> {
    let mut arguments = verity;
    if arguments.is_empty() {
        arguments.push(format!("root={device}"));
    }
    arguments.extend(mount_arguments(filesystem));
    arguments
}

/// Returns the kernel arguments that mount a root filesystem.
fn mount_arguments(filesystem: Filesystem) -> [String; 2] {
    [format!("rootfstype={}", filesystem.name()), "ro".into()]
}
