//! What the tests of several format crates share. It is a dependency of tests alone, and fails as
//! tests do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod disk;
pub mod linux;
pub mod program;
pub mod random;
pub mod sample;
