//! HTTP and TLS, without C.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::CertificateError;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use super::Error;
use super::endpoint::{Endpoint, Scheme};
use crate::bounded;

/// Maximum time for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum time until a response begins, and until a read brings something.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Directories with certificate authorities for hosts, `HOST/*.crt` in them (containers-certs.d(5)).
const CERTS_D: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// Connections to registries.
#[derive(Debug)]
pub(super) struct Http {
    cert_files: Vec<PathBuf>,
    agents: Mutex<BTreeMap<(String, bool), Agent>>,
}

impl Http {
    pub fn new(cert_files: Vec<PathBuf>) -> Self {
        Http {
            cert_files,
            agents: Mutex::default(),
        }
    }

    /// Returns the agent for a host.
    pub fn agent(&self, endpoint: &Endpoint, is_tls: bool) -> Result<Agent, Error> {
        let host = endpoint.host.split('/').next().unwrap_or_default();
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.to_owned(), is_tls);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("moby/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_per_read(Some(RESPONSE_TIMEOUT))
            // Layers are read in parallel.
            .max_idle_connections_per_host(8);
        // What is on this machine needs no proxy.
        config = config.proxy(match endpoint.scheme {
            Scheme::Either => None,
            Scheme::Http | Scheme::Https => Proxy::try_from_env(),
        });
        if is_tls {
            check_cpu(host)?;
            config = config.tls_config(self.tls(host)?);
        }
        let agent = config.build().new_agent();
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn tls(&self, host: &str) -> Result<TlsConfig, Error> {
        let mut files: Vec<PathBuf> = self.cert_files.clone();
        for directory in CERTS_D {
            let entries = fs::read_dir(Path::new(directory).join(host));
            let mut found: Vec<PathBuf> = entries
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            found.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
            found.sort();
            files.extend(found);
        }
        let roots = if files.is_empty() {
            RootCerts::PlatformVerifier
        } else {
            // The operating system's verifier takes no further roots.
            let mut roots: Vec<Certificate<'static>> = Vec::new();
            for file in &files {
                roots.extend(certificates(file)?);
            }
            let native = rustls_native_certs::load_native_certs().certs;
            roots.extend(native.iter().map(|der| Certificate::from_der(der).to_owned()));
            RootCerts::Specific(Arc::new(roots))
        };
        Ok(TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
            .build())
    }
}

/// Maximum length of a file with certificates, in bytes.
const MAX_PEM: u64 = 16 << 20;

/// Reads the certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let unusable = |found: String| Error::File {
        path: path.to_owned(),
        found,
    };
    let pem = bounded::read(path, MAX_PEM).map_err(|error| unusable(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(unusable("it has no PEM certificate".into()));
    }
    Ok(certificates)
}

/// Checks that the CPU has what the TLS provider needs, which panics otherwise.
pub(super) fn check_cpu(host: &str) -> Result<(), Error> {
    let missing = missing_features();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Cpu {
        host: host.to_owned(),
        missing: missing.join(", "),
    })
}

#[cfg(target_arch = "x86_64")]
fn missing_features() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let features = [
        ("AES", has!("aes")),
        ("PCLMULQDQ", has!("pclmulqdq")),
        ("SSSE3", has!("ssse3")),
        ("AVX", has!("avx")),
        ("AVX2", has!("avx2")),
        ("BMI1", has!("bmi1")),
        ("BMI2", has!("bmi2")),
        ("ADX", has!("adx")),
    ];
    features.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect()
}

#[cfg(target_arch = "aarch64")]
fn missing_features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected as has;
    let features = [
        ("NEON", has!("neon")),
        ("AES", has!("aes")),
        ("PMULL", has!("pmull")),
        ("SHA2", has!("sha2")),
    ];
    features.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn missing_features() -> Vec<&'static str> {
    vec!["support by the TLS provider"]
}

/// Reason of a failed connection.
pub(super) enum Failure {
    /// Server that does not speak TLS.
    NotTls,
    /// An error.
    Error(Error),
}

/// Sorts the errors of a request.
pub(super) fn failure(host: &str, error: ureq::Error) -> Failure {
    let host = host.to_owned();
    let tls = match &error {
        ureq::Error::Io(source) => source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        ureq::Error::Rustls(source) => Some(source),
        _ => None,
    };
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => return Failure::NotTls,
        Some(rustls::Error::InvalidCertificate(invalid)) => {
            let (reason, remedy) = reason(invalid);
            let source = Box::new(error);
            return Failure::Error(Error::Certificate {
                host,
                reason,
                remedy,
                source,
            });
        }
        _ => {}
    }
    Failure::Error(match error {
        // "proxy server responded 403/403"
        ureq::Error::ConnectProxyFailed(message) => Error::Proxy {
            host,
            message: message.split('/').next().unwrap_or_default().to_owned(),
        },
        error => Error::Connect {
            host,
            source: Box::new(error),
        },
    })
}

/// Returns the reason why a certificate is not trusted, and its remedy.
fn reason(error: &CertificateError) -> (String, &'static str) {
    use CertificateError as Invalid;
    let authority = "to trust another certificate authority, pass its PEM file with --cert-file";
    let clock = "check the clock of this machine, or have the certificate renewed";
    match error {
        Invalid::UnknownIssuer => (
            "no certificate authority that moby trusts has issued it".into(),
            authority,
        ),
        Invalid::Expired | Invalid::ExpiredContext { .. } => ("it has expired".into(), clock),
        Invalid::NotValidYet | Invalid::NotValidYetContext { .. } => ("it is not valid yet".into(), clock),
        Invalid::NotValidForName | Invalid::NotValidForNameContext { .. } => (
            "it is for another host".into(),
            "use the host name that the certificate has",
        ),
        other => (other.to_string(), authority),
    }
}
