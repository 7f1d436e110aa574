//! Private keys.

use std::path::Path;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use sha2::{Digest, Sha256};
use spki::EncodePublicKey;
use spki::der::{SecretDocument, pem};

use super::encrypted;
use crate::bounded;
use crate::trust::key::{InvalidKey, MAX_KEY, PublicKey};

/// Private key: ECDSA on P-256 or P-384, or Ed25519.
pub struct PrivateKey {
    signer: Signer,
    public: PublicKey,
}

enum Signer {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// Reason why a file is not a usable private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPrivateKey {
    /// File that cannot be read.
    #[error("{0}")]
    Read(std::io::Error),
    /// No PEM text, or the key in it is corrupt.
    #[error("it is not a private key in PEM text: {0}")]
    Corrupt(String),
    /// PEM of something else.
    #[error("it has a {0}, not a PRIVATE KEY")]
    Label(String),
    /// PEM of a private key that is corrupt, or of an algorithm without support.
    #[error("it is not an ECDSA key on P-256 or P-384, nor an Ed25519 key, which alone can sign")]
    Unusable,
    /// Public half without support.
    #[error("{0}")]
    Algorithm(#[from] InvalidKey),
    /// Password that cannot be read.
    #[error("cannot read the password: {0}")]
    Password(std::io::Error),
    /// Wrong password, or corrupt ciphertext.
    #[error("the password is wrong, or the key is corrupt")]
    WrongPassword,
    /// Encryption without support.
    #[error("its encryption is not supported: {0}")]
    Encryption(String),
}

impl InvalidPrivateKey {
    /// Returns the remedy.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            InvalidPrivateKey::Label(label) if label == "EC PRIVATE KEY" => {
                Some("convert it: `openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW`")
            }
            InvalidPrivateKey::Label(label) if label == "ENCRYPTED PRIVATE KEY" => {
                Some("decrypt it: `openssl pkey -in KEY -out NEW`; cosign's encrypted keys are supported")
            }
            InvalidPrivateKey::WrongPassword => {
                Some("set COSIGN_PASSWORD to the password of the key, or unset it to be asked")
            }
            InvalidPrivateKey::Algorithm(_)
            | InvalidPrivateKey::Label(_)
            | InvalidPrivateKey::Corrupt(_)
            | InvalidPrivateKey::Unusable => {
                Some("create one: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY`")
            }
            _ => None,
        }
    }
}

impl PrivateKey {
    /// Reads a PEM file: PKCS#8, or cosign's encrypted keys, for which `password` is called.
    ///
    /// # Errors
    /// A file that cannot be read, is not a private key that is supported, or needs another password.
    pub fn read(
        path: &Path,
        password: &mut dyn FnMut() -> std::io::Result<String>,
    ) -> Result<PrivateKey, InvalidPrivateKey> {
        let bytes = bounded::read(path, MAX_KEY).map_err(InvalidPrivateKey::Read)?;
        let text = String::from_utf8_lossy(&bytes);
        let corrupt = |error: spki::der::Error| InvalidPrivateKey::Corrupt(error.to_string());
        let text = text.trim();
        if let Some(body) = encrypted::body(text) {
            let encrypted = encrypted::parse(&body)?;
            let password = password().map_err(InvalidPrivateKey::Password)?;
            return Self::from_pkcs8(&encrypted.decrypt(password.as_bytes())?);
        }
        let label = pem::decode_label(text.as_bytes());
        let label = label.map_err(|error| InvalidPrivateKey::Corrupt(error.to_string()))?;
        if label != "PRIVATE KEY" {
            return Err(InvalidPrivateKey::Label(label.to_owned()));
        }
        let (_, document) = SecretDocument::from_pem(text).map_err(corrupt)?;
        Self::from_pkcs8(document.as_bytes())
    }

    /// Parses a PKCS#8 PrivateKeyInfo in DER (RFC 5958).
    ///
    /// # Errors
    /// Bytes that are corrupt, and a key that is not supported.
    pub fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, InvalidPrivateKey> {
        let signer = if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_der(der) {
            Signer::P256(key)
        } else if let Ok(key) = p384::ecdsa::SigningKey::from_pkcs8_der(der) {
            Signer::P384(key)
        } else {
            match ed25519_dalek::SigningKey::from_pkcs8_der(der) {
                Ok(key) => Signer::Ed25519(Box::new(key)),
                Err(_) => return Err(InvalidPrivateKey::Unusable),
            }
        };
        let public = match &signer {
            Signer::P256(key) => key.verifying_key().to_public_key_der(),
            Signer::P384(key) => key.verifying_key().to_public_key_der(),
            Signer::Ed25519(key) => key.verifying_key().to_public_key_der(),
        };
        let public = public.map_err(|error| InvalidPrivateKey::Corrupt(error.to_string()))?;
        Ok(PrivateKey {
            public: PublicKey::from_der(public.as_bytes())?,
            signer,
        })
    }

    /// Returns the public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message: ECDSA over SHA-256, in DER, which is what cosign verifies for either curve; or
    /// Ed25519.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let hash = Sha256::digest(message);
        match &self.signer {
            Signer::P256(key) => {
                let signature: Result<p256::ecdsa::DerSignature, _> = key.sign_prehash(&hash);
                signature.map_or_else(|_| Vec::new(), |signature| signature.as_bytes().to_vec())
            }
            Signer::P384(key) => {
                let signature: Result<p384::ecdsa::DerSignature, _> = key.sign_prehash(&hash);
                signature.map_or_else(|_| Vec::new(), |signature| signature.as_bytes().to_vec())
            }
            Signer::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}
