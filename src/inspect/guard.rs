//! Panics of third-party readers, turned into errors. Some of those readers panic on corrupt
//! images.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::Error;

thread_local! {
    static GUARDED: Cell<u32> = const { Cell::new(0) };
}

static HOOK: Once = Once::new();

/// Calls `read` and prints nothing if it panics.
///
/// # Errors
/// An error that `read` returns, and [`Error::Panicked`] if it panics.
pub fn guard<T>(read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    HOOK.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDED.get() == 0 {
                default_hook(panic);
            }
        }));
    });
    GUARDED.set(GUARDED.get().saturating_add(1));
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(GUARDED.get().saturating_sub(1));
    result.unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::Panicked {
            reason: reason.unwrap_or("no reason given").to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let error = guard::<()>(|| panic!("at byte {}", 7)).unwrap_err();
        assert!(error.to_string().contains("at byte 7"), "{error}");
        assert_eq!(guard(|| Ok(1)).unwrap(), 1);
    }
}
