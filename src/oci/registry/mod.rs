//! A client for OCI registries (OCI Distribution Specification 1.1).
//!
//! ```text
//! reference ──▶ endpoints (mirrors, registry) ──▶ manifest ──▶ platforms ──▶ blobs ──▶ cache
//! ```
//!
//! Content is used only after its digest is verified.

mod auth;
mod credentials;
mod endpoint;
mod error;
mod http;
mod pull;
mod push;
mod referrers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ureq::http::Response;
use ureq::{Body, SendBody};

use auth::Challenge;
pub use credentials::{Credential, Credentials};
use endpoint::{Endpoint, Scheme};
pub use endpoint::{Mirror, registry_name};
pub use error::Error;
use http::{Failure, Http};
pub use pull::{LayerStream, Layers, Platforms, Pulled};

/// Maximum size of a response that is not a blob, in bytes. Registries stop at 4 MiB for a
/// manifest.
const MAX_RESPONSE: u64 = 16 << 20;
/// Number of tries of a request.
const MAX_TRIES: u32 = 5;
/// Number of challenges that are answered for one request.
const MAX_AUTHORIZATIONS: u32 = 3;
/// Wait after the first failed try; each further one is twice as long. Fuzzing does not wait.
const FIRST_WAIT: Duration = Duration::from_millis(if cfg!(fuzzing) { 0 } else { 300 });
/// Longest wait that a registry's `Retry-After` is followed for.
const MAX_WAIT: Duration = Duration::from_secs(if cfg!(fuzzing) { 0 } else { 60 });

/// Options for access to registries.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Mirrors, asked before the registry itself.
    pub mirrors: Vec<Mirror>,
    /// PEM files with further certificate authorities.
    pub cert_files: Vec<PathBuf>,
    /// Registries that are reached by plain HTTP.
    pub plain_http: Vec<String>,
    /// Credentials.
    pub credentials: Credentials,
}

/// A client for registries. Several threads may use it at once.
#[derive(Debug)]
pub struct Client {
    options: Options,
    http: Http,
    /// `Authorization` headers by host and scope.
    authorizations: Mutex<BTreeMap<(String, String), String>>,
    /// Hosts on loopback that do not speak TLS.
    plain: Mutex<Vec<String>>,
}

/// A body that can be sent again.
enum Content<'a> {
    None,
    Bytes(&'a [u8]),
    Blob(&'a extents::Extents),
}

/// A request to a registry.
struct Request<'a> {
    method: &'static str,
    /// Path below `/v2/`, or an absolute address.
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    content: Content<'a>,
    /// Repository within the registry.
    repository: &'a str,
    /// Actions for which a token is asked.
    actions: &'a str,
    /// A repository that the token must be able to read, too.
    mount_from: Option<&'a str>,
}

impl Client {
    /// Creates a client. Nothing is connected yet.
    pub fn new(options: Options) -> Self {
        Client {
            http: Http::new(options.cert_files.clone()),
            options,
            authorizations: Mutex::default(),
            plain: Mutex::default(),
        }
    }

    /// Checks the credentials for a registry.
    ///
    /// # Errors
    /// A registry that cannot be reached, or denies access.
    pub fn check_login(&self, registry: &str) -> Result<(), Error> {
        let endpoint = endpoint::of_registry(endpoint::registry_name(registry), &self.options.plain_http);
        let request = Request::get("", "", &[]);
        let response = self.send(&endpoint, &request);
        let accepted = response.and_then(|response| self.success(&endpoint, &request, response));
        accepted.map(drop).map_err(|error| match error {
            Error::Denied { host, .. } => Error::Login { host },
            error => error,
        })
    }

