//! Where things stand: type, clusters, tables and the boot sector that says so.

use crate::{Error, Options, SECTOR, Type};

/// Entries of 32 bytes of the root folder of FAT12 and FAT16, as everyone has it.
const ROOT_ENTRIES: u64 = 512;
/// Reserved sectors of FAT32 (FAT 1.03, BPB_RsvdSecCnt).
const RESERVED_32: u64 = 32;
/// Clusters begin at multiples of this many sectors, so that blocks of a disk are not cut.
const ALIGNMENT: u64 = 8;
/// Cluster lengths in sectors, of 512 bytes to 32 KiB (FAT 1.03, BPB_SecPerClus).
const CLUSTERS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// How a volume is divided; all in sectors unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub kind: Type,
    pub sectors: u64,
    pub per_cluster: u64,
    pub reserved: u64,
    /// The length of one of the two tables.
    pub table: u64,
    /// Entries of the root folder; none on FAT32, where it is a chain of clusters.
    pub root_entries: u64,
    /// How many clusters.
    pub clusters: u64,
}

/// What is to be stored, in bytes.
pub struct Content {
    /// Each folder but the root, and each file.
    pub lengths: Vec<u64>,
    /// The root folder.
    pub root: u64,
}

impl Content {
    /// How many clusters of `per_cluster` sectors the content takes.
    fn clusters(&self, kind: Type, per_cluster: u64) -> u64 {
        let cluster = per_cluster * SECTOR;
        let root = (kind == Type::Fat32).then_some(self.root.max(1));
        let lengths = self.lengths.iter().copied().chain(root);
        lengths.fold(0, |sum, len| sum.saturating_add(len.div_ceil(cluster)))
    }
}

impl Geometry {
    /// The first sector of the first table.
    pub fn table_start(&self) -> u64 {
        self.reserved
    }

    /// The first sector of the root folder of FAT12 and FAT16.
    pub fn root_start(&self) -> u64 {
        self.reserved + 2 * self.table
    }

    /// The first sector of a cluster; the first cluster is number 2.
    pub fn cluster_start(&self, cluster: u64) -> u64 {
        self.root_start() + self.root_entries * 32 / SECTOR + cluster.saturating_sub(2) * self.per_cluster
    }

    /// A volume with room for this many clusters.
    fn with_clusters(kind: Type, per_cluster: u64, clusters: u64, root: u64) -> Geometry {
        let root_entries = match kind {
            Type::Fat32 => 0,
            _ => ROOT_ENTRIES.max(root.div_ceil(SECTOR) * (SECTOR / 32)),
        };
        let table = kind.table_bytes(clusters + 2).div_ceil(SECTOR);
        let reserved = if kind == Type::Fat32 { RESERVED_32 } else { 1 };
        let ahead = 2 * table + root_entries * 32 / SECTOR;
        let reserved = (reserved + ahead).next_multiple_of(ALIGNMENT) - ahead;
        let mut made = Geometry {
            kind,
            sectors: 0,
            per_cluster,
            reserved,
            table,
            root_entries,
            clusters,
        };
        made.sectors = made.cluster_start(clusters + 2);
        made
    }

