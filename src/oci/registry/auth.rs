//! Authentication by challenge (RFC 7235; the distribution project's token protocol).

use serde_json::Value;
use ureq::Agent;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::credentials::Credential;
use super::{Error, MAX_RESPONSE};

/// A challenge of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user and a password in each request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// Address of the token server.
        realm: String,
        /// Service for which the token is.
        service: Option<String>,
    },
}

impl Challenge {
    /// Parses a `WWW-Authenticate` header.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameter = |name: &str| parameters_of(parameters).find(|(key, _)| key.eq_ignore_ascii_case(name));
        Some(Challenge::Bearer {
            realm: parameter("realm")?.1,
            service: parameter("service").map(|(_, value)| value),
        })
    }
}

/// Parses the parameters of a challenge, `key="value"` separated by commas.
fn parameters_of(text: &str) -> impl Iterator<Item = (String, String)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, after) = rest.trim_start_matches([' ', ',']).split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        rest = after;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    })
}

/// Composes the `Authorization` header that answers a challenge; none where nothing is known.
pub(super) fn authorization(
    agent: &Agent,
    host: &str,
    challenge: &Challenge,
    scope: &str,
    credential: Option<&Credential>,
) -> Result<Option<String>, Error> {
    match (challenge, credential) {
        (Challenge::Basic, Some(Credential::Password { user, password })) => Ok(Some(basic(user, password))),
        (Challenge::Basic, _) => Ok(None),
        (Challenge::Bearer { realm, service }, credential) => {
            let token = token(agent, host, realm, service.as_deref(), scope, credential)?;
            Ok(token.map(|token| format!("Bearer {token}")))
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// Gets a token for scopes; none when the token server denies it.
fn token(
    agent: &Agent,
    host: &str,
    realm: &str,
    service: Option<&str>,
    scope: &str,
    credential: Option<&Credential>,
) -> Result<Option<String>, Error> {
    if credential.is_some() && !is_private(realm) {
        return Err(Error::InsecurePassword {
            realm: realm.to_owned(),
        });
    }
    let service = service.map(|service| ("service", service));
    let failed = |error| match super::http::failure(host, error) {
        super::http::Failure::Error(error) => error,
        super::http::Failure::NotTls => Error::Response {
            host: host.to_owned(),
            found: format!("its token server {realm} does not speak TLS"),
        },
    };
    let response = if let Some(Credential::IdentityToken(token)) = credential {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "moby"),
            ("scope", scope),
            ("refresh_token", token),
        ];
        agent.post(realm).send_form(form.into_iter().chain(service))
    } else {
        let mut request = agent
            .get(realm)
            .query_pairs(scope.split(' ').map(|scope| ("scope", scope)).chain(service));
        if let Some(Credential::Password { user, password }) = credential {
            request = request
                .query("account", user)
                .header("Authorization", basic(user, password));
        }
        request.call()
    };
    let mut response = response.map_err(failed)?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_RESPONSE)
        .read_to_vec()
        .map_err(failed)?;
    let value: Value = serde_json::from_slice(&body).map_err(|error| Error::Response {
        host: host.to_owned(),
        found: format!("its token server did not send JSON: {error}"),
    })?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    Ok(text("token").or(text("access_token")).map(str::to_owned))
}

/// Returns whether an address is HTTPS or loopback, so that credentials cannot be read in transit.
fn is_private(realm: &str) -> bool {
    let Some(rest) = realm.strip_prefix("http://") else {
        return realm.starts_with("https://");
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    super::endpoint::of_registry(host, &[]).scheme == super::endpoint::Scheme::Either
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_parsed() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(str::to_owned),
            })
        };
        for (header, expected) in [
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push""#,
                bearer("https://auth.example/token", Some("registry")),
            ),
            (
                r#"bearer service=x , realm="https://a""#,
                bearer("https://a", Some("x")),
            ),
            (r#"Bearer realm="https://a"#, None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn passwords_need_https_or_loopback() {
        for (realm, expected) in [
            ("https://auth.example/token", true),
            ("http://127.0.0.1:5001/token", true),
            ("http://localhost/token", true),
            ("http://auth.example/token", false),
            ("ftp://localhost", false),
        ] {
            assert_eq!(is_private(realm), expected, "{realm}");
        }
    }
}
