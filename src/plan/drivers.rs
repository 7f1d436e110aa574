//! Drivers that a kernel needs to mount its root filesystem, and the initrd that loads those which
//! are modules.

use std::collections::{BTreeMap, BTreeSet};

use extents::Extents;
use serde::{Deserialize, Serialize};
use tree::{Kind, Meta, Time, Tree};

use super::Error;
use super::formats::RootMount;
use crate::kmod::{self, Installed, name_of};

/// Modules of buses, controllers and disks.
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

/// Modules to load without waiting for a device that asks for them: disks may appear late, and
/// nothing asks for the checksums of a filesystem by name.
const ALWAYS: &[&str] = &[
    "sd_mod",
    "sr_mod",
    "mmc_block",
    "usb_storage",
    "overlay",
    "crc32c_generic",
    "libcrc32c",
];

/// Module that mounts an image which is a file of another filesystem.
const LOOP: &str = "loop";
/// Module that verifies blocks by a hash tree.
const VERITY: &str = "dm_verity";
/// Modules that use the CPU's instructions for SHA-256, with which dm-verity is several times as fast.
const SHA256: &[&str] = &["sha256_ssse3", "sha256_arm64", "sha2_ce"];

/// Modules that a root filesystem may need, each with the kernel option that it comes from.
const OPTIONS: [(&str, &str); 6] = [
    ("squashfs", "CONFIG_SQUASHFS"),
    ("erofs", "CONFIG_EROFS_FS"),
    ("ext4", "CONFIG_EXT4_FS"),
    ("isofs", "CONFIG_ISO9660_FS"),
    (LOOP, "CONFIG_BLK_DEV_LOOP"),
    (VERITY, "CONFIG_DM_VERITY"),
];

/// Lists the modules that a mount needs.
fn needed(mount: &RootMount) -> Vec<&'static str> {
    let looped = (mount.filesystems.len() > 1).then_some(LOOP);
    let verity = mount.verity.then_some(VERITY);
    let filesystems = mount.filesystems.iter().map(|one| one.module());
    filesystems.chain(looped).chain(verity).collect()
}

/// Lists the modules that make a mount faster, on the CPUs that they are for.
fn accelerators(mount: &RootMount) -> &'static [&'static str] {
    if mount.verity { SHA256 } else { &[] }
}

/// Drivers that a kernel has for mounting a root filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Support {
    /// File or part of the kernel that lists what is built in; `None` if nothing does.
    source: Option<String>,
    /// Drivers that are built in.
    built_in: BTreeSet<String>,
    /// Drivers that are modules and installed.
    modules: BTreeSet<String>,
    /// Drivers that the kernel's configuration has as modules, installed or not.
    configured: BTreeSet<String>,
    /// True if a list of installed modules was found.
    indexed: bool,
}

impl Support {
    /// Determines the drivers of a kernel from its `modules.builtin`, or without that file from
    /// the configuration in the kernel, and from the modules that are installed.
    pub fn from_kernel(installed: Option<&Installed>, kernel: Option<&Extents>) -> Support {
        let mut support = Support::default();
        if let Some(installed) = installed {
            let known = OPTIONS.iter().map(|(name, _)| name).chain(STORAGE);
            support.modules = known
                .filter(|name| installed.has(name))
                .map(|name| (*name).to_owned())
                .collect();
            support.indexed = true;
        }
        if let Some((installed, list)) = installed.and_then(|one| Some((one, one.built_in.as_ref()?))) {
            support.source = Some(format!("{}/modules.builtin", installed.directory));
            support.built_in = list.clone();
            support
                .built_in
                .retain(|name| OPTIONS.iter().any(|(known, _)| known == name));
        } else if let Some(config) = kernel.and_then(crate::kernel::config) {
            support.source = Some("its configuration".into());
            support.built_in = configured(&config, "=y");
            support.configured = configured(&config, "=m");
        }
        support
    }

