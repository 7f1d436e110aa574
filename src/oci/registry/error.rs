//! Errors of the registry client.

use std::io;
use std::path::PathBuf;

use super::endpoint::registry_name;
use crate::oci::error::other_architecture;
use crate::oci::reference;

/// An error of the registry client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// TLS needs instructions that the CPU lacks.
    #[error("cannot connect to {host} by HTTPS: this CPU lacks {missing}")]
    Cpu {
        /// Host of the registry.
        host: String,
        /// Missing CPU features.
        missing: String,
    },
    /// A connection that cannot be made, or breaks.
    #[error("cannot reach {host}: {source}")]
    Connect {
        /// Host of the registry.
        host: String,
        /// Cause.
        source: Box<ureq::Error>,
    },
    /// A server's certificate that no trusted certificate authority signed.
    #[error("cannot trust the certificate of {host}: {reason}")]
    Certificate {
        /// Host of the registry.
        host: String,
        /// Reason.
        reason: String,
        /// Remedy for the reason.
        remedy: &'static str,
        /// Cause.
        source: Box<ureq::Error>,
    },
    /// A proxy that refuses to connect.
    #[error("the proxy refuses to connect to {host}: {message}")]
    Proxy {
        /// Host of the registry.
        host: String,
        /// Proxy's response.
        message: String,
    },
    /// A transfer that breaks.
    #[error("cannot read {content} from {host}: {source}")]
    Transfer {
        /// Host of the registry.
        host: String,
        /// Manifest or blob.
        content: String,
        /// Cause.
        source: io::Error,
    },
    /// Access that needs other credentials, or any.
    #[error("{host} denies access to {repository}: {message}")]
    Denied {
        /// Host of the registry.
        host: String,
        /// Repository.
        repository: String,
        /// Response of the registry.
        message: String,
        /// User whose credentials were sent, if any were.
        user: Option<String>,
    },
    /// A login that the registry refuses.
    #[error("{host} rejects the user name or password")]
    Login {
        /// Host of the registry.
        host: String,
    },
    /// A repository, tag or digest that the registry does not have.
    #[error("{reference} does not exist on {host}")]
    NotFound {
        /// Host of the registry.
        host: String,
        /// Reference.
        reference: String,
        /// Remedies that name tags of the repository.
        similar: Vec<String>,
    },
    /// An image without the platform that is needed.
    #[error("{reference} has no image for {wanted}, only for {}", found.join(", "))]
    Platform {
        /// Reference.
        reference: String,
        /// Platform.
        wanted: String,
        /// Platforms that there are.
        found: Vec<String>,
    },
    /// An image to be pushed that is not complete.
    #[error("{reference} is incomplete: missing from the cache: {}", missing.join(", "))]
    Incomplete {
        /// Reference.
        reference: String,
        /// Platforms, or digests, that are not here.
        missing: Vec<String>,
    },
    /// A limit on requests that outlasts every retry.
    #[error("{host} limits the rate of requests: {message}")]
    RateLimit {
        /// Host of the registry.
        host: String,
        /// Response of the registry.
        message: String,
    },
    /// A response with an unexpected status.
    #[error("{host} responded to {method} {path} with status {status}: {message}")]
    Status {
        /// Host of the registry.
        host: String,
        /// Method of the request.
        method: &'static str,
        /// Path of the request.
        path: String,
        /// Status.
        status: u16,
        /// Response of the registry.
        message: String,
    },
    /// Bytes that do not have the digest by which they were asked for.
    #[error("wrong digest from {host}: expected {expected}, found {found}")]
    Digest {
        /// Host of the registry.
        host: String,
        /// Digest that was asked for.
        expected: String,
        /// Digest found.
        found: String,
    },
    /// A response that violates the distribution specification.
    #[error("invalid response from {host}: {found}")]
    Response {
        /// Host of the registry.
        host: String,
        /// Finding.
        found: String,
    },
    /// A server that speaks plain HTTP where HTTPS is required.
    #[error("cannot connect to {host} by HTTPS: the server does not speak TLS")]
    NotTls {
        /// Host of the registry, or the address of its token server.
        host: String,
    },
    /// A name that is not an image reference.
    #[error(transparent)]
    Reference(#[from] reference::Invalid),
    /// A password that would go over the network in the clear.
    #[error("refusing to send a password to {realm}, which is not HTTPS")]
    InsecurePassword {
        /// Address.
        realm: String,
    },
    /// A file with certificates or credentials that cannot be used.
    #[error("cannot use {}: {found}", path.display())]
    File {
        /// File.
        path: PathBuf,
        /// Finding.
        found: String,
    },
    /// A credential helper that fails.
    #[error("the credential helper {program} failed: {message}")]
    Helper {
        /// Program.
        program: String,
        /// Message of the helper.
        message: String,
    },
    /// A cache that cannot be written, or an image in it that cannot be read.
    #[error(transparent)]
    Cache(#[from] Box<super::super::Error>),
    /// A file of the cache that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

impl Error {
    /// Returns the remedies, each one command or edit.
    pub fn help(&self) -> Vec<String> {
        match self {
            Error::Cpu { .. } => {
                vec!["pull on another machine and bring the image in an OCI archive: `moby build --layout FILE`".into()]
            }
            Error::Connect { .. } => vec![
                "check the name and the network; HTTPS_PROXY names a proxy, --mirror another registry".into(),
                "without a network: `moby build --layout FILE` takes images from an OCI archive".into(),
            ],
            Error::NotTls { host } => vec![
                format!("to connect without TLS, pass `--plain-http {host}`"),
                format!("if it is a mirror, write it as `http://{host}` in --mirror"),
            ],
            Error::Certificate { remedy, .. } => vec![(*remedy).to_owned()],
            Error::Proxy { .. } => vec!["check HTTPS_PROXY; NO_PROXY lists hosts that need no proxy".into()],
            Error::Denied { host, user, .. } => vec![match user {
                Some(user) => format!(
                    "log in as another user than {user}: `moby login {}`",
                    registry_name(host)
                ),
                None => format!(
                    "check the name of the image, or log in: `moby login {}`",
                    registry_name(host)
                ),
            }],
            Error::Login { host } => vec![format!(
                "run `moby login {}` again with the right password or access token",
                registry_name(host)
            )],
            Error::NotFound { similar, .. } => {
                if similar.is_empty() {
                    vec!["check the name; a registry may also hide what needs a login".into()]
                } else {
                    similar.clone()
                }
            }
            Error::Platform { found, .. } => vec![other_architecture(found)],
            Error::Incomplete { reference, .. } => {
                vec![format!(
                    "to pull the missing platforms, run `moby cache pull {reference} --all-platforms`"
                )]
            }
            Error::RateLimit { host, .. } => vec![format!(
                "wait, log in with `moby login {}`, or name a mirror with --mirror",
                registry_name(host)
            )],
            Error::Digest { .. } => vec!["try again; a proxy or mirror on the way may be faulty".into()],
            Error::InsecurePassword { .. } => vec!["use a registry with HTTPS".into()],
            _ => Vec::new(),
        }
    }

    /// Returns whether the image is missing or access was denied: registries deny access rather than reveal
    /// private images.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::NotFound { .. } | Error::Denied { .. })
    }

    /// Returns whether a later try may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Error::Connect { source, .. } => !matches!(
                **source,
                ureq::Error::BadUri(_)
                    | ureq::Error::Protocol(_)
                    | ureq::Error::RedirectFailed
                    | ureq::Error::TooManyRedirects
                    | ureq::Error::LargeResponseHeader(..)
            ),
            Error::Transfer { .. } => true,
            Error::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }
}
