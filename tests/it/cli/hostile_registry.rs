//! Responses of a registry that no registry should send: moby ends soon, with a message, and obeys none of
//! them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::common::layout::{PLAIN, digest};
use crate::common::site::{Site, refused};

/// A server that gives every request one response, and keeps the requests.
struct Server {
    host: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(respond: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        // It ends with the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).is_ok_and(|len| len > 0) {}
                kept.lock().unwrap().push(request.clone());
                respond(&request, reader.get_mut());
            }
        });
        Server { host, requests }
    }

    fn pull(&self) -> String {
        let site = Site::new();
        let name = format!("{}/a/b:1", self.host);
        let mut command = site.command(&["cache", "pull", "--plain-http", &self.host, &name]);
        let message = refused(command.env_remove("MOBY_OFFLINE").output().unwrap(), 1);
        assert!(message.len() < 20_000, "a message of {} bytes", message.len());
        assert!(!message.contains('\x1b'), "{message:?}");
        message
    }
}

fn send(stream: &mut TcpStream, response: &str) {
    // moby may have closed the connection.
    let _ = stream.write_all(response.as_bytes());
}

/// Sends a beginning, then bytes until moby closes the connection.
fn send_without_end(stream: &mut TcpStream, beginning: &str, repeated: &str) {
    send(stream, beginning);
    let repeated = repeated.repeat(1 << 10);
    while stream.write_all(repeated.as_bytes()).is_ok() {}
}

#[test]
fn one_request_is_enough_to_refuse_a_response() {
    for (response, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "is not an image manifest",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
            "is not an image manifest",
        ),
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
            "missing a location header",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: gopher://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
            "gopher",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /a\x01b\r\nContent-Length: 0\r\n\r\n",
            "invalid header value",
        ),
        ("HTTP/2 200\r\n\r\n", "invalid HTTP version"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "invalid"),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 60\r\n\r\n{\"errors\":[{\"code\":\"X\",\"message\":\"\\u001b[31mred\\u001b[0m\"}]}",
            "denies access",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"file:///etc/passwd\"\r\nContent-Length: 0\r\n\r\n",
            "invalid format",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
            "needs credentials",
        ),
    ] {
        let server = Server::start(move |_, stream| send(stream, response));
        let message = server.pull();
        assert!(message.contains(expected), "{response:?}: {message}");
        assert_eq!(server.requests.lock().unwrap().len(), 1, "{response:?}");
    }
}

#[test]
fn responses_without_end_are_cut() {
    for (beginning, repeated, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "x", "larger than"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "x", "denies access"),
        ("HTTP/1.1 200 OK\r\n", "X-A: b\r\n", "header"),
        ("HTTP/1.1 200 ", "x", "header"),
    ] {
        let server = Server::start(move |_, stream| send_without_end(stream, beginning, repeated));
        let message = server.pull();
        assert!(message.contains(expected), "{beginning:?}: {message}");
        assert_eq!(server.requests.lock().unwrap().len(), 1, "{beginning:?}");
    }
}

#[test]
fn redirects_in_a_circle_end() {
    let response =
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: /v2/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(move |_, stream| send(stream, response));
    let message = server.pull();
    assert!(message.contains("too many redirects"), "{message}");
    assert!(server.requests.lock().unwrap().len() <= 11);
}

#[test]
fn a_registry_that_ignores_ranges_again_and_again_is_given_up() {
    let layer = vec![7; 300_000];
    let config = br#"{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}}"#;
    let (layer_digest, config_digest) = (digest(&layer), digest(config));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
        "layers": [{"mediaType": PLAIN, "digest": layer_digest, "size": layer.len()}],
    });
    let manifest = manifest.to_string();
    let respond = move |request: &str, stream: &mut TcpStream| {
        let range = request.lines().find_map(|line| {
            line.strip_prefix("range: bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
        let (status, body) = if request.contains("/manifests/") {
            ("200 OK", manifest.as_bytes())
        } else if request.contains(&config_digest) {
            ("200 OK", config.as_slice())
        } else {
            match range {
                None => ("200 OK", &layer[..100_000]),
                Some(start) => ("206 Partial Content\r\nContent-Range: bytes none", &layer[start..]),
            }
        };
        // A layer is announced whole, and cut.
        let len = if body.len() > 1000 { layer.len() } else { body.len() };
        let media_type = "Content-Type: application/vnd.oci.image.manifest.v1+json";
        send(
            stream,
            &format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n{media_type}\r\nConnection: close\r\n\r\n"),
        );
        let _ = stream.write_all(body);
    };
    let server = Server::start(respond);
    server.pull();
    let requests = server.requests.lock().unwrap().len();
    assert!((5..30).contains(&requests), "{requests} requests");
}

#[cfg(unix)]
#[test]
fn a_credential_helper_may_print_without_end() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(|_, stream| {
        send(
            stream,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )
    });
    for (script, expected) in [
        ("head -c 600000000 /dev/zero", "expected value"),
        (
            "head -c 600000000 /dev/zero >&2; exit 1",
            "docker-credential-test failed",
        ),
        (
            "printf 'a\\nerror: forged\\n' >&2; exit 1",
            "docker-credential-test failed",
        ),
    ] {
        let site = Site::new();
        site.write("bin/docker-credential-test", &format!("#!/bin/sh\n{script}\n"));
        let helper = site.path("bin/docker-credential-test");
        std::fs::set_permissions(helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        site.write(
            "docker/config.json",
            &json!({"credHelpers": {&server.host: "test"}}).to_string(),
        );
        let name = format!("{}/a/b:1", server.host);
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 500000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_moby")])
            .args(["cache", "pull", "--plain-http", &server.host, &name])
            .env("PATH", format!("{}:/usr/bin:/bin", site.path("bin").display()))
            .env("HOME", site.path("home"))
            .env("DOCKER_CONFIG", site.path("docker"))
            .env("MOBY_CACHE", site.path("cache"))
            .env_remove("MOBY_OFFLINE")
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .unwrap();
        let message = refused(output, 1);
        assert!(message.contains(expected), "{script}: {message}");
        assert!(
            !message.lines().any(|line| line.starts_with("error: forged")),
            "{message}"
        );
    }
}

#[test]
fn text_of_a_response_cannot_look_like_a_message() {
    let body = r#"{"errors":[{"code":"X","message":"a\nerror: forged"}]}"#;
    let response = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let server = Server::start(move |_, stream| send(stream, &response));
    let message = server.pull();
    assert!(
        !message.lines().any(|line| line.starts_with("error: forged")),
        "{message}"
    );
}

#[test]
fn a_token_cannot_add_headers() {
    let server = Server::start(|request, stream| {
        let host = request
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap_or_default();
        if request.starts_with("GET /token") {
            let token = r#"{"token": "a\r\nX-Added: 1"}"#;
            send(
                stream,
                &format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{token}",
                    token.len()
                ),
            );
        } else {
            let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            send(
                stream,
                &format!("HTTP/1.1 401 Unauthorized\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n"),
            );
        }
    });
    server.pull();
    let requests = server.requests.lock().unwrap();
    assert!(
        requests.iter().all(|request| !request.contains("X-Added")),
        "{requests:?}"
    );
}
