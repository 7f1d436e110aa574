//! Contributions of the sections of the YAML to one path of the root filesystem.

use tree::{Kind, Meta, Node, NodeId};

use super::{Builder, Origin};
use crate::config::canonical;
use crate::diagnostic::Diagnostics;
use crate::reporter::Reporter;
use crate::request::Request;
use crate::resolve::Resolved;
use crate::system::Source;

/// Node that a section, or a layer of its image, puts at a path.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// Section and layer. None for what moby itself adds.
    pub source: Option<Source>,
    /// Metadata of the node.
    pub meta: Meta,
    /// Type and content of the node. The entries of a directory are left out.
    pub kind: Kind,
}

/// A path that is observed while a system is assembled.
#[derive(Debug)]
pub(super) struct Watch {
    path: Vec<u8>,
    /// Node at the path, and its source.
    last: Option<(NodeId, u32)>,
    found: Vec<Contribution>,
}

/// Lists the contributions to a path of the root filesystem in the order in which they are made: each
/// covers the one before it. Directories are merged instead. The list is empty if nothing has the path.
///
/// # Errors
/// The errors of [`super::assemble`].
pub fn explain(
    request: &Request,
    resolved: &Resolved,
    path: &[u8],
    reporter: &dyn Reporter,
) -> Result<Vec<Contribution>, Diagnostics> {
    let mut builder = Builder::new(request, resolved, reporter)?;
    builder.watch = Some(Watch {
        path: path.to_vec(),
        last: None,
        found: Vec::new(),
    });
    builder.root()?;
    builder.observe();
    // Something else may have replaced a directory above it.
    let is_there = builder.tree.lookup(path).is_some();
    let watch = builder.watch.filter(|_| is_there);
    Ok(watch.map(|watch| watch.found).unwrap_or_default())
}

impl Builder<'_> {
    /// Notes the node at the watched path if it is another one than before.
    pub(super) fn observe(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let Some(id) = self.tree.lookup(&watch.path) else {
            return;
        };
        let node = self.tree.node(id);
        if watch.last != Some((id, node.meta.source)) {
            watch.last = Some((id, node.meta.source));
            watch.found.push(contribution(node, self.system.source(&node.meta)));
        }
    }

    /// Notes the nodes that the layers of an image have put at the watched path, which the image has been
    /// unpacked above.
    ///
    /// # Errors
    /// Layers that are corrupt.
    pub(super) fn observe_image(
        &mut self,
        field: &str,
        name: &str,
        prefix: &str,
        origin: &Origin,
    ) -> Result<(), Diagnostics> {
        let Some(watch) = &self.watch else { return Ok(()) };
        let path = match prefix {
            "" => Some(watch.path.as_slice()),
            prefix => watch.path.strip_prefix(prefix.as_bytes()),
        };
        // The path may also end within the prefix, or within the name of another directory.
        let path = path.filter(|path| prefix.is_empty() || path.is_empty() || path.starts_with(b"/"));
        let Some(path) = path else {
            self.observe();
            return Ok(());
        };
        let (mut last, mut found) = (None, Vec::new());
        let image = self.image(field, &canonical(name))?;
        let mut applied = |tree: &tree::Tree| {
            let Some(id) = tree.lookup(path) else { return };
            let node = tree.node(id);
            if last != Some((id, node.meta.source)) {
                last = Some((id, node.meta.source));
                found.push(node.clone());
            }
        };
        let unpacked = self.resolved.store.tree_with(image, &mut applied);
        let unpacked = unpacked.map_err(|error| self.config.error_at(field, error))?;
        // A higher layer has removed it again.
        if unpacked.lookup(path).is_none() {
            found.clear();
        }
        // The last one is in the tree, unless moby replaces it there.
        let top = found.last().map(|node| origin.source.saturating_add(node.meta.source));
        let kept = self.tree.lookup(&watch.path).map(|id| self.tree.node(id).meta.source);
        if top.is_some() && top == kept {
            found.pop();
        }
        let covered: Vec<Contribution> = found
            .iter_mut()
            .map(|node| {
                node.meta.source = node.meta.source.saturating_add(origin.source);
                contribution(node, self.system.source(&node.meta))
            })
            .collect();
        if let Some(watch) = &mut self.watch {
            watch.found.extend(covered);
        }
        self.observe();
        Ok(())
    }
}

fn contribution(node: &Node, source: Option<&Source>) -> Contribution {
    Contribution {
        source: source.cloned(),
        meta: node.meta.clone(),
        kind: match &node.kind {
            Kind::Directory(_) => Kind::directory(),
            kind => kind.clone(),
        },
    }
}
