//! Endpoints of a repository: the mirrors of its registry, then the registry itself.

/// Docker Hub in references, and the host that serves it.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A mirror, as `--mirror` and `LINUXKIT_MIRROR` give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Registry that is mirrored; every registry if absent.
    registry: Option<String>,
    endpoint: Endpoint,
}

impl Mirror {
    /// Parses `MIRROR` or `REGISTRY=MIRROR`, where the mirror may begin with `http://` or
    /// `https://`.
    pub fn parse(text: &str) -> Self {
        let (registry, mirror) = match text.split_once('=') {
            Some((registry, mirror)) => (Some(registry), mirror),
            None => (None, text),
        };
        let (scheme, host) = match mirror.split_once("://") {
            Some(("http", host)) => (Scheme::Http, host),
            Some((_, host)) => (Scheme::Https, host),
            None => (Scheme::of_host(mirror), mirror),
        };
        Mirror {
            registry: registry.map(|registry| registry_name(registry).to_owned()),
            endpoint: Endpoint {
                scheme,
                host: host.trim_end_matches('/').to_owned(),
            },
        }
    }
}

/// Protocol of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// HTTPS.
    Https,
    /// Plain HTTP, as asked for.
    Http,
    /// HTTPS, or plain HTTP where the host does not speak TLS. Only for loopback.
    Either,
}

impl Scheme {
    fn of_host(host: &str) -> Self {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let is_loopback = name
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        if name == "localhost" || is_loopback {
            Scheme::Either
        } else {
            Scheme::Https
        }
    }
}

/// A registry's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub scheme: Scheme,
    /// Host and port, perhaps with a path.
    pub host: String,
}

/// Splits a repository into its registry and its name there.
pub(super) fn split(repository: &str) -> (&str, &str) {
    repository.split_once('/').unwrap_or((HUB.0, repository))
}

/// Returns the endpoints of a registry: its mirrors, then its own.
pub(super) fn endpoints(registry: &str, mirrors: &[Mirror], plain_http: &[String]) -> Vec<Endpoint> {
    let fits = |mirror: &&Mirror| mirror.registry.as_deref().is_none_or(|own| own == registry);
    let mut endpoints: Vec<Endpoint> = mirrors
        .iter()
        .filter(fits)
        .map(|mirror| mirror.endpoint.clone())
        .collect();
    endpoints.push(of_registry(registry, plain_http));
    endpoints
}

/// Returns the endpoint of a registry itself.
pub(super) fn of_registry(registry: &str, plain_http: &[String]) -> Endpoint {
    Endpoint {
        scheme: if plain_http.iter().any(|host| host == registry) {
            Scheme::Http
        } else {
            Scheme::of_host(registry)
        },
        host: if registry == HUB.0 { HUB.1 } else { registry }.to_owned(),
    }
}

/// Returns a registry's name as in references: without scheme, path and Docker Hub's other names.
pub fn registry_name(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    match text.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => HUB.0,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_before_the_registry() {
        let mirrors = [
            Mirror::parse("docker.io=http://mirror:5000/"),
            Mirror::parse("https://all.example"),
        ];
        let hosts = |registry| -> Vec<String> {
            let endpoints = endpoints(registry, &mirrors, &[]).into_iter();
            endpoints
                .map(|endpoint| format!("{:?} {}", endpoint.scheme, endpoint.host))
                .collect()
        };
        assert_eq!(
            hosts("docker.io"),
            ["Http mirror:5000", "Https all.example", "Https registry-1.docker.io"]
        );
        assert_eq!(hosts("localhost:5000"), ["Https all.example", "Either localhost:5000"]);
    }

    #[test]
    fn only_loopback_and_what_was_asked_for_is_plain() {
        for (host, scheme) in [
            ("localhost", Scheme::Either),
            ("127.0.0.1:80", Scheme::Either),
            ("[::1]:5000", Scheme::Either),
            ("127.example.org", Scheme::Https),
            ("ghcr.io", Scheme::Https),
            ("plain:80", Scheme::Http),
        ] {
            assert_eq!(of_registry(host, &["plain:80".into()]).scheme, scheme, "{host}");
        }
    }
}
