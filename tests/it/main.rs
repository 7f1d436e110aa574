//! The whole tool from outside: `moby` as a program, and what it writes judged by other programs,
//! firmware and Linux. docs/testing.md says what is tested where.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod boot;
mod cli;
mod common;
mod formats;
mod interop;
mod packages;
