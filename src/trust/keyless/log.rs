//! Entries of transparency logs: promises, proofs, and what they are about (sigstore/rekor).

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::Untrusted;
use super::root::{Log, TrustedRoot};
use super::{Evidence, Subject, certificate};
use crate::trust::bundle::{InclusionProof, LogEntry};

/// Maximum number of hashes in a proof: a log has fewer than 2^63 entries.
const MAX_HASHES: usize = 64;

/// Verifies that a log has an entry, and that the entry is about a signature. `times` are those of timestamp
/// authorities. Returns the time at which the log took it, in seconds since 1970, if the log has signed one.
///
/// # Errors
/// An entry that no trusted log has, or that is about another signature.
pub fn verify(
    entry: &LogEntry,
    evidence: &Evidence<'_>,
    root: &TrustedRoot,
    times: &[u64],
) -> Result<Option<u64>, Untrusted> {
    let failed = |reason: &str| Untrusted::Log(reason.into());
    let known: Vec<&Log> = root.logs.iter().filter(|log| log.id == entry.log_id.key_id.0).collect();
    if known.is_empty() {
        return Err(failed("its log is unknown"));
    }
    let promise = entry
        .inclusion_promise
        .as_ref()
        .map(|promise| promise.signed_entry_timestamp.0.as_slice());
    let promise = promise.filter(|promise| !promise.is_empty());
    let time = u64::try_from(entry.integrated_time).ok().filter(|time| *time > 0);
    let own_time = match (promise, time) {
        (Some(promise), Some(time)) => {
            let signed = signed_entry(entry)?;
            let mut logs = known.iter().filter(|log| log.valid.has(time));
            if !logs.any(|log| log.key.verifies(&signed, promise)) {
                return Err(failed(
                    "the signed time is not by the log, or the log's key was not valid then",
                ));
            }
            Some(time)
        }
        _ => None,
    };
    let (proof, Some(at)) = (&entry.inclusion_proof, own_time.or(times.first().copied())) else {
        return Err(failed("neither the log nor a timestamp authority has signed its time"));
    };
    match proof {
        Some(proof) => {
            let body = &entry.canonicalized_body.0;
            let logs = known.iter().filter(|log| log.valid.has(at));
            let results = logs.map(|log| prove(proof, body, log));
            let failure = Err(failed("the log's key was not valid then"));
            results.fold(failure, |result, next| result.or(next))?;
        }
        None if evidence.needs_proof || own_time.is_none() => return Err(failed("its proof of inclusion is missing")),
        None => {}
    }
    check_subject(entry, evidence)?;
    Ok(own_time)
}

/// Returns the bytes of an entry that the log signs as its promise: JSON in canonical form (RFC 8785).
fn signed_entry(entry: &LogEntry) -> Result<Vec<u8>, Untrusted> {
    if entry.log_index < 0 {
        return Err(Untrusted::Log("its index is negative".into()));
    }
    let id: String = entry.log_id.key_id.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!(
        r#"{{"body":"{}","integratedTime":{},"logID":"{id}","logIndex":{}}}"#,
        BASE64_STANDARD.encode(&entry.canonicalized_body.0),
        entry.integrated_time,
        entry.log_index,
    );
    Ok(text.into_bytes())
}

/// Verifies a proof of inclusion, and that the log has signed the root of the tree.
fn prove(proof: &InclusionProof, body: &[u8], log: &Log) -> Result<(), Untrusted> {
    let failed = |reason: &str| Err(Untrusted::Log(reason.into()));
    let (Ok(index), Ok(size)) = (u64::try_from(proof.log_index), u64::try_from(proof.tree_size)) else {
        return failed("its proof of inclusion has negative numbers");
    };
    if tree_root(index, size, body, proof).is_none_or(|root| root[..] != proof.root_hash.0[..]) {
        return failed("its proof of inclusion is wrong");
    }
    let Some(checkpoint) = &proof.checkpoint else {
        return failed("its proof of inclusion has no checkpoint");
    };
    // Text, an empty line, and lines of signatures (C2SP, signed-note).
    let Some((text, signatures)) = checkpoint.envelope.split_once("\n\n") else {
        return failed("its checkpoint is corrupt");
    };
    let text = format!("{text}\n");
    let mut lines = text.lines();
    let (Some(origin), Some(stated_size), Some(stated_root)) = (lines.next(), lines.next(), lines.next()) else {
        return failed("its checkpoint is corrupt");
    };
    if stated_size != size.to_string() || stated_root != BASE64_STANDARD.encode(&proof.root_hash.0) {
        return failed("its checkpoint is for another tree");
    }
    let signed = signatures.lines().any(|line| {
        let fields = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
        // The name is that of the log, up to the number of its tree.
        let Some((_, encoded)) = fields.filter(|(name, _)| origin.split(" - ").next() == Some(*name)) else {
            return false;
        };
        let bytes = BASE64_STANDARD.decode(encoded).unwrap_or_default();
        let Some((hint, signature)) = bytes.split_at_checked(4) else {
            return false;
        };
        log.id.starts_with(hint) && log.key.verifies(text.as_bytes(), signature)
    });
    if signed {
        Ok(())
    } else {
        failed("its checkpoint is not signed by the log")
    }
}

