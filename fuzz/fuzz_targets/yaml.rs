//! A YAML of a machine, and of a label.
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
            let value = serde_json_value(&config);
            // What is printed is read again.
            let again = Source {
                name: "again.yml".into(),
                dir: "somewhere".into(),
                text: moby::assemble::metadata::yaml(&value).into_bytes(),
            };
            drop(config::load(&[again]));
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty()),
    }
    if let Ok(text) = std::str::from_utf8(text) {
        drop(config::parse_label(text, "image"));
    }
});

fn serde_json_value(config: &config::Config) -> serde_json::Value {
    serde_json::to_value(config).unwrap_or_default()
}
