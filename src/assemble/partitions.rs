//! Content of the partitions that the YAML adds to disks.

use std::mem;

use tree::{NodeId, Time, Tree};

use super::Builder;
use super::image::{self, Role};
use crate::config::canonical;
use crate::config::disk::{Filesystem, Partition};
use crate::diagnostic::Diagnostics;
use crate::system;

impl Builder<'_> {
    pub(super) fn partitions(&mut self) -> Result<(), Diagnostics> {
        for (at, partition) in self.config.disk.partitions.iter().enumerate() {
            let field = format!("disk.partitions[{at}]");
            let content = match partition.filesystem {
                None => None,
                Some(filesystem) => Some((filesystem, self.partition_tree(&field, partition)?)),
            };
            self.system.partitions.push(system::Partition {
                label: partition.label.clone(),
                changes_format: partition.is_of_format(),
                kind: partition.partition_type(),
                min_size: partition.min_size(),
                grow: partition.grow,
                content: content.map(|(filesystem, tree)| match filesystem {
                    Filesystem::Ext4 => system::Filesystem::Ext4(tree),
                    Filesystem::Fat => system::Filesystem::Fat(tree),
                    Filesystem::Squashfs => system::Filesystem::Squashfs(tree),
                    Filesystem::Erofs => system::Filesystem::Erofs(tree),
                }),
            });
        }
        Ok(())
    }

    /// Builds the tree of a partition: its files, or the content of its volume.
    fn partition_tree(&mut self, field: &str, partition: &Partition) -> Result<Tree, Diagnostics> {
        let meta = self.meta(0o755);
        // The files are put where those of the root filesystem usually are.
        let root = mem::replace(&mut self.tree, Tree::new(meta));
        let filled = if partition.volume.is_empty() {
            self.files(&format!("{field}.files"), &partition.files)
        } else {
            self.volume_content(field, &partition.volume)
        };
        let tree = mem::replace(&mut self.tree, root);
        filled.map(|()| tree)
    }

    /// Puts the content of a volume, as containers see it.
    fn volume_content(&mut self, field: &str, name: &str) -> Result<(), Diagnostics> {
        let config = self.config;
        let mut volumes = config.volumes.iter().enumerate();
        let Some((at, volume)) = volumes.find(|(_, volume)| volume.name == name) else {
            return Ok(());
        };
        if volume.image.is_empty() {
            return Ok(());
        }
        let origin = self.image_origin(
            &canonical(&volume.image),
            &format!("volume[{at}]"),
            &format!("volumes[{at}]"),
        );
        let field = format!("{field}.volume");
        if volume.format == "oci" {
            return self.layout(at, volume, "");
        }
        let mut files = self.unpacked(&field, &volume.image)?;
        image::filter(&mut files, Role::Init, Time::from_seconds(self.request.time));
        image::set_origin(&mut files, &origin);
        files.node_mut(NodeId::ROOT).meta = origin.meta(0o755);
        let grafted = self.tree.graft(b"", files, &origin.meta(0o755));
        grafted.map_err(|error| self.config.error_at(&field, super::tree_error(&error)))
    }
}
