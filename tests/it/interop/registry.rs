//! Registries: Debian's docker-registry on loopback, images that skopeo pushed, and skopeo reading
//! what moby pushed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::Value;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::registry::{Action, Head, Proxy, Registry, Response, htpasswd, tls};
use crate::common::site::{Site, files, good, refused};

/// A site with an image for two architectures in the layout `images`, whose layers have noise of
/// this length.
pub fn site(noise: usize) -> Site {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("images"));
    let manifests = ["amd64", "arm64"].map(|arch| {
        let seed = arch.len() as u32 + u32::from(arch == "arm64");
        // Xorshift, so that nothing can compress it.
        let mut state = 0x9e37_79b9 ^ seed;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .take(noise)
        .collect();
        let first = Layer::gzip(&tar(&[(b'0', "arch", "", arch.as_bytes())]));
        layout.manifest(arch, &[first, Layer::gzip(&tar(&[(b'0', "noise", "", &noise)]))])
    });
    let attestation = layout.attestation(&manifests[0], &serde_json::json!({"spdxVersion": "SPDX-2.3"}));
    let [amd64, arm64] = manifests;
    let index = layout.index(&[amd64, arm64, attestation]);
    layout.name("example.org/app:v1", index);
    site
}

pub fn skopeo(site: &Site, arguments: &[&str]) -> Vec<u8> {
    let mut all = vec!["--insecure-policy"];
    all.extend(arguments);
    site.run("skopeo", &all)
}

/// Pushes the image to a registry of plain HTTP by skopeo.
pub fn push(site: &Site, registry: &Registry, name: &str) {
    let to = format!("docker://{}/{name}", registry.host());
    let arguments = [
        "copy",
        "-q",
        "--all",
        "--dest-tls-verify=false",
        "oci:images:example.org/app:v1",
        &to,
    ];
    skopeo(site, &arguments);
}

/// moby with credentials of the site alone.
pub fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = site.command(arguments);
    command
        .env("DOCKER_CONFIG", site.path("docker"))
        .env("HOME", site.path("home"))
        .env_remove("MOBY_OFFLINE")
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("REGISTRY_AUTH_FILE")
        .env_remove("LINUXKIT_MIRROR");
    command
}

pub fn moby(site: &Site, arguments: &[&str]) -> Output {
    command(site, arguments).output().unwrap()
}

pub fn message(output: Output) -> String {
    refused(output, 1)
}

