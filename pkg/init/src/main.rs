//! PID 1 of the machines that moby builds.
fn main() {}
