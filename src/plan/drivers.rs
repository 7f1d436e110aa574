//! What a kernel needs before it can mount its root filesystem from a medium: drivers that are
//! modules, and an initrd that has them.

use std::collections::{BTreeMap, BTreeSet};

use extents::Extents;
use tree::{Kind, Meta, Time, Tree};

use super::Error;
use super::formats::Filesystem;
use crate::kmod::{self as modules, name_of};
use crate::time;

/// Drivers of buses, controllers and media, as their modules are called.
const STORAGE: &[&str] = &[
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "sr_mod",
    "ata_piix",
    "ata_generic",
    "ahci",
    "nvme",
    "usb_storage",
    "uas",
    "xhci_pci",
    "ehci_pci",
    "uhci_hcd",
    "ohci_pci",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    "sdhci_iproc",
    "bcm2835",
    "hv_vmbus",
    "hv_storvsc",
    "pci_hyperv",
    "xen_blkfront",
    "vmw_pvscsi",
    "mptspi",
    "mptsas",
    "megaraid_sas",
    "mpt3sas",
];

/// What is loaded whether a device asks for it or not: disks may show up late, and nobody may ask
/// for a filesystem's checksums by name.
const ALWAYS: &[&str] = &[
    "sd_mod",
    "sr_mod",
    "mmc_block",
    "usb_storage",
    "overlay",
    "crc32c_generic",
    "libcrc32c",
];

/// The modules of a filesystem.
fn of_filesystem(filesystem: Filesystem) -> &'static str {
    match filesystem {
        Filesystem::Squashfs => "squashfs",
        Filesystem::Erofs => "erofs",
        Filesystem::Ext4 => "ext4",
        Filesystem::Iso9660 => "isofs",
    }
}

/// What a kernel has of what a medium needs.
#[derive(Clone, Debug, Default)]
pub struct Drivers {
    /// Where the modules are: `lib/modules/VERSION`.
    folder: String,
    /// Paths below that folder, by name.
    modules: BTreeMap<String, String>,
    /// What is loaded unasked.
    always: Vec<&'static str>,
    /// The filesystems, by the names of their modules.
    filesystems: Vec<&'static str>,
    /// Those that are built in, as far as the kernel says so.
    built_in: Vec<&'static str>,
    /// Whether the kernel says anything of what it has.
    told: bool,
}

/// The options of the kernel's configuration that the modules above come from.
fn option_of(module: &str) -> &'static str {
    match module {
        "squashfs" => "CONFIG_SQUASHFS",
        "erofs" => "CONFIG_EROFS_FS",
        "ext4" => "CONFIG_EXT4_FS",
        "isofs" => "CONFIG_ISO9660_FS",
        _ => "CONFIG_BLK_DEV_LOOP",
    }
}

