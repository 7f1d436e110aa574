//! OCI images: references, layouts, archives, and the blobs that make up an image.
//!
//! ```text
//! reference ──▶ layout (directory, OCI archive, docker save) ──▶ index ──▶ manifest ──▶ config
//!                                                                                └──▶ layers
//! ```
//!
//! A blob is used only after its size and digest were found to match its descriptor.

mod attestation;
mod blob;
pub(crate) mod cached_file;
mod digests;
pub mod docker_archive;
mod docker_save;
mod error;
mod files;
pub mod graph;
mod image;
mod index;
pub(crate) mod layer;
mod layout;
pub(crate) mod lock;
mod lookup;
pub mod reference;
pub mod referrers;
#[cfg(feature = "registry")]
pub mod registry;
mod writer;

pub use blob::Location;
pub(crate) use blob::{digest, verify};
pub use digests::{ImageDigests, PlatformDigests};
pub use error::Error;
pub(crate) use error::pull_command;
pub use files::Files;
pub use graph::ImageGraph;
pub(crate) use graph::{blob_path, digest_of};
pub use image::{Image, Layer};
pub use layout::Layout;
pub use referrers::Referrers;
pub use writer::{Cleaned, Writer};
