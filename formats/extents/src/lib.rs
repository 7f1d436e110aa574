//! A virtual file that consists of extents.