#[test]
fn pulled_image_is_what_was_pushed() {
    let site = site(100_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let name = format!("{}/team/app:v1", registry.host());
    good(moby(&site, &["cache", "pull", &name, "--arch", "amd64"]));
    good(moby(&site, &["cache", "verify"]));
    let listed = String::from_utf8(good(moby(&site, &["cache", "ls"]))).unwrap();
    assert!(
        listed.contains("team/app:v1") && listed.contains("linux/amd64") && !listed.contains("arm64"),
        "{listed}"
    );
    // The index itself is unchanged, and only one platform's blobs were pulled.
    let raw = skopeo(
        &site,
        &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")],
    );
    let digest = crate::common::layout::digest(&raw);
    assert!(site.path("cache/blobs").join(digest.replace(':', "/")).is_file());
    let one = files(&site.path("cache/blobs/sha256")).len();
    good(moby(&site, &["cache", "pull", &name, "--all-platforms"]));
    assert_eq!(files(&site.path("cache/blobs/sha256")).len(), one + 4);
    // By its digest, which is verified, and again without a byte.
    let by_digest = format!("{}/team/app@{digest}", registry.host());
    let output = good(moby(&site, &["cache", "pull", &by_digest]));
    assert!(output.is_empty());
    for arch in ["amd64", "arm64"] {
        let files = good(moby(
            &site,
            &[
                "cache",
                "export",
                &name,
                "--format",
                "filesystem",
                "--arch",
                arch,
                "-o",
                "-",
            ],
        ));
        assert!(files.windows(5).any(|bytes| bytes == arch.as_bytes()));
    }
    // skopeo reads what moby pushes.
    let copy = format!("{}/other/copy:v2", registry.host());
    good(moby(&site, &["cache", "push", &name, &copy]));
    let pushed = skopeo(
        &site,
        &["inspect", "--raw", "--tls-verify=false", &format!("docker://{copy}")],
    );
    assert!(pushed == raw);
    skopeo(
        &site,
        &[
            "copy",
            "-q",
            "--all",
            "--src-tls-verify=false",
            &format!("docker://{copy}"),
            "oci:back:copy",
        ],
    );
}

#[test]
fn builds_pull_what_is_missing() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let name = format!("{}/team/app:v1", registry.host());
    site.write(
        "app.yml",
        &format!("init: [\"{name}\"]\nonboot: [{{name: a, image: \"{name}\"}}]\n"),
    );
    let build = ["build", "--rebuild", "--arch", "amd64", "-f", "tar", "app.yml"];
    let offline = message(moby(&site, &[&build[..], &["--offline"]].concat()));
    assert!(offline.contains(&format!("no image {name}")), "{offline}");
    // A mistake that is known without the image comes before the pull.
    let early = message(moby(&site, &[&build[..], &["--dir", "app.yml"]].concat()));
    assert!(!early.contains("pulled"), "{early}");
    let output = moby(&site, &build);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert_eq!(said.matches(&format!("pulled {name}@sha256:")).count(), 1, "{said}");
    let first = fs::read(site.path("app.tar")).unwrap();

    // The tag moves; only --pull follows it.
    let old = site.path("images");
    fs::rename(&old, site.path("old")).unwrap();
    let mut layout = Layout::new(&site.path("images"));
    let moved = layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "moved", "", b"")]))]);
    layout.name("example.org/app:v1", moved);
    push(&site, &registry, "team/app:v1");
    good(moby(&site, &build));
    assert!(fs::read(site.path("app.tar")).unwrap() == first);
    good(moby(&site, &[&build[..], &["--pull"]].concat()));
    assert!(fs::read(site.path("app.tar")).unwrap() != first);

    // With everything in the cache no socket is opened.
    let arguments = [
        &[
            "-f",
            "-e",
            "trace=socket,connect",
            "-o",
            "trace",
            env!("CARGO_BIN_EXE_moby"),
        ][..],
        &build,
    ]
    .concat();
    let mut traced = Command::new("strace");
    traced
        .args(arguments)
        .current_dir(site.path(""))
        .env("MOBY_CACHE", site.path("cache"))
        .env_remove("MOBY_OFFLINE");
    good(traced.output().unwrap());
    let trace = fs::read_to_string(site.path("trace")).unwrap();
    assert!(trace.contains("exited with 0") && !trace.contains("socket("), "{trace}");
}

#[test]
fn images_of_a_yaml_are_pulled() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let name = format!("{}/team/app:v1", registry.host());
    site.write("app.yml", &format!("init: [\"{name}\"]\n"));
    good(moby(&site, &["cache", "pull", "app.yml", "--arch", "amd64"]));
    good(moby(
        &site,
        &[
            "build",
            "--rebuild",
            "--offline",
            "--arch",
            "amd64",
            "-f",
            "tar",
            "app.yml",
        ],
    ));
}

