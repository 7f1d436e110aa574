//! `moby sign`.

use std::path::{Path, PathBuf};

use clap::Args;
use extents::{Extents, emit};
use serde_json::json;

use super::{Environment, Failure};
use crate::bounded;
use crate::config::canonical;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::oci::{Layout, Writer};
use crate::reporter::Reporter;
use crate::trust::sign::{self, PrivateKey};

/// Maximum length of a file to sign, which is read into memory, in bytes.
const MAX_FILE: u64 = 4 << 30;

/// Arguments of `moby sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// Images in the cache, or files
    #[arg(required = true, value_name = "IMAGE|FILE")]
    targets: Vec<String>,
    /// Private key: PKCS#8 in PEM, or cosign's. The password of an encrypted key is read from
    /// COSIGN_PASSWORD, or asked for
    #[arg(short, long, value_name = "FILE")]
    key: PathBuf,
    /// Sign images in this OCI layout directory instead of the cache
    #[arg(long, value_name = "DIR")]
    layout: Option<PathBuf>,
}

impl Sign {
    pub fn run(self, environment: Environment, reporter: &dyn Reporter) -> Result<(), Failure> {
        let key = private_key(&self.key)?;
        let mut errors = Vec::new();
        for target in &self.targets {
            let path = Path::new(target);
            let signed = if path.is_file() {
                file(&key, path, reporter)
            } else {
                let dir = self.layout.clone().or_else(|| environment.cache.clone());
                image(&key, target, &dir.ok_or_else(super::no_cache)?, reporter)
            };
            errors.extend(signed.err().into_iter().flat_map(|errors| errors.0));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Diagnostics(errors).into())
        }
    }
}

/// Reads a private key, and asks for its password if the key is encrypted.
///
/// # Errors
/// A file that is not a usable key, and a wrong password.
pub(super) fn private_key(path: &Path) -> Result<PrivateKey, Diagnostic> {
    PrivateKey::read(path, &mut || password(path)).map_err(|error| {
        let message = format!("cannot use the key {}: {error}", path.display());
        let mut diagnostic = Diagnostic::error(message);
        diagnostic.help.extend(error.help().map(str::to_owned));
        diagnostic.caused_by(error)
    })
}

fn password(key: &Path) -> std::io::Result<String> {
    match std::env::var("COSIGN_PASSWORD") {
        Ok(password) => Ok(password),
        Err(_) => rpassword::prompt_password(format!("Password of {}: ", key.display())),
    }
}

/// Writes the signature of a file beside it.
fn file(key: &PrivateKey, path: &Path, reporter: &dyn Reporter) -> Result<(), Diagnostics> {
    let content = bounded::read(path, MAX_FILE)
        .map_err(|error| Diagnostic::error(format!("cannot sign {}: {error}", path.display())).caused_by(error))?;
    let signature = sign::file(key, &content);
    for (suffix, bytes) in [("sig", signature.signature), ("sigstore.json", signature.bundle)] {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{suffix}"));
        let name = PathBuf::from(name);
        emit::to_path(&Extents::from_bytes(bytes), &name)
            .map_err(|error| Diagnostic::error(format!("cannot write {}: {error}", name.display())).caused_by(error))?;
        reporter.info(&format!("wrote {}", name.display()));
    }
    Ok(())
}

/// Adds the signatures of an image to its layout.
fn image(key: &PrivateKey, image: &str, dir: &Path, reporter: &dyn Reporter) -> Result<(), Diagnostics> {
    let (name, layout) = (canonical(image), Layout::open(dir)?);
    let Some(descriptor) = layout.find(&name) else {
        let names = layout.names();
        let message = format!(
            "cannot sign {name}: no such image in {}, and no such file",
            dir.display()
        );
        let mut diagnostic = Diagnostic::error(message);
        diagnostic.help.extend(nearest(&name, names.iter().map(String::as_str)));
        let help = format!("`moby cache ls --cache {}` lists the images", dir.display());
        return Err(diagnostic.help(help).into());
    };
    // Only an image whose manifest exists is signed.
    layout.blob(&name, descriptor)?;
    let top = json!({
        "mediaType": descriptor.media_type(), "digest": descriptor.digest(), "size": descriptor.size(),
    });
    let referrers = sign::image(key, &name, &top)
        .map_err(|error| Diagnostic::error(format!("cannot sign {name}: {error}")).caused_by(error))?;
    let digest = descriptor.digest().to_string();
    Writer::open(dir)?.attach(&name, &digest, referrers)?;
    reporter.info(&format!("signed {name}@{digest} with {}", key.public().fingerprint()));
    Ok(())
}
