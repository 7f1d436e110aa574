//! License expressions (SPDX 2.3, Annex D).

/// Licenses that packages of Linux systems often state, of the SPDX License List.
const COMMON: [&str; 46] = [
    "0BSD",
    "AFL-2.1",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "Artistic-1.0-Perl",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "EPL-2.0",
    "FTL",
    "GPL-1.0-or-later",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ICU",
    "IJG",
    "ISC",
    "LGPL-2.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MPL-1.1",
    "MPL-2.0",
    "NCSA",
    "OpenSSL",
    "PSF-2.0",
    "PostgreSQL",
    "Python-2.0",
    "Unicode-3.0",
    "Unlicense",
    "WTFPL",
    "X11",
    "Zlib",
    "curl",
];

/// Returns true for an expression of known licenses, joined by `AND` and `OR`, without parentheses.
pub fn is_expression(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let alternate = words.iter().enumerate().all(|(at, word)| {
        if at % 2 == 0 {
            COMMON.contains(word)
        } else {
            ["AND", "OR"].contains(word)
        }
    });
    alternate && words.len() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::is_expression;

    #[test]
    fn only_known_licenses_are_expressions() {
        for text in ["MIT", "GPL-2.0-only AND MIT", "MIT OR Apache-2.0 OR Zlib"] {
            assert!(is_expression(text), "{text}");
        }
        for text in ["", "GPL", "MIT AND", "MIT  AND MIT", "custom", "MIT MIT", "AND"] {
            assert!(!is_expression(text), "{text}");
        }
    }
}