/// Computes the root of a tree from a proof of inclusion (RFC 9162, section 2.1.3.2).
fn tree_root(index: u64, size: u64, body: &[u8], proof: &InclusionProof) -> Option<[u8; 32]> {
    if index >= size || proof.hashes.len() > MAX_HASHES {
        return None;
    }
    let mut hash: [u8; 32] = Sha256::new_with_prefix([0]).chain_update(body).finalize().into();
    let node = |left: &[u8], right: &[u8]| -> [u8; 32] {
        Sha256::new_with_prefix([1])
            .chain_update(left)
            .chain_update(right)
            .finalize()
            .into()
    };
    let (mut at, mut last) = (index, size - 1);
    for other in &proof.hashes {
        if last == 0 || other.0.len() != 32 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(&other.0, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, &other.0);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Checks that an entry has the content, signature and certificate of a signature.
fn check_subject(entry: &LogEntry, evidence: &Evidence<'_>) -> Result<(), Untrusted> {
    let other = |reason: &str| Err(Untrusted::OtherEntry(reason.into()));
    let Ok(body) = serde_json::from_slice::<Value>(&entry.canonicalized_body.0) else {
        return other("it is corrupt");
    };
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let kind = (text("/kind"), text("/apiVersion"));
    if let Some(stated) = &entry.kind_version
        && (stated.kind.as_str(), stated.version.as_str()) != kind
    {
        return other("its kind differs");
    }
    let hex = |bytes: &[u8]| -> String { Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect() };
    let message = evidence.subject.signed_bytes();
    let decode = |text: &str| BASE64_STANDARD.decode(text).unwrap_or_default();
    let certificate_in = |encoded: &str| certificate::der_of_pem(&String::from_utf8_lossy(&decode(encoded)));
    let (hash, signature, certificate) = match (kind, &evidence.subject) {
        (("hashedrekord", "0.0.1"), _) => (
            text("/spec/data/hash/algorithm") == "sha256" && text("/spec/data/hash/value") == hex(&message),
            decode(text("/spec/signature/content")),
            certificate_in(text("/spec/signature/publicKey/content")),
        ),
        (("hashedrekord", "0.0.2"), _) => (
            text("/spec/hashedRekordV002/data/algorithm") == "SHA2_256"
                && decode(text("/spec/hashedRekordV002/data/digest")) == Sha256::digest(&message).as_slice(),
            decode(text("/spec/hashedRekordV002/signature/content")),
            Some(decode(text(
                "/spec/hashedRekordV002/signature/verifier/x509Certificate/rawBytes",
            ))),
        ),
        (("dsse", "0.0.1"), Subject::Envelope(envelope)) => (
            text("/spec/payloadHash/value") == hex(&envelope.payload.0),
            decode(text("/spec/signatures/0/signature")),
            certificate_in(text("/spec/signatures/0/verifier")),
        ),
        (("dsse", "0.0.2"), Subject::Envelope(envelope)) => (
            text("/spec/dsseV002/payloadHash/algorithm") == "SHA2_256"
                && decode(text("/spec/dsseV002/payloadHash/digest")) == Sha256::digest(&envelope.payload.0).as_slice(),
            decode(text("/spec/dsseV002/signatures/0/content")),
            Some(decode(text(
                "/spec/dsseV002/signatures/0/verifier/x509Certificate/rawBytes",
            ))),
        ),
        (("intoto", "0.0.2"), Subject::Envelope(envelope)) => (
            text("/spec/content/payloadHash/value") == hex(&envelope.payload.0),
            // Encoded twice.
            decode(&String::from_utf8_lossy(&decode(text(
                "/spec/content/envelope/signatures/0/sig",
            )))),
            certificate_in(text("/spec/content/envelope/signatures/0/publicKey")),
        ),
        ((kind, version), _) => {
            return Err(Untrusted::Unsupported(format!("the log entry {kind} {version}")));
        }
    };
    let is_certificate = certificate.is_some_and(|certificate| certificate == evidence.certificate);
    match (hash, signature == evidence.signature, is_certificate) {
        (false, ..) => other("its hash differs"),
        (_, false, _) => other("its signature differs"),
        (.., false) => other("its certificate differs"),
        _ => Ok(()),
    }
}
