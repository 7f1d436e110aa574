//! moby turns a YAML file into bootable Linux images: offline, without Docker, without root.
//!
//! The modules follow the way of the data, and each knows only those before it:
//!
//! ```text
//! YAML ──config──▶ Config ──store──▶ images, verified ──rootfs──▶ Tree ──output──▶ files
//! ```

pub mod cli;
pub mod config;
pub mod inspect;
mod kernel;
pub mod output;
pub mod pkg;
pub mod rootfs;
pub mod run;
pub mod store;
mod time;
