//! Signed certificate timestamps: promises of certificate logs, in an extension of the certificate (RFC
//! 6962, section 3.2 and 3.3).

use spki::der::asn1::{ObjectIdentifier, OctetStringRef};
use spki::der::{Decode, Encode};

use super::certificate::Certificate;
use super::error::Untrusted;
use super::root::TrustedRoot;
use super::tlv;

const TIMESTAMPS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
/// Tags of DER: SEQUENCE, and the extensions of a certificate.
const SEQUENCE: u8 = 0x30;
const EXTENSIONS: u8 = 0xa3;

/// Timestamp of a log.
struct Timestamp<'a> {
    log: &'a [u8],
    milliseconds: u64,
    extensions: &'a [u8],
    signature: &'a [u8],
}

/// Verifies that a certificate log of the trusted root has promised to include a certificate. A root without
/// certificate logs asks for none.
///
/// # Errors
/// A certificate without a timestamp of a trusted log.
pub fn verify(certificate: &Certificate, issuer: &Certificate, root: &TrustedRoot) -> Result<(), Untrusted> {
    if root.certificate_logs.is_empty() {
        return Ok(());
    }
    let failed = |reason: &str| Err(Untrusted::CertificateLog(reason.into()));
    let Some(extension) = certificate.extension(TIMESTAMPS) else {
        return failed("it has no signed certificate timestamp");
    };
    let parsed = <&OctetStringRef>::from_der(extension)
        .ok()
        .and_then(|list| parse(list.as_bytes()));
    let (Some(timestamps), Some(tbs)) = (parsed, without_timestamps(&certificate.tbs)) else {
        return failed("its timestamps are malformed");
    };
    for timestamp in timestamps {
        let mut logs = root.certificate_logs.iter().filter(|log| log.id == timestamp.log);
        let signed = timestamp.signed(&issuer.key_hash(), &tbs);
        if logs
            .any(|log| log.valid.has(timestamp.milliseconds / 1000) && log.key.verifies(&signed, timestamp.signature))
        {
            return Ok(());
        }
    }
    failed("none of its timestamps is from such a log")
}

/// Splits a number of bytes off.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// Splits a vector with a length of two bytes off (RFC 5246, section 4.3).
fn vector<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take(bytes, 2)?.try_into().map(u16::from_be_bytes).ok()?;
    take(bytes, usize::from(len))
}

/// Parses a list of timestamps; those of other versions are left out.
fn parse(mut bytes: &[u8]) -> Option<Vec<Timestamp<'_>>> {
    let mut list = vector(&mut bytes)?;
    let mut timestamps = Vec::new();
    while !list.is_empty() {
        let mut one = vector(&mut list)?;
        if take(&mut one, 1)? != [0] {
            continue;
        }
        let log = take(&mut one, 32)?;
        let milliseconds = take(&mut one, 8)?.try_into().map(u64::from_be_bytes).ok()?;
        let extensions = vector(&mut one)?;
        // Algorithms of hash and signature, which the key determines.
        take(&mut one, 2)?;
        let signature = vector(&mut one)?;
        timestamps.push(Timestamp {
            log,
            milliseconds,
            extensions,
            signature,
        });
    }
    Some(timestamps)
}

impl Timestamp<'_> {
    /// Returns the bytes that the log signed: the certificate without the extension with the timestamps.
    fn signed(&self, issuer_key_hash: &[u8; 32], tbs: &[u8]) -> Vec<u8> {
        // Version 1, a certificate timestamp.
        let mut signed = vec![0, 0];
        signed.extend(self.milliseconds.to_be_bytes());
        // An entry for a certificate before its timestamps.
        signed.extend([0, 1]);
        signed.extend(issuer_key_hash);
        signed.extend((tbs.len() as u32).to_be_bytes().into_iter().skip(1));
        signed.extend(tbs);
        signed.extend((self.extensions.len() as u16).to_be_bytes());
        signed.extend(self.extensions);
        signed
    }
}

/// Encodes the signed part of a certificate without the extension with the timestamps.
fn without_timestamps(tbs: &[u8]) -> Option<Vec<u8>> {
    let (_, tbs) = tlv::split(tbs)?;
    let oid = TIMESTAMPS.to_der().ok()?;
    let mut fields = Vec::new();
    for field in tlv::elements(tbs.content)? {
        if field.tag != EXTENSIONS {
            fields.extend_from_slice(field.bytes);
            continue;
        }
        let (_, list) = tlv::split(field.content)?;
        let kept = tlv::elements(list.content)?
            .into_iter()
            .filter(|extension| !extension.content.starts_with(&oid));
        let kept: Vec<u8> = kept.flat_map(|extension| extension.bytes.to_vec()).collect();
        fields.extend(tlv::encode(EXTENSIONS, &tlv::encode(SEQUENCE, &kept)));
    }
    Some(tlv::encode(SEQUENCE, &fields))
}
