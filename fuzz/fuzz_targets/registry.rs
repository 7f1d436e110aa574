//! Answers of a registry to `moby cache pull` and `push`, and of its token server.
//!
//! The first line says what the client does: `push` or else it pulls; `password` or `token` are its
//! credentials. Lines with `---` divide the rest into answers as they are sent. `@1` in an answer
//! stands for the digest and size of the body of answer 1, so that verification can succeed. A request
//! with the digest of a body gets that answer; any other request gets the next answer. After the last
//! one the server closes connections. Every host in an answer becomes the server's own address.
#![no_main]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use extents::Extents;
use libfuzzer_sys::fuzz_target;
use moby::arch::Arch;
use moby::oci::ImageGraph;
use moby::oci::registry::{Client, Credential, Credentials, Options, Platforms};
use moby::reporter::Silent;
use serde_json::json;

/// Answers that are left, with the digests of their bodies.
static ANSWERS: Mutex<VecDeque<(String, String)>> = Mutex::new(VecDeque::new());

fuzz_target!(|text: &str| {
    let host = server();
    let (first, rest) = text.split_once('\n').unwrap_or(("", text));
    let mut answers: VecDeque<(String, String)> = VecDeque::new();
    let parts: Vec<&str> = rest.split("---\n").take(16).collect();
    // An index has the digests of what comes after it.
    for (number, part) in parts.iter().enumerate().rev() {
        let mut part = replace_hosts(part, host);
        for (offset, (digest, answer)) in answers.iter().enumerate() {
            let size = body(answer).len();
            let descriptor = format!(r#""digest": "{digest}", "size": {size}"#);
            part = part.replace(&format!("@{}", number + 1 + offset), &descriptor);
            if part.len() > 1 << 20 {
                return;
            }
        }
        let Ok(descriptor) = ImageGraph::default().add(Extents::from_bytes(body(&part).as_bytes()), "x") else {
            return;
        };
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        answers.push_front((digest, part));
    }
    *ANSWERS.lock().unwrap_or_else(PoisonError::into_inner) = answers;

    let credentials = if first.contains("password") {
        Credentials::single(Credential::Password {
            user: "user".into(),
            password: "password".into(),
        })
    } else if first.contains("token") {
        Credentials::single(Credential::IdentityToken("token".into()))
    } else {
        Credentials::default()
    };
    let client = Client::new(Options {
        plain_http: vec![host.to_owned()],
        credentials,
        ..Options::default()
    });
    let name = format!("{host}/a/b:1");
    if first.contains("push") {
        let content = Extents::from_bytes(vec![0; 1024]);
        let Ok(graph) = ImageGraph::from_layer(&content, content.clone(), &json!({}), Arch::Amd64) else {
            return;
        };
        drop(client.push(&graph, &[], &name, &name, &Silent));
    } else {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let Ok(cache) = tempfile::TempDir::new_in(directory) else { return };
        drop(client.pull(&name, &Platforms::Linux(vec![Arch::Amd64]), cache.path(), None, &Silent));
    }
});

/// Starts the server with the first input, and returns its host and port.
fn server() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(|| drop(serve(stream)));
            }
        });
        format!("127.0.0.1:{port}")
    })
}

/// Answers one request and closes the connection.
fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut std::io::Read::take(&mut reader, length), &mut std::io::sink())?;
    let answer = {
        let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        let named = answers.iter().find(|(digest, _)| request.contains(digest.as_str()));
        match named {
            Some((_, answer)) => Some(answer.clone()),
            None => answers.pop_front().map(|(_, answer)| answer),
        }
    };
    reader.get_mut().write_all(answer.unwrap_or_default().as_bytes())
}

/// The body of an answer: what follows the first empty line.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// Replaces each host, which is what follows `//`: no fuzzed input may reach another server.
fn replace_hosts(part: &str, host: &str) -> String {
    let mut pieces = part.split("//");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(['/', '"', '\'', ' ', '\r', '\n', '?', '#', '\\']).unwrap_or(piece.len());
        text.push_str("//");
        text.push_str(host);
        text.push_str(&piece[end..]);
    }
    text
}
