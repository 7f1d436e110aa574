//! Certificates of signers and authorities (RFC 5280), and their identities (sigstore/fulcio,
//! docs/oid-info.md).

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use spki::der::asn1::ObjectIdentifier;
use spki::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};

use super::error::Untrusted;
use super::root::TrustedRoot;
use super::tlv;
use crate::trust::Malformed;
use crate::trust::key::PublicKey;

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// Critical extensions that are recognized (RFC 5280, section 4.2).
const RECOGNIZED: [ObjectIdentifier; 4] = [KEY_USAGE, SUBJECT_ALT_NAME, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE];
/// Fulcio's extension with the issuer of the identity: bytes of the text, and as a UTF8String.
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// Name of an identity that is neither an address nor a URI, such as a user name.
const OTHER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

/// X.509 certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    parsed: x509_cert::Certificate,
    /// Signed part, as it came.
    pub(super) tbs: Vec<u8>,
    /// SubjectPublicKeyInfo.
    spki: Vec<u8>,
}

/// Returns the DER of a certificate in PEM. Lines may have any length, as for the decoder of Go, in which logs are
/// written.
pub fn der_of_pem(text: &str) -> Option<Vec<u8>> {
    let (_, body) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = body.split_once("-----END CERTIFICATE-----")?;
    let digits: String = body.split_whitespace().collect();
    BASE64_STANDARD.decode(digits).ok()
}

