//! The files of each format, out of parts that several formats share: each is made once.

use std::collections::BTreeMap;

use extents::Extents;
use tree::{Kind as Node, Tree};

use super::boot_files::{self, Loaders};
use super::container_image;
use super::disk_image;
use super::drivers::Drivers;
use super::formats::{Container, Filesystem, Firmware, Format, Kind, Root, Table};
use super::media::{self, Media, OnDisk};
use super::raspberry_pi;
use super::root_filesystem::{self as root, Image};
use super::{Error, Options, Payload};
use crate::content_id::ContentId;
use crate::reporter::Reporter;

/// The file that LinuxKit adds for `docker build`.
const DOCKERFILE: &str = "\nFROM scratch\n\nCOPY . ./\n\nENTRYPOINT [\"/bin/rc.init\"]\n";
/// How much memory a machine needs for its initrd without a word of warning, in bytes.
const USUAL_MEMORY: u64 = 1 << 30;

/// What makes files of a tree.
pub struct Maker<'a> {
    options: &'a Options,
    reporter: &'a dyn Reporter,
    loaders: Loaders<'a>,
    /// All of it, for a tar.
    whole: &'a Tree,
    /// What is booted, without an initrd.
    bare: Payload,
    /// The root filesystem without what is booted.
    root: Tree,
    /// The same with everything to mount over, once it is needed.
    mountable: Option<Tree>,
    /// What that is known by.
    identity: Option<ContentId>,
    /// What is booted with the root filesystem in memory.
    in_memory: Option<Payload>,
    images: BTreeMap<Filesystem, Image>,
    /// What was said already.
    told: Vec<String>,
}