#[test]
fn tls_and_passwords_are_demanded_and_given() {
    let site = site(1000);
    let tls = tls(&site, "IP:127.0.0.1");
    let auth = htpasswd(&site);
    let path = |name| site.path(name).display().to_string();
    let registry = Registry::start(&site.path(""), &tls, &auth);
    let (host, name) = (registry.host(), format!("{}/team/app:v1", registry.host()));

    let unknown = message(moby(&site, &["cache", "pull", &name]));
    assert!(
        unknown.contains("cannot trust the certificate of 127.0.0.1") && unknown.contains("--cert-file"),
        "{unknown}"
    );
    let anonymous = message(moby(&site, &["--cert-file", "ca.crt", "cache", "pull", &name]));
    assert!(
        anonymous.contains("denies access to team/app") && anonymous.contains(&format!("`moby login {host}`")),
        "{anonymous}"
    );

    let login = |password: &str| {
        use std::io::Write;
        let arguments = [
            "--cert-file",
            "ca.crt",
            "login",
            &host,
            "--username",
            "me",
            "--password-stdin",
        ];
        let mut command = command(&site, &arguments);
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        child.wait_with_output().unwrap()
    };
    let wrong = message(login("wrong"));
    assert!(wrong.contains("rejects the user name or password"), "{wrong}");
    assert!(!site.path("docker/config.json").exists());
    good(login("secret"));
    let stored: Value = serde_json::from_slice(&fs::read(site.path("docker/config.json")).unwrap()).unwrap();
    assert!(stored["auths"][&host]["auth"].is_string(), "{stored}");

    // skopeo takes the same credentials.
    let to = format!("docker://{name}");
    let authfile = path("docker/config.json");
    skopeo(
        &site,
        &[
            "copy",
            "-q",
            "--all",
            "--dest-tls-verify=false",
            "--authfile",
            &authfile,
            "oci:images:example.org/app:v1",
            &to,
        ],
    );
    good(moby(
        &site,
        &["--cert-file", "ca.crt", "cache", "pull", &name, "--arch", "amd64"],
    ));
    let copy = format!("{host}/team/copy:v1");
    let partial = message(moby(&site, &["--cert-file", "ca.crt", "cache", "push", &name, &copy]));
    assert!(
        partial.contains("linux/arm64") && partial.contains("--all-platforms"),
        "{partial}"
    );
    good(moby(
        &site,
        &["--cert-file", "ca.crt", "cache", "pull", &name, "--all-platforms"],
    ));
    good(moby(&site, &["--cert-file", "ca.crt", "cache", "push", &name, &copy]));

    // A mirror gets its own password, not that of the registry that it mirrors.
    let mirror = format!("localhost:1=https://{host}");
    let mirrored = [
        "--cert-file",
        "ca.crt",
        "--mirror",
        &mirror,
        "cache",
        "pull",
        "localhost:1/team/app:v1",
    ];
    good(moby(&site, &mirrored));
    let config = fs::read_to_string(site.path("docker/config.json")).unwrap();
    fs::write(site.path("docker/config.json"), config.replace(&host, "localhost:1")).unwrap();
    message(moby(&site, &mirrored));
    fs::write(site.path("docker/config.json"), config).unwrap();

    good(moby(&site, &["logout", &host]));
    let out = message(moby(&site, &["--cert-file", "ca.crt", "cache", "pull", &name]));
    assert!(out.contains("denies access"), "{out}");
}

#[test]
fn tokens_are_fetched_and_renewed() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    // Each token is good for two requests.
    let issued = Mutex::new(BTreeMap::<String, u32>::new());
    let proxy = Proxy::start(&registry, move |_, head| {
        let respond = |status, headers: String, body: String| Action::Respond(Response { status, headers, body });
        if head.line.starts_with("GET /token?") {
            let is_scoped = head.line.contains("service=test") && head.line.contains("repository%3Ateam%2Fapp%3Apull");
            // me:secret
            if head.header("authorization") != Some("Basic bWU6c2VjcmV0") || !is_scoped {
                return respond("401 Unauthorized", String::new(), "{}".into());
            }
            let mut issued = issued.lock().unwrap();
            let token = format!("t{}", issued.len());
            issued.insert(token.clone(), 2);
            return respond("200 OK", String::new(), format!("{{\"token\": \"{token}\"}}"));
        }
        let token = head
            .header("authorization")
            .and_then(|header| header.strip_prefix("Bearer "));
        if let Some(left) = token.and_then(|token| {
            issued
                .lock()
                .unwrap()
                .get_mut(token)
                .map(|left| std::mem::replace(left, left.saturating_sub(1)))
        }) && left > 0
        {
            return Action::Pass;
        }
        let host = head.header("host").unwrap();
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"test\"\r\n");
        respond("401 Unauthorized", challenge, "{}".into())
    });
    let name = format!("{}/team/app:v1", proxy.host());
    let denied = message(moby(&site, &["cache", "pull", &name]));
    assert!(denied.contains("denies access to team/app"), "{denied}");
    site.write(
        "docker/config.json",
        &format!(
            "{{\"auths\": {{\"{}\": {{\"auth\": \"bWU6c2VjcmV0\"}}}}}}",
            proxy.host()
        ),
    );
    good(moby(&site, &["cache", "pull", &name, "--all-platforms"]));
    let requests = proxy.requests.lock().unwrap();
    assert!(requests.iter().filter(|line| line.starts_with("GET /token?")).count() > 3);
}

