//! Volumes: directories that containers bind.

use oci_spec::image::Descriptor;
use tree::{Kind, NodeId, Time};

use super::Builder;
use super::image::{self, Role};
use crate::config::{Config, ContainerConfig, Volume, canonical};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A platform as a volume names it: `linux/arm64`, `linux/arm/v7`.
pub struct Platform<'a> {
    os: &'a str,
    arch: &'a str,
    variant: Option<&'a str>,
}

impl<'a> Platform<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (os, arch, variant) = match text.split('/').collect::<Vec<_>>().as_slice() {
            [os, arch] => (*os, *arch, None),
            [os, arch, variant] => (*os, *arch, Some(*variant)),
            _ => return None,
        };
        Some(Platform { os, arch, variant })
    }

    fn is_of(&self, descriptor: &Descriptor) -> bool {
        descriptor.platform().as_ref().is_some_and(|platform| {
            platform.os().to_string() == self.os
                && platform.architecture().to_string() == self.arch
                && (self.variant.is_none() || platform.variant().as_deref() == self.variant)
        })
    }
}

/// Returns the path of a volume for containers.
fn merged(name: &str) -> String {
    format!("/containers/volumes/{name}/merged")
}

impl Builder<'_> {
    pub(super) fn volumes(&mut self) -> Result<(), Diagnostics> {
        let config = self.config;
        for (at, volume) in config.volumes.iter().enumerate() {
            let directory = format!("containers/volumes/{}", volume.name);
            let field = format!("volumes[{at}].image");
            let blank = self.origin("linuxkit.volumes", &format!("volume[{at}]"), &format!("volumes[{at}]"));
            let lower = format!("{directory}/lower");
            if volume.image.is_empty() {
                let origin = self.origin("empty", &format!("volume[{at}]"), &format!("volumes[{at}]"));
                self.put(&field, &lower, origin.meta(0o755), Kind::directory(), &origin)?;
            } else if volume.format == "oci" {
                self.layout(at, volume, &lower)?;
            } else {
                let origin = self.image_origin(
                    &canonical(&volume.image),
                    &format!("volume[{at}]"),
                    &format!("volumes[{at}]"),
                );
                self.unpack(&field, &volume.image, &lower, Role::Init, &origin)?;
            }
            for name in ["tmp", "merged"] {
                let path = format!("{directory}/{name}");
                self.put(&field, &path, blank.meta(0o755), Kind::directory(), &blank)?;
            }
        }
        Ok(())
    }

    /// Puts an image below a path as an OCI layout, with the platforms that the volume names, or
    /// every platform.
    pub(super) fn layout(&mut self, at: usize, volume: &Volume, path: &str) -> Result<(), Diagnostics> {
        let platforms =
            platforms(volume).map_err(|error| self.config.locate(error.below(&format!("volumes[{at}]"))))?;
        let wanted = |descriptor: &Descriptor| match platforms.as_slice() {
            [] => None,
            platforms => Some(platforms.iter().any(|platform| platform.is_of(descriptor))),
        };
        let field = format!("volumes[{at}].image");
        let name = canonical(&volume.image);
        let graph = self.resolved.store.graph(&name, &wanted);
        let graph = graph.map_err(|error| self.config.error_at(&field, error))?;
        let mut files = graph.layout(&name, Time::default());
        let origin = self.image_origin(&name, &format!("volume[{at}]"), &format!("volumes[{at}]"));
        image::set_origin(&mut files, &origin);
        files.node_mut(NodeId::ROOT).meta = origin.meta(0o755);
        let grafted = self.tree.graft(path.as_bytes(), files, &origin.meta(0o755));
        grafted.map_err(|error| self.config.error_at(&field, super::tree_error(&error)))?;
        self.observe();
        Ok(())
    }
}

/// Parses the platforms of a volume of format `oci`.
pub fn platforms(volume: &Volume) -> Result<Vec<Platform<'_>>, Diagnostic> {
    let named = volume.platforms.iter().enumerate();
    let named = named.filter(|_| volume.format == "oci");
    let platforms = named.map(|(at, text)| {
        Platform::parse(text).ok_or_else(|| {
            let message = format!("{text:?} is not a platform");
            Diagnostic::field(format!("platforms[{at}]"), message).help("write it as linux/amd64")
        })
    });
    platforms.collect()
}

/// Replaces the names of volumes in binds and mounts by their paths.
pub fn bound(config: &Config, container: &ContainerConfig) -> Result<ContainerConfig, Diagnostic> {
    let mut container = container.clone();
    let lists = [("binds", &mut container.binds), ("binds.add", &mut container.binds_add)];
    for (key, list) in lists {
        for (at, bind) in list.iter_mut().flatten().enumerate() {
            if bind.starts_with('/') {
                continue;
            }
            let mut parts: Vec<String> = bind.split(':').map(str::to_owned).collect();
            let options = parts.get(2).map_or("", String::as_str);
            let name = parts.first().map_or("", String::as_str);
            let volume = find(config, name, options == "ro");
            let volume = volume.map_err(|error| error.below(&format!("{key}[{at}]")))?;
            if let Some(source) = parts.first_mut() {
                *source = merged(&volume.name);
            }
            *bind = parts.join(":");
        }
    }
    for (at, mount) in container.mounts.iter_mut().flatten().enumerate() {
        if mount.kind != "bind" || mount.source.starts_with('/') {
            continue;
        }
        let options = mount.options.iter().flatten();
        let read_only = options.map(String::as_str).find(|option| ["ro", "rw"].contains(option)) == Some("ro");
        let volume = find(config, &mount.source, read_only);
        let volume = volume.map_err(|error| error.below(&format!("mounts[{at}].source")))?;
        mount.source = merged(&volume.name);
    }
    Ok(container)
}

fn find<'a>(config: &'a Config, name: &str, read_only: bool) -> Result<&'a Volume, Diagnostic> {
    let Some(volume) = config.volumes.iter().find(|volume| volume.name == name) else {
        let names = config.volumes.iter().map(|volume| volume.name.as_str());
        let help = crate::diagnostic::nearest(name, names);
        let help = help.unwrap_or_else(|| "name a volume of `volumes:`, or a path that begins with /".into());
        return Err(Diagnostic::error(format!("volume {name} not found")).help(help));
    };
    if volume.readonly && !read_only {
        let message = format!("volume {name} is read-only, but the container binds it for writing");
        let help = format!("bind it as {name}:/path:ro, or mount it with the option ro");
        return Err(Diagnostic::error(message).help(help));
    }
    Ok(volume)
}
