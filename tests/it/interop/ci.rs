//! Templates for users' CI, as the schemas of GitHub and GitLab that check-jsonschema includes have them.

use std::path::Path;
use std::process::Command;

/// Runs check-jsonschema, which `cargo xtask test` installs, and returns whether it is satisfied.
fn is_valid(schema: &str, text: &str) -> bool {
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/python/bin/check-jsonschema");
    let output = Command::new(&program)
        .args(["--builtin-schema", schema])
        .arg(file.path())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    output.status.success()
}

fn template(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(file)).unwrap()
}

#[test]
fn templates_are_valid() {
    let action = template("github-action/action.yml");
    // The schema has rules for jobs, but none for a template whose name begins with a dot.
    let job = template("gitlab-ci.yml").replace("\n.moby:", "\njob:") + "  script: [moby version]\n";
    for (schema, text, field, wrong) in [
        ("vendor.github-actions", action, "using: composite", "using: nothing"),
        ("vendor.gitlab-ci", job, "image: debian:12", "image: [5]"),
    ] {
        assert!(is_valid(schema, &text), "{schema}");
        assert!(text.contains(field), "{field}");
        assert!(!is_valid(schema, &text.replace(field, wrong)), "{wrong}");
    }
}
