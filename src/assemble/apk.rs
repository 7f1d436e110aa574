//! Databases of Alpine's package manager. Several init images may have one at the same path; the system
//! gets a merged one.

use std::io;

use extents::Extents;
use tree::{Kind, Tree};

/// Path of the database.
pub const PATH: &str = "lib/apk/db/installed";

/// Databases of several images.
#[derive(Debug, Default)]
pub struct Databases(Vec<Extents>);

impl Databases {
    /// Adds the database of an image, if it has one.
    pub fn add(&mut self, image: &Tree) -> io::Result<()> {
        if let Some(id) = image.lookup(PATH.as_bytes())
            && let Kind::File(content) = &image.node(id).kind
        {
            self.0.push(content.clone());
        }
        Ok(())
    }

    /// Returns the merged database, if there were several.
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
