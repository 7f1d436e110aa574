//! Readers of other people panic on some damaged images: that is an error like any other, and
//! nothing is printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<u32> = const { Cell::new(0) };
}

static HOOK: Once = Once::new();

/// What `work` returns, or what it panics with as an error.
pub fn guard<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDED.get() == 0 {
                usual(panic);
            }
        }));
    });
    GUARDED.set(GUARDED.get().saturating_add(1));
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(GUARDED.get().saturating_sub(1));
    result.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!(
            "it is damaged in a way that its reader does not expect ({})",
            text.unwrap_or("no reason is given")
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let error = guard::<()>(|| panic!("at byte {}", 7)).unwrap_err();
        assert!(error.contains("at byte 7"), "{error}");
        assert_eq!(guard(|| Ok(1)), Ok(1));
    }
}
