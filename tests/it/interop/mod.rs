//! Tests beside other programs: skopeo, umoci, dpkg, depmod, the checkers of filesystems, and others
//! that `cargo xtask test` installs.

#[cfg(all(feature = "registry", feature = "sign"))]
mod air_gap;
mod ci;
mod compiled_kernel;
mod crash_safety;
mod debian;
#[cfg(feature = "inspect")]
mod documents;
mod images;
#[cfg(feature = "inspect")]
mod inspect;
mod mutation;
mod offline;
#[cfg(feature = "registry")]
mod pages;
#[cfg(all(feature = "registry", feature = "sign"))]
mod referrers;
#[cfg(feature = "registry")]
mod registry;
#[cfg(feature = "registry")]
mod registry_access;
#[cfg(feature = "registry")]
mod registry_transfer;
mod reproducible;
mod rootfs;
mod store;
#[cfg(all(feature = "registry", feature = "sign"))]
mod trust;
