//! Messages for programs: JSON, colors and bars.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::site::{Site, good};

/// The fields of a reason, as the reference lists them.
fn documented(reason: &str) -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/messages.md");
    let page = fs::read_to_string(page).unwrap();
    let start = format!("| `{reason}` | ");
    let row = page.lines().find_map(|line| line.strip_prefix(&start));
    let row = row.unwrap_or_else(|| panic!("the reference does not list {reason}"));
    let fields = row.split(" | ").next().unwrap().split('`').skip(1).step_by(2);
    let severities = ["error", "warning", "note"];
    let fields = fields.filter(|field| !severities.contains(field));
    fields.chain(["reason"]).map(str::to_owned).collect()
}

/// Parses lines of JSON whose fields are the documented ones.
fn parsed(text: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let fields: BTreeSet<String> = value.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, documented(value["reason"].as_str().unwrap()), "{line}");
        value
    });
    lines.collect()
}

fn reasons(messages: &[Value]) -> BTreeSet<&str> {
    messages
        .iter()
        .map(|message| message["reason"].as_str().unwrap())
        .collect()
}

#[test]
fn json_has_the_documented_fields() {
    let site = Site::new();
    let json = ["--message-format", "json"];
    let output = site.moby(&[&["build", "-f", "tar", "--size", "1G", "machine.yml"], &json[..]].concat());
    let messages = parsed(&output.stderr);
    assert!(good(output).is_empty());
    assert!(
        reasons(&messages).is_superset(&BTreeSet::from(["diagnostic", "image", "output"])),
        "{messages:?}"
    );
    let of = |reason: &str| messages.iter().find(|message| message["reason"] == reason).unwrap();
    assert_eq!(of("output")["path"], "machine.tar");
    assert_eq!(of("diagnostic")["severity"], "note");
    let output = site.moby(&[&["check", "machine.yml"], &json[..]].concat());
    assert_eq!(parsed(&output.stderr)[0]["path"], "machine.yml");

    site.write("wrong.yml", "init: []\nonbot: []\n");
    let output = site.moby(&[&["check", "wrong.yml"], &json[..]].concat());
    assert_eq!(output.status.code(), Some(2));
    let [error] = &parsed(&output.stderr)[..] else {
        panic!("not one error")
    };
    assert_eq!(error["severity"], "error");
    assert_eq!(
        error["place"],
        serde_json::json!({"file": "wrong.yml", "line": 2, "column": 1, "text": "onbot: []"})
    );
    assert_eq!(error["help"][0], "did you mean `onboot`?");

    // Errors only, and of another kind.
    let output = site.moby(&[&["-q", "run", "nothing"], &json[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let error = &parsed(&output.stderr)[0];
    assert!(error["place"].is_null() && error["field"].is_null(), "{error}");
}

#[test]
#[cfg(feature = "inspect")]
fn results_are_json_too() {
    let site = Site::new();
    let json = ["--message-format", "json"];
    good(site.build(&["-f", "tar", "machine.yml"]));
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let output = good(site.moby(&[arguments, &json[..]].concat()));
        let text = String::from_utf8(output).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let summary = lines(&["inspect", "machine.tar"]);
    assert!(summary.len() > 1 && summary.iter().all(|line| line["reason"] == "content"));
    let files = lines(&["inspect", "--ls", "machine.tar"]);
    let motd = files.iter().find(|file| file["path"] == "etc/motd").unwrap();
    assert_eq!((&motd["reason"], &motd["size"]), (&"file".into(), &6.into()));
    let listed: Value = serde_json::from_slice(&good(site.moby(&[&["cache", "ls"], &json[..]].concat()))).unwrap();
    let names = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].as_str().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("docker.io/moby/")).count(), 2);
}

#[test]
fn colors_are_asked_for() {
    let site = Site::new();
    let colored = "\x1b[1;31merror\x1b[0m: ";
    for (arguments, no_color, is_colored) in [
        (&["run", "nothing"][..], "", false),
        (&["run", "nothing", "--color=always"], "", true),
        (&["run", "nothing", "--color=always"], "1", true),
        (&["run", "nothing", "--color=never"], "", false),
        (
            &["run", "nothing", "--color=always", "--message-format=json"],
            "",
            false,
        ),
    ] {
        let output = site.command(arguments).env("NO_COLOR", no_color).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.starts_with(colored), is_colored, "{arguments:?}: {text}");
    }
}
