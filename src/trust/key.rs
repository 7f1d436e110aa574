//! Public keys, and signatures that they verify.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest, Sha256, Sha384};
use spki::der::asn1::ObjectIdentifier;
use spki::der::{Decode, Document, pem};
use spki::{DecodePublicKey, SubjectPublicKeyInfoRef};

use super::policy::ReadFile;

/// Maximum length of a file with a key, in bytes.
pub(super) const MAX_KEY: u64 = 64 << 10;

/// Numbers of bits of the RSA keys that are supported.
const RSA_BITS: RangeInclusive<u32> = 2048..=4096;

/// Public key: ECDSA on P-256 or P-384, Ed25519, or RSA.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicKey {
    verifier: Verifier,
    fingerprint: Fingerprint,
}

#[derive(Clone, Debug, PartialEq)]
enum Verifier {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    /// PKCS #1 v1.5 with SHA-256 (RFC 8017, section 8.2).
    Rsa(Box<rsa::pkcs1v15::VerifyingKey<Sha256>>),
}

/// SHA-256 of a public key's SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the hint of sigstore bundles: the hash in base64.
    pub fn hint(&self) -> String {
        BASE64_STANDARD.encode(self.0)
    }

    /// Returns the hash, which transparency logs use as their identifier.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows `sha256:` and 64 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reason why a file or text is not a usable public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// File that cannot be read, with the message of the system.
    #[error("{0}")]
    Read(String),
    /// No PEM text.
    #[error("it is not PEM text: {0}")]
    NotPem(String),
    /// PEM of something else.
    #[error("it has a {0}, not a PUBLIC KEY")]
    Label(String),
    /// Algorithm without support.
    #[error("{0} keys are not supported, only ECDSA on P-256 or P-384, Ed25519, and RSA")]
    Algorithm(String),
    /// RSA key of an unsupported length in bits.
    #[error("RSA keys of {0} bits are not supported, only those of 2048 to 4096 bits")]
    Bits(u32),
    /// Corrupt key.
    #[error("its key is corrupt: {0}")]
    Corrupt(String),
}

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

impl PublicKey {
    /// Reads a PEM file (RFC 7468, section 13).
    ///
    /// # Errors
    /// A file that cannot be read, that is not PEM text, or with a key that is not supported.
    pub fn read(path: &Path, read: ReadFile<'_>) -> Result<Self, InvalidKey> {
        let bytes = read(path, MAX_KEY).map_err(|error| InvalidKey::Read(error.to_string()))?;
        Self::from_pem(&String::from_utf8_lossy(&bytes))
    }

    /// Parses PEM text.
    ///
    /// # Errors
    /// Text that is not PEM, and a key that is not supported.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let not_pem = |error: &dyn fmt::Display| InvalidKey::NotPem(error.to_string());
        let label = pem::decode_label(text.trim().as_bytes()).map_err(|error| not_pem(&error))?;
        if label != "PUBLIC KEY" {
            return Err(InvalidKey::Label(label.to_owned()));
        }
        let (_, document) = Document::from_pem(text.trim()).map_err(|error| InvalidKey::Corrupt(error.to_string()))?;
        Self::from_der(document.as_bytes())
    }

    /// Parses a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// Bytes that are corrupt, and a key that is not supported.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidKey> {
        let corrupt = |error: &dyn fmt::Display| InvalidKey::Corrupt(error.to_string());
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|error| corrupt(&error))?;
        let curve = info.algorithm.parameters_oid().ok();
        let verifier = match (info.algorithm.oid, curve) {
            (EC, Some(P256)) => p256::ecdsa::VerifyingKey::from_public_key_der(der).map(Verifier::P256),
            (EC, Some(P384)) => p384::ecdsa::VerifyingKey::from_public_key_der(der).map(Verifier::P384),
            (ED25519, _) => ed25519_dalek::VerifyingKey::from_public_key_der(der).map(Verifier::Ed25519),
            (RSA, _) => return Ok(PublicKey::new(rsa_key(der)?, der)),
            (EC, Some(P521)) => return Err(InvalidKey::Algorithm("ECDSA P-521".into())),
            (oid, _) => return Err(InvalidKey::Algorithm(oid.to_string())),
        };
        Ok(PublicKey::new(verifier.map_err(|error| corrupt(&error))?, der))
    }

    fn new(verifier: Verifier, der: &[u8]) -> Self {
        PublicKey {
            verifier,
            fingerprint: Fingerprint(Sha256::digest(der).into()),
        }
    }

    /// Returns the fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns true if `signature` is this key's signature of `message`: ECDSA in DER (RFC 3279, section
    /// 2.2.3) over SHA-256 or SHA-384, Ed25519 (RFC 8032), or RSA with PKCS #1 v1.5 over SHA-256.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.verifier {
            Verifier::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|signature| {
                key.verify_prehash(&Sha256::digest(message), &signature).is_ok()
                    || key.verify_prehash(&Sha384::digest(message), &signature).is_ok()
            }),
            Verifier::P384(key) => p384::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|signature| {
                key.verify_prehash(&Sha384::digest(message), &signature).is_ok()
                    || key.verify_prehash(&Sha256::digest(message), &signature).is_ok()
            }),
            Verifier::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Verifier::Rsa(key) => rsa::pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify_prehash(&Sha256::digest(message), &signature).is_ok()),
        }
    }
}

