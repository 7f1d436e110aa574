//! Counters of work, in place of times: cold builds, changed ones, and those of which nothing changed.

use serde_json::Value;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, good};

/// Number of files in the image, each of another text.
const FILES: u32 = 400;
/// Length of a file in bytes.
const FILE_LEN: usize = 20_000;

fn site() -> Site {
    let site = Site::new();
    let text = |number: u32| -> Vec<u8> {
        let words = (0..).map(|at: u32| format!("{:x} ", (at + 7 * number).wrapping_mul(2_654_435_761) >> 12));
        words.flat_map(String::into_bytes).take(FILE_LEN).collect()
    };
    let files: Vec<(String, Vec<u8>)> = (0..FILES)
        .map(|number| (format!("file{number}"), text(number)))
        .collect();
    let members = files
        .iter()
        .map(|(name, content)| (b'0', name.as_str(), "", content.as_slice()));
    let members: Vec<_> = members.collect();
    let mut layout = Layout::new(&site.path("layout"));
    let image = layout.manifest("amd64", &[Layer::gzip(&tar(&members))]);
    layout.name("example.org/files:1", image);
    site
}

/// Builds with a message of the day, and returns the counters.
fn build(site: &Site, motd: &str, arguments: &[&str]) -> impl Fn(&str) -> u64 + use<> {
    site.write(
        "machine.yml",
        &format!("init: [\"example.org/files:1\"]\nfiles:\n  - {{path: etc/motd, contents: {motd}}}\n"),
    );
    let all = [
        "--verbose",
        "build",
        "--arch",
        "amd64",
        "--layout",
        "layout",
        "machine.yml",
    ];
    let output = site.moby(&[&all[..], arguments].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    let line = text.lines().find_map(|line| line.strip_prefix("counters: "));
    let counters: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{text}"))).unwrap();
    move |name| counters[name].as_u64().unwrap_or_else(|| panic!("{name}: {counters}"))
}

#[test]
fn work_is_in_proportion_to_the_change() {
    let site = site();
    let content = u64::from(FILES) * FILE_LEN as u64;
    let cold = build(&site, "hello", &[]);
    // Each byte is inflated once, and becomes part of the initrd in one of three ways.
    assert!(
        (content..content * 5 / 4).contains(&cold("inflated")),
        "{}",
        cold("inflated")
    );
    assert!(cold("copied") + cold("encoded") >= content && cold("compressed") < content / 4);
    assert!(cold("piecesMade") > 5 && cold("piecesReused") == 0 && cold("verified") == 0);

    let changed = build(&site, "goodbye", &[]);
    let made = changed("piecesMade");
    assert!((1..=3).contains(&made), "{made}");
    assert_eq!(made + changed("piecesReused"), cold("piecesMade"));
    let work = changed("copied") + changed("encoded") + changed("compressed");
    assert!(work < 4 << 20 && work < content, "{work}");
    // Layers are decompressed already; only the blocks are found anew.
    assert!(changed("inflated") <= cold("inflated"));
    assert!(changed("verified") >= content);

    let unchanged = build(&site, "goodbye", &[]);
    for name in [
        "verified",
        "inflated",
        "copied",
        "encoded",
        "compressed",
        "piecesMade",
        "piecesReused",
    ] {
        assert_eq!(unchanged(name), 0, "{name}");
    }

    let rebuilt = build(&site, "goodbye", &["--rebuild"]);
    assert_eq!(rebuilt("piecesMade"), cold("piecesMade"));
    for counters in [&cold, &changed, &unchanged, &rebuilt] {
        assert!(
            (1 << 20..256 << 20).contains(&counters("peakMemory")),
            "{}",
            counters("peakMemory")
        );
    }
}
