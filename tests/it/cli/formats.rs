//! `moby formats` against the table that people wrote down.

use crate::common::formats::FORMATS;
use crate::common::moby;

#[test]
fn formats_are_those_of_the_table() {
    let output = moby().arg("formats").output().unwrap();
    assert!(output.status.success());
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut lines = listed.lines();
    let header = lines.next().unwrap();
    let columns: Vec<usize> = ["FORMAT", "DESCRIPTION", "ARCHITECTURES", "FILES"]
        .map(|name| header.find(name).unwrap())
        .into();
    let found: Vec<(&str, Vec<&str>, Vec<&str>)> = lines
        .inspect(|line| {
            for column in &columns {
                let (before, cell) = line.split_at(*column);
                assert!(*column == 0 || before.ends_with("  "), "{line}");
                assert!(!cell.starts_with(' '), "{line}");
            }
        })
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let first = words.iter().position(|word| word.starts_with("NAME")).unwrap();
            let files = words[first..].iter().map(|file| file.strip_prefix("NAME").unwrap());
            (words[0], words[first - 1].split(',').collect(), files.collect())
        })
        .collect();
    let expected: Vec<_> = FORMATS
        .iter()
        .map(|format| (format.name, format.arches.clone(), format.files.clone()))
        .collect();
    let (mut found, mut expected) = (found, expected);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let names = moby().args(["formats", "--names"]).output().unwrap();
    let names = String::from_utf8(names.stdout).unwrap();
    // Rows stand alone: they are read one at a time, and sorted by other programs.
    for word in ["same", "above", "that card"] {
        assert!(!listed.contains(word), "{word}");
    }
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, expected.iter().map(|row| row.0).collect::<Vec<_>>());
}
