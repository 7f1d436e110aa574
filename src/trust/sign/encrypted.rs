//! Private keys that cosign has encrypted: scrypt makes a key of the password, and NaCl's secretbox
//! (XSalsa20 and Poly1305) encrypts a PKCS#8 key with it (secure-systems-lab/go-securesystemslib, encrypted).

use base64::prelude::{BASE64_STANDARD, Engine};
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use serde::Deserialize;

use super::private_key::InvalidPrivateKey;
use crate::trust::bundle::Bytes;

/// PEM labels of the keys; the second is of early versions.
const LABELS: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
/// Maximum of scrypt's cost, as a power of two; cosign uses 15 or 16.
const MAX_LOG_N: u32 = 20;
/// Maximum of scrypt's block size and parallelism; cosign uses 8 and 1. With the cost, it limits the memory
/// to 2 GiB.
const MAX_R: u32 = 16;
/// Length of Poly1305's tag, in bytes.
const TAG: usize = 16;

/// Encrypted key.
#[derive(Deserialize)]
pub struct Encrypted {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: Bytes,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: Bytes,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u32,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: Bytes,
}

/// Returns the decoded body of PEM text with an encrypted key; none for other text.
pub fn body(text: &str) -> Option<Vec<u8>> {
    let between = |label: &str| {
        let rest = text.strip_prefix(&format!("-----BEGIN {label}-----"))?;
        rest.strip_suffix(&format!("-----END {label}-----"))
    };
    let body = LABELS.into_iter().find_map(between)?;
    let encoded: String = body.split_whitespace().collect();
    BASE64_STANDARD.decode(encoded).ok()
}

/// Parses the body.
///
/// # Errors
/// Invalid JSON, missing fields, algorithms other than cosign's, and costs beyond the limits.
pub fn parse(body: &[u8]) -> Result<Encrypted, InvalidPrivateKey> {
    let encrypted: Encrypted =
        serde_json::from_slice(body).map_err(|error| InvalidPrivateKey::Corrupt(error.to_string()))?;
    let Params { n, r, p } = encrypted.kdf.params;
    let unsupported = if encrypted.kdf.name != "scrypt" {
        Some(encrypted.kdf.name.clone())
    } else if encrypted.cipher.name != "nacl/secretbox" {
        Some(encrypted.cipher.name.clone())
    } else if !n.is_power_of_two() || n.ilog2() > MAX_LOG_N || !(1..=MAX_R).contains(&r) || !(1..=MAX_R).contains(&p) {
        Some(format!("scrypt with N={n}, r={r}, p={p}"))
    } else {
        None
    };
    match unsupported {
        Some(name) => Err(InvalidPrivateKey::Encryption(name)),
        None => Ok(encrypted),
    }
}

impl Encrypted {
    /// Decrypts the key.
    ///
    /// # Errors
    /// A wrong password.
    pub fn decrypt(&self, password: &[u8]) -> Result<Vec<u8>, InvalidPrivateKey> {
        let Params { n, r, p } = self.kdf.params;
        let unsupported = || InvalidPrivateKey::Encryption(format!("scrypt with N={n}, r={r}, p={p}"));
        let params = scrypt::Params::new(n.ilog2() as u8, r, p).map_err(|_| unsupported())?;
        let mut key = [0; 32];
        scrypt::scrypt(password, &self.kdf.salt.0, &params, &mut key).map_err(|_| unsupported())?;
        open(&key, &self.cipher.nonce.0, &self.ciphertext.0).ok_or(InvalidPrivateKey::WrongPassword)
    }
}

/// Opens a secretbox: the tag, then the ciphertext. The first 32 bytes of the key stream are the key of the
/// tag.
fn open(key: &[u8; 32], nonce: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (tag, ciphertext) = sealed.split_at_checked(TAG)?;
    let mut cipher = XSalsa20::new_from_slices(key, nonce).ok()?;
    let mut tag_key = [0; 32];
    cipher.apply_keystream(&mut tag_key);
    let computed = Poly1305::new(&tag_key.into()).compute_unpadded(ciphertext);
    // Whoever could measure the time has the file, and can try passwords on it.
    if computed.as_slice() != tag {
        return None;
    }
    let mut plain = ciphertext.to_vec();
    cipher.apply_keystream(&mut plain);
    Some(plain)
}
