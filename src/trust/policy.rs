//! Policy files: which images must be signed, and by whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::key::PublicKey;
use super::keyless::{Identity, TrustedRoot};
use crate::bounded;
use crate::config::node::{self, Kind, Node};
use crate::config::{self, Source, schema};
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::oci::reference;

/// Maximum length of a policy file, in bytes.
const MAX_POLICY: u64 = 1 << 20;

/// Function that reads a file with a limit in bytes, as [`bounded::read`].
pub type ReadFile<'a> = &'a dyn Fn(&Path, u64) -> std::io::Result<Vec<u8>>;

/// Rules for images, by name.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Policy file, for messages.
    pub path: PathBuf,
    rules: Vec<Rule>,
    default: Action,
    /// Signers in a lock, by canonical name of the image.
    locked: BTreeMap<String, Vec<String>>,
}

/// Rule for the images whose names match a pattern.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Pattern of repositories.
    pub pattern: String,
    /// Line of the rule in the policy file, counted from 1.
    pub line: usize,
    /// Action.
    pub action: Action,
    /// Pattern of the repositories that signatures name, in place of the image's own.
    pub signed_as: Option<String>,
}

/// Action for an image.
#[derive(Clone, Debug)]
pub enum Action {
    /// The image is not used.
    Reject,
    /// The image is used, signed or not.
    AcceptUnsigned,
    /// The image is used if one of the signers has signed it.
    Signed(Signers),
}

/// Signers of whom one must have signed.
#[derive(Clone, Debug, Default)]
pub struct Signers {
    /// Public keys, with the names of their files.
    pub keys: Vec<(String, PublicKey)>,
    /// Signers without keys.
    pub identities: Vec<Identity>,
}

/// Fields of a policy file.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    images: Vec<Fields>,
    #[serde(default)]
    default: Option<String>,
}

/// Fields of a rule.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Fields {
    name: String,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    keyless: Vec<KeylessFields>,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    signed_as: Option<String>,
}

/// Fields of a signer without a key.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct KeylessFields {
    identity: String,
    issuer: String,
    trusted_root: String,
}

/// Returns the schema of a policy file.
fn document_schema() -> Value {
    let actions = json!({"enum": ["accept-unsigned", "reject"]});
    let text = json!({"type": "string"});
    let keyless = json!({
        "type": "object", "additionalProperties": false, "required": ["identity", "issuer", "trusted-root"],
        "properties": {"identity": text, "issuer": text, "trusted-root": text},
    });
    let rule = json!({
        "type": "object", "additionalProperties": false, "required": ["name"],
        "properties": {
            "name": text, "keys": {"type": "array", "items": text}, "keyless": {"type": "array", "items": keyless},
            "rule": actions, "signed-as": text,
        },
    });
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {"images": {"type": "array", "items": rule}, "default": actions},
    })
}

impl Policy {
    /// Reads a policy file and the keys that it names, whose paths are relative to it.
    ///
    /// # Errors
    /// Every mistake in the file, with its line, and every key that cannot be used.
    pub fn read(path: &Path) -> Result<Policy, Diagnostics> {
        Self::read_by(path, &bounded::read)
    }

    /// Reads a policy file and the keys that it names by a function.
    ///
    /// # Errors
    /// The errors of [`Policy::read`].
    pub fn read_by(path: &Path, read: ReadFile<'_>) -> Result<Policy, Diagnostics> {
        let text = read(path, MAX_POLICY).map_err(|error| {
            let message = format!("cannot read the policy {}: {error}", path.display());
            Diagnostic::error(message).caused_by(error)
        })?;
        Self::parse(&text, path, read)
    }

    /// Parses a policy. Paths of keys are relative to the directory of `path`.
    fn parse(text: &[u8], path: &Path, read: ReadFile<'_>) -> Result<Policy, Diagnostics> {
        let source = Source {
            name: path.display().to_string(),
            dir: path.parent().map(Path::to_owned).unwrap_or_default(),
            text: text.to_vec(),
        };
        let locate = |diagnostics| config::diagnose(diagnostics, std::slice::from_ref(&source));
        let start = Span {
            source: 0,
            line: 1,
            column: 1,
        };
        let parsed = node::parse(text, 0).map_err(|error| locate(vec![error]))?;
        let node = parsed.ok_or_else(|| locate(vec![Diagnostic::at(start, "the file is empty")]))?;
        let schema = document_schema();
        let mut errors = schema::against(&schema, &schema, &node, &mut |_, _| {});
        if !errors.is_empty() {
            return Err(locate(errors));
        }
        let document: Document = serde_json::from_value(node.to_json())
            .map_err(|error| locate(vec![Diagnostic::at(node.span, error.to_string())]))?;
        let mut rules = Vec::new();
        for (fields, node) in document.images.into_iter().zip(items(&node, "images")) {
            match Rule::new(fields, node, &source.dir, read) {
                Ok(rule) => rules.push(rule),
                Err(found) => errors.extend(found),
            }
        }
        if !errors.is_empty() {
            return Err(locate(errors));
        }
        Ok(Policy {
            path: path.to_owned(),
            rules,
            default: action(document.default.as_deref()).unwrap_or(Action::Reject),
            locked: BTreeMap::new(),
        })
    }

