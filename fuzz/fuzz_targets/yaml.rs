//! The YAML of a machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::config::{self, Source};

fuzz_target!(|text: &[u8]| {
    let source = Source {
        name: "machine.yml".into(),
        dir: "somewhere".into(),
        text: text.to_vec(),
    };
    match config::load(&[source.clone(), source]) {
        Ok(config) => {
            drop(moby::assemble::check(&config));
            let value = serde_json::to_value(&config).unwrap_or_default();
            // Printed YAML is valid input.
            let again = Source {
                name: "again.yml".into(),
                dir: "somewhere".into(),
                text: moby::assemble::metadata::yaml(&value).into_bytes(),
            };
            drop(config::load(&[again]));
        }
        Err(diagnostics) => assert!(!diagnostics.to_string().is_empty()),
    }
});