#[test]
fn interrupted_downloads_continue() {
    let site = site(3_000_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    // Each response with a part of a blob ends after a megabyte.
    let proxy = Proxy::start(&registry, |_, head| {
        if head.line.contains("/blobs/") {
            Action::Cut(1_000_000)
        } else {
            Action::Pass
        }
    });
    let name = format!("{}/team/app:v1", proxy.host());
    good(moby(&site, &["cache", "pull", &name, "--arch", "amd64"]));
    good(moby(&site, &["cache", "verify"]));
    let blobs = proxy
        .requests
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line.contains("/blobs/"))
        .count();
    assert!((6..12).contains(&blobs), "{blobs} requests for blobs");
    assert_eq!(
        files(&site.path("cache/moby/downloads"))
            .iter()
            .filter(|name| name.ends_with(".partial"))
            .count(),
        0
    );
}

/// Corrupts the responses to requests with a text in their path.
fn corrupting(part: &'static str) -> impl Fn(usize, &Head) -> Action {
    move |_, head| {
        if head.line.contains(part) {
            Action::Corrupt
        } else {
            Action::Pass
        }
    }
}

#[test]
fn wrong_bytes_are_refused() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let proxy = Proxy::start(&registry, corrupting("/blobs/"));
    let corrupt = message(moby(
        &site,
        &["cache", "pull", &format!("{}/team/app:v1", proxy.host())],
    ));
    assert!(
        corrupt.contains(", found sha256:") && corrupt.contains("help: "),
        "{corrupt}"
    );
    // Manifests below an index are named by digest too.
    let proxy = Proxy::start(&registry, corrupting("/manifests/sha256:"));
    let corrupt = message(moby(
        &site,
        &["cache", "pull", &format!("{}/team/app:v1", proxy.host())],
    ));
    assert!(corrupt.contains(", found sha256:"), "{corrupt}");
    assert_eq!(good(moby(&site, &["cache", "ls", "--names"])), b"");
}

#[test]
fn failures_that_pass_are_waited_for() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let proxy = Proxy::start(&registry, |number, _| match number {
        0 => Action::Respond(Response {
            status: "429 Too Many Requests",
            headers: "Retry-After: 1\r\n".into(),
            body: "{}".into(),
        }),
        1 => Action::Respond(Response {
            status: "503 Service Unavailable",
            headers: String::new(),
            body: String::new(),
        }),
        2 => Action::Cut(0),
        _ => Action::Pass,
    });
    good(moby(
        &site,
        &[
            "cache",
            "pull",
            &format!("{}/team/app:v1", proxy.host()),
            "--arch",
            "amd64",
        ],
    ));
    let proxy = Proxy::start(&registry, |_, _| {
        Action::Respond(Response {
            status: "429 Too Many Requests",
            headers: "Retry-After: 0\r\n".into(),
            body: "{\"errors\": [{\"code\": \"TOOMANYREQUESTS\", \"message\": \"slow down\"}]}".into(),
        })
    });
    let limited = message(moby(
        &site,
        &["cache", "pull", &format!("{}/team/app:v1", proxy.host())],
    ));
    assert!(
        limited.contains("limits the rate of requests: slow down (TOOMANYREQUESTS)"),
        "{limited}"
    );
}

