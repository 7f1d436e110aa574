//! Images without compression.

use extents::Extents;

use crate::CLUSTER;
use crate::tables::{COPIED, Map, assemble};

/// Plans an image of a disk of `size` bytes.
pub(crate) fn plan(disk: &Extents, size: u64) -> Extents {
    let mut map = Map::default();
    let mut clusters = Extents::new();
    for range in disk.occupied(CLUSTER) {
        for (cluster, at) in range.clone().zip((clusters.len()..).step_by(CLUSTER as usize)) {
            map.set(cluster, at | COPIED);
        }
        let len = range.end - range.start;
        clusters.push(&disk.part(range.start * CLUSTER, len * CLUSTER));
        clusters.align_to(CLUSTER);
    }
    assemble(size, map, &clusters, &Extents::new(), &[], 0)
}
