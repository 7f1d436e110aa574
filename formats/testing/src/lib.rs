//! Helpers that the tests of several crates share. They panic, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod disk;
pub mod linux;
pub mod program;
pub mod random;
pub mod sample;
