//! The root filesystem as a tree.

pub mod spec;
