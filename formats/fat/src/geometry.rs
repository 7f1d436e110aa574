//! Division of a volume: type, cluster length, number of clusters, tables.

use crate::SECTOR;
use crate::error::Error;
use crate::options::{Options, Type};

/// Entries of 32 bytes of the root directory of FAT12 and FAT16 (FAT 1.03, BPB_RootEntCnt).
const ROOT_ENTRIES: u64 = 512;
/// Reserved sectors of FAT32 (FAT 1.03, BPB_RsvdSecCnt).
const RESERVED_32: u64 = 32;
/// Alignment of the first cluster in sectors, so that clusters match blocks of 4 KiB.
const ALIGNMENT: u64 = 8;
/// Cluster lengths in sectors, from 512 bytes to 32 KiB (FAT 1.03, BPB_SecPerClus).
const CLUSTERS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Division of a volume, in sectors except as noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub kind: Type,
    pub sectors: u64,
    pub per_cluster: u64,
    pub reserved: u64,
    /// Length of one of the two tables.
    pub table: u64,
    /// Number of entries of the root directory; 0 on FAT32, where it is a chain of clusters.
    pub root_entries: u64,
    /// Number of clusters.
    pub clusters: u64,
}

/// Lengths of the contents of a volume, in bytes.
pub struct Content {
    /// Lengths of all directories but the root, and of all files.
    pub lengths: Vec<u64>,
    /// Length of the root directory.
    pub root: u64,
}

impl Content {
    /// Returns the number of clusters of `per_cluster` sectors that the content takes.
    fn clusters(&self, kind: Type, per_cluster: u64) -> u64 {
        let cluster = per_cluster * SECTOR;
        let root = (kind == Type::Fat32).then_some(self.root.max(1));
        let lengths = self.lengths.iter().copied().chain(root);
        lengths.fold(0, |sum, len| sum.saturating_add(len.div_ceil(cluster)))
    }
}

impl Geometry {
    /// Returns the first sector of the first table.
    pub fn table_start(&self) -> u64 {
        self.reserved
    }

    /// Returns the first sector of the root directory of FAT12 and FAT16.
    pub fn root_start(&self) -> u64 {
        self.reserved + 2 * self.table
    }

    /// Returns the first sector of a cluster; the first cluster is number 2.
    pub fn cluster_start(&self, cluster: u64) -> u64 {
        self.root_start() + self.root_entries * 32 / SECTOR + cluster.saturating_sub(2) * self.per_cluster
    }

    /// Divides the smallest volume that has this number of clusters.
    fn with_clusters(kind: Type, per_cluster: u64, clusters: u64, root: u64) -> Geometry {
        let root_entries = match kind {
            Type::Fat32 => 0,
            _ => ROOT_ENTRIES.max(root.div_ceil(SECTOR) * (SECTOR / 32)),
        };
        let table = kind.table_bytes(clusters + 2).div_ceil(SECTOR);
        let reserved = if kind == Type::Fat32 { RESERVED_32 } else { 1 };
        let ahead = 2 * table + root_entries * 32 / SECTOR;
        let reserved = (reserved + ahead).next_multiple_of(ALIGNMENT) - ahead;
        let mut geometry = Geometry {
            kind,
            sectors: 0,
            per_cluster,
            reserved,
            table,
            root_entries,
            clusters,
        };
        geometry.sectors = geometry.cluster_start(clusters + 2);
        geometry
    }

    /// Divides a volume of `sectors` sectors, with as many clusters as fit.
    fn filling(kind: Type, per_cluster: u64, sectors: u64, root: u64) -> Option<Geometry> {
        let fits = |clusters: u64| Self::with_clusters(kind, per_cluster, clusters, root).sectors <= sectors;
        let (mut low, mut high) = (0, (sectors / per_cluster).min(*kind.clusters().end()));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let smallest = Self::with_clusters(kind, per_cluster, low, root);
        let rest = sectors.checked_sub(smallest.sectors)?;
        // Larger clusters would leave less unused.
        let wasteful = low == *kind.clusters().end() && rest >= per_cluster;
        if !kind.clusters().contains(&low) || wasteful {
            return None;
        }
        // Readers compute the number of clusters from that of sectors, so the rest must not give one
        // cluster more.
        let sectors = smallest.sectors + rest.min(per_cluster - 1);
        Some(Geometry { sectors, ..smallest })
    }

