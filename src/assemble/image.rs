//! Entries that are removed from, replaced in and added to every image that is unpacked.

use std::collections::BTreeSet;

use extents::Extents;
use tree::{Kind, NodeId, Time, Tree};

use super::{Origin, root_meta};

/// Files that Docker leaves in images, or that the system itself creates.
const EXCLUDED: [&str; 4] = [".dockerenv", "Dockerfile", "dev/console", "etc/hostname"];
const DIRECTORIES: [&str; 6] = ["dev", "dev/pts", "dev/shm", "etc", "proc", "sys"];
const HOSTS: &str = "127.0.0.1       localhost
::1     localhost ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
";
const RESOLV_CONF: &str = "\n# no resolv.conf configured\n";

/// Purpose of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A container, with a resolv.conf of its own.
    Container,
    /// A part of the machine, or a volume: resolv.conf is the machine's.
    Init,
}

/// Removes, replaces and adds entries.
pub fn filter(files: &mut Tree, role: Role, time: Time) {
    for path in EXCLUDED {
        files.remove(path.as_bytes());
    }
    for path in DIRECTORIES {
        put(files, path, 0o755, Kind::directory(), time);
    }
    let text = |text: &str| Kind::File(Extents::from_bytes(text.as_bytes()));
    put(files, "etc/hosts", 0o644, text(HOSTS), time);
    match files.lookup(b"etc/mtab") {
        Some(id) => files.node_mut(id).meta.mtime = time,
        None => put(files, "etc/mtab", 0o755, Kind::Symlink(b"/proc/mounts".to_vec()), time),
    }
    let resolv_conf = match role {
        Role::Container => text(RESOLV_CONF),
        Role::Init => Kind::Symlink(b"/run/resolvconf/resolv.conf".to_vec()),
    };
    put(files, "etc/resolv.conf", 0o644, resolv_conf, time);
}

/// Adds an entry. [`DIRECTORIES`] lists parents first, so that nothing can fail.
fn put(files: &mut Tree, path: &str, mode: u32, kind: Kind, time: Time) {
    let _ = files.insert(path.as_bytes(), root_meta(mode, time), kind, &root_meta(0o755, time));
}

/// Sets the origin of every node; the number of its layer becomes its source among those of the system.
pub fn set_origin(files: &mut Tree, origin: &Origin) {
    // A node may have several names.
    let ids: BTreeSet<NodeId> = files.walk().map(|named| named.id).collect();
    for id in ids {
        let meta = &mut files.node_mut(id).meta;
        meta.records = Some(origin.records.clone());
        meta.source = meta.source.saturating_add(origin.source);
    }
}
