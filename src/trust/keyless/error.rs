//! Reasons why a keyless signature is not valid.

/// Reason why a keyless signature is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// Certificate that cannot be parsed, or whose key is not supported.
    #[error("its certificate cannot be used: {0}")]
    Certificate(String),
    /// Signature that the key of the certificate did not make.
    #[error("it does not match the key in its certificate")]
    OtherKey,
    /// Certificate of an unknown authority.
    #[error(
        "its certificate is from an unknown authority: none in the trusted root, valid at the time of signing, issued it"
    )]
    Authority,
    /// Certificate that was not valid when the log took the signature.
    #[error("its certificate was not valid when it was logged")]
    Expired,
    /// Certificate that no log of certificates has.
    #[error("its certificate is not in a trusted certificate log: {0}")]
    CertificateLog(String),
    /// Signature that no log has.
    #[error("it is not in a trusted transparency log: {0}")]
    Log(String),
    /// Timestamp that is not valid.
    #[error("its timestamp is not valid: {0}")]
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
