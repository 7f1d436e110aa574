//! `moby check`: every mistake at once, each with its line and a remedy.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::site::{Site, good, refused};

#[test]
fn every_mistake_of_a_container_is_shown() {
    let site = Site::new();
    site.write(
        "a.yml",
        "services:
  - name: a
    image: b
    net: hots
    pid: none
    binds:
      - /a:/a:roo
      - /b
    env: [FOO]
    capabilities:
      - CAP_NET_ADMN
      - CAP_KILL
      - CAP_WRONG
    cwd: ../..
files:
  - path: x
    source: missing
",
    );
    let message = refused(site.moby(&["check", "a.yml"]), 2);
    for (line, found, help) in [
        (4, "unknown network namespace \"hots\"", "did you mean `host`?"),
        (5, "unknown pid namespace \"none\"", "use host, new, or the path"),
        (7, "unknown option of a bind mount: roo", "did you mean `ro`?"),
        (8, "missing ':'", "write it as SOURCE:DESTINATION"),
        (9, "\"FOO\" has no name and value", "write it as `FOO=VALUE`"),
        (11, "CAP_NET_ADMN", "did you mean `CAP_NET_ADMIN`?"),
        (13, "CAP_WRONG", "capabilities are written as"),
        (14, "\"../..\" has a `..` component", "set `cwd: /`"),
    ] {
        for text in [&format!("a.yml:{line}:"), found, help] {
            assert!(message.contains(text), "{text} is missing in:\n{message}");
        }
    }
    site.write("a.yml", "files:\n  - path: x\n    source: missing\n");
    let message = refused(site.moby(&["check", "a.yml"]), 2);
    assert!(
        message.contains("a.yml:3:") && message.contains("cannot read missing"),
        "{message}"
    );
}

#[test]
fn fields_of_other_tools_get_their_counterpart() {
    let site = Site::new();
    for (field, help) in [
        ("ports: [\"80:80\"]", "share the host's network"),
        ("volumes: [\"a:/b\"]", "use"),
        ("environment: {A: b}", "`env: [\"NAME=VALUE\"]`"),
        ("depends_on: [b]", "onboot containers run in their order"),
        ("privileged: true", "`capabilities: [all]`"),
    ] {
        site.write("a.yml", &format!("services:\n  - name: a\n    image: b\n    {field}\n"));
        let message = refused(site.moby(&["check", "a.yml"]), 2);
        let expected = if field.starts_with("volumes") { "binds:" } else { help };
        assert!(message.contains("a.yml:4:5") && message.contains(expected), "{message}");
    }
}

#[test]
fn nul_characters_and_second_documents_are_refused() {
    let site = Site::new();
    for (yaml, found) in [
        (
            "kernel: {image: a, cmdline: \"a\\0b\"}\n",
            "`kernel.cmdline` has a NUL character",
        ),
        (
            "onboot: [{name: a, image: b, env: [\"A=\\0\"]}]\n",
            "`onboot[0].env[0]` has a NUL character",
        ),
        (
            "init: [a]\n---\ninit: [b]\n",
            "multiple YAML documents in one file are not supported",
        ),
        ("onboot:\n  - name: a\n image: b\n", "belongs to none"),
    ] {
        site.write("a.yml", yaml);
        let message = refused(site.moby(&["check", "a.yml"]), 2);
        assert!(message.contains(found) && message.contains("--> a.yml:"), "{message}");
    }
    site.write("a.yml", "init: [a]\nfiles: [{path: a, contents: \"\\0\"}]\n---\n");
    good(site.moby(&["check", "a.yml"]));
}

#[test]
fn causes_are_shown_on_request() {
    let site = Site::new();
    for flag in ["-v", "--verbose", "--verbose=3"] {
        refused(site.moby(&[flag, "check", "missing.yml"]), 2);
    }
    good(site.moby(&["-v", "0", "check", "machine.yml"]));
    assert!(good(site.moby(&["version"])).starts_with(b"moby "));
}

#[test]
fn a_name_stays_in_the_output_directory() {
    let site = Site::new();
    for name in ["../x", "/x", "a/../../x", ".."] {
        let message = refused(site.build(&["--name", name, "--dir", "out", "machine.yml"]), 2);
        assert!(message.contains("choose the directory with --dir"), "{message}");
    }
}