impl Drivers {
    /// What the kernel of a root filesystem needs to mount the filesystems, out of a file on
    /// another one when `looped`. What is built in is in `modules.builtin`; where there is none, in the
    /// configuration that the kernel has in it.
    ///
    /// # Errors
    /// A kernel that has a filesystem neither built in nor as a module; what reading fails with.
    pub fn of(
        root: &Tree,
        kernel: Option<&Extents>,
        filesystems: &[Filesystem],
        looped: bool,
    ) -> Result<Drivers, Error> {
        let names: Vec<&'static str> = filesystems
            .iter()
            .map(|filesystem| of_filesystem(*filesystem))
            .chain(looped.then_some("loop"))
            .collect();
        let (folder, dep) = index(root)?.unwrap_or_default();
        let known: BTreeMap<String, (&str, &str)> = dep
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(path, needed)| (name_of(path), (path, needed)))
            .collect();
        let listed = match folder.is_empty() {
            true => None,
            false => text(root, &format!("{folder}/modules.builtin"))?,
        };
        let (built_in, said_by) = match listed {
            Some(list) => {
                let list: BTreeSet<String> = list.lines().map(name_of).collect();
                let built_in = names.iter().filter(|name| list.contains(**name)).copied().collect();
                (built_in, Some(format!("{folder}/modules.builtin")))
            }
            None => match kernel.and_then(crate::kernel::config) {
                Some(config) => (configured(&config, &names), Some("its configuration".into())),
                None => (Vec::new(), None),
            },
        };
        let missing = names
            .iter()
            .find(|name| !known.contains_key(**name) && !built_in.contains(*name));
        if let (Some(name), Some(said_by)) = (missing, &said_by) {
            return Err(Error::Filesystem(format!(
                "the kernel cannot mount this root: it has {name} neither built in nor as a module ({said_by})\nhelp: choose another --root, or a kernel that has it"
            )));
        }
        let always: Vec<&str> = names.iter().chain(ALWAYS).copied().collect();
        let mut modules = BTreeMap::new();
        for name in always.iter().chain(STORAGE) {
            let Some((path, needed)) = known.get(*name) else {
                continue;
            };
            for path in needed.split_whitespace().chain([*path]) {
                modules.insert(name_of(path), path.to_owned());
            }
        }
        Ok(Drivers {
            told: said_by.is_some(),
            folder,
            modules,
            always,
            built_in,
            filesystems: names,
        })
    }

    /// Whether the kernel needs an initrd to mount what it is told to.
    pub fn are_modules(&self) -> bool {
        let needed = self.filesystems.iter().chain(STORAGE);
        needed.into_iter().any(|name| self.modules.contains_key(*name))
    }

    /// In a few words, for the user.
    pub fn story(&self) -> String {
        let (filesystems, built_in) = (self.filesystems.join(" and "), self.built_in.join(" and "));
        match (self.are_modules(), self.told) {
            (true, _) if built_in.is_empty() => format!(
                "the kernel has {filesystems} and disk drivers as modules: an initrd with {} modules mounts the root",
                self.modules.len()
            ),
            (true, _) => format!(
                "the kernel has {built_in} built in and disk drivers as modules: an initrd with {} modules mounts the root",
                self.modules.len()
            ),
            (false, false) => format!(
                "the kernel image has no modules, and the kernel does not say what is built in: {filesystems} is taken to be"
            ),
            (false, true) => format!("the kernel has {filesystems} built in, and disk drivers"),
        }
    }

    /// The initrd: an init, the modules of the root filesystem that it needs, and what
    /// its init takes for the command line when the kernel's own says nothing.
    ///
    /// # Errors
    /// What reading the modules fails with.
    pub fn initrd(&self, root: &Tree, init: Extents, defaults: &[String]) -> Result<Tree, Error> {
        let meta = |mode| Meta::new(mode, Time::from_seconds(time::fixed()));
        let mut tree = Tree::new(meta(0o755));
        let mut put = |path: &str, mode, kind: Kind| {
            let put = tree.insert(path.as_bytes(), meta(mode), kind, &meta(0o755));
            put.map(drop).map_err(other)
        };
        put("init", 0o755, Kind::File(init))?;
        for folder in ["dev", "proc", "sys", "sysroot"] {
            put(folder, 0o755, Kind::directory())?;
        }
        let text = |text: String| Kind::File(Extents::from_bytes(text.into_bytes()));
        put("etc/initrd-release", 0o644, text("ID=moby\nNAME=moby\n".into()))?;
        put("etc/modules", 0o644, text(format!("{}\n", self.always.join("\n"))))?;
        if !defaults.is_empty() {
            put(
                "etc/cmdline.d/root.conf",
                0o644,
                text(format!("{}\n", defaults.join(" "))),
            )?;
        }
        let version = self.folder.rsplit('/').next().unwrap_or_default();
        for path in self.modules.values() {
            let from = format!("{}/{path}", self.folder);
            if let Some(Kind::File(content)) = root.lookup_following(from.as_bytes()).map(|id| &root.node(id).kind) {
                put(
                    &format!("lib/modules/{version}/{path}"),
                    0o644,
                    Kind::File(content.clone()),
                )?;
            }
        }
        // The kernel opens it before there is a devtmpfs.
        put(
            "dev/console",
            0o600,
            Kind::CharDevice(tree::Device { major: 5, minor: 1 }),
        )?;
        modules::index(&mut tree).map_err(|error| Error::Filesystem(format!("the kernel's modules: {error}")))?;
        Ok(tree)
    }
}

