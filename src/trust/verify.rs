//! Verification of images against a policy.

use base64::prelude::{BASE64_STANDARD, Engine};
use extents::Extents;
use serde_json::Value;

use super::bundle::{self, LogEntry};
use super::error::{Error, Refusal};
use super::key::Fingerprint;
use super::keyless::{Evidence, Subject};
use super::policy::{self, Action, Policy, Rule, Signers};
use super::simple_signing;
use super::statement;
use crate::oci::referrers::{MAX_SIGNATURE, MAX_SIGNATURES};
use crate::oci::{ImageGraph, Layout, Referrers};

/// Result for an image that the policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The policy asks for no signature.
    AcceptedUnsigned,
    /// A signer of the rule has signed the image.
    Signed {
        /// Digest that is signed: that of the manifest or of an index above it.
        digest: String,
        /// Signer.
        signer: Signer,
    },
}

/// Signer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A public key.
    Key {
        /// File, as the policy names it.
        file: String,
        /// Fingerprint.
        fingerprint: Fingerprint,
    },
    /// An identity.
    Identity(String),
}

impl Signer {
    /// Returns the text by which a lock knows the signer: the fingerprint of the key, or the identity.
    pub fn id(&self) -> String {
        match self {
            Signer::Key { fingerprint, .. } => fingerprint.to_string(),
            Signer::Identity(identity) => identity.clone(),
        }
    }
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Signer::Key { file, .. } => f.write_str(file),
            Signer::Identity(identity) => f.write_str(identity),
        }
    }
}

/// Verifies an image: `digests` are those of its manifest and of the indexes above it, of which one must be
/// signed. Signatures are taken from all layouts.
///
/// # Errors
/// An image that the policy rejects, or that no signer of its rule has signed.
pub fn verify(policy: &Policy, name: &str, digests: &[String], layouts: &[Layout]) -> Result<Verdict, Error> {
    let place = || policy.place(name);
    let (rule, signers) = match (policy.rule(name), policy.action(name)) {
        (_, Action::AcceptUnsigned) => return Ok(Verdict::AcceptedUnsigned),
        (Some(rule), Action::Signed(signers)) => (rule, signers),
        _ => {
            let image = name.to_owned();
            return Err(Error::Rejected { image, place: place() });
        }
    };
    let Some(first) = digests.first() else {
        let image = name.to_owned();
        return Err(Error::NoManifest { image, place: place() });
    };
    let mut refusals = Vec::new();
    for digest in digests {
        let mut referrers = Referrers::default();
        for layout in layouts {
            let found = layout.referrers(digest).map_err(|source| Error::Read {
                image: name.to_owned(),
                source,
            })?;
            referrers.merge(found);
        }
        let locked = policy.locked(name);
        let image = Image {
            name,
            digest,
            rule,
            locked,
        };
        match image.signer(signers, &referrers, &mut refusals) {
            Some(signer) => {
                let digest = digest.clone();
                return Ok(Verdict::Signed { digest, signer });
            }
            None => continue,
        }
    }
    let image = name.to_owned();
    if refusals.is_empty() {
        let digest = first.clone();
        return Err(Error::Unsigned {
            image,
            digest,
            place: place(),
            arch: None,
        });
    }
    Err(Error::Refused {
        image,
        place: place(),
        refusals,
    })
}

/// Image to verify.
struct Image<'a> {
    name: &'a str,
    digest: &'a str,
    rule: &'a Rule,
    /// Signers in the lock; none if any signer of the rule suffices.
    locked: &'a [String],
}

