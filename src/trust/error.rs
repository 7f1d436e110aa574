//! Errors of images that a policy refuses.

use std::fmt;

use super::keyless::Untrusted;
use super::policy;
use crate::arch::Arch;
use crate::diagnostic::Diagnostic;
use crate::oci;

/// Reason why an image is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rule rejects the image.
    #[error("{image} is rejected by {place}")]
    Rejected {
        /// Canonical name of the image.
        image: String,
        /// Place of the rule.
        place: String,
    },
    /// The image has no signature.
    #[error("{image} is not signed: there is no signature of {digest}, which {place} requires")]
    Unsigned {
        /// Canonical name of the image.
        image: String,
        /// Digest of the image.
        digest: String,
        /// Place of the rule.
        place: String,
        /// Architecture of the image, if it is known.
        arch: Option<Arch>,
    },
    /// An image without a digest that could be signed.
    #[error("{image} cannot have a signature, which {place} requires: an archive of docker save has no manifest")]
    NoManifest {
        /// Canonical name of the image.
        image: String,
        /// Place of the rule.
        place: String,
    },
    /// No signature of the image counts.
    #[error("{image} has no valid signature, which {place} requires: {}", Refusals(refusals))]
    Refused {
        /// Canonical name of the image.
        image: String,
        /// Place of the rule.
        place: String,
        /// Reasons, at least one, each once.
        refusals: Vec<Refusal>,
    },
    /// A signature that is corrupt in its layout.
    #[error("cannot read the signatures of {image}: {source}")]
    Read {
        /// Canonical name of the image.
        image: String,
        /// Underlying error.
        source: oci::Error,
    },
}

/// Reason why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Signature that cannot be parsed.
    #[error("a signature is malformed: {0}")]
    Malformed(String),
    /// No key of the rule verifies the signature.
    #[error("a signature was not made with {}", .0.join(" or "))]
    OtherKey(Vec<String>),
    /// Signature of other content.
    #[error("a signature is for {signed}, not for {wanted}")]
    OtherDigest {
        /// Digest that is signed.
        signed: String,
        /// Digest of the image.
        wanted: String,
    },
    /// Signature of an image of another name.
    #[error("a signature is for the image {signed}, not for {wanted}")]
    OtherImage {
        /// Name that is signed.
        signed: String,
        /// Name, or pattern of names, that is wanted.
        wanted: String,
    },
    /// Statement that is not a signature of an image.
    #[error("an attestation of type {0} is not an image signature")]
    Attestation(String),
    /// Signature with a certificate in place of a key.
    #[error("a signature is keyless, and the rule names keys only")]
    Keyless,
    /// Signature with a key in place of a certificate.
    #[error("a signature was made with a key, and the rule names keyless signers only")]
    Key,
    /// Keyless signature that is not valid.
    #[error("a keyless signature is not valid: {0}")]
    Untrusted(#[from] Untrusted),
    /// Signature of a signer that the policy allows, and the lock does not.
    #[error("a signature is by {found}, but the lock names {}", locked.join(" and "))]
    NotLocked {
        /// Signer.
        found: String,
        /// Signers in the lock.
        locked: Vec<String>,
    },
    /// Too many signatures.
    #[error("only the first {0} signatures were checked")]
    TooMany(usize),
}

/// Part of a signature that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Refusal::Malformed(error.0)
    }
}

impl From<String> for Malformed {
    fn from(found: String) -> Self {
        Malformed(found)
    }
}

impl From<&str> for Malformed {
    fn from(found: &str) -> Self {
        Malformed(found.to_owned())
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Malformed(error.to_string())
    }
}

struct Refusals<'a>(&'a [Refusal]);

impl fmt::Display for Refusals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, refusal) in self.0.iter().enumerate() {
            write!(f, "{}{refusal}", if at > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl Error {
    /// Returns the remedies, each one command or edit.
    pub fn help(&self) -> Vec<String> {
        match self {
            Error::Rejected { .. } => vec!["use another image, or change the rule".into()],
            Error::Unsigned { image, arch, .. } => vec![
                format!(
                    "`{}` pulls the signatures that the registry has",
                    oci::pull_command(image, *arch)
                ),
                format!("`moby sign {image} --key KEY` signs the image in the cache"),
                "`rule: accept-unsigned` in the policy exempts images from signatures".into(),
            ],
            Error::NoManifest { image, .. } => vec![format!(
                "omit the --layout with the archive, and run `moby cache pull {image}`, which pulls the signatures too"
            )],
            Error::Refused { image, refusals, .. } => {
                let mut help = Vec::new();
                for refusal in refusals {
                    help.extend(match refusal {
                        Refusal::OtherKey(_) => {
                            Some("add the signer's public key to `keys:` if you trust it".to_owned())
                        }
                        Refusal::OtherImage { signed, .. } => Some(format!(
                            "`signed-as: {}` in the rule accepts {image} as a copy of it",
                            policy::repository(signed)
                        )),
                        Refusal::NotLocked { .. } => Some(format!(
                            "run `moby lock --update={image} FILE.yml` if the signer was replaced on purpose"
                        )),
                        _ => None,
                    });
                }
                help.dedup();
                help
            }
            Error::Read { source, .. } => source.help(),
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Diagnostic {
            help: error.help(),
            ..Diagnostic::error(error.to_string()).caused_by(error)
        }
    }
}
