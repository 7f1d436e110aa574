//! Files of the section `files`.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use extents::{Extents, FileBlob};
use tree::{Kind, Meta};

use super::spec;
use super::{Builder, containers, metadata};
use crate::config::File;
use crate::diagnostic::{Diagnostic, Diagnostics, size};
use crate::resolve::sources;

/// Maximum length of a file of the host that is read into memory, in bytes.
const MAX_COPIED: u64 = 64 << 10;
/// Maximum length of a file of the host that has no length, in bytes.
const MAX_UNSIZED: u64 = 64 << 20;

impl Builder<'_> {
    /// Puts the files of a section, which is `files` or that of a partition.
    pub(super) fn files(&mut self, section: &str, files: &[File]) -> Result<(), Diagnostics> {
        let ids = containers::ids(self.config);
        let config = self.config;
        let mut created = BTreeSet::new();
        for (at, file) in files.iter().enumerate() {
            let field = format!("{section}[{at}]");
            let Some(kind) = self.content(&field, file)? else {
                continue;
            };
            let origin = self.origin("linuxkit.files", &field, &field);
            let default = if file.directory { 0o700 } else { 0o600 };
            let mode = u32::from_str_radix(&file.mode, 8).unwrap_or(default);
            let owner = |id, name| spec::id(id, name, &ids).map_err(|error| config.locate(error.below(&field)));
            let meta = Meta {
                uid: owner(file.uid.as_ref(), "uid")?,
                gid: owner(file.gid.as_ref(), "gid")?,
                ..origin.meta(mode)
            };
            let path = normal(&file.path);
            let path = path.as_str();
            let parents: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
            for end in parents {
                let parent = path.get(..end).unwrap_or_default();
                let found = self.tree.lookup(parent.as_bytes());
                match found.map(|id| &self.tree.node(id).kind) {
                    Some(Kind::Directory(_)) | None => {}
                    // A link to a directory stays one: the machine's own /lib may be such.
                    Some(Kind::Symlink(_)) => continue,
                    Some(_) => {
                        let message = format!("`{parent}` is not a directory, and `{path}` needs one there");
                        let error = Diagnostic::error(message).help("give one of the two another path");
                        return Err(config.error_at(&format!("{field}.path"), error));
                    }
                }
                if !created.insert(parent.to_owned()) {
                    continue;
                }
                let meta = Meta {
                    mode: searchable(mode),
                    ..meta.clone()
                };
                self.put(&format!("{field}.path"), parent, meta, Kind::directory(), &origin)?;
            }
            created.insert(path.to_owned());
            self.put(&format!("{field}.path"), path, meta, kind, &origin)?;
        }
        Ok(())
    }

    fn content(&self, field: &str, file: &File) -> Result<Option<Kind>, Diagnostics> {
        if file.directory {
            return Ok(Some(Kind::directory()));
        }
        if !file.symlink.is_empty() {
            return Ok(Some(Kind::Symlink(file.symlink.clone().into_bytes())));
        }
        if let Some(contents) = &file.contents {
            return Ok(Some(Kind::File(Extents::from_bytes(contents.as_bytes()))));
        }
        if !file.metadata.is_empty() {
            let bytes = metadata::write(self.config, &file.metadata);
            return Ok(Some(Kind::File(Extents::from_bytes(bytes))));
        }
        let refuse = |error: Diagnostic| self.config.locate(error.below(field));
        let bundled = self.request.sources.as_ref();
        if !sources::check(file, bundled).map_err(refuse)? {
            return Ok(None);
        }
        if let Some(source) = bundled.and_then(|bundled| bundled.get(&file.source)) {
            return Ok(Some(Kind::File(Extents::from_slice(source.clone()))));
        }
        let source = sources::path(file);
        let failed = |error: std::io::Error| {
            refuse(Diagnostic::field(
                "source",
                format!("cannot read {}: {error}", source.display()),
            ))
        };
        // Files of /proc have the length 0, files of /sys that of a page, whatever their content.
        if std::fs::metadata(&source).map_err(failed)?.len() <= MAX_COPIED {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(&source).map_err(failed)?;
            file.take(MAX_UNSIZED + 1).read_to_end(&mut bytes).map_err(failed)?;
            if bytes.len() as u64 > MAX_UNSIZED {
                let error = format!("it has no length, and more than {}", size(MAX_UNSIZED));
                return Err(failed(std::io::Error::other(error)));
            }
            return Ok(Some(Kind::File(Extents::from_bytes(bytes))));
        }
        let blob = FileBlob::open(&source).map_err(failed)?;
        Ok(Some(Kind::File(Extents::from_blob(Arc::new(blob)))))
    }
}

/// Removes empty and `.` components from a path.
pub(super) fn normal(path: &str) -> String {
    let components = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    components.collect::<Vec<_>>().join("/")
}

/// Returns the mode of a directory for that of a file: every class with a permission may search it.
fn searchable(mode: u32) -> u32 {
    [0o700, 0o070, 0o007]
        .into_iter()
        .filter(|class| mode & class != 0)
        .fold(mode, |mode, class| mode | (class & 0o111))
}
