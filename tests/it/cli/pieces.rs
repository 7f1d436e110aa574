//! The cache of compressed pieces: builds are faster with it, and their outputs the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, good};

/// Text that compresses, another for each number.
fn text(number: u32, len: usize) -> Vec<u8> {
    let mut state = number;
    let mut words = String::new();
    while words.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        words.push_str(["alpha ", "beta ", "gamma ", "delta "][state as usize >> 30]);
        words.push_str(&format!("{:x} ", state >> 22));
    }
    words.truncate(len);
    words.into_bytes()
}

/// A site with an image of many files, small and large, in a gzip layer.
fn site() -> Site {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let files: Vec<(String, Vec<u8>)> = (0..600)
        .map(|number| {
            (
                format!("usr/file{number}"),
                text(number, if number % 20 == 0 { 90_000 } else { 900 }),
            )
        })
        .collect();
    let mut members = vec![(b'5', "usr/", "", &b""[..])];
    members.extend(
        files
            .iter()
            .map(|(name, content)| (b'0', name.as_str(), "", content.as_slice())),
    );
    let image = layout.manifest("amd64", &[Layer::gzip(&tar(&members))]);
    layout.name("example.org/files:1", image);
    write_yaml(&site, "hello");
    site
}

fn write_yaml(site: &Site, motd: &str) {
    site.write(
        "machine.yml",
        &format!("init: [\"example.org/files:1\"]\nfiles:\n  - {{path: etc/motd, contents: {motd}}}\n"),
    );
}

const BUILD: [&str; 7] = ["-q", "build", "--arch", "amd64", "--layout", "layout", "machine.yml"];

/// Builds the initrd although nothing changed, with the pieces of the cache.
fn build(site: &Site, arguments: &[&str]) -> Vec<u8> {
    forget(site);
    good(site.moby(&[&BUILD[..], arguments].concat()));
    fs::read(site.path("machine-initrd.img")).unwrap()
}

/// Removes the records of builds.
fn forget(site: &Site) {
    let _ = fs::remove_dir_all(site.path("cache/moby/builds"));
}

/// The files of the piece cache.
fn pieces(cache: &Path) -> Vec<PathBuf> {
    let dirs = fs::read_dir(cache.join("moby/pieces")).into_iter().flatten();
    let files = dirs.flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn said(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    text
}

#[test]
fn outputs_are_the_same_with_any_part_of_the_cache() {
    let site = site();
    let cache = site.path("cache");
    let cold = build(&site, &["--rebuild", "-j", "1"]);
    let all = pieces(&cache);
    assert!(all.len() > 30, "{}", all.len());
    let mut state = 1u32;
    for round in 0..12 {
        let kept = all.iter().filter(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 31 == 0
        });
        let removed: Vec<&PathBuf> = kept.collect();
        removed.iter().for_each(|path| fs::remove_file(path).unwrap());
        if round % 3 == 0 {
            let _ = fs::remove_dir_all(cache.join("moby/layers"));
        }
        let threads = ["1", "2", "8"][round % 3];
        assert!(build(&site, &["-j", threads]) == cold, "round {round}");
        assert_eq!(pieces(&cache), all);
    }
    // Without a place for pieces, too.
    let mut command = site.command(&BUILD);
    good(
        command
            .args(["--cache", "/dev/null/none", "--dir", "other"])
            .output()
            .unwrap(),
    );
    assert!(fs::read(site.path("other/machine-initrd.img")).unwrap() == cold);
    assert!(crate::common::layout::through("gzip", &["-dc"], &cold).starts_with(b"070701"));
}

#[test]
fn a_small_change_makes_a_piece_or_two() {
    let site = site();
    let cache = site.path("cache");
    build(&site, &[]);
    let before = pieces(&cache);
    write_yaml(&site, "goodbye");
    let changed = build(&site, &[]);
    let new: Vec<PathBuf> = pieces(&cache)
        .into_iter()
        .filter(|path| !before.contains(path))
        .collect();
    // The SBOM, which has the time of the build at most, stays as it is.
    assert!((1..=3).contains(&new.len()), "{} of {}", new.len(), before.len());
    assert!(build(&site, &["--rebuild"]) == changed);
}