    /// The volume of exactly `sectors` sectors, with as many clusters as fit.
    fn filling(kind: Type, per_cluster: u64, sectors: u64, root: u64) -> Option<Geometry> {
        let fits = |clusters: u64| Self::with_clusters(kind, per_cluster, clusters, root).sectors <= sectors;
        let (mut low, mut high) = (0, (sectors / per_cluster).min(*kind.clusters().end()));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match fits(middle) {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        let made = Self::with_clusters(kind, per_cluster, low, root);
        let room = sectors.checked_sub(made.sectors)?;
        // With larger clusters less would be left over.
        let wasteful = low == *kind.clusters().end() && room >= per_cluster;
        if !kind.clusters().contains(&low) || wasteful {
            return None;
        }
        // Who reads it computes the number of clusters from that of sectors: not one too many.
        let sectors = made.sectors + room.min(per_cluster - 1);
        Some(Geometry { sectors, ..made })
    }

    /// The shortest volume for the content, or the one of the length that the options give.
    ///
    /// # Errors
    /// Too small, too large, or no number of clusters that the type allows.
    pub fn choose(content: &Content, options: &Options) -> Result<Geometry, Error> {
        let kinds: Vec<Type> = match options.kind {
            Some(kind) => vec![kind],
            None => Type::ALL.to_vec(),
        };
        let least = least(content, &kinds, options.least_cluster);
        let made = match options.size {
            None => least,
            Some(size) => Some(sized(content, &kinds, size, options.least_cluster, least)?),
        };
        let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
        let too_large = |size| Error::TooLarge { size };
        let made = made.ok_or_else(|| too_large(content.lengths.iter().copied().fold(0, u64::saturating_add)))?;
        // FAT 1.03, BPB_TotSec32.
        match u32::try_from(made.sectors) {
            Ok(_) => Ok(made),
            Err(_) => Err(too_large(bytes(made.sectors))),
        }
    }
}

/// The shortest volume, with the smallest clusters of the smallest type that has enough of them;
/// but on FAT32 clusters of 4 KiB as soon as there are enough, as all that format disks do.
fn least(content: &Content, kinds: &[Type], least_cluster: u64) -> Option<Geometry> {
    for kind in kinds {
        let range = kind.clusters();
        let mut sizes: Vec<u64> = CLUSTERS.to_vec();
        if *kind == Type::Fat32 {
            sizes.retain(|per_cluster| *per_cluster <= 8);
            sizes.retain(|per_cluster| *per_cluster == 1 || content.clusters(*kind, *per_cluster) >= *range.start());
            sizes.reverse();
            sizes.extend([16, 32, 64]);
        } else if kinds.len() > 1 {
            // The next type does better than clusters of more than this.
            sizes.retain(|per_cluster| *per_cluster <= if *kind == Type::Fat12 { 1 } else { 4 });
        }
        sizes.retain(|per_cluster| per_cluster * SECTOR >= least_cluster);
        for per_cluster in sizes {
            let clusters = content.clusters(*kind, per_cluster).max(*range.start());
            if clusters <= *range.end() {
                return Some(Geometry::with_clusters(*kind, per_cluster, clusters, content.root));
            }
        }
    }
    None
}

/// The volume of a given length in bytes with the content in it.
fn sized(
    content: &Content,
    kinds: &[Type],
    size: u64,
    least_cluster: u64,
    least: Option<Geometry>,
) -> Result<Geometry, Error> {
    let sectors = size / SECTOR;
    let mut possible = None;
    for kind in kinds {
        let mut sizes = CLUSTERS;
        if *kind == Type::Fat32 {
            sizes = [8, 4, 2, 1, 16, 32, 64];
        }
        for per_cluster in sizes.into_iter().filter(|sectors| sectors * SECTOR >= least_cluster) {
            let Some(made) = Geometry::filling(*kind, per_cluster, sectors, content.root) else {
                continue;
            };
            possible = Some(made);
            if content.clusters(*kind, per_cluster) <= made.clusters {
                return Ok(made);
            }
        }
    }
    let needed = least
        .map(|least| least.sectors * SECTOR)
        .filter(|needed| *needed > size);
    match (needed, possible) {
        (Some(needed), _) => Err(Error::TooSmall { needed, size }),
        (None, _) => Err(Error::Clusters {
            size,
            kind: kinds.last().copied().unwrap_or(Type::Fat32),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lengths: &[u64], options: &Options) -> Result<Geometry, Error> {
        let content = Content {
            lengths: lengths.to_vec(),
            root: 64,
        };
        Geometry::choose(&content, options)
    }

    #[test]
    fn the_type_follows_the_content() {
        let kind = |len: u64| of(&[len], &Options::default()).map(|g| (g.kind, g.per_cluster)).ok();
        assert_eq!(kind(0), Some((Type::Fat12, 1)));
        assert_eq!(kind(3 << 20), Some((Type::Fat16, 1)));
        assert_eq!(kind(100 << 20), Some((Type::Fat16, 4)));
        assert_eq!(kind(200 << 20), Some((Type::Fat32, 4)));
        assert_eq!(kind(3 << 30), Some((Type::Fat32, 8)));
    }

    #[test]
    fn every_size_has_clusters_that_its_type_allows() {
        for size in (1 << 16..80 << 20)
            .step_by(99_990)
            .chain((1 << 30..9 << 30).step_by(1 << 28))
        {
            let made = of(
                &[1000],
                &Options {
                    size: Some(size),
                    ..Options::default()
                },
            )
            .unwrap();
            assert!(made.kind.clusters().contains(&made.clusters), "{size}: {made:?}");
            let data = made.sectors - made.cluster_start(2);
            assert_eq!(data / made.per_cluster, made.clusters, "{size}: {made:?}");
            assert!(made.kind.table_bytes(made.clusters + 2) <= made.table * SECTOR);
        }
    }

    #[test]
    fn too_small_and_impossible() {
        let sized = |size, kind| {
            of(
                &[1 << 20],
                &Options {
                    size: Some(size),
                    kind,
                    ..Options::default()
                },
            )
        };
        assert!(matches!(sized(1 << 20, None), Err(Error::TooSmall { needed, .. }) if needed > 1 << 20));
        assert!(matches!(sized(8 << 20, Some(Type::Fat32)), Err(Error::TooSmall { .. })));
        assert!(matches!(sized(4 << 30, Some(Type::Fat12)), Err(Error::Clusters { .. })));
        assert!(sized(2 << 20, None).is_ok());
    }
}