fn other(error: tree::Error) -> Error {
    Error::Read(std::io::Error::other(error))
}

/// A file as text; nothing when it is not there.
fn text(root: &Tree, path: &str) -> Result<Option<String>, Error> {
    match root.lookup_following(path.as_bytes()).map(|id| &root.node(id).kind) {
        Some(Kind::File(content)) => Ok(Some(String::from_utf8_lossy(&content.to_vec()?).into_owned())),
        _ => Ok(None),
    }
}

/// Where the modules of a root filesystem are, and its `modules.dep`, which is empty when the
/// kernel has a list of what is built in, and no modules.
fn index(root: &Tree) -> Result<Option<(String, String)>, Error> {
    for above in ["lib/modules", "usr/lib/modules"] {
        let Some(id) = root.lookup_following(above.as_bytes()) else {
            continue;
        };
        let Kind::Directory(entries) = &root.node(id).kind else {
            continue;
        };
        for name in entries.keys() {
            let folder = format!("{above}/{}", tree::show(name));
            let dep = match text(root, &format!("{folder}/modules.dep"))? {
                None => text(root, &format!("{folder}/modules.builtin"))?.map(|_| String::new()),
                dep => dep,
            };
            if let Some(dep) = dep {
                return Ok(Some((folder, dep)));
            }
        }
    }
    Ok(None)
}

/// Which of the modules a kernel's configuration has built in.
fn configured(config: &str, names: &[&'static str]) -> Vec<&'static str> {
    let built_in = |name: &str| {
        config
            .lines()
            .any(|line| line.strip_suffix("=y") == Some(option_of(name)))
    };
    names.iter().filter(|name| built_in(name)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::samples::{module, xz, zst};

    #[test]
    fn an_initrd_has_modules_that_any_init_can_load() {
        let mut root = Tree::default();
        let meta = Meta::default();
        let disk = module(&["alias=virtio:d2v*", "depends=virtio"]);
        for (name, content) in [
            // As depmod writes it.
            (
                "modules.dep",
                b"kernel/a/virtio_blk.ko.xz: kernel/a/virtio.ko.zst\nkernel/a/virtio.ko.zst:\nkernel/fs/squashfs.ko.xz:\n".to_vec(),
            ),
            ("modules.builtin", b"kernel/drivers/block/loop.ko\n".to_vec()),
            ("kernel/a/virtio_blk.ko.xz", xz(&disk)),
            ("kernel/a/virtio.ko.zst", zst(&module(&["depends="]))),
            ("kernel/fs/squashfs.ko.xz", xz(&module(&["alias=fs-squashfs", "depends="]))),
            ("kernel/sound/unneeded.ko.xz", xz(&module(&["depends="]))),
        ] {
            let (path, kind) = (format!("usr/lib/modules/6.12.1/{name}"), Kind::File(Extents::from_bytes(content)));
            root.insert(path.as_bytes(), meta.clone(), kind, &meta).unwrap();
        }
        let drivers = Drivers::of(&root, None, &[Filesystem::Squashfs], true).unwrap();
        assert!(drivers.are_modules());
        let initrd = drivers
            .initrd(&root, Extents::from_bytes(b"init".to_vec()), &[])
            .unwrap();
        let names: Vec<String> = initrd.walk().map(|item| tree::show(&item.path)).collect();
        let modules = names.iter().filter(|name| name.contains(".ko"));
        let expected = ["kernel/a/virtio.ko", "kernel/a/virtio_blk.ko", "kernel/fs/squashfs.ko"];
        let expected = expected.map(|name| format!("lib/modules/6.12.1/{name}"));
        assert_eq!(modules.collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        assert_eq!(
            text(&initrd, "lib/modules/6.12.1/modules.dep").unwrap().unwrap(),
            "kernel/fs/squashfs.ko:\nkernel/a/virtio.ko:\nkernel/a/virtio_blk.ko: kernel/a/virtio.ko\n"
        );
        let id = initrd.lookup(expected[1].as_bytes()).unwrap();
        let Kind::File(content) = &initrd.node(id).kind else {
            panic!()
        };
        assert_eq!(content.to_vec().unwrap(), disk);
    }
}
