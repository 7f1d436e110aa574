//! Image references, expanded as Docker expands them.
//!
//! ```text
//! nginx                 docker.io/library/nginx
//! linuxkit/runc:v1      docker.io/linuxkit/runc:v1
//! ghcr.io/a/b@sha256:.. unchanged: the first part has a dot or a colon, or is `localhost`
//! ```

use std::fmt;

/// Image reference in its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Registry and path: `docker.io/library/nginx`.
    pub repository: String,
    /// Part after the colon.
    pub tag: Option<String>,
    /// Part after the `@`.
    pub digest: Option<String>,
}

/// Error of a text that is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image reference: {reason}")]
pub struct Invalid {
    /// Text that was parsed.
    pub text: String,
    /// Rule that it breaks.
    pub reason: &'static str,
}

/// Parses and expands a reference.
///
/// # Errors
/// A text that is not an image reference.
pub fn parse(text: &str) -> Result<Reference, Invalid> {
    let invalid = |reason| Invalid {
        text: text.to_owned(),
        reason,
    };
    if text.is_empty() {
        return Err(invalid("it is empty"));
    }
    if text.contains("://") {
        return Err(invalid(
            "it has a scheme, as an address has; a name begins with the registry",
        ));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(invalid("there are spaces in it"));
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").or(digest.strip_prefix("sha512:"));
        let valid =
            hex.is_some_and(|hex| matches!(hex.len(), 64 | 128) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !valid {
            return Err(invalid(
                "after the @ there must be a digest, sha256: and 64 hexadecimal digits",
            ));
        }
    }
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    // A colon in the first of several parts is the port of a registry.
    let (rest, tag) = match rest.rsplit_once(':') {
        Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag)),
        _ => (rest, None),
    };
    if rest.is_empty() {
        return Err(invalid("it has no repository"));
    }
    if rest.contains(':') {
        return Err(invalid("there are colons in it where none can be"));
    }
    if tag.is_some_and(str::is_empty) {
        return Err(invalid("there is nothing after the colon"));
    }
    if let Some((_, port)) = first.rsplit_once(':')
        && port.parse::<u16>().is_err()
    {
        return Err(invalid("the port of the registry is not a number"));
    }
    let path = if name.contains('/') {
        format!("{first}/{rest}")
    } else {
        rest.to_owned()
    };
    // LinuxKit's local cache accepts names that Docker's grammar does not, such as upper case, but not these.
    if path.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(invalid(
            "an empty part, `.` and `..` are not allowed between slashes; a package directory is written @pkg:DIR",
        ));
    }
    let repository = match path.matches('/').count() {
        0 => format!("docker.io/library/{path}"),
        1 if !first.contains(['.', ':']) && first != "localhost" => format!("docker.io/{path}"),
        _ => path,
    };
    Ok(Reference {
        repository,
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

impl Reference {
    /// Returns the name under which LinuxKit stores the image: without the tag `latest`.
    pub fn without_latest(&self) -> String {
        let tag = self.tag.as_ref().filter(|tag| *tag != "latest");
        self.compose(tag.map(String::as_str))
    }

    fn compose(&self, tag: Option<&str>) -> String {
        let mut text = self.repository.clone();
        if let Some(tag) = tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest);
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.compose(self.tag.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_expand_as_dockers_do() {
        let expanded = |text: &str| parse(text).unwrap().without_latest();
        assert_eq!(expanded("nginx"), "docker.io/library/nginx");
        assert_eq!(expanded("nginx:latest"), "docker.io/library/nginx");
        assert_eq!(expanded("nginx:1.2"), "docker.io/library/nginx:1.2");
        assert_eq!(expanded("linuxkit/runc:v1"), "docker.io/linuxkit/runc:v1");
        assert_eq!(expanded("localhost/a"), "localhost/a");
        assert_eq!(expanded("localhost:5000/a:x"), "localhost:5000/a:x");
        assert_eq!(expanded("ghcr.io/a"), "ghcr.io/a");
        assert_eq!(expanded("host/with/parts:4"), "host/with/parts:4");
        // LinuxKit finds such names in its cache.
        assert_eq!(expanded("Moby/Hello"), "docker.io/Moby/Hello");
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(
            expanded(&format!("a:t@{digest}")),
            format!("docker.io/library/a:t@{digest}")
        );
    }

    #[test]
    fn invalid_references_are_refused() {
        for text in [
            "",
            "http://x/y",
            "a b",
            "a@b",
            "a:",
            ":x",
            "host:port/a/b",
            "a@sha256:12",
            "a//b",
            "/a",
            "a/b/",
            "./hello",
            "../hello:1",
            "host:5000//b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