/// Parses an RSA key (RFC 8017, appendix A.1.1) in a SubjectPublicKeyInfo.
fn rsa_key(der: &[u8]) -> Result<Verifier, InvalidKey> {
    let key = rsa::PublicKey::from_public_key_der(der).map_err(|error| InvalidKey::Corrupt(error.to_string()))?;
    let bits = key.n().bit_width_vartime();
    if !RSA_BITS.contains(&bits) {
        return Err(InvalidKey::Bits(bits));
    }
    Ok(Verifier::Rsa(rsa::pkcs1v15::VerifyingKey::new(key).into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = include_bytes!("../../testdata/trust/message");

    #[test]
    fn signatures_of_openssl_are_verified() {
        for (key, signature) in [
            (
                include_str!("../../testdata/trust/p256.pub"),
                include_str!("../../testdata/trust/message.p256.sig"),
            ),
            (
                include_str!("../../testdata/trust/p384.pub"),
                include_str!("../../testdata/trust/message.p384.sig"),
            ),
            (
                include_str!("../../testdata/trust/p384.pub"),
                include_str!("../../testdata/trust/message.p384-sha384.sig"),
            ),
            (
                include_str!("../../testdata/trust/ed25519.pub"),
                include_str!("../../testdata/trust/message.ed25519.sig"),
            ),
            (
                include_str!("../../testdata/trust/rsa2048.pub"),
                include_str!("../../testdata/trust/message.rsa2048.sig"),
            ),
        ] {
            let key = PublicKey::from_pem(key).unwrap();
            let signature = BASE64_STANDARD.decode(signature).unwrap();
            assert!(key.verifies(MESSAGE, &signature));
            assert!(!key.verifies(b"signed by nobody\n", &signature));
            for at in 0..signature.len() {
                let mut changed = signature.clone();
                changed[at] ^= 1;
                assert!(!key.verifies(MESSAGE, &changed), "{at}");
            }
            assert!(!key.verifies(MESSAGE, &signature[1..]) && !key.verifies(MESSAGE, b""));
            assert!(!key.verifies(MESSAGE, &[&signature[..], b"\0"].concat()));
        }
    }

    #[test]
    fn other_keys_are_refused_by_name() {
        let pem = |label: &str, body: &[u8]| {
            let body = BASE64_STANDARD.encode(body);
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        // Algorithm identifiers and keys too short to be any.
        let rsa = [
            0x30, 0x12, 0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0, 3, 1, 0,
        ];
        let p521 = [
            0x30, 0x15, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23, 3, 1, 0,
        ];
        for (text, expected) in [
            (String::new(), "not PEM"),
            ("hello".to_owned(), "not PEM"),
            (pem("CERTIFICATE", b"x"), "it has a CERTIFICATE, not a PUBLIC KEY"),
            (pem("PRIVATE KEY", b"x"), "it has a PRIVATE KEY"),
            (pem("PUBLIC KEY", b"x"), "corrupt"),
            (pem("PUBLIC KEY", &rsa), "its key is corrupt"),
            (pem("PUBLIC KEY", &p521), "ECDSA P-521 keys are not supported"),
        ] {
            let error = PublicKey::from_pem(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
