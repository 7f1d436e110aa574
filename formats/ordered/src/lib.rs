//! Parallel map with ordered results, for compressors of independent blocks.
//!
//! ```text
//! items  1 2 3 4 ...  ──▶  threads, each with its own state  ──▶  results  1 2 3 4 ...  ──▶  Spill
//! ```
//!
//! [`map`] gives items to threads and takes the results in the order of the items, so that the
//! number of threads does not change the output. A [`Spill`] keeps results that may not fit the
//! memory in a temporary file.

mod spill;

pub use spill::Spill;

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Maximum number of results per thread that wait to be taken.
const MAX_AHEAD: u64 = 4;
/// Maximum number of threads: more than cores, they only take memory.
const MAX_JOBS: usize = 256;

struct State<I, T, E> {
    items: I,
    /// Number of the item that the next thread gets.
    next: u64,
    /// Number of results taken.
    taken: u64,
    /// There are no more items.
    ended: bool,
    /// Threads stop: an error occurred, or a thread panicked.
    stopped: bool,
    results: BTreeMap<u64, Result<T, E>>,
}

/// Stops all threads when the one that holds it panics, since they would wait for its result.
struct StopOnPanic<F: Fn()>(F);

impl<F: Fn()> Drop for StopOnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

/// Calls `work` for each item on `jobs` threads, at most 256, each with its own state from `state`,
/// and `take` with the results in the order of the items. At most four results per thread wait to be
/// taken. Where the system starts fewer threads, those do the work, and without any the caller's.
///
/// # Errors
/// The first error of `work` or `take`, in the order of the items. No further item is taken.
pub fn map<I, W, T, E>(
    items: I,
    jobs: usize,
    state: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I::Item) -> Result<T, E> + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E>
where
    I: Iterator + Send,
    T: Send,
    E: Send,
{
    let jobs = jobs.clamp(1, MAX_JOBS);
    let max_ahead = MAX_AHEAD.saturating_mul(jobs as u64);
    let shared = Mutex::new(State {
        items,
        next: 0,
        taken: 0,
        ended: false,
        stopped: false,
        results: BTreeMap::new(),
    });
    let changed = Condvar::new();
    let lock = || -> MutexGuard<'_, State<I, T, E>> { shared.lock().unwrap_or_else(PoisonError::into_inner) };
    let wait = |guard| changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
    let stop = || {
        lock().stopped = true;
        changed.notify_all();
    };
    let worker = || {
        let _guard = StopOnPanic(stop);
        let mut state = state();
        loop {
            let mut guard = lock();
            while !guard.stopped && !guard.ended && guard.next >= guard.taken.saturating_add(max_ahead) {
                guard = wait(guard);
            }
            if guard.stopped || guard.ended {
                return;
            }
            let Some(item) = guard.items.next() else {
                guard.ended = true;
                changed.notify_all();
                return;
            };
            let index = guard.next;
            guard.next += 1;
            drop(guard);
            let result = work(&mut state, item);
            lock().results.insert(index, result);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        let _guard = StopOnPanic(stop);
        let start = || std::thread::Builder::new().spawn_scoped(scope, worker);
        if (0..jobs).map_while(|_| start().ok()).count() == 0 {
            let mut state = state();
            let next = || lock().items.next();
            while let Some(item) = next() {
                take(work(&mut state, item)?)?;
            }
            return Ok(());
        }
        let mut outcome = Ok(());
        loop {
            let mut guard = lock();
            let result = loop {
                let index = guard.taken;
                if let Some(result) = guard.results.remove(&index) {
                    guard.taken += 1;
                    break Some(result);
                }
                if guard.stopped || (guard.ended && guard.next == index) {
                    break None;
                }
                guard = wait(guard);
            };
            drop(guard);
            let Some(result) = result else { break };
            changed.notify_all();
            outcome = result.and_then(&mut take);
            if outcome.is_err() {
                break;
            }
        }
        stop();
        outcome
    })
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_it() {
        for jobs in [1, 2, 7] {
            let mut seen = Vec::new();
            let work = |_: &mut (), i: u32| if i == 90 { Err(i) } else { Ok(i * 2) };
            let outcome = map(
                0..200u32,
                jobs,
                || (),
                work,
                |i| {
                    seen.push(i);
                    Ok(())
                },
            );
            assert_eq!(outcome, Err(90));
            assert_eq!(seen, (0..90).map(|i| i * 2).collect::<Vec<_>>());
            assert_eq!(map(0..0u32, jobs, || (), work, |_| Ok(())), Ok(()));
        }
    }

    #[test]
    #[should_panic]
    fn a_panic_does_not_hang() {
        let work = |_: &mut (), i: u32| if i == 3 { panic!("three") } else { Ok::<_, ()>(()) };
        let _ = map(0..100u32, 2, || (), work, |()| Ok(()));
    }
}
