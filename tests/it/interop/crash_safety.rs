//! A full disk, a limit on the length of files, and kills at any moment: outputs and cache entries
//! are complete or absent.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::layout::{Layer, Layout, digest, tar};
use crate::common::site::{Site, files, good, refused};

/// A site whose image has 3 MiB that do not compress.
fn large() -> Site {
    let mut state = 1u64;
    let noise: Vec<u8> = (0..3 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let image = layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "noise", "", &noise)]))]);
    layout.name("docker.io/library/noise", image);
    site.write("noise.yml", "init: [noise]\n");
    site
}

const NOISE: [&str; 10] = [
    "-q",
    "build",
    "--rebuild",
    "--layout",
    "layout",
    "--arch",
    "amd64",
    "-f",
    "tar,kernel+initrd",
    "--dir",
];

/// The outputs of a build of [`large`] that succeeds.
fn expected(site: &Site) -> Vec<(String, Vec<u8>)> {
    let mut arguments = NOISE.to_vec();
    arguments.extend(["expected", "--cache", "good", "noise.yml"]);
    good(site.moby(&arguments));
    let names = files(&site.path("expected"));
    assert_eq!(names, ["noise-initrd.img", "noise.tar"]);
    let read = |name: String| (name.clone(), fs::read(site.path("expected").join(name)).unwrap());
    names.into_iter().map(read).collect()
}

/// Checks that all files with names of outputs are complete. Returns their number, and true if there are other
/// files.
fn check_outputs(directory: &Path, expected: &[(String, Vec<u8>)]) -> (usize, bool) {
    let mut others = false;
    let mut count = 0;
    for name in files(directory) {
        match expected.iter().find(|(known, _)| *known == name) {
            Some((_, bytes)) => assert!(
                fs::read(directory.join(&name)).unwrap() == *bytes,
                "{name} is not complete"
            ),
            None => {
                others = true;
                continue;
            }
        }
        count += 1;
    }
    (count, others)
}

#[test]
fn full_disk_leaves_no_partial_output() {
    let site = large();
    let expected = expected(&site);
    // Directories of 2 MiB in a mount namespace of its own: first for the outputs, then for the cache.
    let script = r#"
        mount -t tmpfs -o size=2M tmpfs "$1"; shift
        echo old > out/noise.tar
        "$@"; code=$?
        echo; find out cache -type f | sort; cat out/noise.tar
        exit $code"#;
    for (full, error) in [
        ("out", "out/noise.tar"),
        ("cache", "cannot write a decompressed layer to cache/moby/layers"),
    ] {
        for directory in ["out", "cache"] {
            fs::create_dir_all(site.path(directory)).unwrap();
        }
        let output = Command::new("unshare")
            .args(["-rm", "sh", "-c", script, "sh", full, env!("CARGO_BIN_EXE_moby")])
            .args(NOISE)
            .args(["out", "--cache", "cache", "noise.yml"])
            .current_dir(site.0.path())
            .output()
            .unwrap();
        let left = String::from_utf8(output.stdout.clone()).unwrap();
        let message = refused(output, 1);
        assert!(
            message.contains(error) && message.contains("No space left"),
            "{message}"
        );
        let left: Vec<&str> = left.lines().filter(|line| !line.contains("cache/moby/lock")).collect();
        match full {
            "out" => {
                assert_eq!(left.len(), 4, "{left:?}");
                assert!(left[1].starts_with("cache/moby/layers/sha256/"), "{left:?}");
                assert_eq!(left[2..], ["out/noise.tar", "old"]);
            }
            _ => assert_eq!(left, ["", "out/noise.tar", "old"]),
        }
        fs::remove_file(site.path("out/noise.tar")).ok();
    }
    // With free space again, the build succeeds.
    let mut arguments = NOISE.to_vec();
    arguments.extend(["out", "--cache", "cache", "noise.yml"]);
    good(site.moby(&arguments));
    assert_eq!(check_outputs(&site.path("out"), &expected), (2, false));
}

#[test]
fn file_size_limit_leaves_no_partial_output() {
    let site = large();
    let expected = expected(&site);
    // In units of 512 bytes, for every file; the signal would end moby without a word.
    let script = r#"trap "" XFSZ; ulimit -f 4000; exec "$0" "$@""#;
    for cache in ["cache", "good"] {
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_moby")])
            .args(NOISE)
            .args(["out", "--cache", cache, "noise.yml"])
            .current_dir(site.0.path())
            .output()
            .unwrap();
        let message = refused(output, 1);
        assert!(message.contains("cannot write"), "{message}");
        assert!(site.path("out").is_dir() == (cache == "good"));
        assert!(!site.path("out").is_dir() || files(&site.path("out")).is_empty());
    }
    assert_eq!(files(&site.path("cache/moby/layers/sha256")), [""; 0]);
    let mut arguments = NOISE.to_vec();
    arguments.extend(["out", "--cache", "cache", "noise.yml"]);
    good(site.moby(&arguments));
    assert_eq!(check_outputs(&site.path("out"), &expected), (2, false));
}

#[test]
fn kill_leaves_no_partial_output() {
    let site = large();
    let expected = expected(&site);
    let command = |cache: &str, out: &str| {
        let mut command = site.command(&NOISE);
        command.args([out, "--cache", cache, "noise.yml"]).stderr(Stdio::null());
        command
    };
    let start = Instant::now();
    assert!(command("timed", "timed-out").status().unwrap().success());
    let all = start.elapsed();
    const ROUNDS: u32 = 10;
    for round in 0..ROUNDS {
        // A cache and a directory of outputs that the kills before have left as they are.
        let mut child = command("cache", "out").spawn().unwrap();
        std::thread::sleep(all * round / ROUNDS);
        child.kill().unwrap();
        child.wait().unwrap();
        if site.path("out").is_dir() {
            let fresh = round % 2 == 0;
            let (_, others) = check_outputs(&site.path("out"), &expected);
            // What takes the place of another file has a name of its own for a moment.
            assert!(!(fresh && others), "{:?}", files(&site.path("out")));
            if !fresh {
                fs::remove_dir_all(site.path("out")).unwrap();
            }
        }
        let layers = site.path("cache/moby/layers/sha256");
        for name in layers.is_dir().then(|| files(&layers)).into_iter().flatten() {
            let bytes = fs::read(layers.join(&name)).unwrap();
            assert!(
                name.starts_with(extents::emit::TEMP_PREFIX) || digest(&bytes).ends_with(&name),
                "{name} is not complete"
            );
        }
        if round % 3 == 2 {
            fs::remove_dir_all(site.path("cache")).ok();
        }
    }
    assert!(command("cache", "out").status().unwrap().success());
    assert_eq!(check_outputs(&site.path("out"), &expected).0, 2);
    // The same for what is imported: a killed import leaves a cache that verifies.
    for round in 0..ROUNDS {
        let mut child = site
            .command(&["-q", "cache", "--cache", "imported", "import", "layout"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(all.min(Duration::from_millis(100)) * round / ROUNDS);
        child.kill().unwrap();
        child.wait().unwrap();
        if site.path("imported").is_dir() {
            good(site.moby(&["-q", "cache", "--cache", "imported", "verify"]));
        }
    }
    good(site.moby(&["-q", "cache", "--cache", "imported", "import", "layout"]));
    good(site.moby(&["-q", "cache", "--cache", "imported", "clean"]));
    assert_eq!(files(&site.path("imported/blobs/sha256")).len(), 3);
}
