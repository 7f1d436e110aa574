//! Reasons why a keyless signature does not count.

/// Reason why a keyless signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// Certificate that cannot be parsed, or whose key is not supported.
    #[error("its certificate cannot be used: {0}")]
    Certificate(String),
    /// Signature that the key of the certificate did not make.
    #[error("its certificate's key did not make it")]
    OtherKey,
    /// Certificate of an unknown authority.
    #[error("no authority of the trusted root that was valid then issued its certificate")]
    Authority,
    /// Certificate that was not valid when the log took the signature.
    #[error("its certificate was not valid when it was logged")]
    Expired,
    /// Certificate that no log of certificates has.
    #[error("no certificate log of the trusted root has its certificate: {0}")]
    CertificateLog(String),
    /// Signature that no log has.
    #[error("no transparency log of the trusted root has it: {0}")]
    Log(String),
    /// Timestamp that does not count.
    #[error("no timestamp authority of the trusted root states its time: {0}")]
    Timestamp(String),
    /// Log entry for something else.
    #[error("its log entry is for other content: {0}")]
    OtherEntry(String),
    /// Feature without support.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// Certificate for another identity.
    #[error("it is by {found}, not by {wanted}")]
    Identity {
        /// Identities in the certificate.
        found: String,
        /// Pattern of the rule.
        wanted: String,
    },
    /// Certificate by another issuer of identities.
    #[error("the identity is from {found}, not from {wanted}")]
    Issuer {
        /// Issuer in the certificate.
        found: String,
        /// Issuer of the rule.
        wanted: String,
    },
}
