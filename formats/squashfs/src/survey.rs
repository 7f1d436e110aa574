//! Nodes of a tree, listed and checked.

use tree::{Kind, NodeId, Tree};

use crate::content::File;
use crate::error::Error;
use crate::id_table::Ids;
use crate::xattr;

/// Nodes of a tree, apart from their encoding.
pub(crate) struct Survey<'a> {
    /// Directories with their paths, each before its subdirectories.
    pub(crate) directories: Vec<(NodeId, Vec<u8>)>,
    pub(crate) files: Vec<File<'a>>,
    /// Index in `files` by node.
    pub(crate) file_index: Vec<u32>,
    /// Link count by node.
    pub(crate) nlink: Vec<u32>,
    pub(crate) ids: Ids,
}

impl<'a> Survey<'a> {
    pub(crate) fn collect(tree: &'a Tree) -> Result<Self, Error> {
        let mut survey = Survey {
            directories: Vec::new(),
            files: Vec::new(),
            file_index: vec![0; tree.capacity()],
            nlink: vec![0; tree.capacity()],
            ids: Ids::default(),
        };
        for named in tree.walk() {
            let nlink = slot(&survey.nlink, named.id);
            set(&mut survey.nlink, named.id, nlink.saturating_add(1));
            if nlink > 0 {
                continue;
            }
            let meta = &named.node.meta;
            if survey.ids.index(meta.uid).is_none() || survey.ids.index(meta.gid).is_none() {
                return Err(Error::Ids {
                    path: named.path,
                    uid: meta.uid,
                    gid: meta.gid,
                });
            }
            xattr::check(&named.path, meta)?;
            match &named.node.kind {
                Kind::Directory(_) => survey.directories.push((named.id, named.path)),
                Kind::File(content) => {
                    set(&mut survey.file_index, named.id, survey.files.len() as u32);
                    survey.files.push(File {
                        path: named.path,
                        content,
                    });
                }
                Kind::CharDevice(device) | Kind::BlockDevice(device) => {
                    if device.major > 0xfff || device.minor > 0xf_ffff {
                        return Err(Error::Device {
                            path: named.path,
                            major: device.major,
                            minor: device.minor,
                        });
                    }
                }
                Kind::Symlink(_) | Kind::Fifo | Kind::Socket => {}
            }
        }
        Ok(survey)
    }
}

/// Returns the value of a node in a table by node.
pub(crate) fn slot<T: Copy + Default>(table: &[T], id: NodeId) -> T {
    table.get(id.index()).copied().unwrap_or_default()
}

/// Sets the value of a node in a table by node.
pub(crate) fn set<T>(table: &mut [T], id: NodeId, value: T) {
    if let Some(slot) = table.get_mut(id.index()) {
        *slot = value;
    }
}
