//! Trusted roots: certificates of authorities and keys of logs, each with the time in which it was used
//! (sigstore/protobuf-specs, sigstore_trustroot.proto).

use std::path::Path;

use serde::Deserialize;
use spki::der::DateTime;

use super::certificate::Certificate;
use crate::trust::Malformed;
use crate::trust::bundle::Bytes;
use crate::trust::key::PublicKey;
use crate::trust::policy::ReadFile;

/// Maximum length of a trusted root, in bytes.
const MAX_ROOT: u64 = 4 << 20;

/// Authorities and logs that are trusted.
#[derive(Clone, Debug)]
pub struct TrustedRoot {
    pub(super) authorities: Vec<Authority>,
    pub(super) logs: Vec<Log>,
    pub(super) certificate_logs: Vec<Log>,
    pub(super) timestamp_authorities: Vec<Authority>,
}

/// Authority that issues certificates.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    /// Chain up to the root.
    pub chain: Vec<Certificate>,
    pub valid: Period,
}

/// Transparency log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub id: Vec<u8>,
    pub key: PublicKey,
    pub valid: Period,
}

/// Time from a start to an end, both inclusive, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    start: u64,
    end: Option<u64>,
}

impl Period {
    pub fn has(&self, time: u64) -> bool {
        time >= self.start && self.end.is_none_or(|end| time <= end)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    tlogs: Vec<LogFields>,
    #[serde(default)]
    certificate_authorities: Vec<AuthorityFields>,
    #[serde(default)]
    ctlogs: Vec<LogFields>,
    #[serde(default)]
    timestamp_authorities: Vec<AuthorityFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogFields {
    public_key: KeyFields,
    log_id: LogIdFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyFields {
    raw_bytes: Bytes,
    valid_for: Option<PeriodFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogIdFields {
    key_id: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityFields {
    cert_chain: ChainFields,
    valid_for: Option<PeriodFields>,
}

#[derive(Deserialize)]
struct ChainFields {
    certificates: Vec<CertificateFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateFields {
    raw_bytes: Bytes,
}

#[derive(Deserialize)]
struct PeriodFields {
    start: Option<String>,
    end: Option<String>,
}

impl TrustedRoot {
    /// Reads a file `trusted_root.json`.
    ///
    /// # Errors
    /// A file that cannot be read, is not such JSON, or has no authority and no log that can be used.
    pub fn read(path: &Path, read: ReadFile<'_>) -> Result<TrustedRoot, Malformed> {
        let bytes = read(path, MAX_ROOT).map_err(|error| error.to_string())?;
        Self::parse(&bytes)
    }

    /// Parses the text of a file `trusted_root.json`. Logs and authorities with keys that are not supported are
    /// left out: signatures that need them are refused.
    ///
    /// # Errors
    /// Invalid JSON, missing fields, or no authority and no log that can be used.
    pub fn parse(bytes: &[u8]) -> Result<TrustedRoot, Malformed> {
        let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let root = TrustedRoot {
            authorities: authorities(document.certificate_authorities)?,
            timestamp_authorities: authorities(document.timestamp_authorities)?,
            logs: logs(document.tlogs)?,
            certificate_logs: logs(document.ctlogs)?,
        };
        if root.authorities.is_empty() || root.logs.is_empty() {
            return Err("it has no certificate authority, or no transparency log".into());
        }
        Ok(root)
    }
}

fn authorities(fields: Vec<AuthorityFields>) -> Result<Vec<Authority>, Malformed> {
    let mut authorities = Vec::new();
    for authority in fields {
        let chain = authority.cert_chain.certificates;
        let chain: Result<Vec<_>, _> = chain.iter().map(|one| Certificate::parse(&one.raw_bytes.0)).collect();
        authorities.push(Authority {
            chain: chain.map_err(|error| format!("a certificate of an authority is corrupt: {error}"))?,
            valid: period(authority.valid_for)?,
        });
    }
    Ok(authorities)
}

fn logs(fields: Vec<LogFields>) -> Result<Vec<Log>, Malformed> {
    let mut logs = Vec::new();
    for log in fields {
        if let Ok(key) = PublicKey::from_der(&log.public_key.raw_bytes.0) {
            logs.push(Log {
                id: log.log_id.key_id.0,
                key,
                valid: period(log.public_key.valid_for)?,
            });
        }
    }
    Ok(logs)
}

/// Parses a period; it must have a start.
fn period(fields: Option<PeriodFields>) -> Result<Period, Malformed> {
    let start = fields.as_ref().and_then(|fields| fields.start.as_deref());
    let start = start.ok_or("a period `validFor` has no start")?;
    let end = fields.as_ref().and_then(|fields| fields.end.as_deref());
    Ok(Period {
        start: seconds(start)?,
        end: end.map(seconds).transpose()?,
    })
}

/// Parses a time in UTC (RFC 3339), without its fraction of a second.
fn seconds(text: &str) -> Result<u64, Malformed> {
    let whole = match text.split_once('.') {
        Some((whole, _)) if text.ends_with('Z') => format!("{whole}Z"),
        _ => text.to_owned(),
    };
    let time: Result<DateTime, _> = whole.parse();
    let time = time.map_err(|_| format!("{text:?} is not a time in UTC"))?;
    Ok(time.unix_duration().as_secs())
}