    /// Divides the smallest volume for the content, or one of the length in the options.
    ///
    /// # Errors
    /// A length that is too small or too large, or without a number of clusters that the type allows.
    pub fn choose(content: &Content, options: &Options) -> Result<Geometry, Error> {
        let kinds: Vec<Type> = match options.kind {
            Some(kind) => vec![kind],
            None => Type::ALL.to_vec(),
        };
        let smallest = smallest(content, &kinds, options.min_cluster);
        let geometry = match options.size {
            None => smallest,
            Some(size) => Some(sized(content, &kinds, size, options.min_cluster, smallest)?),
        };
        let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
        let too_large = |size| Error::TooLarge { size };
        let geometry =
            geometry.ok_or_else(|| too_large(content.lengths.iter().copied().fold(0, u64::saturating_add)))?;
        // FAT 1.03, BPB_TotSec32.
        if u32::try_from(geometry.sectors).is_err() {
            return Err(too_large(bytes(geometry.sectors)));
        }
        Ok(geometry)
    }
}

/// Divides the smallest volume: the smallest clusters of the smallest type that has enough of them.
/// FAT32 gets clusters of 4 KiB as soon as there are enough, as all formatting programs do.
fn smallest(content: &Content, kinds: &[Type], min_cluster: u64) -> Option<Geometry> {
    for kind in kinds {
        let range = kind.clusters();
        let mut sizes: Vec<u64> = CLUSTERS.to_vec();
        if *kind == Type::Fat32 {
            sizes.retain(|per_cluster| *per_cluster <= 8);
            sizes.retain(|per_cluster| *per_cluster == 1 || content.clusters(*kind, *per_cluster) >= *range.start());
            sizes.reverse();
            sizes.extend([16, 32, 64]);
        } else if kinds.len() > 1 {
            // The next type wastes less than larger clusters of this type.
            sizes.retain(|per_cluster| *per_cluster <= if *kind == Type::Fat12 { 1 } else { 4 });
        }
        sizes.retain(|per_cluster| per_cluster * SECTOR >= min_cluster);
        for per_cluster in sizes {
            let clusters = content.clusters(*kind, per_cluster).max(*range.start());
            if clusters <= *range.end() {
                return Some(Geometry::with_clusters(*kind, per_cluster, clusters, content.root));
            }
        }
    }
    None
}

/// Divides a volume of a given length in bytes for the content.
fn sized(
    content: &Content,
    kinds: &[Type],
    size: u64,
    min_cluster: u64,
    smallest: Option<Geometry>,
) -> Result<Geometry, Error> {
    let sectors = size / SECTOR;
    let mut possible = None;
    for kind in kinds {
        let mut sizes = CLUSTERS;
        if *kind == Type::Fat32 {
            sizes = [8, 4, 2, 1, 16, 32, 64];
        }
        for per_cluster in sizes.into_iter().filter(|sectors| sectors * SECTOR >= min_cluster) {
            let Some(geometry) = Geometry::filling(*kind, per_cluster, sectors, content.root) else {
                continue;
            };
            possible = Some(geometry);
            if content.clusters(*kind, per_cluster) <= geometry.clusters {
                return Ok(geometry);
            }
        }
    }
    let needed = smallest
        .map(|smallest| smallest.sectors * SECTOR)
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
            let geometry = of(
                &[1000],
                &Options {
                    size: Some(size),
                    ..Options::default()
                },
            )
            .unwrap();
            assert!(
                geometry.kind.clusters().contains(&geometry.clusters),
                "{size}: {geometry:?}"
            );
            let data = geometry.sectors - geometry.cluster_start(2);
            assert_eq!(data / geometry.per_cluster, geometry.clusters, "{size}: {geometry:?}");
            assert!(geometry.kind.table_bytes(geometry.clusters + 2) <= geometry.table * SECTOR);
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