#[test]
fn pulls_repair_corrupt_blobs() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let name = format!("{}/team/app:v1", registry.host());
    let pull = ["cache", "pull", &name, "--arch", "amd64"];
    good(moby(&site, &pull));
    for entry in fs::read_dir(site.path("cache/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        refused(moby(&site, &["cache", "verify"]), 1);
        good(moby(&site, &pull));
        good(moby(&site, &["cache", "verify"]));
    }
}

#[test]
fn mirrors_are_asked_first() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let mirror = format!("example.org=http://{}", registry.host());
    good(moby(
        &site,
        &[
            "--mirror",
            &mirror,
            "cache",
            "pull",
            "example.org/team/app:v1",
            "--arch",
            "amd64",
        ],
    ));
    let listed = String::from_utf8(good(moby(&site, &["cache", "ls"]))).unwrap();
    assert!(listed.contains("\nexample.org/team/app:v1 "), "{listed}");
    // A mirror that lacks the image leaves it to the registry.
    fs::create_dir(site.path("empty")).unwrap();
    let other = Registry::start(&site.path("empty"), "", "");
    let empty = format!("http://{}", other.host());
    let name = format!("{}/team/app:v1", registry.host());
    good(moby(
        &site,
        &["--mirror", &empty, "cache", "pull", &name, "--arch", "amd64"],
    ));
}

