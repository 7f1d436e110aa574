//! The YAML.

pub mod diagnostic;
mod node;
pub mod reference;
pub mod schema;
