//! The configuration itself as a file of the image.

use crate::config::Config;

/// The merged configuration with canonical image names, as `yaml` or `json`.
pub fn write(config: &Config, format: &str) -> Vec<u8> {
    let value = serde_json::to_value(config.canonical()).unwrap_or_default();
    match format {
        "json" => super::spec::to_bytes(&value),
        _ => serde_yaml::to_string(&value).unwrap_or_default().into_bytes(),
    }
}
