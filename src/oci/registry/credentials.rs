//! Credentials for registries, from the files of Docker and podman and from their helpers
//! (containers-auth.json(5), docker's config.json).

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::{Error, endpoint};
use crate::bounded;

/// Key of Docker Hub in credential files.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// User name with which helpers mark an identity token.
const TOKEN_USER: &str = "<token>";

/// Credentials for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password.
    Password {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
    /// An OAuth2 refresh token.
    IdentityToken(String),
}

impl Credential {
    /// Returns the user, if there is one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Credential::Password { user, .. } => Some(user),
            Credential::IdentityToken(_) => None,
        }
    }
}

/// Credentials for registries.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Credentials for every registry, which need no file.
    given: Option<Credential>,
    /// Credential files, in the order in which they are searched.
    files: Vec<PathBuf>,
}

impl Credentials {
    /// Takes one credential for every registry.
    pub fn single(credential: Credential) -> Self {
        Credentials {
            given: Some(credential),
            files: Vec::new(),
        }
    }

    /// Takes the files that podman and Docker use, as the environment names them.
    pub fn from_environment() -> Self {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = std::env::home_dir();
        let mut files = Vec::new();
        files.extend(variable("REGISTRY_AUTH_FILE"));
        files.extend(variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")));
        let config = variable("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
        files.extend(config.map(|directory| directory.join("containers/auth.json")));
        let docker = variable("DOCKER_CONFIG").or(home.map(|home| home.join(".docker")));
        files.extend(docker.map(|directory| directory.join("config.json")));
        Credentials { given: None, files }
    }

    /// Finds the credentials for a repository: those of its longest namespace that a file has.
    ///
    /// # Errors
    /// A file that is not JSON, and a helper that fails.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Option<Credential>, Error> {
        if self.given.is_some() {
            return Ok(self.given.clone());
        }
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            if let Some(found) = in_file(path, &file, registry, repository)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns the file to write: the first that exists, else Docker's.
    fn file_to_write(&self) -> Result<&Path, Error> {
        let existing = self.files.iter().find(|path| path.exists());
        existing
            .or(self.files.last())
            .map(PathBuf::as_path)
            .ok_or_else(|| Error::File {
                path: "config.json".into(),
                found: "there is no home directory".into(),
            })
    }

    /// Stores the password of a user for a registry, and returns the file.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn store(&self, registry: &str, user: &str, password: &str) -> Result<PathBuf, Error> {
        let path = self.file_to_write()?;
        let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.change(path, |auths| {
            auths.insert(key(registry).to_owned(), json!({ "auth": auth }));
        })?;
        Ok(path.to_owned())
    }

    /// Removes the credentials for a registry from the file that has them, and returns the file.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn remove(&self, registry: &str) -> Result<Option<PathBuf>, Error> {
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            let keys: Vec<String> = auths(&file)
                .map(|(name, _)| name.clone())
                .filter(|name| endpoint::registry_name(name) == registry && !is_namespace(name))
                .collect();
            if keys.is_empty() {
                continue;
            }
            self.change(path, |auths| {
                for key in &keys {
                    auths.remove(key);
                }
            })?;
            return Ok(Some(path.clone()));
        }
        Ok(None)
    }

    fn change(&self, path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Error> {
        let mut file = read(path)?.unwrap_or_else(|| json!({}));
        let unusable = || Error::File {
            path: path.to_owned(),
            found: "it is not an object with `auths`".into(),
        };
        let top = file.as_object_mut().ok_or_else(unusable)?;
        let auths = top.entry("auths").or_insert_with(|| json!({}));
        change(auths.as_object_mut().ok_or_else(unusable)?);
        write(path, &file).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
    }
}

/// Writes a file that only its owner may read, all or nothing.
fn write(path: &Path, value: &Value) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    // Temporary files have mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(format!("{value:#}\n").as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Maximum length of the output of a credential helper that is used, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;
/// Maximum length of a credentials file, in bytes.
const MAX_FILE: u64 = 16 << 20;

