//! The label `org.mobyproject.config` of an image, and the runtime configuration composed from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::assemble::spec::compose;
use moby::config::{ContainerConfig, parse_label};
use oci_spec::image::ImageConfiguration;

fuzz_target!(|text: &str| {
    match parse_label(text, "image") {
        Ok(label) => {
            let yaml = ContainerConfig::default();
            drop(compose(&yaml, &label, &ImageConfiguration::default(), &Default::default()));
        }
        Err(diagnostics) => assert!(!diagnostics.to_string().is_empty()),
    }
});
