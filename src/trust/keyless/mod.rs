//! Keyless signatures: made with a key that existed for minutes, whose certificate names the signer, and that a
//! public log has recorded. All of it is verified offline, against a trusted root that is given as a file.
//!
//! ```text
//! signature ◀── key of the certificate ◀── authority, at the signed time
//!           ◀── log entry: signed time, proof of inclusion, checkpoint
//!           ◀── signed time of a timestamp authority
//! certificate ◀── timestamp of a certificate log
//!             ──▶ identity and its issuer, which the policy names
//! ```
//!
mod certificate;
mod error;
mod log;
mod root;
mod sct;
mod timestamp;
mod tlv;

use std::borrow::Cow;

use super::bundle::{Envelope, LogEntry};
use super::policy;
use certificate::Certificate;
pub use error::Untrusted;
pub use root::TrustedRoot;

/// Signer who has an identity in place of a key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Authorities and logs.
    pub root: TrustedRoot,
    /// Service that vouches for the identity.
    pub issuer: String,
    /// Mail address or URI, a pattern.
    pub identity: String,
}

/// Keyless signature.
pub struct Evidence<'a> {
    /// Certificate in DER.
    pub certificate: &'a [u8],
    /// Content that is signed.
    pub subject: Subject<'a>,
    /// Signature.
    pub signature: &'a [u8],
    /// Log entries, of which one must be valid.
    pub entries: &'a [LogEntry],
    /// Responses of timestamp authorities, in DER.
    pub timestamps: Vec<&'a [u8]>,
    /// True if the promise of a log does not suffice.
    pub needs_proof: bool,
}

/// Content that is signed.
pub enum Subject<'a> {
    /// Bytes.
    Message(&'a [u8]),
    /// DSSE envelope.
    Envelope(&'a Envelope),
}

impl Subject<'_> {
    /// Returns the bytes that are signed.
    fn signed_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Subject::Message(message) => Cow::Borrowed(message),
            Subject::Envelope(envelope) => Cow::Owned(envelope.signed_bytes()),
        }
    }
}

impl Identity {
    /// Verifies a signature, and returns the identity of the signer.
    ///
    /// # Errors
    /// A signature of another signer, or one that authorities and logs do not confirm.
    pub fn verify(&self, evidence: &Evidence<'_>) -> Result<String, Untrusted> {
        let certificate =
            Certificate::parse(evidence.certificate).map_err(|error| Untrusted::Certificate(error.to_string()))?;
        let message = evidence.subject.signed_bytes();
        if !certificate.key()?.verifies(&message, evidence.signature) {
            return Err(Untrusted::OtherKey);
        }
        let mut failure = Untrusted::Log("it has no log entry".into());
        let mut times = Vec::new();
        for timestamp in &evidence.timestamps {
            match timestamp::verify(timestamp, evidence.signature, &self.root) {
                Ok(time) => times.push(time),
                Err(error) => failure = error,
            }
        }
        let mut is_logged = false;
        for entry in evidence.entries {
            match log::verify(entry, evidence, &self.root, &times) {
                Ok(time) => {
                    is_logged = true;
                    times.extend(time);
                }
                // The reason why no timestamp counts tells more.
                Err(error) if !matches!(failure, Untrusted::Timestamp(_)) => failure = error,
                Err(_) => {}
            }
        }
        if !is_logged {
            return Err(failure);
        }
        for time in times {
            let issuer = certificate.issuer(&self.root, time)?;
            sct::verify(&certificate, issuer, &self.root)?;
        }
        let issuer = certificate.identity_issuer().unwrap_or_default();
        if issuer != self.issuer {
            let wanted = self.issuer.clone();
            return Err(Untrusted::Issuer { found: issuer, wanted });
        }
        let found = certificate.identities();
        let mut fitting = found.iter().filter(|found| policy::matches(&self.identity, found));
        fitting.next().cloned().ok_or_else(|| Untrusted::Identity {
            found: found.join(", "),
            wanted: self.identity.clone(),
        })
    }
}