    /// Checks that the kernel has the drivers of a mount.
    ///
    /// # Errors
    /// A driver that is neither built in nor a module.
    pub fn check(&self, mount: &RootMount) -> Result<(), Error> {
        let names = needed(mount);
        let missing = names
            .into_iter()
            .find(|name| !self.modules.contains(*name) && !self.built_in.contains(*name));
        match (missing, &self.source) {
            (Some(driver), Some(source)) => Err(Error::Driver {
                driver,
                source_of_list: source.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns whether [`Support::check`] holds whatever other images install: a driver that the
    /// kernel's configuration makes a module may be installed by one of them.
    pub fn is_final(&self, mount: &RootMount) -> bool {
        self.indexed || needed(mount).iter().all(|name| !self.configured.contains(*name))
    }

    /// Returns whether the kernel needs an initrd to load drivers.
    pub fn needs_initrd(&self, mount: &RootMount) -> bool {
        let names = needed(mount);
        let mut needed = names.iter().chain(STORAGE);
        needed.any(|name| self.modules.contains(*name))
    }

    /// Returns whether a list of installed modules was found.
    pub fn is_indexed(&self) -> bool {
        self.indexed
    }
}

/// Lists the modules of [`OPTIONS`] whose option has a value.
fn configured(config: &str, value: &str) -> BTreeSet<String> {
    let has = |option: &str| config.lines().any(|line| line.strip_suffix(value) == Some(option));
    OPTIONS
        .iter()
        .filter(|(_, option)| has(option))
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// Drivers of a kernel for a mount.
#[derive(Clone, Debug)]
pub struct Drivers<'a> {
    installed: Option<&'a Installed>,
    support: &'a Support,
    mount: RootMount,
    /// Paths of the modules to load below the directory of [`Installed`], by name.
    modules: BTreeMap<String, String>,
}

impl<'a> Drivers<'a> {
    /// Selects the modules for a mount.
    ///
    /// # Errors
    /// A driver that the kernel does not have.
    pub fn new(installed: Option<&'a Installed>, support: &'a Support, mount: &RootMount) -> Result<Self, Error> {
        support.check(mount)?;
        let names = needed(mount);
        let wanted = names.iter().chain(accelerators(mount)).chain(ALWAYS).chain(STORAGE);
        let files = wanted.flat_map(|name| installed.into_iter().flat_map(|one| one.files_of(name)));
        let modules = files.map(|path| (name_of(path), path.to_owned())).collect();
        Ok(Drivers {
            installed,
            support,
            mount: mount.clone(),
            modules,
        })
    }

    /// Returns whether the kernel needs an initrd to load drivers.
    pub fn needs_initrd(&self) -> bool {
        self.support.needs_initrd(&self.mount)
    }

    /// Describes the drivers in a line for the user.
    pub fn summary(&self) -> String {
        let names = needed(&self.mount);
        let built_in: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| self.support.built_in.contains(*name))
            .collect();
        let (names, built_in) = (names.join(" and "), built_in.join(" and "));
        let count = self.modules.len();
        if self.needs_initrd() {
            if built_in.is_empty() {
                format!(
                    "the kernel has {names} and disk drivers as modules: an initrd with {count} modules mounts the root filesystem"
                )
            } else {
                format!(
                    "the kernel has {built_in} built in and disk drivers as modules: an initrd with {count} modules mounts the root filesystem"
                )
            }
        } else if self.support.source.is_some() {
            format!("the kernel has {names} built in, and disk drivers")
        } else {
            format!(
                "the kernel image has no modules and no list of built-in drivers: {names} is assumed to be built in"
            )
        }
    }

    /// Builds the initrd: an init, the modules, and `defaults`, the kernel arguments that its init
    /// takes when the command line does not locate the root filesystem.
    ///
    /// # Errors
    /// Modules that cannot be read.
    pub fn initrd(&self, root: &Tree, init: Extents, defaults: &[String], time: i64) -> Result<Tree, Error> {
        let meta = |mode| Meta::new(mode, Time::from_seconds(time));
        let mut tree = Tree::new(meta(0o755));
        let mut put = |path: &str, mode, kind: Kind| {
            let put = tree.insert(path.as_bytes(), meta(mode), kind, &meta(0o755));
            put.map(drop).map_err(|source| Error::Tree {
                path: path.to_owned(),
                source,
            })
        };
        put("init", 0o755, Kind::File(init))?;
        for directory in ["dev", "proc", "sys", "sysroot"] {
            put(directory, 0o755, Kind::directory())?;
        }
        let text = |text: String| Kind::File(Extents::from_bytes(text.into_bytes()));
        put("etc/initrd-release", 0o644, text("ID=moby\nNAME=moby\n".into()))?;
        let mut always = needed(&self.mount);
        always.extend(accelerators(&self.mount));
        always.extend(ALWAYS);
        put("etc/modules", 0o644, text(format!("{}\n", always.join("\n"))))?;
        if !defaults.is_empty() {
            let arguments = text(format!("{}\n", defaults.join(" ")));
            put("etc/cmdline.d/root.conf", 0o644, arguments)?;
        }
        let directory = self.installed.map_or("", |one| one.directory.as_str());
        let version = directory.rsplit('/').next().unwrap_or_default();
        for path in self.modules.values() {
            let from = format!("{directory}/{path}");
            if let Some(Kind::File(content)) = root.lookup_following(from.as_bytes()).map(|id| &root.node(id).kind) {
                let to = format!("lib/modules/{version}/{path}");
                put(&to, 0o644, Kind::File(content.clone()))?;
            }
        }
        // The kernel opens it before there is a devtmpfs.
        let console = Kind::CharDevice(tree::Device { major: 5, minor: 1 });
        put("dev/console", 0o600, console)?;
        kmod::index(&mut tree).map_err(|error| Error::Modules(error.to_string()))?;
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::samples::{module, xz, zst};
    use crate::plan::formats::Filesystem;

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
        let installed = Installed::find(&root).unwrap().unwrap();
        let support = Support::from_kernel(Some(&installed), None);
        let mount = |filesystem, verity| RootMount {
            filesystems: vec![filesystem],
            verity,
        };
        let drivers = Drivers::new(Some(&installed), &support, &mount(Filesystem::Squashfs, false)).unwrap();
        assert!(drivers.needs_initrd());
        for (mount, driver) in [
            (mount(Filesystem::Ext4, false), "ext4"),
            (mount(Filesystem::Squashfs, true), "dm_verity"),
        ] {
            let missing = support.check(&mount).unwrap_err().to_string();
            assert!(missing.contains(driver), "{missing}");
        }
        let initrd = drivers
            .initrd(&root, Extents::from_bytes(b"init".to_vec()), &[], 0)
            .unwrap();
        let names: Vec<String> = initrd.walk().map(|named| tree::show(&named.path)).collect();
        let modules = names.iter().filter(|name| name.contains(".ko"));
        let expected = ["kernel/a/virtio.ko", "kernel/a/virtio_blk.ko", "kernel/fs/squashfs.ko"];
        let expected = expected.map(|name| format!("lib/modules/6.12.1/{name}"));
        assert_eq!(modules.collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        let file = |path: &str| {
            let id = initrd.lookup(path.as_bytes()).unwrap();
            let Kind::File(content) = &initrd.node(id).kind else {
                panic!()
            };
            content.to_vec().unwrap()
        };
        assert_eq!(
            String::from_utf8(file("lib/modules/6.12.1/modules.dep")).unwrap(),
            "kernel/fs/squashfs.ko:\nkernel/a/virtio.ko:\nkernel/a/virtio_blk.ko: kernel/a/virtio.ko\n"
        );
        assert_eq!(file(&expected[1]), disk);
    }
}
