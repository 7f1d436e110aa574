//! The configuration of an image, and the runtime configuration composed from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::assemble::spec::compose;
use moby::config::{ContainerConfig, parse_label};
use oci_spec::image::ImageConfiguration;

/// Name of the label that LinuxKit and moby read.
const LABEL: &str = "org.mobyproject.config";

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = serde_json::from_slice::<ImageConfiguration>(bytes) else {
        return;
    };
    let labels = image.config().as_ref().and_then(|config| config.labels().clone());
    let text = labels.and_then(|labels| labels.get(LABEL).cloned()).unwrap_or_default();
    let Ok(label) = parse_label(&text, "image") else { return };
    drop(compose(&ContainerConfig::default(), &label, &image, &Default::default()));
});
