//! Size of the filesystem, and positions of all blocks.

use crate::allocator::{Allocator, Run};
use crate::error::Error;
use crate::extent_tree;
use crate::geometry::{GROUP, Geometry};
use crate::inventory::{Body, Inventory, PlannedInode};
use crate::options::Options;
use crate::{BLOCK, MAX_BLOCKS, MAX_INODES};

/// Default number of bytes per inode.
const BYTES_PER_INODE: u64 = 16 << 10;
/// Minimum number of bytes per inode: a group has at most as many inodes as blocks.
const MIN_BYTES_PER_INODE: u64 = BLOCK;

/// Blocks of an inode.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    pub runs: Vec<Run>,
    /// Blocks of the extent tree.
    pub tree: Vec<u64>,
    /// Block of the extended attributes, or 0.
    pub attributes: u64,
}

impl Placement {
    /// Returns the number of all blocks.
    pub fn blocks(&self) -> u64 {
        let data: u64 = self.runs.iter().map(|run| run.count).sum();
        data + self.tree.len() as u64 + u64::from(self.attributes != 0)
    }
}

/// Positions of the metadata, and of the blocks of all inodes.
#[derive(Debug)]
pub struct Layout {
    pub geometry: Geometry,
    /// Blocks of each inode of the inventory.
    pub inodes: Vec<Placement>,
    /// Blocks of the journal; empty if there is none.
    pub journal: Placement,
    /// Block of pointers of the inode that reserves descriptor blocks; 0 if it reserves none.
    pub pointers: u64,
    /// Block before which everything is in use.
    pub end: u64,
}

/// Content that the layout has to hold.
struct Demand<'a, 'b> {
    inventory: &'a Inventory<'b>,
    options: &'a Options,
}

/// Finds the layout for the options.
pub fn choose(inventory: &Inventory, options: &Options) -> Result<Layout, Error> {
    let demand = Demand { inventory, options };
    // Refuses an impossible journal before anything else.
    options.journal.blocks(0)?;
    let Some(size) = options.size else {
        return demand.smallest();
    };
    let blocks = size / BLOCK;
    if blocks > MAX_BLOCKS {
        return Err(Error::TooLarge { size });
    }
    let min = demand.min_inodes();
    let usual = demand.inodes(blocks).max(min).min(MAX_INODES);
    // Complete groups only, since the last one may be too small for its own metadata.
    let complete = blocks - blocks % GROUP;
    let mut tries = vec![(blocks, usual), (complete, usual)];
    if options.bytes_per_inode.is_none() {
        tries.extend([(blocks, min), (complete, min)]);
    }
    for (blocks, inodes) in tries {
        if let Ok(layout) = demand.try_with(blocks, inodes)? {
            return Ok(layout);
        }
    }
    let layout = demand.smallest()?;
    let needed = layout.geometry.blocks;
    if needed <= blocks {
        return Ok(layout);
    }
    Err(Error::TooSmall {
        needed: needed * BLOCK,
        size,
    })
}

impl Demand<'_, '_> {
    /// Returns the number of inodes for the files and for the free space in the options.
    fn min_inodes(&self) -> u64 {
        let free = self.options.free / BYTES_PER_INODE;
        u64::from(self.inventory.last_inode)
            .saturating_add(free)
            .min(MAX_INODES)
    }

    /// Returns the number of inodes by the ratio to the size, if there is one.
    fn inodes(&self, blocks: u64) -> u64 {
        match (self.options.bytes_per_inode, self.options.size) {
            (Some(bytes), _) => {
                let per_group = GROUP * BLOCK / bytes.clamp(MIN_BYTES_PER_INODE, GROUP * BLOCK);
                per_group * blocks.div_ceil(GROUP)
            }
            (None, Some(_)) => blocks * BLOCK / BYTES_PER_INODE,
            (None, None) => 0,
        }
    }

    /// Finds the layout with the fewest blocks.
    fn smallest(&self) -> Result<Layout, Error> {
        let min = self.min_inodes();
        let mut blocks = 1u64;
        loop {
            if blocks > MAX_BLOCKS {
                return Err(Error::TooLarge {
                    size: blocks.saturating_mul(BLOCK),
                });
            }
            let usual = match self.options.bytes_per_inode {
                Some(_) => self.inodes(blocks),
                None => 0,
            };
            match self.try_with(blocks, usual.max(min).min(MAX_INODES))? {
                Ok(layout) => return Ok(layout),
                Err(missing) => blocks = blocks.saturating_add(missing.max(1)),
            }
        }
    }

    /// Tries a layout of `blocks` with at least `inodes`; otherwise returns a lower limit of the
    /// number of missing blocks.
    fn try_with(&self, blocks: u64, inodes: u64) -> Result<Result<Layout, u64>, Error> {
        let journal = self.options.journal.blocks(blocks)?;
        let geometry = Geometry::new(blocks, inodes, !self.options.boot);
        Ok(geometry.and_then(|geometry| self.place(geometry, journal)))
    }

    fn place(&self, geometry: Geometry, journal: u64) -> Result<Layout, u64> {
        let mut allocator = Allocator::new(&geometry);
        let inodes = &self.inventory.inodes;
        let mut placements: Vec<Placement> = inodes.iter().map(|_| Placement::default()).collect();
        // Directories and other metadata come first, since they are read first.
        for (planned, placement) in inodes.iter().zip(&mut placements) {
            if !matches!(planned.body, Body::File(..)) {
                allocate(&mut allocator, planned, placement);
            }
            if planned.attributes.block.is_some() {
                placement.attributes = allocator.block();
            }
        }
        let pointers = if geometry.reserved > 0 { allocator.block() } else { 0 };
        let mut journal_blocks = Placement::default();
        allocator.allocate(0, journal, extent_tree::MAX_EXTENT_BLOCKS, &mut journal_blocks.runs);
        allocate_tree(&mut allocator, &mut journal_blocks);
        for (planned, placement) in inodes.iter().zip(&mut placements) {
            if matches!(planned.body, Body::File(..)) {
                allocate(&mut allocator, planned, placement);
            }
        }
        let free = self.options.free.div_ceil(BLOCK);
        let missing = allocator
            .missing()
            .saturating_add(free.saturating_sub(allocator.left()));
        if missing > 0 {
            return Err(missing);
        }
        let end = allocator.end();
        Ok(Layout {
            geometry,
            inodes: placements,
            journal: journal_blocks,
            pointers,
            end,
        })
    }
}

fn allocate(allocator: &mut Allocator, planned: &PlannedInode, placement: &mut Placement) {
    for range in planned.body.ranges() {
        allocator.allocate(
            range.start,
            range.end - range.start,
            extent_tree::MAX_EXTENT_BLOCKS,
            &mut placement.runs,
        );
    }
    allocate_tree(allocator, placement);
}

fn allocate_tree(allocator: &mut Allocator, placement: &mut Placement) {
    let mut runs = Vec::new();
    allocator.allocate(0, extent_tree::blocks(placement.runs.len()), u64::MAX, &mut runs);
    placement.tree = runs
        .into_iter()
        .flat_map(|run| run.first..run.first + run.count)
        .collect();
}
