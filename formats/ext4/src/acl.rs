//! POSIX access control lists, which have another form on disk than in the attribute that programs
//! see (ext4, Extended Attributes, POSIX ACLs).
//!
//! ```text
//! programs   version 2 │ tag, permissions, id │ tag, permissions, id │ ...
//! disk       version 1 │ tag, permissions     │ tag, permissions, id │ ...   an id only for users and groups
//! ```

/// Versions of both forms.
const VERSION_PROGRAMS: u32 = 2;
const VERSION_DISK: u32 = 1;
/// Tags of entries without an id: owner, owning group, mask, others.
const WITHOUT_ID: [u16; 4] = [0x01, 0x04, 0x10, 0x20];
/// Tags of entries with an id: a user, a group.
const WITH_ID: [u16; 2] = [0x02, 0x08];

/// Converts a list to the form on disk; returns `None` for a value that is not a list.
pub fn to_disk(value: &[u8]) -> Option<Vec<u8>> {
    let (version, entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != VERSION_PROGRAMS || entries.len() % 8 != 0 {
        return None;
    }
    let mut disk = VERSION_DISK.to_le_bytes().to_vec();
    for entry in entries.chunks(8) {
        let (head, id) = entry.split_at_checked(4)?;
        let tag = u16::from_le_bytes(*head.first_chunk::<2>()?);
        disk.extend(head);
        if WITH_ID.contains(&tag) {
            disk.extend(id);
        } else if !WITHOUT_ID.contains(&tag) {
            return None;
        }
    }
    Some(disk)
}
