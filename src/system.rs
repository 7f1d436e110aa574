//! The assembled system: what is booted, and its root filesystem.

use extents::Extents;
use tree::Tree;

use crate::config::Mount;

/// A system.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Kernel, if the YAML names one.
    pub kernel: Option<Extents>,
    /// Kernel command line as the YAML has it.
    pub cmdline: String,
    /// Uncompressed cpio archive with microcode.
    pub microcode: Option<Extents>,
    /// Root filesystem, with nothing in `/boot`.
    pub root: Tree,
    /// Root filesystem with kernel, command line and microcode in `/boot`, as LinuxKit's tar has
    /// it.
    pub complete: Tree,
    /// Containers in the order of their directories.
    pub containers: Vec<Container>,
    /// Content of `/etc/os-release`.
    pub os_release: Option<String>,
}

/// A container of a system.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// Directory with its OCI runtime configuration, below the root.
    pub directory: String,
    /// Directory that is its root filesystem if that is read-only; another container's if both have
    /// one image.
    pub read_only_root: Option<String>,
    /// Mounts of its OCI runtime configuration.
    pub mounts: Vec<Mount>,
}
