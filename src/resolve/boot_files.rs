//! Where the images of boot loaders come from.

use std::path::{Path, PathBuf};

use tree::Tree;

use crate::arch::Arch;
use crate::config::{Boot, canonical};
use crate::plan::boot_files::Loader;
use crate::store::{self, Store};

/// The files of a boot loader: of the image that the YAML names, else of the package in moby's
/// source tree when the program stands in it, else of the last image of moby's name in the
/// layouts, the cache folder, or the folder installed beside the program.
pub fn find(
    loader: Loader,
    boot: &Boot,
    arch: Arch,
    options: &store::Options,
    package: &dyn Fn(&Path) -> Result<String, String>,
) -> Result<Tree, String> {
    let (named, name, what) = match loader {
        Loader::Bios => (&boot.bios, "syslinux", "a BIOS"),
        Loader::Efi => (&boot.efi, "systemd-boot", "UEFI"),
        Loader::Init => (&boot.initrd, "init", "a root filesystem on a medium"),
        Loader::RaspberryPi => (&boot.rpi, "rpi-firmware", "a Raspberry Pi"),
    };
    let mut options = options.clone();
    options.layouts.extend(beside());
    let built = match (named.is_empty(), sources(name)) {
        (true, Some(dir)) => Some(package(&dir)?),
        _ => None,
    };
    // Opened after the package was built: an index is read once.
    let store = Store::open(&options).map_err(|error| error.to_string())?;
    let found = match (named.is_empty(), built) {
        (false, _) => Some(canonical(named)),
        (true, Some(built)) => Some(built),
        (true, None) => store.last_of(&format!("docker.io/moby/{name}")),
    };
    let found = found.ok_or_else(|| {
        format!(
            "there is no boot loader for {what}: no image docker.io/moby/{name} in the layouts or the cache\nhelp: `moby pkg build pkg/{name}` in moby's sources makes it; boot: in the YAML, or --layout, names another"
        )
    })?;
    let image = store.image(&found, arch).map_err(|error| error.to_string())?;
    store
        .prepare(std::slice::from_ref(&image), 1, &|_| {})
        .map_err(|error| error.to_string())?;
    store.tree(&image).map_err(|error| error.to_string())
}

/// The layout that is installed with the program: `share/moby/images` beside its `bin`.
fn beside() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let layout = program.parent()?.parent()?.join("share/moby/images");
    layout.join("index.json").is_file().then_some(layout)
}

/// The package's folder in the source tree that the program was built in.
fn sources(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folders = program.ancestors().skip(1).take(5);
    let packages = folders.map(|folder| folder.join("pkg").join(name));
    packages.into_iter().find(|package| package.join("build.yml").is_file())
}
