//! Work on numbered pieces by several threads, results in order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    /// The next piece to be worked on.
    next: u64,
    /// The next result to be taken.
    taken: u64,
    results: BTreeMap<u64, io::Result<Vec<u8>>>,
    stopped: bool,
}

/// Calls `work` for 0 to `count - 1` on `jobs` threads and `take` with the results in order.
/// No more than a few results wait at any time.
///
/// # Errors
/// The first error of `work` or `take`.
pub fn map(
    count: u64,
    jobs: usize,
    work: impl Fn(u64) -> io::Result<Vec<u8>> + Sync,
    mut take: impl FnMut(Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let jobs = jobs.max(1);
    let ahead = jobs as u64 * 2;
    let state = Mutex::new(State::default());
    let changed = Condvar::new();
    let lock = || -> MutexGuard<'_, State> { state.lock().unwrap_or_else(PoisonError::into_inner) };
    let wait = |guard| changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
    let worker = || loop {
        let mut guard = lock();
        while !guard.stopped && guard.next < count && guard.next >= guard.taken + ahead {
            guard = wait(guard);
        }
        if guard.stopped || guard.next >= count {
            return;
        }
        let index = guard.next;
        guard.next += 1;
        drop(guard);
        let result = work(index);
        lock().results.insert(index, result);
        changed.notify_all();
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(worker);
        }
        let mut outcome = Ok(());
        for index in 0..count {
            let mut guard = lock();
            let result = loop {
                match guard.results.remove(&index) {
                    Some(result) => break result,
                    None => guard = wait(guard),
                }
            };
            guard.taken = index + 1;
            drop(guard);
            changed.notify_all();
            outcome = result.and_then(&mut take);
            if outcome.is_err() {
                break;
            }
        }
        lock().stopped = true;
        changed.notify_all();
        outcome
    })
}
