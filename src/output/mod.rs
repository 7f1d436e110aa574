//! The tree as files that boot.

pub mod compress;
