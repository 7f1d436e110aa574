//! moby turns a YAML file into bootable Linux images: offline, without Docker, without root.
//!
//! The modules follow the way of the data, and each knows only those before it:
//!
//! ```text
//! YAML ──config──▶ Config ──store──▶ images, verified ──assemble──▶ Tree ──plan──▶ files
//! ```

pub mod arch;
pub mod assemble;
pub mod build;
pub mod cli;
pub mod codec;
pub mod config;
mod content_id;
pub mod debian;
pub mod diagnostic;
#[cfg(feature = "inspect")]
pub mod inspect;
mod kernel;
pub mod kmod;
pub mod oci;
pub mod output;
pub mod pkg;
pub mod plan;
pub mod reporter;
pub mod request;
pub mod resolve;
pub mod run;
pub mod size;
pub mod store;
pub mod system;
mod time;

pub use build::{Built, build};
