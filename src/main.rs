//! The `moby` program.
fn main() {}