impl Image<'_> {
    /// Finds a signer who has signed the image.
    fn signer(&self, signers: &Signers, referrers: &Referrers, refusals: &mut Vec<Refusal>) -> Option<Signer> {
        let mut refuse = |refusal: Refusal| {
            if !refusals.contains(&refusal) {
                refusals.push(refusal);
            }
        };
        let payloads = referrers.payloads.iter().map(|payload| {
            let annotations = payload.descriptor.get("annotations");
            self.payload(signers, annotations, &payload.content)
        });
        let bundles = referrers.manifests.iter().flat_map(bundles);
        let bundles = bundles.map(|content| self.bundle(signers, &content));
        for (at, result) in payloads.chain(bundles).enumerate() {
            if at == MAX_SIGNATURES {
                refuse(Refusal::TooMany(MAX_SIGNATURES));
                break;
            }
            match result {
                Ok(signer) if self.locked.is_empty() || self.locked.contains(&signer.id()) => return Some(signer),
                Ok(signer) => refuse(Refusal::NotLocked {
                    found: match &signer {
                        Signer::Key { file, fingerprint } => format!("{file} ({fingerprint})"),
                        Signer::Identity(identity) => identity.clone(),
                    },
                    locked: self.locked.to_vec(),
                }),
                Err(refusal) => refuse(refusal),
            }
        }
        None
    }

    /// Verifies a signature of cosign's old form.
    fn payload(&self, signers: &Signers, annotations: Option<&Value>, content: &Extents) -> Result<Signer, Refusal> {
        let annotation = |key: &str| annotations?.get(key)?.as_str();
        let signature = annotation(simple_signing::SIGNATURE).unwrap_or_default();
        let signature = BASE64_STANDARD
            .decode(signature)
            .map_err(|error| Refusal::Malformed(error.to_string()))?;
        let bytes = read(content)?;
        let signer = match annotation(simple_signing::CERTIFICATE) {
            None => signers.key(&bytes, &signature)?,
            Some(certificate) => {
                let certificate = spki::der::Document::from_pem(certificate.trim());
                let (_, certificate) = certificate.map_err(|error| Refusal::Malformed(error.to_string()))?;
                let entry = annotation(simple_signing::BUNDLE).map(bundle::parse_entry).transpose();
                let entries: Vec<LogEntry> = entry?.into_iter().collect();
                signers.identity(&Evidence {
                    certificate: certificate.as_bytes(),
                    subject: Subject::Message(&bytes),
                    signature: &signature,
                    entries: &entries,
                    timestamps: Vec::new(),
                    needs_proof: false,
                })?
            }
        };
        let payload = simple_signing::parse(&bytes)?;
        self.covers(&payload.digest, &payload.reference)?;
        Ok(signer)
    }

    /// Verifies a sigstore bundle.
    fn bundle(&self, signers: &Signers, content: &Extents) -> Result<Signer, Refusal> {
        let bundle = bundle::parse(&read(content)?)?;
        let Some(envelope) = &bundle.dsse_envelope else {
            return Err(Refusal::Malformed("the bundle is for a file, not for an image".into()));
        };
        // The payload is not verified yet: its type is used only to skip attestations.
        if envelope.payload_type != statement::PAYLOAD_TYPE {
            return Err(Refusal::Attestation(envelope.payload_type.clone()));
        }
        let statement = statement::parse(&envelope.payload.0)?;
        if statement.predicate_type != statement::SIGNED {
            return Err(Refusal::Attestation(statement.predicate_type));
        }
        let signer = match bundle.certificate() {
            None => signers.key(&envelope.signed_bytes(), envelope.signature())?,
            Some(certificate) => signers.identity(&Evidence {
                certificate,
                subject: Subject::Envelope(envelope),
                signature: envelope.signature(),
                entries: &bundle.verification_material.tlog_entries,
                timestamps: bundle.timestamps(),
                needs_proof: bundle.needs_proof(),
            })?,
        };
        let mut refused = Refusal::Malformed("the statement is about nothing".into());
        for subject in &statement.subject {
            match self.covers(&subject.digest().unwrap_or_default(), &subject.name) {
                Ok(()) => return Ok(signer),
                Err(refusal) => refused = refusal,
            }
        }
        Err(refused)
    }

    /// Checks that a signed digest and name are those of the image. An empty name allows any.
    fn covers(&self, digest: &str, name: &str) -> Result<(), Refusal> {
        if digest != self.digest {
            return Err(Refusal::OtherDigest {
                signed: digest.to_owned(),
                wanted: self.digest.to_owned(),
            });
        }
        if name.is_empty() {
            return Ok(());
        }
        let other = |wanted: &str| {
            Err(Refusal::OtherImage {
                signed: name.to_owned(),
                wanted: wanted.to_owned(),
            })
        };
        let signed = policy::repository(name);
        if let Some(pattern) = &self.rule.signed_as {
            return if policy::matches(pattern, &signed) {
                Ok(())
            } else {
                other(pattern)
            };
        }
        if signed != policy::repository(self.name) || tag(name).is_some_and(|tag| Some(tag) != self::tag(self.name)) {
            return other(self.name);
        }
        Ok(())
    }
}

/// Returns the tag of a name; an image that is named by its digest alone has none.
fn tag(name: &str) -> Option<String> {
    crate::oci::reference::parse(name).ok()?.tag
}

/// Returns the bundles in a manifest.
fn bundles(manifest: &ImageGraph) -> Vec<Extents> {
    let layers = manifest.layers();
    let bundles = layers.iter().filter(|(media_type, _)| bundle::is_bundle(media_type));
    bundles.map(|(_, content)| content.clone()).collect()
}

fn read(content: &Extents) -> Result<Vec<u8>, Refusal> {
    if content.len() > MAX_SIGNATURE {
        return Err(Refusal::Malformed(format!("it has more than {MAX_SIGNATURE} bytes")));
    }
    content.to_vec().map_err(|error| Refusal::Malformed(error.to_string()))
}

impl Signers {
    /// Finds the key that verifies a signature.
    fn key(&self, message: &[u8], signature: &[u8]) -> Result<Signer, Refusal> {
        if self.keys.is_empty() {
            return Err(Refusal::Key);
        }
        for (file, key) in &self.keys {
            if key.verifies(message, signature) {
                return Ok(Signer::Key {
                    file: file.clone(),
                    fingerprint: key.fingerprint(),
                });
            }
        }
        Err(Refusal::OtherKey(
            self.keys.iter().map(|(file, _)| file.clone()).collect(),
        ))
    }

    /// Finds the signer of a keyless signature.
    fn identity(&self, evidence: &Evidence<'_>) -> Result<Signer, Refusal> {
        let mut refusal = Refusal::Keyless;
        for identity in &self.identities {
            match identity.verify(evidence) {
                Ok(identity) => return Ok(Signer::Identity(identity)),
                Err(error) => refusal = error.into(),
            }
        }
        Err(refusal)
    }
}