    /// Restricts the signers of images to those of a lock, by canonical name of the image.
    pub fn with_locked(mut self, signers: BTreeMap<String, Vec<String>>) -> Policy {
        self.locked = signers;
        self
    }

    /// Returns the signers in the lock of an image; none if any signer of its rule suffices.
    pub fn locked(&self, name: &str) -> &[String] {
        self.locked.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the first rule whose pattern matches a canonical image name; none if the default counts.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        let repository = repository(name);
        self.rules.iter().find(|rule| matches(&rule.pattern, &repository))
    }

    /// Returns the action for a canonical image name.
    pub fn action(&self, name: &str) -> &Action {
        self.rule(name).map_or(&self.default, |rule| &rule.action)
    }

    /// Returns the place of the rule for a canonical image name: file and line.
    pub fn place(&self, name: &str) -> String {
        match self.rule(name) {
            Some(rule) => format!("{}:{}", self.path.display(), rule.line),
            None => format!("the default of {}", self.path.display()),
        }
    }
}

impl Rule {
    fn new(fields: Fields, node: &Node, dir: &Path, read: ReadFile<'_>) -> Result<Rule, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        for (key, pattern) in [("name", Some(&fields.name)), ("signed-as", fields.signed_as.as_ref())] {
            let span = get(node, key).map_or(node.span, |node| node.span);
            errors.extend(pattern.and_then(|pattern| check_pattern(key, pattern, span)));
        }
        let given = action(fields.rule.as_deref());
        let signed = !fields.keys.is_empty() || !fields.keyless.is_empty();
        if given.is_some() == signed {
            let (message, help) = match given {
                Some(_) => (
                    "a rule with signers cannot have `rule`",
                    "remove `rule:`, or the signers",
                ),
                None => (
                    "the rule names no signers",
                    "write `keys: [FILE]`, `keyless: [...]`, `rule: accept-unsigned` or `rule: reject`",
                ),
            };
            errors.push(Diagnostic::at(node.span, message).help(help));
        }
        let mut signers = Signers::default();
        for (file, node) in fields.keys.iter().zip(items(node, "keys")) {
            match PublicKey::read(&dir.join(file), read) {
                Ok(key) => signers.keys.push((file.clone(), key)),
                Err(error) => {
                    let message = format!("cannot use the key {}: {error}", dir.join(file).display());
                    let help = "a public key is PEM text, as cosign.pub, or as `openssl pkey -pubout` prints it";
                    errors.push(Diagnostic::at(node.span, message).help(help).caused_by(error));
                }
            }
        }
        for (fields, node) in fields.keyless.into_iter().zip(items(node, "keyless")) {
            match TrustedRoot::read(&dir.join(&fields.trusted_root), read) {
                Ok(root) => signers.identities.push(Identity {
                    root,
                    issuer: fields.issuer,
                    identity: fields.identity,
                }),
                Err(error) => {
                    let path = dir.join(&fields.trusted_root);
                    let message = format!("cannot use the trusted root {}: {error}", path.display());
                    let span = get(node, "trusted-root").map_or(node.span, |node| node.span);
                    let help = "a trusted root is the trusted_root.json of the TUF repository of Sigstore, or of another instance";
                    errors.push(Diagnostic::at(span, message).help(help));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Rule {
            pattern: fields.name,
            line: node.span.line,
            action: given.unwrap_or(Action::Signed(signers)),
            signed_as: fields.signed_as,
        })
    }
}

fn action(text: Option<&str>) -> Option<Action> {
    match text {
        Some("accept-unsigned") => Some(Action::AcceptUnsigned),
        Some("reject") => Some(Action::Reject),
        _ => None,
    }
}

fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    entries.iter().find(|(name, _, _)| name == key).map(|(_, _, node)| node)
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match get(node, key).map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

/// Checks a pattern. It names the registry, so that no short name means another image than it seems.
fn check_pattern(key: &str, pattern: &str, span: Span) -> Option<Diagnostic> {
    let (registry, path) = pattern.split_once('/').unwrap_or((pattern, ""));
    if pattern == "**" && key == "signed-as" {
        return None;
    }
    if ["*", "**"].contains(&pattern) {
        let message = format!("`{key}: {pattern}` matches no image: a pattern begins with a registry");
        return Some(Diagnostic::at(span, message).help("`default:` is the rule for all other images"));
    }
    if path.is_empty() || !(registry.contains(['.', ':']) || registry == "localhost") {
        let message = format!("`{key}: {pattern}` has no registry");
        let expanded = reference::parse(pattern).map(|reference| reference.repository);
        let help = format!(
            "write `{key}: {}`",
            expanded.unwrap_or_else(|_| format!("docker.io/{pattern}"))
        );
        return Some(Diagnostic::at(span, message).help(help));
    }
    if path.contains([':', '@']) {
        let message = format!("`{key}: {pattern}` has a tag or digest; rules are for repositories");
        return Some(Diagnostic::at(span, message).help("leave out the tag"));
    }
    None
}

/// Returns the repository of an image name. Tools in Go may call Docker Hub `index.docker.io`.
pub(super) fn repository(name: &str) -> String {
    let repository = match reference::parse(name) {
        Ok(reference) => reference.repository,
        Err(_) => name.to_owned(),
    };
    match repository.strip_prefix("index.docker.io/") {
        Some(path) => format!("docker.io/{path}"),
        None => repository,
    }
}

/// Returns true if a repository matches a pattern, in which `*` stands for a part of a component and `**`
/// for any number of components.
pub(super) fn matches(pattern: &str, repository: &str) -> bool {
    // Of a pattern `a*b`, positions to return to: behind the star, and in the text. Only the last star
    // needs another try, and only the last `**` if that fails: there is no exponential search.
    let (pattern, text) = (pattern.as_bytes(), repository.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut globstar: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        match (rest, text.get(t)) {
            ([], None) => return true,
            ([b'*', b'*', ..], _) => {
                p += 2;
                globstar = Some((p, t));
                star = None;
                continue;
            }
            ([b'*', ..], _) => {
                p += 1;
                star = Some((p, t));
                continue;
            }
            ([expected, ..], Some(found)) if expected == found => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        if let Some((behind, at)) = star
            && text.get(at).is_some_and(|&byte| byte != b'/')
        {
            star = Some((behind, at + 1));
            (p, t) = (behind, at + 1);
        } else if let Some((behind, at)) = globstar
            && at < text.len()
        {
            globstar = Some((behind, at + 1));
            star = None;
            (p, t) = (behind, at + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_repositories() {
        for (pattern, repository, expected) in [
            ("example.org/a", "example.org/a", true),
            ("example.org/a", "example.org/ab", false),
            ("example.org/*", "example.org/a", true),
            ("example.org/*", "example.org/a/b", false),
            ("example.org/**", "example.org/a/b", true),
            ("example.org/**/b", "example.org/a/c/b", true),
            ("example.org/**/b", "example.org/a/c/bc", false),
            ("example.org/a-*-b", "example.org/a-x-c-b", true),
            ("example.org/*/b*", "example.org/a/bc", true),
            ("example.org/**/x*y/z", "example.org/a/xby/c/xy/z", true),
            ("example.org/*", "example.organ/a", false),
            ("example.org/**", "example.org", false),
        ] {
            assert_eq!(matches(pattern, repository), expected, "{pattern} {repository}");
        }
        let long = "a".repeat(10_000);
        assert!(!matches(&"*a".repeat(100), &format!("{long}/b")));
    }

    fn policy(text: &str) -> Result<Policy, Diagnostics> {
        Policy::parse(text.as_bytes(), Path::new("policy.yml"), &bounded::read)
    }

    #[test]
    fn first_rule_counts() {
        let policy = policy(
            "images:\n  - name: example.org/a/*\n    rule: reject\n  - name: example.org/**\n    rule: accept-unsigned\n",
        )
        .unwrap();
        for (name, rejected, line) in [
            ("example.org/a/b:v1", true, Some(2)),
            ("example.org/b:v1", false, Some(4)),
            ("docker.io/library/nginx", true, None),
        ] {
            assert_eq!(matches!(policy.action(name), Action::Reject), rejected, "{name}");
            assert_eq!(policy.rule(name).map(|rule| rule.line), line, "{name}");
        }
    }

    #[test]
    fn mistakes_have_a_line_and_a_remedy() {
        for (rule, message) in [
            ("name: nginx\n    rule: reject", "has no registry"),
            ("name: '**'\n    rule: reject", "a pattern begins with a registry"),
            ("name: example.org/a:v1\n    rule: reject", "rules are for repositories"),
            ("name: example.org/a", "names no signers"),
            ("name: example.org/a\n    keys: []", "names no signers"),
            (
                "name: example.org/a\n    keys: [none.pub]",
                "cannot use the key none.pub",
            ),
            ("name: example.org/a\n    rule: accept", "must be one of"),
            ("name: example.org/a\n    key: a.pub", "unknown field `key`"),
        ] {
            let errors = policy(&format!("images:\n  - {rule}\n")).unwrap_err();
            let text = errors.to_string();
            assert!(text.contains(message) && text.contains("policy.yml:"), "{rule}: {text}");
        }
    }
}
