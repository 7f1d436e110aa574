//! Patterns of paths in a `build.yml`: `*` matches within a component, `**` across components, and
//! a directory with `/` at its end stands for everything below it.

/// Returns whether `path` matches `pattern`.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    if let Some(directory) = pattern.strip_suffix('/') {
        return matches(directory, path) || matches(&format!("{directory}/**"), path);
    }
    matches_bytes(pattern.as_bytes(), path.as_bytes())
}

fn matches_bytes(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern, path) {
        ([b'*', b'*', rest @ ..], _) => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            (0..=path.len()).any(|at| matches_bytes(rest, path.get(at..).unwrap_or_default()))
        }
        ([b'*', rest @ ..], _) => {
            let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
            (0..=end).any(|at| matches_bytes(rest, path.get(at..).unwrap_or_default()))
        }
        ([a, pattern @ ..], [b, path @ ..]) => a == b && matches_bytes(pattern, path),
        ([], []) => true,
        _ => false,
    }
}

/// Choice of files by patterns.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// Patterns of which one must match; every path matches if there is none.
    pub paths: &'a [String],
    /// Patterns of which none may match.
    pub exclude: &'a [String],
}

impl Selection<'_> {
    /// Returns whether `path` is included, not regarding exclusions.
    pub fn includes(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|pattern| matches(pattern, path))
    }

    /// Returns whether `path` is excluded.
    pub fn excludes(&self, path: &str) -> bool {
        self.exclude.iter().any(|pattern| matches(pattern, path))
    }

    /// Returns whether `path` is selected.
    pub fn contains(&self, path: &str) -> bool {
        self.includes(path) && !self.excludes(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_paths() {
        assert!(matches("usr/bin/a", "usr/bin/a"));
        assert!(matches("usr/bin/", "usr/bin/a/b"));
        assert!(matches("usr/share/**/*.crt", "usr/share/a/b/c.crt"));
        assert!(matches("usr/*/a", "usr/bin/a"));
        assert!(!matches("usr/*", "usr/bin/a"));
        assert!(!matches("usr/bi", "usr/bin"));
    }

    #[test]
    fn exclusions_win() {
        let (paths, exclude) = (["usr/".to_owned()], ["usr/share/doc/".to_owned()]);
        let selection = Selection {
            paths: &paths,
            exclude: &exclude,
        };
        assert!(selection.contains("usr/bin/a"));
        assert!(!selection.contains("usr/share/doc/a") && !selection.contains("etc/a"));
        let all = Selection {
            paths: &[],
            exclude: &exclude,
        };
        assert!(all.contains("etc/a") && !all.contains("usr/share/doc/a"));
    }
}
