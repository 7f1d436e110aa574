//! moby turns a YAML file into bootable Linux images, without Docker and without root.
//!
//! [`build()`] runs a build as stages, each of which takes data and returns data:
//!
//! ```text
//! YAML ──config──▶ Config ──resolve──▶ Resolved ──assemble──▶ System ──plan──▶ Extents
//!                                              ──stage──▶ files without names ──verify, commit──▶ files
//! ```
//!
//! No module depends on a later stage.

pub mod arch;
pub mod assemble;
mod bounded;
pub mod build;
pub mod build_record;
pub mod bundle;
mod checked_json;
pub mod cli;
pub mod codec;
pub mod config;
mod content_id;
pub mod debian;
pub mod diagnostic;
#[cfg(feature = "inspect")]
pub mod diff;
pub mod documents;
#[cfg(feature = "inspect")]
pub mod inspect;
mod installed;
mod json_lines;
mod kernel;
pub mod kmod;
pub mod lock;
pub mod oci;
pub mod output;
pub mod pieces;
pub mod pkg;
pub mod plan;
mod program;
pub mod reporter;
pub mod request;
pub mod resolve;
pub mod run;
pub mod sbom;
pub mod size;
pub mod store;
pub mod system;
mod time;
pub mod trust;

pub use build::{Built, build};
