//! The YAML.

pub mod reference;
