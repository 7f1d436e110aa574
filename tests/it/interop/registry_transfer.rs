//! Transfers from registries: downloads that another process continues or waits for, redirects, slow answers.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::registry::{command, message, moby, push, site};
use crate::common::registry::{Action, Proxy, Registry, Response};
use crate::common::site::{files, good};

fn respond(status: &'static str, headers: String) -> Action {
    let body = "{}".into();
    Action::Respond(Response { status, headers, body })
}

#[test]
fn another_process_continues_a_download() {
    let site = site(3_000_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    // The registry breaks off after a megabyte, and refuses the rest.
    let cutting = Proxy::start(&registry, |_, head| match head.header("range") {
        Some(_) => respond("403 Forbidden", String::new()),
        None if head.line.contains("/blobs/") => Action::Cut(1_000_000),
        None => Action::Pass,
    });
    let pull = |proxy: &Proxy| {
        let name = format!("{}/team/app:v1", proxy.host());
        moby(&site, &["cache", "pull", &name, "--arch", "amd64"])
    };
    message(pull(&cutting));
    let downloads = site.path("cache/moby/downloads");
    let lens = files(&downloads).into_iter().filter(|name| name.ends_with(".partial"));
    let lens = lens.map(|name| fs::metadata(downloads.join(name)).unwrap().len());
    let longest = lens.max().unwrap();
    assert!((900_000..1_000_000).contains(&longest), "{longest}");
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let log = ranges.clone();
    let passing = Proxy::start(&registry, move |_, head| {
        log.lock().unwrap().extend(head.header("range").map(str::to_owned));
        Action::Pass
    });
    good(pull(&passing));
    assert_eq!(*ranges.lock().unwrap(), [format!("bytes={longest}-")]);
    good(moby(&site, &["cache", "verify"]));
}

#[test]
fn processes_share_a_download() {
    let site = site(500_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let proxy = Proxy::start(&registry, |_, head| {
        if head.line.contains("/blobs/") {
            Action::Slow(20)
        } else {
            Action::Pass
        }
    });
    let name = format!("{}/team/app:v1", proxy.host());
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = command(&site, &["cache", "pull", &name, "--all-platforms"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        good(child.wait_with_output().unwrap());
    }
    let requests = proxy.requests.lock().unwrap();
    let mut blobs: Vec<_> = requests.iter().filter(|line| line.contains("/blobs/")).collect();
    let all = blobs.len();
    blobs.sort();
    blobs.dedup();
    assert!(all > 5 && blobs.len() == all, "{requests:?}");
}

#[test]
fn redirects_to_other_hosts_carry_no_credentials() {
    let site = site(100_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let storage = Proxy::start(&registry, |_, head| match head.header("authorization") {
        Some(_) => respond("400 Bad Request", String::new()),
        None => Action::Slow(5),
    });
    let host = storage.host();
    let front = Proxy::start(&registry, move |_, head| {
        // me:secret
        if head.header("authorization") != Some("Basic bWU6c2VjcmV0") {
            return respond("401 Unauthorized", "WWW-Authenticate: Basic realm=\"test\"\r\n".into());
        }
        match head.line.split(' ').nth(1) {
            Some(path) if path.contains("/blobs/") => {
                respond("307 Temporary Redirect", format!("Location: http://{host}{path}\r\n"))
            }
            _ => Action::Pass,
        }
    });
    site.write(
        "docker/config.json",
        &format!(
            "{{\"auths\": {{\"{}\": {{\"auth\": \"bWU6c2VjcmV0\"}}}}}}",
            front.host()
        ),
    );
    let name = format!("{}/team/app:v1", front.host());
    good(moby(&site, &["cache", "pull", &name, "--arch", "amd64"]));
    good(moby(&site, &["cache", "verify"]));
    assert!(storage.requests.lock().unwrap().len() >= 3);
}

#[test]
fn each_blob_has_a_progress_bar() {
    let site = site(500_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let proxy = Proxy::start(&registry, |_, head| {
        if head.line.contains("/blobs/") {
            Action::Slow(10)
        } else {
            Action::Pass
        }
    });
    let name = format!("{}/team/app:v1", proxy.host());
    let pull = command(&site, &["cache", "pull", &name, "--arch", "amd64"]);
    // The same command on a terminal.
    let quoted: Vec<_> = [pull.get_program()].into_iter().chain(pull.get_args()).collect();
    let line = quoted.join("' '".as_ref());
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &format!("stty cols 100; '{}'", line.display()), "/dev/null"]);
    terminal
        .current_dir(site.path(""))
        .env("TERM", "xterm")
        .env_remove("CI");
    for (key, value) in pull.get_envs().filter(|(key, _)| *key != "PATH") {
        match value {
            Some(value) => terminal.env(key, value),
            None => terminal.env_remove(key),
        };
    }
    let text = String::from_utf8(good(terminal.output().unwrap())).unwrap();
    let bars = text
        .split("sha256:")
        .skip(1)
        .filter(|rest| rest.get(12..14) == Some(" ["));
    let shown: BTreeSet<&str> = bars.filter_map(|rest| rest.get(..12)).collect();
    // Manifests come as they are named, before the blobs.
    let directory = site.path("cache/blobs/sha256");
    let mut blobs = files(&directory);
    blobs.retain(|name| {
        let json: Option<Value> = serde_json::from_slice(&fs::read(directory.join(name)).unwrap()).ok();
        json.is_none_or(|json| json.get("layers").is_none() && json.get("manifests").is_none())
    });
    let expected: BTreeSet<&str> = blobs.iter().map(|name| &name[..12]).collect();
    assert!(shown.len() >= 3, "{text}");
    assert_eq!(shown, expected, "{text}");
}
