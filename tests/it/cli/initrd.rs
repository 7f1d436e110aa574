//! Initrds that have parts of the gzip layers of their images.

use std::fs;

use crate::common::layout::{Layer, Layout, PLAIN, tar, through};
use crate::common::site::{Site, files, good};

/// Text without long repetitions.
fn text(len: usize, seed: u32) -> Vec<u8> {
    let words = (0..len as u32 / 6).map(|at| format!("{:x} ", (at ^ seed).wrapping_mul(2_654_435_761) >> 12));
    let mut bytes: Vec<u8> = words.flat_map(String::into_bytes).collect();
    bytes.truncate(len);
    bytes
}

/// The tar of a layer with a large and several small files.
fn layer(name: &str, seed: u32) -> Vec<u8> {
    let large = text(400_000, seed);
    let small = text(9000, seed + 1);
    let names: Vec<String> = (0..20).map(|at| format!("{name}/small{at}")).collect();
    let name = format!("{name}/large");
    let mut members = vec![(b'0', name.as_str(), "", large.as_slice())];
    for (at, name) in names.iter().enumerate() {
        members.push((b'0', name, "", &small[at * 300..]));
    }
    tar(&members)
}

/// Writes a layout with the images `example.org/one` and `two`, which share a layer that gzip compresses with these
/// arguments.
fn images(site: &Site, arguments: [&str; 2]) {
    images_with(site, |tar, index| Layer {
        stored: through("gzip", &["-n", arguments[index]], tar),
        ..Layer::gzip(tar)
    });
}

fn images_with(site: &Site, shared: impl Fn(&[u8], usize) -> Layer) {
    let mut layout = Layout::new(&site.path("layout"));
    for (index, name) in ["one", "two"].into_iter().enumerate() {
        let shared = shared(&layer("shared", 1), index);
        let other = match name {
            "one" => Layer::zstd(&layer("zstd", 7)),
            _ => Layer::plain(&layer("plain", 9)),
        };
        assert!(name == "one" || other.media_type == PLAIN);
        let manifest = layout.manifest("amd64", &[shared, other]);
        layout.name(&format!("example.org/{name}"), manifest);
    }
    site.write(
        "m.yml",
        "init: [example.org/one, example.org/two]\nfiles: [{path: etc/motd, contents: hello}]\n",
    );
}

/// Builds the initrd and removes it.
fn initrd(site: &Site, options: &[&str]) -> Vec<u8> {
    let common = ["--layout", "layout", "--no-sbom", "-f", "kernel+initrd", "m.yml"];
    good(site.build(&[options, &common].concat()));
    let bytes = fs::read(site.path("m-initrd.img")).unwrap();
    fs::remove_file(site.path("m-initrd.img")).unwrap();
    bytes
}

#[test]
fn the_bits_do_not_depend_on_the_cache_or_the_threads() {
    let site = Site::new();
    images(&site, ["-4", "-9"]);
    let cold = initrd(&site, &["-j", "1"]);
    assert!(through("gzip", &["-dc"], &cold) == initrd(&site, &["--compress", "none"]));
    let layers = site.path("cache/moby/layers/sha256");
    assert_eq!(files(&layers).len(), 3);
    for jobs in ["1", "2", "8"] {
        for removed in 0..4 {
            assert!(initrd(&site, &["-j", jobs]) == cold, "{jobs}, {removed}");
            if let Some(name) = files(&layers).get(removed) {
                fs::remove_file(layers.join(name)).unwrap();
                assert!(initrd(&site, &["-j", jobs]) == cold, "{jobs}, without layer {removed}");
            }
        }
    }
    fs::remove_dir_all(site.path("cache")).unwrap();
    assert!(initrd(&site, &["-j", "8"]) == cold);
}

#[test]
fn a_corrupt_cached_layer_changes_nothing() {
    let site = Site::new();
    images(&site, ["-6", "-6"]);
    let cold = initrd(&site, &[]);
    let layers = site.path("cache/moby/layers/sha256");
    for jobs in ["1", "4"] {
        for at in [700, 200_000] {
            for name in files(&layers) {
                let mut bytes = fs::read(layers.join(&name)).unwrap();
                bytes[at] ^= 1;
                fs::write(layers.join(name), bytes).unwrap();
            }
            assert!(initrd(&site, &["-j", jobs]) == cold, "{jobs}, {at}");
        }
        // A shorter one, too.
        for name in files(&layers) {
            let bytes = fs::read(layers.join(&name)).unwrap();
            fs::write(layers.join(name), &bytes[..bytes.len() / 2]).unwrap();
        }
        assert!(initrd(&site, &["-j", jobs]) == cold, "{jobs}");
    }
}

#[test]
fn layers_are_not_compressed_again_unless_a_level_asks_for_it() {
    let build = |arguments, options: &[&str]| {
        let site = Site::new();
        images(&site, arguments);
        initrd(&site, options)
    };
    let (four, nine) = (build(["-4", "-4"], &[]), build(["-9", "-9"], &[]));
    assert!(four != nine);
    assert!(through("gzip", &["-dc"], &four) == through("gzip", &["-dc"], &nine));
    // The larger blob is used, in whatever order the images are.
    assert!(build(["-4", "-9"], &[]) == four && build(["-9", "-4"], &[]) == four);
    let level = ["--compress", "gzip:6"];
    assert!(build(["-4", "-4"], &level) == build(["-9", "-9"], &level));
}

#[test]
fn badly_compressed_layers_are_compressed_again() {
    let site = Site::new();
    images(&site, ["-1", "-1"]);
    let fast = initrd(&site, &[]);
    let plain = Site::new();
    images_with(&plain, |tar, _| Layer::plain(tar));
    assert!(fast == initrd(&plain, &[]));
}
