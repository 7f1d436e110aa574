//! Limits of one inspection, shared by everything nested in the file.

use std::cell::Cell;

use super::Error;

/// Smallest budget, in bytes: a file of any length may expand to this much.
const MIN_BUDGET: u64 = 2 << 30;
/// Budget as a multiple of the length of the file.
const RATIO: u64 = 4;

/// Number of bytes that one inspection still decompresses.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    left: Cell<u64>,
}

impl Budget {
    /// Returns the budget for a file of `len` bytes: four times as much, and at least 2 GiB.
    pub fn for_len(len: u64) -> Budget {
        Budget::new(len.saturating_mul(RATIO).max(MIN_BUDGET))
    }

    /// Returns a budget without a limit.
    pub fn unlimited() -> Budget {
        Budget::new(u64::MAX)
    }

    fn new(limit: u64) -> Budget {
        Budget {
            limit,
            left: Cell::new(limit),
        }
    }

    /// Returns the number of bytes that are left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Takes `len` bytes off the budget.
    ///
    /// # Errors
    /// [`Error::Budget`] if fewer are left; the budget is then used up.
    pub fn take(&self, len: u64) -> Result<(), Error> {
        if let Some(left) = self.left().checked_sub(len) {
            self.left.set(left);
            Ok(())
        } else {
            self.left.set(0);
            Err(Error::Budget { limit: self.limit })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_until_none_are_left() {
        let budget = Budget::for_len(1 << 30);
        budget.take(3 << 30).unwrap();
        assert_eq!(budget.left(), 1 << 30);
        assert!(matches!(budget.take(2 << 30), Err(Error::Budget { limit }) if limit == 4 << 30));
        assert!(budget.take(1).is_err());
        assert_eq!(Budget::for_len(0).left(), MIN_BUDGET);
    }
}
