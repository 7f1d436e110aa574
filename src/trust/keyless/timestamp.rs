//! Timestamps of RFC 3161: a signed statement of an authority that a hash existed at a time (with CMS, RFC 5652).

use sha2::{Digest, Sha256, Sha384, Sha512};
use spki::der::asn1::{GeneralizedTime, ObjectIdentifier};
use spki::der::{Decode, Encode};

use super::error::Untrusted;
use super::root::TrustedRoot;
use super::tlv::{self, Element};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TIMESTAMP_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// Tags of DER.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SET: u8 = 0x31;
const GENERALIZED_TIME: u8 = 0x18;
const CONTEXT_0: u8 = 0xa0;

/// Parts of a timestamp that are verified.
struct Timestamp<'a> {
    /// Statement: TSTInfo.
    info: &'a [u8],
    /// Attributes that are signed, and the signature.
    attributes: Element<'a>,
    signature: &'a [u8],
    digest_algorithm: &'a [u8],
}

/// Verifies a timestamp of some bytes, and returns its time in seconds since 1970.
///
/// # Errors
/// A timestamp that is corrupt, of other bytes, or of an authority that the trusted root does not have.
pub fn verify(response: &[u8], signed: &[u8], root: &TrustedRoot) -> Result<u64, Untrusted> {
    let failed = |reason: &str| Untrusted::Timestamp(reason.into());
    let timestamp = parse(response).ok_or_else(|| failed("it is corrupt"))?;
    let (imprint, time) = info(timestamp.info).ok_or_else(|| failed("it is corrupt"))?;
    let (algorithm, hashed) = imprint;
    if hash(algorithm, signed).as_deref() != Some(hashed) {
        return Err(failed("it is for another signature"));
    }
    let attribute = |oid| attribute(timestamp.attributes.content, oid);
    let stated = attribute(CONTENT_TYPE).map(|element| element.bytes.to_vec());
    if stated != TIMESTAMP_INFO.to_der().ok() {
        return Err(failed("it is corrupt"));
    }
    let digest = hash(timestamp.digest_algorithm, timestamp.info);
    if digest.is_none() || attribute(MESSAGE_DIGEST).map(|element| element.content.to_vec()) != digest {
        return Err(failed("its statement was changed"));
    }
    // The attributes are signed as a set, whose tag they do not have here (RFC 5652, section 5.4).
    let attributes = tlv::encode(SET, timestamp.attributes.content);
    let mut authorities = root
        .timestamp_authorities
        .iter()
        .filter(|authority| authority.valid.has(time));
    let is_signed = authorities.any(|authority| {
        authority.chain.first().is_some_and(|certificate| {
            certificate.stamps_time(&authority.chain, time)
                && certificate
                    .key()
                    .is_ok_and(|key| key.verifies(&attributes, timestamp.signature))
        })
    });
    if is_signed {
        Ok(time)
    } else {
        Err(failed("no authority of the trusted root that was valid then signed it"))
    }
}

/// Returns the content of an element after checking its tag.
fn expect(element: Option<&Element<'_>>, tag: u8) -> Option<()> {
    (element?.tag == tag).then_some(())
}

/// Splits the content of a constructed element.
fn parts<'a>(element: &Element<'a>) -> Option<Vec<Element<'a>>> {
    tlv::elements(element.content)
}

/// Parses a TimeStampResp (RFC 3161, section 2.4.2).
fn parse(response: &[u8]) -> Option<Timestamp<'_>> {
    let (_, response) = tlv::split(response)?;
    let response = parts(&response)?;
    // Status 0 or 1: granted, perhaps with modifications.
    let status = parts(response.first()?)?;
    expect(status.first(), INTEGER)?;
    if !matches!(status.first()?.content, [0 | 1]) {
        return None;
    }
    let token = parts(response.get(1)?)?;
    if token.first()?.bytes != SIGNED_DATA.to_der().ok()? {
        return None;
    }
    let data = parts(token.get(1)?)?;
    let data = parts(data.first()?)?;
    let content = parts(data.get(2)?)?;
    if content.first()?.bytes != TIMESTAMP_INFO.to_der().ok()? {
        return None;
    }
    let info = parts(content.get(1)?)?;
    expect(info.first(), OCTET_STRING)?;
    let signers = parts(data.last().filter(|signers| signers.tag == SET)?)?;
    let [signer] = signers.as_slice() else { return None };
    let signer = parts(signer)?;
    expect(signer.get(3), CONTEXT_0)?;
    expect(signer.get(5), OCTET_STRING)?;
    Some(Timestamp {
        info: info.first()?.content,
        digest_algorithm: signer.get(2)?.content,
        attributes: *signer.get(3)?,
        signature: signer.get(5)?.content,
    })
}

/// Returns the hash that a statement is about, with its algorithm, and the time.
#[allow(clippy::type_complexity)]
fn info(bytes: &[u8]) -> Option<((&[u8], &[u8]), u64)> {
    let (_, info) = tlv::split(bytes)?;
    let info = parts(&info)?;
    let imprint = parts(info.get(2)?)?;
    expect(imprint.get(1), OCTET_STRING)?;
    let hashed = (imprint.first()?.content, imprint.get(1)?.content);
    let time = info.get(4)?;
    expect(Some(time), GENERALIZED_TIME)?;
    // Fractions of a second are not part of DER's usual form.
    let digits: Vec<u8> = time.content.iter().copied().take(14).chain([b'Z']).collect();
    let time = GeneralizedTime::from_der(&tlv::encode(GENERALIZED_TIME, &digits)).ok()?;
    Some((hashed, time.to_unix_duration().as_secs()))
}

/// Finds an attribute, which must have one value.
fn attribute(attributes: &[u8], wanted: ObjectIdentifier) -> Option<Element<'_>> {
    let wanted = wanted.to_der().ok()?;
    let mut found = None;
    for attribute in tlv::elements(attributes)? {
        let fields = parts(&attribute)?;
        if fields.first()?.bytes == wanted {
            let values = parts(fields.get(1)?)?;
            let ([value], None) = (values.as_slice(), &found) else {
                return None;
            };
            found = Some(*value);
        }
    }
    found
}

/// Hashes bytes with the algorithm of an AlgorithmIdentifier.
fn hash(algorithm: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, oid) = tlv::split(algorithm)?;
    Some(match ObjectIdentifier::from_der(oid.bytes).ok()? {
        SHA256 => Sha256::digest(bytes).to_vec(),
        SHA384 => Sha384::digest(bytes).to_vec(),
        SHA512 => Sha512::digest(bytes).to_vec(),
        _ => return None,
    })
}
