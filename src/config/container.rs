//! Containers, as the YAML and the label of an image describe them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{node, schema};
use crate::diagnostic::{Diagnostics, Span};

/// User or group ID: a number, or the name of a container, which stands for a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// Number.
    Number(i64),
    /// Name of a container, or `root`.
    Name(String),
}

/// Returns true for a list that is missing or empty.
fn no_options(options: &Option<Vec<String>>) -> bool {
    options.as_ref().is_none_or(Vec::is_empty)
}

/// Mount (OCI Runtime Specification, "Mounts").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Path in the container.
    #[serde(default)]
    pub destination: String,
    /// Type of the filesystem.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Device, directory or filesystem that is mounted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Options, as in fstab(5).
    #[serde(default, skip_serializing_if = "no_options")]
    pub options: Option<Vec<String>>,
    /// User ID mappings.
    #[serde(
        rename = "uidMappings",
        alias = "uidmappings",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub uid_mappings: Option<Vec<IdMapping>>,
    /// Group ID mappings.
    #[serde(
        rename = "gidMappings",
        alias = "gidmappings",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub gid_mappings: Option<Vec<IdMapping>>,
}

/// Range of IDs of a user namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdMapping {
    /// First ID in the container.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First ID on the host.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// Number of IDs.
    pub size: u32,
}

/// Device node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Path, or `all` for a rule of the device cgroup only.
    pub path: String,
    /// Type: `a`, `b`, `c`, `p`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Octal permissions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// Setup of a container by the init, beyond the OCI runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// Cgroups to create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroups: Option<Vec<String>>,
    /// Mounts to set up before the container starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    /// Directories to create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mkdir: Option<Vec<String>>,
    /// Network interfaces to create or to move into the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<Interface>>,
    /// Files to bind namespaces to.
    #[serde(rename = "bindNS")]
    pub bind_ns: Namespaces,
    /// Containerd namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Files to bind namespaces to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Namespaces {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mnt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
}

/// Network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Type of the interface to create, such as `veth`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub add: String,
    /// Name of the other end of a veth pair.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer: String,
    /// Creates the interface in the root namespace.
    #[serde(rename = "createInRoot")]
    pub create_in_root: bool,
}

/// Fields of a container that the YAML and the label `org.mobyproject.config` share. A missing field is
/// taken from the label, then from the image's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
// docs/reference/yaml.md describes each.
#[allow(missing_docs)]
pub struct ContainerConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    #[serde(rename = "capabilities.add", skip_serializing_if = "Option::is_none")]
    pub capabilities_add: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambient: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binds: Option<Vec<String>>,
    #[serde(rename = "binds.add", skip_serializing_if = "Option::is_none")]
    pub binds_add: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Device>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub net: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uts: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub userns: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
    #[serde(rename = "maskedPaths", skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<String>>,
    #[serde(rename = "readonlyPaths", skip_serializing_if = "Option::is_none")]
    pub readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<Id>,
    #[serde(rename = "additionalGids", skip_serializing_if = "Option::is_none")]
    pub additional_gids: Option<Vec<Id>>,
    #[serde(rename = "noNewPrivileges", skip_serializing_if = "Option::is_none")]
    pub no_new_privileges: Option<bool>,
    #[serde(rename = "oomScoreAdj", skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i64>,
    #[serde(rename = "rootfsPropagation", skip_serializing_if = "Option::is_none")]
    pub rootfs_propagation: Option<String>,
    #[serde(rename = "cgroupsPath", skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<String>,
    /// Resources (OCI Runtime Specification, "Control groups").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctl: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimits: Option<Vec<String>>,
    #[serde(rename = "uidMappings", skip_serializing_if = "Option::is_none")]
    pub uid_mappings: Option<Vec<IdMapping>>,
    #[serde(rename = "gidMappings", skip_serializing_if = "Option::is_none")]
    pub gid_mappings: Option<Vec<IdMapping>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
}

/// Parses the label `org.mobyproject.config` of an image, YAML or JSON. `image` is its name, for messages.
///
/// # Errors
/// A label that is not a mapping of the fields of a container.
pub fn parse_label(text: &str, image: &str) -> Result<ContainerConfig, Diagnostics> {
    let source = super::Source {
        name: format!("label org.mobyproject.config of {image}"),
        dir: Default::default(),
        text: text.as_bytes().to_vec(),
    };
    let fail = |diagnostics| super::diagnose(diagnostics, std::slice::from_ref(&source));
    let parsed = node::parse(text.as_bytes(), 0).map_err(|diagnostic| fail(vec![diagnostic]))?;
    let Some(node) = parsed else {
        return Ok(ContainerConfig::default());
    };
    let diagnostics: Vec<_> = schema::check(&node, Some("label"), &mut |_, _: Span| {});
    if !diagnostics.is_empty() {
        return Err(fail(diagnostics));
    }
    let span = node.span;
    serde_json::from_value(node.to_json())
        .map_err(|error| fail(vec![crate::diagnostic::Diagnostic::at(span, error.to_string())]))
}
