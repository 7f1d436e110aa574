//! Tests that need the program alone, with the usual programs of a Linux system at most (a shell,
//! tar, gzip): no network, no privileges, no QEMU. `cargo xtask test fast` runs them.

mod build;
mod bundle;
mod cache;
mod check;
mod corpus;
mod counters;
#[cfg(feature = "inspect")]
mod diff;
mod disk;
mod docs;
mod documents;
mod explain;
mod formats;
mod golden;
mod hostile;
#[cfg(feature = "inspect")]
mod hostile_inspect;
mod hostile_registry;
mod initrd;
mod installed;
mod kernel;
mod limits;
mod lock;
#[cfg(feature = "sign")]
mod locked_signers;
mod messages;
mod modules;
mod outputs;
mod pieces;
mod readers;
mod report;
mod rootfs;
#[cfg(target_os = "linux")]
mod run;
mod sbom;
#[cfg(feature = "sign")]
mod trust;
mod unchanged;
mod verity;
mod yaml;
