//! YAML files as two parsers read them: moby's own, and yaml_serde, which shares no code with it.

use std::fs;
use std::path::{Path, PathBuf};

use moby::config::{self, Config, Source};

/// The machines of a directory and of those below it: YAML files that are not recipes of packages.
fn machines(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            machines(&path, found);
        } else if name.ends_with(".yml") && name != "build.yml" {
            found.push(path);
        }
    }
}

/// A machine as yaml_serde reads it, with merge keys (`<<`) applied.
fn second_opinion(text: &str) -> Config {
    let mut value: yaml_serde::Value = yaml_serde::from_str(text).unwrap();
    value.apply_merge().unwrap();
    yaml_serde::from_value(value).unwrap()
}

#[test]
fn both_parsers_read_the_same_machines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["examples", "testdata/golden", "testdata/machines"] {
        machines(&root.join(directory), &mut files);
    }
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let source = Source {
            name: file.display().to_string(),
            dir: file.parent().unwrap().to_owned(),
            text: text.clone().into_bytes(),
        };
        let own = config::load(&[source]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let json = |config: &Config| serde_json::to_value(config).unwrap();
        assert_eq!(json(&own), json(&second_opinion(&text)), "{}", file.display());
    }
}
