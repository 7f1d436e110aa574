//! Expectations of a machine: texts on its console, and answers of its web servers.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::Machine;

/// Interval between two requests to a web server.
const INTERVAL: Duration = Duration::from_millis(250);
/// Maximum time for a connection, and for each part of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of the status line of an answer.
const MAX_STATUS_LINE: u64 = 256;

/// A page that a machine has to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// TCP port of the machine.
    pub port: u16,
    /// Path, with the slash before it.
    pub path: String,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at port {}", self.path, self.port)
    }
}

/// Parses `PORT[/PATH]`.
///
/// # Errors
/// A port that is not from 1 to 65535, and a path with blanks or control characters.
pub fn parse_page(text: &str) -> Result<Page, PageError> {
    let (port, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let port = port.parse().ok().filter(|port| *port != 0).ok_or(PageError)?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(PageError);
    }
    Ok(Page {
        port,
        path: if path.is_empty() { "/".into() } else { path.into() },
    })
}

/// A text that is not a port with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected PORT or PORT/PATH, a port number of the machine from 1 to 65535 and a path as in a URL")]
pub struct PageError;

/// Returns the ports to forward: those of the machine, and a free port of the host for each further
/// port with an expected page.
///
/// # Errors
/// A host without a free port.
pub fn publish(machine: &Machine) -> io::Result<Vec<(u16, u16)>> {
    let mut ports = machine.publish.clone();
    // Held until all are found, so that each is found once.
    let mut listeners = Vec::new();
    for page in &machine.expected_pages {
        if ports.iter().all(|(_, guest)| *guest != page.port) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            ports.push((listener.local_addr()?.port(), page.port));
            listeners.push(listener);
        }
    }
    Ok(ports)
}

/// Reason why a page is not served.
#[derive(Debug, thiserror::Error)]
pub enum NotServed {
    /// Request that was not sent yet.
    #[error("it was not requested yet")]
    NotRequested,
    /// Answer with another status than 2xx and 3xx.
    #[error("its status is {0}")]
    Status(u16),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// Connection that failed, or an answer that is not HTTP.
    #[error("{0}")]
    Failed(io::Error),
}

impl From<io::Error> for NotServed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => NotServed::Timeout,
            _ => NotServed::Failed(error),
        }
    }
}

/// Requests a page from a port of this host until it is served, or until `report` returns false. Each
/// outcome is reported.
pub fn request(host: u16, page: &Page, report: impl Fn(Result<(), NotServed>) -> bool) {
    loop {
        let outcome = match status(host, &page.path) {
            Ok(200..400) => Ok(()),
            Ok(status) => Err(NotServed::Status(status)),
            Err(error) => Err(error.into()),
        };
        let is_served = outcome.is_ok();
        if !report(outcome) || is_served {
            return;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Returns the status of an answer to a GET request (RFC 9112, 4).
fn status(host: u16, path: &str) -> io::Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, host));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_STATUS_LINE)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    let mut words = line.trim_end().split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|status| status.parse().ok());
    status
        .filter(|_| is_http)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no answer in HTTP"))
}

/// Expectations that are not met yet.
#[derive(Debug, Default)]
pub struct Pending {
    texts: Vec<String>,
    /// Pages, with the reason why the last request did not get them.
    pages: Vec<(Page, NotServed)>,
    /// End of the console's output, in which a text may have begun.
    tail: Vec<u8>,
}

impl Pending {
    /// Creates the expectations of a machine that starts now.
    pub fn new(machine: &Machine) -> Pending {
        let mut pages: Vec<(Page, NotServed)> = Vec::new();
        for page in &machine.expected_pages {
            if pages.iter().all(|(other, _)| other != page) {
                pages.push((page.clone(), NotServed::NotRequested));
            }
        }
        Pending {
            texts: machine.expected_texts.clone(),
            pages,
            tail: Vec::new(),
        }
    }

    /// Takes in bytes that appeared on the console.
    pub fn push(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let tail = &self.tail;
        self.texts.retain(|text| !contains(tail, text.as_bytes()));
        let longest = self.texts.iter().map(String::len).max().unwrap_or_default();
        let excess = self.tail.len().saturating_sub(longest);
        self.tail.drain(..excess);
    }

    /// Takes in the outcome of a request.
    pub fn requested(&mut self, page: &Page, outcome: Result<(), NotServed>) {
        match outcome {
            Ok(()) => self.pages.retain(|(pending, _)| pending != page),
            Err(reason) => {
                if let Some((_, last)) = self.pages.iter_mut().find(|(pending, _)| pending == page) {
                    *last = reason;
                }
            }
        }
    }

    /// Returns whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.pages.is_empty()
    }

    /// Describes what is pending, one expectation an item.
    pub fn describe(&self) -> Vec<String> {
        let texts = self
            .texts
            .iter()
            .map(|text| format!("its console did not show {text:?}"));
        let pages = self
            .pages
            .iter()
            .map(|(page, reason)| format!("it did not serve {page}: {reason}"));
        texts.chain(pages).collect()
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(texts: &[&str]) -> Pending {
        Pending {
            texts: texts.iter().map(|&text| text.into()).collect(),
            ..Pending::default()
        }
    }

    #[test]
    fn texts_appear_in_any_order_and_in_parts() {
        let mut pending = pending(&["one", "started", "never"]);
        pending.push(b"all star");
        pending.push(b"te");
        assert_eq!(pending.texts.len(), 3);
        pending.push(b"d, on");
        assert_eq!(pending.texts, ["one", "never"]);
        pending.push(b"e");
        assert_eq!(pending.describe(), ["its console did not show \"never\""]);
        assert!(!pending.is_empty() && pending.tail.len() <= 5);
    }

    #[test]
    fn the_last_reason_is_kept() {
        let page = parse_page("8080/health?a=b").unwrap();
        let mut pending = Pending {
            pages: vec![(page.clone(), NotServed::NotRequested)],
            ..Pending::default()
        };
        pending.requested(&page, Err(NotServed::Status(404)));
        assert_eq!(
            pending.describe(),
            ["it did not serve /health?a=b at port 8080: its status is 404"]
        );
        pending.requested(&page, Ok(()));
        assert!(pending.is_empty());
    }

    #[test]
    fn pages_have_a_port() {
        let page = |port, path: &str| {
            Ok(Page {
                port,
                path: path.into(),
            })
        };
        assert_eq!(parse_page("80"), page(80, "/"));
        assert_eq!(parse_page("443/a/b"), page(443, "/a/b"));
        for text in ["", "0", "/a", "65536/", "80:81", "80/a b", "80/a\nb", "localhost:80/"] {
            assert_eq!(parse_page(text), Err(PageError), "{text:?}");
        }
    }
}
