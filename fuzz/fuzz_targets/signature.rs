//! Signatures before they are verified: payloads, bundles and their statements, log entries, keys, and trusted
//! roots. A line with `---` divides a trusted root from a bundle.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::trust::keyless::{Evidence, Identity, Subject, TrustedRoot};
use moby::trust::{PublicKey, bundle, simple_signing, statement};

fuzz_target!(|bytes: &[u8]| {
    drop(simple_signing::parse(bytes));
    drop(statement::parse(bytes));
    drop(PublicKey::from_der(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(PublicKey::from_pem(text));
        drop(bundle::parse_entry(text));
    }
    let at = bytes.windows(4).position(|window| window == b"---\n");
    let (root, rest) = at.map_or((&b""[..], bytes), |at| (&bytes[..at], &bytes[at + 4..]));
    let root = TrustedRoot::parse(root);
    let Ok(bundle) = bundle::parse(rest) else { return };
    let Some(envelope) = &bundle.dsse_envelope else { return };
    drop(statement::parse(&envelope.payload.0));
    let (Ok(root), Some(certificate)) = (root, bundle.certificate()) else { return };
    let identity = Identity {
        root,
        issuer: "https://issuer.example.org".into(),
        identity: "https://example.org/**".into(),
    };
    drop(identity.verify(&Evidence {
        certificate,
        subject: Subject::Envelope(envelope),
        signature: envelope.signature(),
        entries: &bundle.verification_material.tlog_entries,
        timestamps: bundle.timestamps(),
        needs_proof: bundle.needs_proof(),
    }));
});
