//! Versions of Debian packages (deb-version(7)).
//!
//! ```text
//! [EPOCH:]UPSTREAM[-REVISION]      1:2.36-9+deb12u4
//! ```
//!
//! Upstream version and revision are compared alike: a part without digits, then a part of digits, then
//! again a part without, until they differ.

use std::cmp::Ordering;

/// Compares two versions.
pub fn compare(a: &str, b: &str) -> Ordering {
    let [(epoch, upstream, revision), other] = [a, b].map(split);
    digits(epoch, other.0)
        .then_with(|| parts(upstream, other.1))
        .then_with(|| parts(revision, other.2))
}

/// Splits a version into epoch, upstream version and revision. An absent part is empty, which counts as 0.
fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.trim().split_once(':').unwrap_or(("", version.trim()));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

fn parts(mut a: &str, mut b: &str) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (text, other);
        (text, a) = take(a, |c| !c.is_ascii_digit());
        (other, b) = take(b, |c| !c.is_ascii_digit());
        let (number, against);
        (number, a) = take(a, |c| c.is_ascii_digit());
        (against, b) = take(b, |c| c.is_ascii_digit());
        let order = texts(text, other).then_with(|| digits(number, against));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Splits a text after its first letters for which `fits` holds.
fn take(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !fits(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// Compares parts without digits: `~` sorts before the end, the end before letters, letters before the rest.
fn texts(a: &str, b: &str) -> Ordering {
    let weight = |c: char| match c {
        '~' => (0, c),
        _ if c.is_ascii_alphabetic() => (2, c),
        _ => (3, c),
    };
    let end = std::iter::repeat((1, '\0'));
    let longest = a.len().max(b.len());
    let [a, b] = [a, b].map(|text| text.chars().map(weight).chain(end.clone()).take(longest));
    a.cmp(b)
}

/// Compares numbers of any length.
fn digits(a: &str, b: &str) -> Ordering {
    let [a, b] = [a, b].map(|text| text.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        let groups: [&[&str]; 18] = [
            &["~~"],
            &["~"],
            &["", "0", "0-0", "0:0", "00-"],
            &["1.0~~"],
            &["1.0~~a"],
            &["1.0~beta1"],
            &["1.0", "1.0-0", "01.0", "1.00"],
            &["1.0-1~bpo12+1"],
            &["1.0-1"],
            &["1.0-1+b1"],
            &["1.0a-1"],
            &["1.0+dfsg-1"],
            &["1.9"],
            &["1.10"],
            &["1.10-2-1"],
            &["99999999999999999999999"],
            &["100000000000000000000000"],
            &["1:0.1", "01:0.1"],
        ];
        for (at, group) in groups.iter().enumerate() {
            for (number, other) in groups.iter().enumerate() {
                for (a, b) in group.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                    assert_eq!(compare(a, b), at.cmp(&number), "{a:?} and {b:?}");
                }
            }
        }
    }
}