#[test]
fn damaged_pieces_are_replaced() {
    let site = site();
    let cache = site.path("cache");
    let cold = build(&site, &[]);
    let all = pieces(&cache);
    let intact: Vec<Vec<u8>> = all.iter().map(|path| fs::read(path).unwrap()).collect();
    for (at, path) in all.iter().enumerate() {
        let mut bytes = intact[at].clone();
        match at % 3 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            _ => bytes.clone_from(&intact[(at + 1) % all.len()]),
        }
        fs::write(path, bytes).unwrap();
    }
    let output = site.moby(&["cache", "verify"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{message}");
    assert!(
        message.contains("moby/pieces/") && message.contains("help: run `moby cache clean`"),
        "{message}"
    );
    assert!(build(&site, &["-j", "2"]) == cold);
    assert!(
        all.iter()
            .zip(&intact)
            .all(|(path, bytes)| fs::read(path).unwrap() == *bytes)
    );
    let message = said(site.moby(&["cache", "verify"]));
    assert!(
        message.contains(&format!("compressed pieces: {} intact\n", all.len())),
        "{message}"
    );
    let message = said(site.moby(&["cache", "ls"]));
    assert!(
        message.contains(&format!("compressed pieces: {}, ", all.len())),
        "{message}"
    );
    good(site.moby(&["-q", "cache", "clean"]));
    assert!(pieces(&cache).is_empty());
    assert!(build(&site, &[]) == cold);
}

#[test]
fn a_corrupt_layer_leaves_no_pieces() {
    let site = site();
    let cache = site.path("cache");
    let cold = build(&site, &[]);
    good(site.moby(&["-q", "cache", "clean"]));
    assert!(pieces(&cache).is_empty());
    // The cached layer is damaged: it is decompressed again, and pieces are made again.
    let layers = cache.join("moby/layers/sha256");
    good(site.moby(&[&BUILD[..], &["-f", "tar"]].concat()));
    let layer = fs::read_dir(&layers).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&layer).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&layer, bytes).unwrap();
    assert!(build(&site, &["-j", "2"]) == cold);
    assert!(build(&site, &["-j", "2"]) == cold);
    // The blob itself is damaged: the build fails, and later ones do not see what it made.
    good(site.moby(&["-q", "cache", "clean"]));
    let blobs = fs::read_dir(site.path("layout/blobs/sha256")).unwrap();
    let blob = blobs
        .map(|blob| blob.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len());
    let blob = blob.unwrap();
    let intact = fs::read(&blob).unwrap();
    let mut damaged = intact.clone();
    damaged[intact.len() / 2] ^= 1;
    fs::write(&blob, damaged).unwrap();
    forget(&site);
    assert!(!site.moby(&[&BUILD[..], &["-j", "2"]].concat()).status.success());
    assert!(pieces(&cache).is_empty());
    fs::write(&blob, intact).unwrap();
    assert!(build(&site, &[]) == cold);
}

#[test]
fn builds_at_the_same_time_share_the_cache() {
    let site = site();
    let cold = build(&site, &["--rebuild"]);
    fs::remove_dir_all(site.path("cache")).unwrap();
    let builds: Vec<_> = (0..4)
        .map(|number| {
            let dir = format!("out{number}");
            let mut command = site.command(&BUILD);
            command.args(["--dir", &dir, "-j", "2"]).stderr(Stdio::piped());
            (dir, command.spawn().unwrap())
        })
        .collect();
    for (dir, child) in builds {
        good(child.wait_with_output().unwrap());
        assert!(fs::read(site.path(&dir).join("machine-initrd.img")).unwrap() == cold);
    }
    good(site.moby(&["-q", "cache", "verify"]));
}

#[test]
fn the_size_is_limited_and_others_may_read() {
    let site = site();
    let cold = build(&site, &["--cache-size", "1M"]);
    let total = |cache: &Path| -> u64 { pieces(cache).iter().map(|path| fs::metadata(path).unwrap().len()).sum() };
    let limited = total(&site.path("cache"));
    assert!(limited <= 1 << 20, "{limited}");
    fs::remove_dir_all(site.path("cache/moby")).unwrap();
    good(site.moby(&["-q", "cache", "import", "layout"]));
    build(&site, &[]);
    assert!(total(&site.path("cache")) > limited.max(500_000), "{limited}");
    fs::rename(site.path("cache"), site.path("shared")).unwrap();
    assert!(build(&site, &["--cache-from", "shared"]) == cold);
    assert_eq!(pieces(&site.path("cache")).len(), 0);
    // Signatures would say nothing about pieces of others.
    site.write("policy.yml", "default: accept-unsigned\n");
    assert!(build(&site, &["--cache-from", "shared", "--policy", "policy.yml"]) == cold);
    assert_eq!(pieces(&site.path("cache")).len(), pieces(&site.path("shared")).len());
}