#[test]
fn failures_name_the_remedy() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let host = registry.host();
    for (name, more, says) in [
        (
            format!("{host}/team/app:v2"),
            &[][..],
            "app:v2 does not exist on 127.0.0.1",
        ),
        (format!("{host}/team/app:v2"), &[], "v1"),
        (format!("{host}/team/none:v1"), &[], "none:v1 does not exist"),
        (
            format!("{host}/team/app:v1"),
            &["--arch", "s390x"],
            "no image for linux/s390x, only for linux/amd64, linux/arm64",
        ),
        ("localhost:1/app".into(), &[], "cannot reach localhost:1"),
    ] {
        let arguments = [&["cache", "pull", &name], more].concat();
        let said = message(moby(&site, &arguments));
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[test]
fn lock_pins_what_a_tag_was() {
    let site = site(10_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let name = format!("{}/team/app:v1", registry.host());
    site.write("app.yml", &format!("init:\n  - {name}\n"));
    // Manifests only are downloaded.
    good(moby(&site, &["lock", "app.yml"]));
    assert!(!site.path("cache/index.json").exists());
    let lock = || serde_json::from_slice::<Value>(&fs::read(site.path("app.lock")).unwrap()).unwrap();
    let first = lock();
    assert_eq!(first["platforms"].as_array().unwrap().len(), 2);
    assert!(first["platforms"].to_string().contains("linux/arm64"), "{first}");
    let old = first["images"][0]["digest"].as_str().unwrap().to_owned();
    let tar = |arguments: &[&str]| {
        let all = [
            &[
                "-q",
                "build",
                "--rebuild",
                "--arch",
                "amd64",
                "-o",
                "app.tar",
                "app.yml",
            ],
            arguments,
        ]
        .concat();
        good(moby(&site, &all));
        site.run("tar", &["-xOf", "app.tar", "noise"])
    };
    let before = tar(&["--locked"]);
    // The tag moves.
    let other = self::site(20_000);
    push(&other, &registry, "team/app:v1");
    fs::remove_dir_all(site.path("cache")).unwrap();
    assert!(tar(&["--locked"]) == before, "the tag was resolved");
    assert!(tar(&["--pull"]) == before, "the tag was resolved");
    let output = moby(&site, &["lock", "--update", "app.yml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    let new = lock()["images"][0]["digest"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("{name} moved from {old} to {new}")), "{said}");
    assert!(old != new && tar(&["--locked"]) != before);
    // Without the network, an image that is here by its digest alone stays.
    let update = ["-q", "lock", "--update", "--offline", "app.yml"];
    good(moby(&site, &update));
    assert_eq!(lock()["images"][0]["digest"], new.as_str());
}

#[test]
fn layers_are_decompressed_while_they_arrive() {
    let site = site(300_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    // The first answer with a blob of a layer breaks in its middle.
    let cut = std::sync::atomic::AtomicBool::new(false);
    let proxy = Proxy::start(&registry, move |_, head| {
        let is_rest = head.header("range").is_some();
        let is_blob = head.line.contains("/blobs/") && !is_rest;
        if is_blob && !cut.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Action::Cut(150_000);
        }
        Action::Pass
    });
    let name = format!("{}/team/app:v1", proxy.host());
    // The second image does not exist, so that nothing but the pull can have decompressed the first.
    let missing = format!("{}/team/zzz:v1", proxy.host());
    site.write("app.yml", &format!("init: [\"{name}\", \"{missing}\"]\n"));
    let build = ["build", "--rebuild", "--arch", "amd64", "-o", "app.tar", "app.yml"];
    let said = message(moby(&site, &build));
    assert!(said.contains(&format!("cannot pull {missing}")), "{said}");
    assert_eq!(files(&site.path("cache/moby/layers/sha256")).len(), 2);
    good(moby(&site, &["cache", "verify"]));
    site.write("app.yml", &format!("init: [\"{name}\"]\n"));
    good(moby(&site, &build));
    // `cache pull` leaves layers as they are.
    good(moby(
        &site,
        &["--cache", "other", "cache", "pull", &name, "--arch", "amd64"],
    ));
    assert!(!site.path("other/moby/layers").exists());
}

/// The whole text of each failure, with the host and the site's directory left out.
#[test]
fn messages_say_what_failed_and_what_to_do() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let refusing = |status: &'static str, headers: &'static str, body: &'static str| {
        Proxy::start(&registry, move |_, _| {
            let (headers, body) = (headers.into(), body.into());
            Action::Respond(Response { status, headers, body })
        })
    };
    let denied = refusing(
        "401 Unauthorized",
        "WWW-Authenticate: Basic realm=\"test\"\r\n",
        "{\"errors\": [{\"code\": \"UNAUTHORIZED\", \"message\": \"authentication required\"}]}",
    );
    let limited = refusing(
        "429 Too Many Requests",
        "Retry-After: 0\r\n",
        "{\"errors\": [{\"code\": \"TOOMANYREQUESTS\", \"message\": \"slow down\"}]}",
    );
    let proxy = refusing("403 Forbidden", "", "no\n");
    fs::create_dir(site.path("secure")).unwrap();
    let secure = Registry::start(&site.path("secure"), &tls(&site, "IP:127.0.0.1"), "");
    // me:wrong
    let auths = format!(
        "{{\"auths\": {{\"{}\": {{\"auth\": \"bWU6d3Jvbmc=\"}}}}}}",
        denied.host()
    );
    let texts = [
        ("wrong password", denied.host(), "team/app:v1", &[][..], None),
        ("no credentials", denied.host(), "team/app:v1", &[], None),
        ("no such tag", registry.host(), "team/app:v2", &[], None),
        ("no similar tag", registry.host(), "team/app:production", &[], None),
        ("no such repository", registry.host(), "team/none:v1", &[], None),
        ("unknown certificate authority", secure.host(), "team/app:v1", &[], None),
        (
            "no such platform",
            registry.host(),
            "team/app:v1",
            &["--arch", "s390x"],
            None,
        ),
        ("rate limit", limited.host(), "team/app:v1", &[], None),
        (
            "proxy refuses",
            "registry.invalid".to_owned(),
            "team/app:v1",
            &[],
            Some(proxy.host()),
        ),
    ];
    let texts = texts.map(|(case, host, image, more, through)| {
        if case == "wrong password" {
            site.write("docker/config.json", &auths);
        } else {
            fs::remove_file(site.path("docker/config.json")).ok();
        }
        let name = format!("{host}/{image}");
        let mut command = command(&site, &[&["cache", "pull", &name], more].concat());
        for variable in [
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
            "NO_PROXY",
            "no_proxy",
        ] {
            command.env_remove(variable);
        }
        if let Some(through) = through {
            command.env("HTTPS_PROXY", format!("http://{through}"));
        }
        let text = message(command.output().unwrap()).replace(&host, "HOST");
        format!(
            "# {case}\n\n{}\n",
            text.replace(&site.path("").display().to_string(), "SITE/")
        )
    });
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden/registry-messages.md");
    if std::env::var_os("MOBY_BLESS").is_some() {
        fs::write(&path, texts.concat()).unwrap();
    }
    assert_eq!(texts.concat(), fs::read_to_string(&path).unwrap());
}

#[test]
fn blobs_are_mounted_from_the_repository_of_the_image() {
    let site = site(100_000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    let proxy = Proxy::start(&registry, |_, _| Action::Pass);
    let name = format!("{}/team/app:v1", proxy.host());
    let uploads = |repository: &str| {
        let requests = proxy.requests.lock().unwrap();
        let start = format!("/v2/{repository}/blobs/uploads/");
        let of = |method: &str| {
            requests
                .iter()
                .filter(|line| line.starts_with(&format!("{method} {start}")))
                .count()
        };
        (of("POST"), of("PUT"))
    };
    good(moby(&site, &["cache", "pull", &name, "--all-platforms"]));
    good(moby(
        &site,
        &["cache", "push", &name, &format!("{}/other/copy:v1", proxy.host())],
    ));
    let (mounted, uploaded) = uploads("other/copy");
    assert!(mounted > 3 && uploaded == 0, "{mounted} {uploaded}");
    let copy = format!("docker://{}/other/copy:v1", registry.host());
    skopeo(
        &site,
        &["copy", "-q", "--all", "--src-tls-verify=false", &copy, "oci:back:copy"],
    );
    // Blobs that the other repository does not have are uploaded.
    good(moby(&site, &["-q", "cache", "import", "images"]));
    good(moby(
        &site,
        &[
            "cache",
            "push",
            "example.org/app:v1",
            &format!("{}/third:v1", proxy.host()),
        ],
    ));
    let (begun, uploaded) = uploads("third");
    assert_eq!(begun, uploaded);
}

/// On a CPU without the instructions that TLS needs, as QEMU emulates it.
#[cfg(target_arch = "x86_64")]
#[test]
fn old_cpus_have_plain_http_and_layouts() {
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", "");
    push(&site, &registry, "team/app:v1");
    fs::create_dir(site.path("secure")).unwrap();
    let secure = Registry::start(&site.path("secure"), &tls(&site, "IP:127.0.0.1"), "");
    let old = |arguments: &[&str]| {
        let moby = command(&site, arguments);
        let mut qemu = Command::new("qemu-x86_64");
        qemu.args(["-cpu", "Nehalem"]).arg(moby.get_program());
        qemu.args(moby.get_args()).current_dir(site.path(""));
        for (name, value) in moby.get_envs().filter(|(name, _)| *name != "PATH") {
            match value {
                Some(value) => qemu.env(name, value),
                None => qemu.env_remove(name),
            };
        }
        qemu.output()
            .unwrap_or_else(|error| panic!("qemu-x86_64 is missing, see xtask: {error}"))
    };
    for host in ["registry.invalid".to_owned(), secure.host()] {
        let said = message(old(&["cache", "pull", &format!("{host}/team/app:v1")]));
        assert!(
            said.contains(&format!("cannot connect to {host} by HTTPS: this CPU lacks "))
                && said.contains("AVX2")
                && said.contains("`moby build --layout FILE`"),
            "{said}"
        );
    }
    let name = format!("{}/team/app:v1", registry.host());
    good(old(&["cache", "pull", &name, "--arch", "amd64"]));
    site.write("app.yml", "init: [\"example.org/app:v1\"]\n");
    let build = ["build", "--arch", "amd64", "-f", "tar", "--layout", "images", "app.yml"];
    good(old(&build));
}