impl<'a> Maker<'a> {
    /// Nothing is made yet.
    pub fn new(
        whole: &'a Tree,
        options: &'a Options,
        find: &'a boot_files::Find<'a>,
        reporter: &'a dyn Reporter,
    ) -> Result<Maker<'a>, Error> {
        let (bare, root) = Payload::split(whole)?;
        Ok(Maker {
            options,
            reporter,
            loaders: Loaders::new(find),
            whole,
            bare,
            root,
            mountable: None,
            identity: None,
            in_memory: None,
            images: BTreeMap::new(),
            told: Vec::new(),
        })
    }

    /// The files of a format, by what is added to the name.
    pub fn files(&mut self, format: &Format) -> Result<Vec<(String, Extents)>, Error> {
        let root = self.options.root.filter(|root| format.takes_root(*root));
        let root = root.unwrap_or(format.root);
        let contents = match (format.kind.on(self.options.arch), root) {
            (Kind::Tar, _) => vec![Some(pax::plan(self.whole)?)],
            (Kind::Docker, _) => vec![Some(self.docker()?)],
            (Kind::OciArchive, _) => vec![Some(container_image::oci(&self.root, self.options)?)],
            (Kind::DockerArchive, _) => vec![Some(container_image::docker_archive(&self.root, self.options)?)],
            (Kind::KernelInitrd, _) => {
                let payload = self.in_memory()?;
                vec![
                    payload.kernel.clone(),
                    payload.combined_initrd(),
                    payload.cmdline.clone(),
                ]
            }
            (Kind::TarKernelInitrd, _) => vec![Some(self.in_memory()?.tar()?)],
            (Kind::Uki, _) => {
                let payload = self.in_memory()?.clone();
                vec![Some(self.media(&payload).uki()?)]
            }
            (Kind::Iso(firmware), Root::Initramfs) => {
                let payload = self.in_memory()?.clone();
                vec![Some(self.media(&payload).iso(firmware, "MOBY", media::empty())?)]
            }
            (Kind::Iso(firmware), Root::On(filesystem)) => vec![Some(self.iso_with_root(firmware, filesystem)?)],
            (Kind::Disk(table, firmware, container), Root::Initramfs) => {
                let payload = self.in_memory()?.clone();
                let (disk, identity) = self.media(&payload).disk(table, firmware, container.unit(), None)?;
                vec![Some(disk_image::wrap(&disk, container, &identity, self.options)?)]
            }
            (Kind::Disk(table, firmware, container), Root::On(filesystem)) => {
                vec![Some(self.disk_with_root(table, firmware, container, filesystem)?)]
            }
            (Kind::Extlinux(container), _) => vec![Some(self.extlinux(container)?)],
            (Kind::RaspberryPi, _) => {
                let payload = self.in_memory()?.clone();
                let files = raspberry_pi::files(&payload, &self.loaders, self.whole)?;
                vec![Some(self.media(&payload).card(&files)?)]
            }
            (Kind::RaspberryPiTar, _) => {
                let payload = self.in_memory()?.clone();
                vec![Some(pax::plan(&raspberry_pi::files(
                    &payload,
                    &self.loaders,
                    self.whole,
                )?)?)]
            }
            (Kind::KernelRoot(filesystem), _) => {
                let image = self.image(filesystem)?;
                let mut words = vec![format!("root={}", image.device)];
                words.extend(how(filesystem));
                let payload = self.with_drivers(&self.bare.clone(), &[filesystem], false, &words)?;
                vec![
                    payload.kernel.clone(),
                    Some(image.content),
                    payload.cmdline.clone(),
                    payload.combined_initrd(),
                ]
            }
        };
        let files = format.files.iter().zip(contents);
        let files = files.filter_map(|(suffix, content)| Some((*suffix, content?)));
        match self.options.disk_compression.filter(|_| format.is_disk()) {
            None => Ok(files.map(|(suffix, content)| (suffix.to_owned(), content)).collect()),
            Some(how) => files
                .map(|(suffix, content)| {
                    let packed = disk_image::packed(&content, how, self.options)?;
                    Ok((format!("{suffix}{}", how.suffix()), packed))
                })
                .collect(),
        }
    }

    fn docker(&self) -> Result<Extents, Error> {
        let mut root = self.whole.clone();
        let meta = tree::Meta::new(0o644, tree::Time::from_seconds(crate::time::fixed()));
        let content = Node::File(Extents::from_bytes(DOCKERFILE.as_bytes()));
        // A name at the root always fits.
        let _ = root.insert(b"Dockerfile", meta.clone(), content, &meta);
        Ok(pax::plan(&root)?)
    }

    /// What is booted when the root filesystem is unpacked into memory.
    fn in_memory(&mut self) -> Result<&Payload, Error> {
        let made = match self.in_memory.take() {
            Some(payload) => payload,
            None => {
                self.without_attributes("an initrd");
                let (options, compression) = (self.options, self.options.compression.unwrap_or_default());
                let payload = self
                    .bare
                    .with_initrd(&self.root, compression, options.jobs, &options.spill())?;
                self.large(&payload);
                payload
            }
        };
        Ok(self.in_memory.insert(made))
    }

    fn mountable(&mut self) -> Result<&Tree, Error> {
        let made = match self.mountable.take() {
            Some(tree) => tree,
            None => root::mountable(&self.root)?,
        };
        Ok(self.mountable.insert(made))
    }

    /// What the root filesystem on a medium is known by. It is found out once, as what has no digest
    /// is read for it.
    fn identity(&mut self) -> Result<ContentId, Error> {
        let made = match self.identity {
            Some(identity) => identity,
            None => root::identity(self.mountable()?)?,
        };
        Ok(*self.identity.insert(made))
    }

    /// The root filesystem as an image.
    fn image(&mut self, filesystem: Filesystem) -> Result<Image, Error> {
        if let Some(image) = self.images.get(&filesystem) {
            return Ok(image.clone());
        }
        if filesystem == Filesystem::Iso9660 {
            self.without_attributes("ISO 9660");
        }
        let options = self.options;
        let identity = self.identity()?;
        let image = root::plan(self.mountable()?, filesystem, &identity, options)?;
        self.images.insert(filesystem, image.clone());
        Ok(image)
    }

    /// What is booted, with an initrd of drivers if the kernel, or `always` the way to the root,
    /// needs one; `defaults` are for a command line that does not say where the root is.
    fn with_drivers(
        &mut self,
        payload: &Payload,
        filesystems: &[Filesystem],
        always: bool,
        defaults: &[String],
    ) -> Result<Payload, Error> {
        let drivers = Drivers::of(&self.root, payload.kernel.as_ref(), filesystems, filesystems.len() > 1)?;
        self.say(&drivers.story());
        if !drivers.are_modules() && !always {
            return Ok(payload.clone());
        }
        let tree = drivers.initrd(&self.root, self.loaders.init()?, defaults)?;
        payload.with_initrd(&tree, Default::default(), self.options.jobs, &self.options.spill())
    }

    /// A CD on which the root filesystem is, or a file that has it.
    fn iso_with_root(&mut self, firmware: Firmware, filesystem: Filesystem) -> Result<Extents, Error> {
        let name = root::volume_id(&self.identity()?);
        let mut words = vec![format!("root=LABEL={name}")];
        let mut filesystems = vec![Filesystem::Iso9660];
        let files = match filesystem {
            Filesystem::Iso9660 => {
                self.without_attributes("ISO 9660");
                self.mountable()?.clone()
            }
            other => {
                let file = format!("root.{}", other.name());
                words.push(format!("moby.image=/{file}"));
                filesystems.push(other);
                let mut files = media::empty();
                media::put(&mut files, &file, self.image(other)?.content)?;
                files
            }
        };
        words.extend(how(filesystem));
        let payload = self.bare.with_root(&words)?;
        // No kernel finds a CD by its name, or what is in a file on it.
        let always =
            filesystem != Filesystem::Iso9660 || payload.cmdline_text()?.contains(&format!("root=LABEL={name}"));
        let payload = self.with_drivers(&payload, &filesystems, always, &[])?;
        self.media(&payload).iso(firmware, &name, files)
    }

    /// A disk with the root filesystem in a partition.
    fn disk_with_root(
        &mut self,
        table: Table,
        firmware: Firmware,
        container: Container,
        filesystem: Filesystem,
    ) -> Result<Extents, Error> {
        let content = self.image(filesystem)?.content;
        let identity = self.identity()?;
        let mut words = vec![match table {
            Table::Gpt => format!("root=PARTUUID={}", root::uuid_text(identity.uuid("root"))),
            Table::Mbr => format!("root=PARTUUID={:08x}-02", identity.number("disk")),
        }];
        words.extend(how(filesystem));
        let payload = self.bare.with_root(&words)?;
        let payload = self.with_drivers(&payload, &[filesystem], false, &[])?;
        let on_disk = OnDisk { content, identity };
        let (disk, identity) = self
            .media(&payload)
            .disk(table, firmware, container.unit(), Some(on_disk))?;
        disk_image::wrap(&disk, container, &identity, self.options)
    }

    /// A disk of one ext4 filesystem.
    fn extlinux(&mut self, container: Container) -> Result<Extents, Error> {
        let (identity, files) = (self.identity()?, self.mountable()?.clone());
        let mut words = vec![format!("root=PARTUUID={:08x}-01", identity.number("disk"))];
        words.extend(how(Filesystem::Ext4));
        let payload = self.bare.with_root(&words)?;
        let payload = self.with_drivers(&payload, &[Filesystem::Ext4], false, &[])?;
        let disk = self.media(&payload).extlinux(files, &identity, container.unit())?;
        disk_image::wrap(&disk, container, &identity, self.options)
    }

    fn media<'m>(&'m self, payload: &'m Payload) -> Media<'m> {
        Media {
            payload,
            loaders: &self.loaders,
            arch: self.options.arch,
            timeout: self.options.timeout,
            size: self.options.size,
        }
    }

    fn say(&mut self, text: &str) {
        if !self.told.iter().any(|told| told == text) {
            self.reporter.info(text);
            self.told.push(text.to_owned());
        }
    }

    /// Says which programs lose their capabilities, as newc and ISO 9660 have no extended attributes.
    fn without_attributes(&mut self, what: &str) {
        let files = self.root.walk();
        let mut with = files.filter(|item| item.node.meta.xattrs.contains_key(b"security.capability".as_slice()));
        let Some(first) = with.next() else { return };
        let more = match with.count() {
            0 => "loses".into(),
            more => format!("and {more} more lose"),
        };
        let text = format!(
            "note: {what} has no extended attributes: /{} {more} the capabilities of the file\nhelp: a squashfs on the medium keeps them: `--root squashfs`",
            tree::show(&first.path)
        );
        self.say(&text);
    }

    /// Says so when an initrd needs more memory than machines usually have: it is there twice
    /// while it is unpacked.
    fn large(&mut self, payload: &Payload) {
        let packed = payload.initrd.as_ref().map_or(0, Extents::len);
        let memory = packed.saturating_add(payload.unpacked);
        if memory <= USUAL_MEMORY {
            return;
        }
        let mib = |bytes: u64| bytes >> 20;
        let text = format!(
            "the initrd has {} MiB and is unpacked to {} MiB: the machine needs more than {} MiB of memory\nhelp: `--root squashfs` leaves the root filesystem on the medium; `--compress zstd:19` or xz makes the initrd smaller",
            mib(packed),
            mib(payload.unpacked),
            mib(memory)
        );
        if !self.told.contains(&text) {
            self.reporter.warn(&text);
            self.told.push(text);
        }
    }
}

/// How a root filesystem is mounted.
fn how(filesystem: Filesystem) -> [String; 2] {
    [format!("rootfstype={}", filesystem.name()), "ro".into()]
}