impl Certificate {
    /// Parses a certificate in DER.
    ///
    /// # Errors
    /// Bytes that are not a certificate.
    pub fn parse(der: &[u8]) -> Result<Certificate, Malformed> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(|error| error.to_string())?;
        let (_, body) = tlv::split(der).ok_or("it is corrupt")?;
        let tbs = tlv::elements(body.content).and_then(|parts| Some(parts.first()?.bytes.to_vec()));
        let spki = parsed.tbs_certificate().subject_public_key_info().to_der();
        Ok(Certificate {
            tbs: tbs.ok_or("it is corrupt")?,
            spki: spki.map_err(|error| error.to_string())?,
            parsed,
        })
    }

    /// Returns the public key.
    pub fn key(&self) -> Result<PublicKey, Untrusted> {
        PublicKey::from_der(&self.spki).map_err(|error| Untrusted::Certificate(error.to_string()))
    }

    /// Returns the SHA-256 of the public key.
    pub fn key_hash(&self) -> [u8; 32] {
        Sha256::digest(&self.spki).into()
    }

    /// Finds the chain of authorities that issued this certificate of a signer, which was used at a time in
    /// seconds since 1970. Returns the certificate of the nearest authority.
    ///
    /// # Errors
    /// A certificate that is not for signing, was not valid at the time, or has another issuer.
    pub fn issuer<'a>(&self, root: &'a TrustedRoot, time: u64) -> Result<&'a Certificate, Untrusted> {
        let unusable = |reason: &str| Untrusted::Certificate(reason.into());
        let tbs = self.parsed.tbs_certificate();
        let corrupt = |error: spki::der::Error| Untrusted::Certificate(error.to_string());
        let usage = tbs.get_extension::<ExtendedKeyUsage>().map_err(corrupt)?;
        if !usage.is_some_and(|(_, usage)| usage.0.contains(&CODE_SIGNING)) {
            return Err(unusable("it is not for signing code"));
        }
        if self.is_authority() {
            return Err(unusable("it is an authority's own"));
        }
        if let Some(unknown) = self.unknown_extension() {
            return Err(Untrusted::Unsupported(format!(
                "the critical extension {}",
                unknown.extn_id
            )));
        }
        if !self.is_valid(time) {
            return Err(Untrusted::Expired);
        }
        let authorities = || root.authorities.iter().filter(|authority| authority.valid.has(time));
        let mut chains = authorities().filter_map(|authority| self.chain(&authority.chain, time));
        chains.next().ok_or_else(|| {
            // The authority may be unusable: one with an RSA key, for example.
            let mut certificates = authorities().flat_map(|authority| &authority.chain);
            let unusable = certificates.find_map(|certificate| certificate.key().err());
            unusable.unwrap_or(Untrusted::Authority)
        })
    }

    /// Returns true if this is the certificate of a timestamp authority, which was valid at a time and which the
    /// chain leads to.
    pub fn stamps_time(&self, chain: &[Certificate], time: u64) -> bool {
        let usage = self.parsed.tbs_certificate().get_extension::<ExtendedKeyUsage>();
        let usage = usage.ok().flatten();
        let is_stamping = usage.is_some_and(|(_, usage)| usage.0.contains(&TIME_STAMPING));
        is_stamping && self.is_valid(time) && self.chain(chain, time).is_some()
    }

    /// Follows issuers among the certificates of an authority up to a root, and returns the first.
    fn chain<'a>(&self, chain: &'a [Certificate], time: u64) -> Option<&'a Certificate> {
        let mut current = self;
        let mut first = None;
        // Issuers may name each other: stop after one step more than there are certificates.
        for _ in 0..=chain.len() {
            let issuer = chain.iter().find(|issuer| current.is_issued_by(issuer, time))?;
            first = first.or(Some(issuer));
            let subject = issuer.parsed.tbs_certificate().subject();
            if subject == issuer.parsed.tbs_certificate().issuer() && issuer.is_issued_by(issuer, time) {
                return first;
            }
            // The trusted root may end with an intermediate certificate.
            if chain.last().is_some_and(|last| std::ptr::eq(last, issuer)) {
                return first;
            }
            current = issuer;
        }
        None
    }

    fn is_issued_by(&self, issuer: &Certificate, time: u64) -> bool {
        let (own, its) = (self.parsed.tbs_certificate(), issuer.parsed.tbs_certificate());
        let signature = self.parsed.signature().as_bytes().unwrap_or_default();
        own.issuer() == its.subject()
            && issuer.is_authority()
            && issuer.unknown_extension().is_none()
            && issuer.is_valid(time)
            && issuer.key().is_ok_and(|key| key.verifies(&self.tbs, signature))
    }

    fn is_authority(&self) -> bool {
        let constraints = self.parsed.tbs_certificate().get_extension::<BasicConstraints>();
        matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))))
    }

    fn is_valid(&self, time: u64) -> bool {
        let validity = self.parsed.tbs_certificate().validity();
        let start = validity.not_before.to_unix_duration().as_secs();
        let end = validity.not_after.to_unix_duration().as_secs();
        (start..=end).contains(&time)
    }

    fn unknown_extension(&self) -> Option<&Extension> {
        let mut extensions = self.parsed.tbs_certificate().extensions().into_iter().flatten();
        extensions.find(|extension| extension.critical && !RECOGNIZED.contains(&extension.extn_id))
    }

    /// Returns the content of an extension.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let mut extensions = self.parsed.tbs_certificate().extensions().into_iter().flatten();
        let found = extensions.find(|extension| extension.extn_id == oid)?;
        Some(found.extn_value.as_bytes())
    }

    /// Returns the identities of the signer: mail addresses, URIs and names.
    pub fn identities(&self) -> Vec<String> {
        let names = self.parsed.tbs_certificate().get_extension::<SubjectAltName>();
        let names = names.ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        let names = names.iter().filter_map(|name| match name {
            GeneralName::Rfc822Name(address) => Some(address.as_str().to_owned()),
            GeneralName::UniformResourceIdentifier(address) => Some(address.as_str().to_owned()),
            GeneralName::OtherName(other) if other.type_id == OTHER_NAME => other.value.decode_as::<String>().ok(),
            _ => None,
        });
        names.collect()
    }

    /// Returns the service that vouched for the identity.
    pub fn identity_issuer(&self) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let current = self.extension(ISSUER_V2).and_then(|der| String::from_der(der).ok());
        current.or_else(|| text(self.extension(ISSUER_V1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_pem_may_have_any_length() {
        for body in ["AAECAwQFBgcICQ==", "AAECAwQF\nBgcICQ==\n", "AAEC\r\nAwQF\r\nBgcICQ=="] {
            let text = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            assert_eq!(der_of_pem(&text), Some((0..10).collect()), "{body:?}");
        }
        assert_eq!(
            der_of_pem("-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----\n"),
            None
        );
        assert_eq!(der_of_pem("-----BEGIN CERTIFICATE-----\nAAEC\n"), None);
    }
}
