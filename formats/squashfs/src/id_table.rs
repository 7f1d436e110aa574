//! Users and groups, one table for both (rst 3.6, "Uid/gid lookup table").

use std::collections::BTreeMap;

use crate::MAX_IDS;

/// Numbers of users and groups, in order of their first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    ids: Vec<u32>,
    indices: BTreeMap<u32, u16>,
}

impl Ids {
    /// Returns the index of a user or group in the table; `None` if the table is full.
    pub(crate) fn index(&mut self, id: u32) -> Option<u16> {
        if let Some(index) = self.indices.get(&id) {
            return Some(*index);
        }
        if self.ids.len() >= MAX_IDS {
            return None;
        }
        let index = self.ids.len() as u16;
        self.ids.push(id);
        self.indices.insert(id, index);
        Some(index)
    }

    /// Returns the number of entries, at most 65,535.
    pub(crate) fn count(&self) -> u16 {
        self.ids.len() as u16
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = [u8; 4]> {
        self.ids.iter().map(|id| id.to_le_bytes())
    }
}