    /// Sends a request, retrying transient failures and answering authentication challenges. Returns 401
    /// and other responses below 500, except 429.
    fn send(&self, endpoint: &Endpoint, request: &Request<'_>) -> Result<Response<Body>, Error> {
        let mut wait = FIRST_WAIT;
        let mut tries = 0;
        let mut authorizations = 0;
        loop {
            tries += 1;
            let response = match self.exchange(endpoint, request) {
                Err(error) if error.is_transient() && tries < MAX_TRIES => {
                    std::thread::sleep(wait);
                    wait *= 2;
                    continue;
                }
                response => response?,
            };
            match response.status().as_u16() {
                // Tokens expire, and another thread may have used one that was good for a while.
                401 if authorizations < MAX_AUTHORIZATIONS => {
                    authorizations += 1;
                    // A response to a challenge is not a further try.
                    tries -= 1;
                    if !self.authorize(endpoint, request, response)? {
                        return Err(self.denied(endpoint, request, "it needs credentials".into()));
                    }
                }
                429 | 500.. if tries < MAX_TRIES => {
                    let asked = header(&response, "retry-after").and_then(|text| text.parse().ok());
                    std::thread::sleep(asked.map_or(wait, Duration::from_secs).min(MAX_WAIT));
                    wait *= 2;
                    // An unread body would cost the connection.
                    let _ = text(response);
                }
                _ => return Ok(response),
            }
        }
    }

    /// Sends a request once.
    fn exchange(&self, endpoint: &Endpoint, request: &Request<'_>) -> Result<Response<Body>, Error> {
        let is_known_plain = || {
            let plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
            plain.contains(&endpoint.host)
        };
        let is_tls = match endpoint.scheme {
            Scheme::Https => true,
            Scheme::Http => false,
            Scheme::Either => !is_known_plain() && http::check_cpu(&endpoint.host).is_ok(),
        };
        match self.exchange_by(endpoint, request, is_tls) {
            // A server that wants TLS responds so.
            Ok(response) if endpoint.scheme == Scheme::Either && response.status().as_u16() == 400 => {
                http::check_cpu(&endpoint.host).map(|()| response)
            }
            Ok(response) => Ok(response),
            Err(Failure::NotTls) if endpoint.scheme == Scheme::Either => {
                self.plain
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(endpoint.host.clone());
                self.exchange_by(endpoint, request, false)
                    .map_err(|failure| not_tls(endpoint, failure))
            }
            Err(failure) => Err(not_tls(endpoint, failure)),
        }
    }

    fn exchange_by(&self, endpoint: &Endpoint, request: &Request<'_>, is_tls: bool) -> Result<Response<Body>, Failure> {
        let agent = self.http.agent(endpoint, is_tls).map_err(Failure::Error)?;
        let address = address(endpoint, request.path, is_tls);
        let mut builder = ureq::http::Request::builder().method(request.method).uri(&address);
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        // Another host, as blobs are often redirected to, must not see them, nor anybody on the way.
        if address.starts_with(&self::address(endpoint, "/", is_tls)) {
            let authorizations = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(authorization) = authorizations.get(&key(endpoint, request)) {
                builder = builder.header("Authorization", authorization);
            }
        }
        let unusable = |error: ureq::http::Error| {
            Failure::Error(Error::Response {
                host: endpoint.host.clone(),
                found: error.to_string(),
            })
        };
        let sent = match &request.content {
            Content::None => agent.run(builder.body(()).map_err(unusable)?),
            Content::Bytes(bytes) => agent.run(builder.body(*bytes).map_err(unusable)?),
            Content::Blob(blob) => {
                let mut reader = blob.reader();
                let builder = builder.header("Content-Length", blob.len());
                agent.run(builder.body(SendBody::from_reader(&mut reader)).map_err(unusable)?)
            }
        };
        sent.map_err(|error| http::failure(&endpoint.host, error))
    }

    /// Stores the authorization that a challenge asks for. Returns false if there is none.
    fn authorize(&self, endpoint: &Endpoint, request: &Request<'_>, response: Response<Body>) -> Result<bool, Error> {
        let challenges = response.headers().get_all("www-authenticate");
        let mut challenges = challenges
            .iter()
            .filter_map(|header| Challenge::parse(header.to_str().ok()?));
        let Some(challenge) = challenges.next() else {
            return Ok(false);
        };
        // An unread body would cost the connection.
        let _ = text(response);
        let credential = self.credential(endpoint, request)?;
        let realm_is_tls = !matches!(&challenge, Challenge::Bearer { realm, .. } if realm.starts_with("http://"));
        let agent = self.http.agent(endpoint, realm_is_tls)?;
        let scope = scope(request);
        let found = auth::authorization(&agent, &endpoint.host, &challenge, &scope, credential.as_ref())?;
        let Some(authorization) = found else {
            return Ok(false);
        };
        let mut authorizations = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        authorizations.insert(key(endpoint, request), authorization);
        Ok(true)
    }

