//! The kernel image: the kernel, its command line, its modules and microcode.

use extents::Extents;
use pax::Body;
use tree::{Kind, Meta, Tree};

use super::{Builder, Origin};
use crate::config::canonical;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::{kernel, resolve};

impl Builder<'_> {
    pub(super) fn kernel(&mut self) -> Result<(), Diagnostics> {
        let config = self.config;
        let kernel = &config.kernel;
        if kernel.image.is_empty() {
            return Ok(());
        }
        let files = self.unpacked("kernel.image", &kernel.image)?;
        let origin = self.image_origin(&canonical(&kernel.image), "kernel", "kernel");
        let binary = resolve::kernel::file_name(kernel);
        let field = if kernel.binary.is_empty() {
            "kernel.image"
        } else {
            "kernel.binary"
        };
        let Some((meta, mut content)) = file(&files, binary) else {
            return Err(config.error_at(field, missing(&files, &kernel.image, binary, "kernel.binary")));
        };
        if self.request.decompress_kernel {
            content = kernel::decompressed(&content).map_err(|error| {
                let mut diagnostic = Diagnostic::error(format!("cannot decompress the kernel: {error}"));
                diagnostic.help.extend(error.help().map(str::to_owned));
                config.error_at(field, diagnostic)
            })?;
        }
        self.put("kernel", "boot", origin.meta(0o755), Kind::directory(), &origin)?;
        if let Some(tar) = resolve::kernel::tar_name(kernel) {
            let field = if kernel.tar.is_some() {
                "kernel.tar"
            } else {
                "kernel.image"
            };
            let Some((meta, content)) = file(&files, tar) else {
                return Err(config.error_at(field, missing(&files, &kernel.image, tar, "kernel.tar")));
            };
            self.modules(field, &content, &origin, origin.source.saturating_add(meta.source))?;
        }
        self.system.cmdline.clone_from(&kernel.cmdline);
        self.system.kernel = (!content.is_empty()).then(|| content.clone());
        let cmdline = Kind::File(Extents::from_bytes(kernel.cmdline.as_bytes()));
        self.put("kernel.cmdline", "boot/cmdline", origin.meta(0o644), cmdline, &origin)?;
        self.put(
            field,
            "boot/kernel",
            Meta {
                source: origin.source.saturating_add(meta.source),
                ..origin.meta(meta.mode)
            },
            Kind::File(content),
            &origin,
        )?;
        if let Some(ucode) = kernel.ucode.as_deref().filter(|ucode| !ucode.is_empty()) {
            let Some((meta, content)) = file(&files, ucode) else {
                return Err(config.error_at("kernel.ucode", missing(&files, &kernel.image, ucode, "kernel.ucode")));
            };
            self.system.microcode = (!content.is_empty()).then(|| content.clone());
            let meta = Meta {
                source: origin.source.saturating_add(meta.source),
                ..origin.meta(meta.mode)
            };
            self.put("kernel.ucode", "boot/ucode.cpio", meta, Kind::File(content), &origin)?;
        }
        self.take_sboms("kernel.image", &kernel.image, &files, "")
    }

    /// Unpacks the kernel's tar, which is of the layer that `source` numbers, over the root.
    fn modules(&mut self, field: &str, tar: &Extents, origin: &Origin, source: u32) -> Result<(), Diagnostics> {
        let parents = Meta {
            source,
            ..origin.meta(0o755)
        };
        for entry in pax::entries(tar) {
            let entry = entry.map_err(|error| {
                self.config
                    .error_at(field, format!("the kernel's tar is corrupt: {error}"))
            })?;
            let meta = Meta {
                records: Some(origin.records.clone()),
                source,
                ..entry.meta
            };
            let kind = match entry.body {
                Body::Link(target) => {
                    let linked = self.tree.link(&entry.path, &target, &parents);
                    linked.map_err(|error| self.config.error_at(field, format!("the kernel's tar: {error}")))?;
                    continue;
                }
                Body::Node(kind) => kind,
            };
            let inserted = self.tree.insert(&entry.path, meta, kind, &parents);
            inserted.map_err(|error| self.config.error_at(field, format!("the kernel's tar: {error}")))?;
        }
        self.observe();
        Ok(())
    }
}

fn file(files: &Tree, name: &str) -> Option<(Meta, Extents)> {
    let node = files.node(files.lookup_following(name.as_bytes())?);
    match &node.kind {
        Kind::File(content) => Some((node.meta.clone(), content.clone())),
        _ => None,
    }
}

/// Returns the error for a file that a field names and the kernel image lacks.
fn missing(files: &Tree, image: &str, name: &str, field: &str) -> Diagnostic {
    let top = files
        .walk()
        .filter(|named| !named.path.is_empty() && !named.path.contains(&b'/'));
    let names: Vec<String> = top.take(12).map(|named| tree::show(&named.path)).collect();
    let names = if names.is_empty() {
        "nothing".into()
    } else {
        names.join(", ")
    };
    Diagnostic::error(format!("cannot find {name} in the kernel image {image}")).help(format!(
        "the image has {names}; set `{field}` to the right file{}",
        match field {
            "kernel.tar" => ", or to `none`",
            "kernel.ucode" => ", or remove it",
            _ => "",
        }
    ))
}