fn read(path: &Path) -> Result<Option<Value>, Error> {
    let failed = |found: String| Error::File {
        path: path.to_owned(),
        found,
    };
    match bounded::regular(path, MAX_FILE) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| failed(error.to_string())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Returns the key of a registry in a file that moby writes.
fn key(registry: &str) -> &str {
    if registry == "docker.io" { HUB_KEY } else { registry }
}

/// Returns whether a key of a file names a part of a registry (`quay.io/team`).
fn is_namespace(key: &str) -> bool {
    !key.contains("://") && key.contains('/')
}

fn auths(file: &Value) -> impl Iterator<Item = (&String, &Value)> {
    file.get("auths").and_then(Value::as_object).into_iter().flatten()
}

fn in_file(path: &Path, file: &Value, registry: &str, repository: &str) -> Result<Option<Credential>, Error> {
    let full = format!("{registry}/{repository}");
    let covers = |name: &str| {
        if is_namespace(name) {
            full == name || full.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
        } else {
            endpoint::registry_name(name) == registry
        }
    };
    let helper = |name: &str| {
        let helpers = file.get("credHelpers").and_then(Value::as_object);
        let mut helpers = helpers.into_iter().flatten();
        let found = helpers.find(|(key, _)| endpoint::registry_name(key) == name);
        found.and_then(|(_, program)| program.as_str())
    };
    if let Some(program) = helper(registry)
        && let Some(found) = ask_helper(program, key(registry))?
    {
        return Ok(Some(found));
    }
    let mut entries: Vec<(&String, &Value)> = auths(file).filter(|(name, _)| covers(name)).collect();
    entries.sort_by_key(|(name, _)| std::cmp::Reverse(name.len() * usize::from(is_namespace(name))));
    for (_, entry) in entries {
        if let Some(found) = entry_credential(path, entry)? {
            return Ok(Some(found));
        }
    }
    match file.get("credsStore").and_then(Value::as_str) {
        Some(program) if !program.is_empty() => ask_helper(program, key(registry)),
        _ => Ok(None),
    }
}

fn entry_credential(path: &Path, entry: &Value) -> Result<Option<Credential>, Error> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::IdentityToken(token.to_owned())));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Credential::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        }));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let decoded = BASE64_STANDARD
        .decode(auth)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (user, password) = pair.ok_or_else(|| Error::File {
        path: path.to_owned(),
        found: "an `auth` in it is not the base64 of USER:PASSWORD".into(),
    })?;
    Ok(Some(Credential::Password {
        user: user.to_owned(),
        // Docker once padded the text with zeros.
        password: password.trim_end_matches('\0').to_owned(),
    }))
}

/// Asks a credential helper (docker-credential-helpers: `get`, with the server on standard input).
fn ask_helper(name: &str, server: &str) -> Result<Option<Credential>, Error> {
    let program = format!("docker-credential-{name}");
    let failed = |message: String| Error::Helper {
        program: program.clone(),
        message,
    };
    let child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that ends early reports the reason.
        let _ = stdin.write_all(server.as_bytes());
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = std::thread::scope(|scope| {
        // Where no thread can be started, the errors of the helper are lost.
        let stderr = std::thread::Builder::new().spawn_scoped(scope, || output(stderr)).ok();
        let stdout = output(stdout);
        (stdout, stderr.and_then(|thread| thread.join().ok()).unwrap_or_default())
    });
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(said.trim().to_owned()));
    }
    let credential: Value = serde_json::from_slice(&stdout).map_err(|error| failed(error.to_string()))?;
    let text = |key: &str| {
        credential
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (user, secret) = (text("Username"), text("Secret"));
    Ok(Some(if user == TOKEN_USER {
        Credential::IdentityToken(secret)
    } else {
        Credential::Password { user, password: secret }
    }))
}

/// Reads the output of a helper to its end, and returns its begin.
fn output(pipe: Option<impl Read>) -> Vec<u8> {
    let mut begin = Vec::new();
    if let Some(mut pipe) = pipe {
        // A helper that cannot be read has printed nothing more.
        let _ = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut begin);
        let _ = io::copy(&mut pipe, &mut io::sink());
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: &Value, registry: &str, repository: &str) -> Option<String> {
        let found = in_file(Path::new("config.json"), file, registry, repository).unwrap();
        found.map(|found| match found {
            Credential::Password { user, password } => format!("{user}:{password}"),
            Credential::IdentityToken(token) => token,
        })
    }

    #[test]
    fn longest_namespace_wins() {
        let auth = |text: &str| json!({"auth": BASE64_STANDARD.encode(text)});
        let file = json!({"auths": {
            "quay.io": auth("all:1"),
            "quay.io/team": auth("team:2"),
            "quay.io/team/app": auth("app:3:4"),
            "https://index.docker.io/v1/": {"username": "hub", "password": "5"},
            "ghcr.io": {"identitytoken": "token"},
        }});
        for (registry, repository, expected) in [
            ("quay.io", "other/app", Some("all:1")),
            ("quay.io", "team/x", Some("team:2")),
            ("quay.io", "team/app", Some("app:3:4")),
            ("quay.io", "teamwork/app", Some("all:1")),
            ("docker.io", "library/nginx", Some("hub:5")),
            ("ghcr.io", "a/b", Some("token")),
            ("example.org", "a", None),
        ] {
            assert_eq!(
                find(&file, registry, repository).as_deref(),
                expected,
                "{registry}/{repository}"
            );
        }
    }

    #[test]
    fn credentials_are_stored_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker/config.json");
        let files = Credentials {
            given: None,
            files: vec![directory.path().join("none.json"), path.clone()],
        };
        assert_eq!(files.store("docker.io", "me", "se:cret").unwrap(), path);
        files.store("localhost:5000", "you", "x").unwrap();
        let found = files.find("docker.io", "library/nginx").unwrap().unwrap();
        assert_eq!(
            found,
            Credential::Password {
                user: "me".into(),
                password: "se:cret".into()
            }
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(files.remove("docker.io").unwrap(), Some(path));
        assert_eq!(files.find("docker.io", "library/nginx").unwrap(), None);
        assert!(files.find("localhost:5000", "a").unwrap().is_some());
        assert_eq!(files.remove("docker.io").unwrap(), None);
    }
}
