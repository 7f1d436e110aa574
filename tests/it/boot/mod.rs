//! Machines that boot in QEMU.

mod arm64;
mod kernel;
mod large_image;
mod machines;
mod services;
mod verity;
