//! Signatures of images and files, and the policy that says whose are needed.
//!
//! ```text
//! policy ──▶ rule for the image's name ──▶ keys, identities ─┐
//! layouts ──▶ signatures of the digest ──────────────────────┴──▶ verdict
//! ```
//!
//! The module does not use the network. Everything in a signature is hostile until the signature is verified.

pub mod bundle;
mod error;
mod key;
pub mod keyless;
pub mod policy;
#[cfg(feature = "sign")]
pub mod sign;
pub mod simple_signing;
pub mod statement;
mod verify;

pub use error::{Error, Malformed, Refusal};
pub use key::{Fingerprint, InvalidKey, PublicKey};
pub use policy::Policy;
pub use verify::{Signer, Verdict, verify};
