//! The name of an image: its canonical form is a name too, and its own canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::config::reference::parse;

fuzz_target!(|text: &str| {
    let Ok(name) = parse(text) else { return };
    let canonical = name.canonical();
    let again = parse(&canonical).unwrap_or_else(|error| panic!("{text:?} is {canonical:?}: {error}"));
    assert_eq!(again.canonical(), canonical, "{text:?}");
});
