//! Package URLs (purl specification).

/// Formats a package URL. `namespace` and `name` may have several parts, separated by `/`.
pub fn format(kind: &str, namespace: &str, name: &str, version: &str, qualifiers: &[(&str, &str)]) -> String {
    let mut url = format!("pkg:{kind}");
    for part in namespace
        .split('/')
        .chain(name.split('/'))
        .filter(|part| !part.is_empty())
    {
        url.push('/');
        url.push_str(&encode(part));
    }
    if !version.is_empty() {
        url.push('@');
        url.push_str(&encode(version));
    }
    let mut separator = '?';
    for (key, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
        url.push(separator);
        url.push_str(key);
        url.push('=');
        url.push_str(&encode(value));
        separator = '&';
    }
    url
}

/// Encodes a part of a package URL (purl specification, "Character encoding").
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn parts_are_encoded_and_empty_ones_left_out() {
        assert_eq!(
            format("deb", "debian", "libstdc++6", "12.2.0-14+deb12u1", &[("arch", "amd64")]),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64"
        );
        assert_eq!(
            format("golang", "", "github.com/a/b", "v1.2.3", &[("type", "")]),
            "pkg:golang/github.com/a/b@v1.2.3"
        );
        assert_eq!(format("generic", "", "a", "", &[]), "pkg:generic/a");
    }
}
