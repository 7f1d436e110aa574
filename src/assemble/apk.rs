//! The databases of Alpine's package manager: each init image may bring one at the same path,
//! and the machine gets all of them in one.

use std::io;

use extents::Extents;
use tree::{Kind, Tree};

/// Where the database is.
pub const PATH: &str = "lib/apk/db/installed";

/// The databases met so far.
#[derive(Debug, Default)]
pub struct Databases(Vec<Extents>);

impl Databases {
    /// Adds that of an image, if it has one.
    pub fn add(&mut self, image: &Tree) -> io::Result<()> {
        if let Some(id) = image.lookup(PATH.as_bytes())
            && let Kind::File(content) = &image.node(id).kind
        {
            self.0.push(content.clone());
        }
        Ok(())
    }

    /// All in one, when there were several.
    pub fn merged(&self) -> Option<Extents> {
        if self.0.len() < 2 {
            return None;
        }
        let mut all = Extents::new();
        for database in &self.0 {
            all.push(database);
            all.push_bytes(*b"\n\n");
        }
        Some(all)
    }
}
