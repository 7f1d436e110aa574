//! Which blocks everything has, and how many there must be.

use crate::allocator::{Allocator, Run};
use crate::geometry::{GROUP, Geometry};
use crate::inventory::{Body, Inventory, Item};
use crate::{BLOCK, Error, MOST_BLOCKS, MOST_INODES, Options, extent_tree};

/// Bytes for which there is an inode, when nothing else is said.
const BYTES_PER_INODE: u64 = 16 << 10;
/// The least of them: a group has as many inodes as blocks at most.
const LEAST_PER_INODE: u64 = BLOCK;

/// The blocks of an inode.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    pub runs: Vec<Run>,
    /// Those of its extent tree.
    pub tree: Vec<u64>,
    /// That of its attributes, or 0.
    pub attributes: u64,
}

impl Placed {
    /// How many blocks it has in all.
    pub fn blocks(&self) -> u64 {
        let data: u64 = self.runs.iter().map(|run| run.count).sum();
        data + self.tree.len() as u64 + u64::from(self.attributes != 0)
    }
}

/// Where everything is.
#[derive(Debug)]
pub struct Layout {
    pub geometry: Geometry,
    /// Of each item of the inventory.
    pub items: Vec<Placed>,
    /// Empty when there is none.
    pub journal: Placed,
    /// The block of pointers of the inode that keeps room for descriptors; 0 when it keeps none.
    pub pointers: u64,
    /// Every block before this is in use.
    pub end: u64,
}

/// What is asked for.
struct Wanted<'a, 'b> {
    inventory: &'a Inventory<'b>,
    options: &'a Options,
}

/// Finds the layout that the options ask for.
pub fn choose(inventory: &Inventory, options: &Options) -> Result<Layout, Error> {
    let wanted = Wanted { inventory, options };
    // Says at once whether the size of the journal can be.
    options.journal.blocks(0)?;
    let Some(size) = options.size else {
        return wanted.smallest();
    };
    let blocks = size / BLOCK;
    if blocks > MOST_BLOCKS {
        return Err(Error::TooLarge { size });
    }
    let least = wanted.least_inodes();
    let usual = wanted.inodes(blocks).max(least).min(MOST_INODES);
    // Whole groups: the last one may have no room even for what each must have.
    let whole = blocks - blocks % GROUP;
    let mut tries = vec![(blocks, usual), (whole, usual)];
    if options.bytes_per_inode.is_none() {
        tries.extend([(blocks, least), (whole, least)]);
    }
    for (blocks, inodes) in tries {
        if let Ok(layout) = wanted.try_with(blocks, inodes)? {
            return Ok(layout);
        }
    }
    let layout = wanted.smallest()?;
    let needed = layout.geometry.blocks;
    if needed <= blocks {
        return Ok(layout);
    }
    Err(Error::TooSmall {
        needed: needed * BLOCK,
        size,
    })
}

impl Wanted<'_, '_> {
    /// Inodes that there must be: for the files, and for what is to be free.
    fn least_inodes(&self) -> u64 {
        let free = self.options.free / BYTES_PER_INODE;
        u64::from(self.inventory.last_inode)
            .saturating_add(free)
            .min(MOST_INODES)
    }

    /// Inodes that a filesystem of so many blocks should have.
    fn inodes(&self, blocks: u64) -> u64 {
        match (self.options.bytes_per_inode, self.options.size) {
            (Some(bytes), _) => {
                let per_group = GROUP * BLOCK / bytes.clamp(LEAST_PER_INODE, GROUP * BLOCK);
                per_group * blocks.div_ceil(GROUP)
            }
            (None, Some(_)) => blocks * BLOCK / BYTES_PER_INODE,
            (None, None) => 0,
        }
    }

    /// The layout with the fewest blocks.
    fn smallest(&self) -> Result<Layout, Error> {
        let least = self.least_inodes();
        let mut blocks = 1u64;
        loop {
            if blocks > MOST_BLOCKS {
                return Err(Error::TooLarge {
                    size: blocks.saturating_mul(BLOCK),
                });
            }
            let usual = match self.options.bytes_per_inode {
                Some(_) => self.inodes(blocks),
                None => 0,
            };
            match self.try_with(blocks, usual.max(least).min(MOST_INODES))? {
                Ok(layout) => return Ok(layout),
                Err(missing) => blocks = blocks.saturating_add(missing.max(1)),
            }
        }
    }

    /// The layout with so many blocks and at least so many inodes, or how many blocks are
    /// missing at least.
    fn try_with(&self, blocks: u64, inodes: u64) -> Result<Result<Layout, u64>, Error> {
        let journal = self.options.journal.blocks(blocks)?;
        let geometry = Geometry::new(blocks, inodes, !self.options.boot);
        Ok(geometry.and_then(|geometry| self.place(geometry, journal)))
    }

    fn place(&self, geometry: Geometry, journal: u64) -> Result<Layout, u64> {
        let mut allocator = Allocator::new(&geometry);
        let items = &self.inventory.items;
        let mut placed: Vec<Placed> = items.iter().map(|_| Placed::default()).collect();
        // What is looked at first stands first.
        for (item, placed) in items.iter().zip(&mut placed) {
            if !matches!(item.body, Body::File(..)) {
                give(&mut allocator, item, placed);
            }
            if item.attributes.block.is_some() {
                placed.attributes = allocator.one();
            }
        }
        let pointers = if geometry.reserved > 0 { allocator.one() } else { 0 };
        let mut of_journal = Placed::default();
        allocator.allocate(0, journal, extent_tree::LONGEST, &mut of_journal.runs);
        give_tree(&mut allocator, &mut of_journal);
        for (item, placed) in items.iter().zip(&mut placed) {
            if matches!(item.body, Body::File(..)) {
                give(&mut allocator, item, placed);
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
            items: placed,
            journal: of_journal,
            pointers,
            end,
        })
    }
}

fn give(allocator: &mut Allocator, item: &Item, placed: &mut Placed) {
    for range in item.body.ranges() {
        allocator.allocate(
            range.start,
            range.end - range.start,
            extent_tree::LONGEST,
            &mut placed.runs,
        );
    }
    give_tree(allocator, placed);
}

fn give_tree(allocator: &mut Allocator, placed: &mut Placed) {
    let mut runs = Vec::new();
    allocator.allocate(0, extent_tree::blocks(placed.runs.len()), u64::MAX, &mut runs);
    placed.tree = runs
        .into_iter()
        .flat_map(|run| run.first..run.first + run.count)
        .collect();
}
