//! What a developer of moby runs: `cargo xtask ...`.
fn main() {}
