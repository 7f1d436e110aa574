//! Debian's docker-registry on loopback, and a proxy before it that misbehaves.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::site::Site;

/// A registry that ends with the test.
pub struct Registry {
    child: Child,
    pub port: u16,
}

impl Registry {
    /// Starts a registry that keeps its images in a directory. `more` is further configuration, below
    /// `http:` and after it.
    pub fn start(directory: &Path, http: &str, more: &str) -> Registry {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{http}\n{more}\n",
            directory.join("registry").display()
        );
        let path = directory.join("registry.yml");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(directory.join("registry.log")).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry is missing, see xtask: {error}"));
        let registry = Registry { child, port };
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Makes a certificate authority, `ca.crt`, and a certificate of it for names in the form of
/// `subjectAltName`. Returns the configuration of a registry that uses it.
pub fn tls(site: &Site, names: &str) -> String {
    let openssl = |arguments: &str| site.run("openssl", &arguments.split(' ').collect::<Vec<_>>());
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let authority = "-addext basicConstraints=critical,CA:TRUE";
    openssl(&format!(
        "req -x509 {key} -days 30 -subj /CN=CA -keyout ca.key -out ca.crt {authority}"
    ));
    openssl(&format!("req {key} -subj /CN=registry -keyout tls.key -out tls.csr"));
    site.write("extensions", &format!("subjectAltName={names}\n"));
    openssl("x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -days 30 -extfile extensions -out tls.crt");
    let path = |name| site.path(name).display().to_string();
    format!("  tls: {{certificate: {}, key: {}}}", path("tls.crt"), path("tls.key"))
}

/// Returns the configuration of a registry that demands the user `me` with the password `secret`.
pub fn htpasswd(site: &Site) -> String {
    let path = site.path("htpasswd");
    fs::write(&path, site.run("htpasswd", &["-Bbn", "me", "secret"])).unwrap();
    format!("auth: {{htpasswd: {{realm: test, path: {}}}}}", path.display())
}

/// A proxy for HTTPS that leads every host to a port of this machine. It ends with the test program.
pub struct Tunnel {
    pub port: u16,
    /// The hosts that were asked for, with their ports.
    pub hosts: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    pub fn start(port_of: impl Fn(&str) -> u16 + Send + 'static) -> Tunnel {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let hosts = Arc::new(Mutex::new(Vec::new()));
        let log = hosts.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && reader.read_until(b'\n', &mut head).is_ok_and(|len| len > 0) {}
                let head = String::from_utf8_lossy(&head).into_owned();
                let Some(host) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
                    continue;
                };
                log.lock().unwrap().push(host.to_owned());
                let server = TcpStream::connect(("127.0.0.1", port_of(host))).unwrap();
                let mut answer = client.try_clone().unwrap();
                answer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let copy = |mut from: TcpStream, mut to: TcpStream| {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                };
                copy(client, server.try_clone().unwrap());
                copy(server, answer);
            }
        });
        Tunnel { port, hosts }
    }
}

/// A response of the proxy itself.
pub struct Response {
    pub status: &'static str,
    pub headers: String,
    pub body: String,
}

/// Reaction of the proxy to a request.
pub enum Action {
    /// Passes it on.
    Pass,
    /// Passes it on, and cuts the response after so many bytes.
    Cut(usize),
    /// Passes it on, and changes a byte of the response's body.
    Corrupt,
    /// Passes it on, and sends the response in so many parts, with pauses.
    Slow(usize),
    /// Sends a response of its own.
    Respond(Response),
}

/// The head of a request: its first line, and its headers in lower case.
pub struct Head {
    pub line: String,
    pub headers: Vec<String>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.headers.iter().find_map(|header| header.strip_prefix(&start))
    }
}

/// A proxy before a registry of plain HTTP, one request a connection. It ends with the test program.
pub struct Proxy {
    pub port: u16,
    /// The first lines of the requests so far.
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn start(registry: &Registry, act: impl Fn(usize, &Head) -> Action + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (upstream, act) = (registry.port, Arc::new(act));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, count) = (requests.clone(), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (act, log, count) = (act.clone(), log.clone(), count.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, upstream, |head| {
                        log.lock().unwrap().push(head.line.clone());
                        act(count.fetch_add(1, Ordering::SeqCst), head)
                    });
                });
            }
        });
        Proxy { port, requests }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn serve(mut client: TcpStream, upstream: u16, act: impl FnOnce(&Head) -> Action) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut raw = Vec::new();
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // A TLS handshake, to which a server of plain HTTP answers in its own way.
        if lines.is_empty() && line.first() == Some(&0x16) {
            return client
                .write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n");
        }
        if line == b"\r\n" {
            break;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !text.to_lowercase().starts_with("connection:") {
            raw.extend_from_slice(&line);
        }
        lines.push(text);
    }
    raw.extend_from_slice(b"Connection: close\r\n\r\n");
    let lower = |line: &String| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.clone(),
    };
    let head = Head {
        line: lines[0].clone(),
        headers: lines[1..].iter().map(lower).collect(),
    };
    let len = head
        .header("content-length")
        .and_then(|len| len.parse().ok())
        .unwrap_or(0);
    let mut body = reader.take(len);
    let action = act(&head);
    if let Action::Respond(response) = action {
        std::io::copy(&mut body, &mut std::io::sink())?;
        let Response { status, headers, body } = response;
        let len = body.len();
        let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}");
        return client.write_all(text.as_bytes());
    }
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    server.write_all(&raw)?;
    std::io::copy(&mut body, &mut server)?;
    let mut response = Vec::new();
    server.read_to_end(&mut response)?;
    match action {
        Action::Cut(len) => response.truncate(len),
        Action::Corrupt => {
            if let Some(last) = response.last_mut() {
                *last ^= 1;
            }
        }
        Action::Slow(parts) => {
            for part in response.chunks(response.len().div_ceil(parts).max(1)) {
                client.write_all(part)?;
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(());
        }
        Action::Pass | Action::Respond(_) => {}
    }
    client.write_all(&response)
}
