//! The name of an image: its expanded form is a name too, and its own expanded form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::oci::reference::parse;

fuzz_target!(|text: &str| {
    let Ok(name) = parse(text) else { return };
    let expanded = name.without_latest();
    let again = parse(&expanded).unwrap_or_else(|error| panic!("{text:?} is {expanded:?}: {error}"));
    assert_eq!(again.without_latest(), expanded, "{text:?}");
});