    /// Turns a response that is not a success into an error.
    fn success(
        &self,
        endpoint: &Endpoint,
        request: &Request<'_>,
        response: Response<Body>,
    ) -> Result<Response<Body>, Error> {
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let message = message(&text(response));
        let host = endpoint.host.clone();
        Err(match status {
            401 | 403 => self.denied(endpoint, request, message),
            429 => Error::RateLimit { host, message },
            404 => Error::NotFound {
                host,
                reference: request.path.to_owned(),
                similar: Vec::new(),
            },
            _ => Error::Status {
                host,
                method: request.method,
                path: request.path.to_owned(),
                status,
                message,
            },
        })
    }

    /// Finds the credentials for an endpoint. A mirror gets its own, never those of the registry that it mirrors.
    fn credential(&self, endpoint: &Endpoint, request: &Request<'_>) -> Result<Option<Credential>, Error> {
        let registry = endpoint::registry_name(&endpoint.host);
        self.options.credentials.find(registry, request.repository)
    }

    fn denied(&self, endpoint: &Endpoint, request: &Request<'_>, message: String) -> Error {
        let credential = self.credential(endpoint, request);
        Error::Denied {
            host: endpoint.host.clone(),
            repository: request.repository.to_owned(),
            message,
            user: credential
                .ok()
                .flatten()
                .and_then(|found| found.user().map(str::to_owned)),
        }
    }
}

impl<'a> Request<'a> {
    fn get(path: &'a str, repository: &'a str, headers: &'a [(&'a str, &'a str)]) -> Self {
        Request {
            method: "GET",
            path,
            headers,
            content: Content::None,
            repository,
            actions: "pull",
            mount_from: None,
        }
    }
}

fn not_tls(endpoint: &Endpoint, failure: Failure) -> Error {
    match failure {
        Failure::Error(error) => error,
        Failure::NotTls => Error::NotTls {
            host: endpoint.host.clone(),
        },
    }
}

/// Returns the address of a path below `/v2/`. An absolute address is returned unchanged.
fn address(endpoint: &Endpoint, path: &str, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    if path.contains("://") {
        path.to_owned()
    } else if path.starts_with('/') {
        format!("{scheme}://{}{path}", endpoint.host)
    } else {
        format!("{scheme}://{}/v2/{path}", endpoint.host)
    }
}

/// Returns the scopes of the token for a request, separated by spaces.
fn scope(request: &Request<'_>) -> String {
    if request.repository.is_empty() {
        return String::new();
    }
    let own = format!("repository:{}:{}", request.repository, request.actions);
    match request.mount_from {
        Some(from) => format!("{own} repository:{from}:pull"),
        None => own,
    }
}

fn key(endpoint: &Endpoint, request: &Request<'_>) -> (String, String) {
    (endpoint.host.clone(), scope(request))
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Reads the body of an error response.
fn text(mut response: Response<Body>) -> String {
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_RESPONSE)
        .lossy_utf8(true)
        .read_to_string();
    body.unwrap_or_default()
}

/// Returns the message of an error response (distribution specification, "Error Codes").
fn message(body: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let error = value.pointer("/errors/0");
    let part = |key: &str| error.and_then(|error| error.get(key)).and_then(|part| part.as_str());
    match (part("code"), part("message")) {
        (Some(code), Some(message)) if !message.is_empty() => format!("{message} ({code})"),
        (Some(code), _) => code.to_owned(),
        _ => body.lines().next().unwrap_or("no message").chars().take(200).collect(),
    }
}
