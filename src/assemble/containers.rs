//! Containers: their files, once for each image, and their configurations.

use std::collections::BTreeMap;

use extents::Extents;
use tree::Kind;

use super::image::Role;
use super::spec::{self, Ids};
use super::{Builder, volumes};
use crate::config::{Config, ContainerConfig, ContainerSpec, Mount, canonical, parse_label};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::system::Container;

/// Numeric ID of the first container.
const FIRST_ID: u32 = 100;

/// Returns the numeric IDs of the containers by name: from 100 on, in the order of their sections.
pub fn ids(config: &Config) -> Ids {
    let all = config.sections().into_iter().flat_map(|(_, containers)| containers);
    all.zip(FIRST_ID..)
        .map(|(container, id)| (container.name.clone(), id))
        .collect()
}

impl Builder<'_> {
    pub(super) fn containers(&mut self) -> Result<(), Diagnostics> {
        let ids = ids(self.config);
        let mut unpacked = BTreeMap::new();
        for (section, containers) in self.config.sections() {
            for (at, container) in containers.iter().enumerate() {
                let directory = match section {
                    "services" => format!("containers/services/{}", container.name),
                    _ => format!("containers/{section}/{at:03}-{}", container.name),
                };
                self.container(&format!("{section}[{at}]"), &directory, container, &ids, &mut unpacked)?;
            }
        }
        // As a walk of the tree finds them.
        let components = |container: &Container| container.directory.split('/').map(str::to_owned).collect::<Vec<_>>();
        self.containers.sort_by_key(components);
        Ok(())
    }

    fn container(
        &mut self,
        field: &str,
        directory: &str,
        container: &ContainerSpec,
        ids: &Ids,
        unpacked: &mut BTreeMap<String, String>,
    ) -> Result<(), Diagnostics> {
        let name = canonical(&container.image);
        let origin = self.image_origin(&name, field, field);
        let image = self.image(&format!("{field}.image"), &container.image)?;
        let label = match image.label("org.mobyproject.config").filter(|text| !text.is_empty()) {
            Some(text) => parse_label(text, &name).map_err(|mut diagnostics| {
                let named = self
                    .config
                    .error_at(&format!("{field}.image"), "the label of this image is invalid");
                diagnostics.0.extend(named.0);
                diagnostics
            })?,
            None => ContainerConfig::default(),
        };
        let locate = |error: Diagnostic| self.config.locate(error.below(field));
        let yaml = volumes::bound(self.config, &container.config).map_err(locate)?;
        let spec = spec::compose(&yaml, &label, &image.config, ids).map_err(|errors| {
            let errors = errors.into_iter().map(|error| {
                // The YAML alone has passed [`super::check`].
                let message = format!(
                    "cannot combine the YAML with the image configuration of {name}: {}",
                    error.message
                );
                Diagnostic { message, ..error }.below(field)
            });
            self.config.locate_all(errors.collect())
        })?;

        let image_field = format!("{field}.image");
        let lower = match unpacked.get(&name) {
            Some(first) => first.clone(),
            None => {
                let path = format!("{directory}/{}", if spec.readonly { "rootfs" } else { "lower" });
                self.unpack(&image_field, &container.image, &path, Role::Container, &origin)?;
                unpacked.insert(name, path.clone());
                path
            }
        };
        let add_directory = |builder: &mut Self, name: &str| {
            builder.put(
                field,
                &format!("{directory}/{name}"),
                origin.meta(0o755),
                Kind::directory(),
                &origin,
            )
        };
        if !spec.readonly {
            add_directory(self, "tmp")?;
        }
        add_directory(self, "rootfs")?;
        let first = root_mounts(directory, &lower, spec.readonly);
        let runtime = spec::runtime_json(first, &spec.runtime, container.restart);
        for (name, value) in [("config.json", &spec.config), ("runtime.json", &runtime)] {
            let content = Kind::File(Extents::from_bytes(spec::to_bytes(value)));
            self.put(
                field,
                &format!("{directory}/{name}"),
                origin.meta(0o644),
                content,
                &origin,
            )?;
        }
        self.containers.push(Container {
            directory: directory.to_owned(),
            read_only_root: spec.readonly.then_some(lower),
            mounts: spec.mounts,
        });
        Ok(())
    }
}

/// Returns the mounts that make a container's root filesystem: an overlay, or the image itself.
fn root_mounts(directory: &str, lower: &str, readonly: bool) -> Vec<Mount> {
    let texts = |options: &[&str]| Some(options.iter().map(|&option| option.to_owned()).collect());
    let rootfs = format!("/{directory}/rootfs");
    if readonly {
        return vec![Mount {
            destination: rootfs,
            source: format!("/{lower}"),
            options: texts(&["bind"]),
            ..Mount::default()
        }];
    }
    let tmp = format!("/{directory}/tmp");
    let lower = format!("lowerdir=/{lower}");
    let (upper, work) = (format!("upperdir={tmp}/upper"), format!("workdir={tmp}/work"));
    vec![
        Mount {
            destination: tmp.clone(),
            kind: "tmpfs".into(),
            source: "tmpfs".into(),
            ..Mount::default()
        },
        Mount {
            destination: tmp,
            options: texts(&["remount", "private"]),
            ..Mount::default()
        },
        Mount {
            destination: rootfs,
            kind: "overlay".into(),
            source: "overlay".into(),
            options: texts(&[&lower, &upper, &work]),
            ..Mount::default()
        },
    ]
}
