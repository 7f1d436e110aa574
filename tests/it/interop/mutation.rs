//! Files with bytes changed, cut and repeated at random, given to everything that parses: an error is
//! fine, a panic is not, nor is a file that takes forever. The fuzz targets do the same with more
//! cunning (`cargo xtask fuzz`); this is what fits every run of the tests. `MOBY_MUTATIONS` is how
//! many there are of each file.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use extents::Extents;
use moby::config::{self, Source};
use moby::debian::deb::Member;
use moby::store::{Layer, Location, flatten};
use tree::{Kind, Meta, Tree};

/// Numbers that are the same in every run (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Returns a file with a few changes, mostly near its start, where headers have their numbers.
    fn mutate(&mut self, file: &[u8]) -> Vec<u8> {
        let mut bytes = file.to_vec();
        for _ in 0..=self.below(3) {
            let near = match self.below(2) {
                0 => bytes.len(),
                _ => bytes.len().min(1024),
            };
            let at = self.below(near);
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => {
                    let value = [0, 1, 0x7f, 0x80, 0xff, b'9'][self.below(6)];
                    let len = 1 + self.below(8);
                    bytes.iter_mut().skip(at).take(len).for_each(|byte| *byte = value);
                }
                2 => bytes
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte ^= 1 << (at % 8)),
                3 => {
                    let len = self.below(64).min(bytes.len() - at);
                    let piece = bytes[at..at + len].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                4 => {
                    let len = self.below(64).min(bytes.len() - at);
                    bytes.drain(at..at + len);
                }
                _ => {
                    let value = self.0;
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value as u8);
                }
            }
        }
        bytes
    }
}

/// Function that parses a file.
type Parser = fn(&[u8]);

fn file(bytes: &[u8]) -> Extents {
    Extents::from_bytes(bytes)
}

fn layer(bytes: &[u8]) {
    let layer = Layer {
        image: "a".into(),
        location: Location {
            file: "blob".into(),
            member: None,
        },
        expected: None,
        diff_id: "sha256:0".into(),
        arch: None,
    };
    let mut tree = flatten::empty();
    for _ in 0..2 {
        drop(flatten::apply(&mut tree, &file(bytes), "a", &layer, 1));
    }
    drop(cpio::plan(&tree).map(|initrd| cpio::members(&initrd).map(drop)));
    let Ok(written) = pax::plan(&tree) else { return };
    let mut again = flatten::empty();
    flatten::apply(&mut again, &written, "a", &layer, 1).unwrap();
}

fn module(bytes: &[u8]) {
    let mut tree = Tree::default();
    let kind = Kind::File(file(bytes));
    tree.insert(b"lib/modules/6.1/a.ko", Meta::default(), kind, &Meta::default())
        .unwrap();
    drop(moby::kmod::index(&mut tree));
}

fn yaml(bytes: &[u8]) {
    let source = Source {
        name: "machine.yml".into(),
        dir: "somewhere".into(),
        text: bytes.to_vec(),
    };
    let loaded = config::load(&[source]);
    if let Err(wrong) = loaded.and_then(|config| moby::assemble::check(&config)) {
        assert!(!wrong.to_string().is_empty());
    }
}

fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(name) = moby::oci::reference::parse(&text) else {
        return;
    };
    let expanded = name.without_latest();
    assert_eq!(
        moby::oci::reference::parse(&expanded).unwrap().without_latest(),
        expanded,
        "{text}"
    );
}

fn deb(bytes: &[u8]) {
    for member in [Member::Control, Member::Data] {
        if let Ok(tar) = moby::debian::deb::member(bytes, member) {
            pax::entries(&tar).for_each(drop);
        }
    }
}

fn loader(bytes: &[u8]) {
    drop(syslinux::from_program(bytes));
    drop(uki::append(&file(bytes), &[]));
}

#[test]
fn many_keys_and_mistakes_take_linear_time() {
    let each = |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<String>();
    let container = "services:\n  - name: a\n    image: b\n    sysctl:\n";
    for text in [
        format!("{container}{}", each(95_000, &|at| format!("      k{at}: \"1\"\n"))),
        format!(
            "{container}      <<: {{{}}}\n",
            each(45_000, &|at| format!("k{at}: \"1\", "))
        ),
        each(60_000, &|at| format!("key{at}: 1\n")),
        format!("init: [{}]\n", each(60_000, &|_| "\"\", ".into())),
        format!("init: [{}]\n", each(60_000, &|at| format!("&a{at} x, *a{at}, "))),
    ] {
        let start = Instant::now();
        yaml(text.as_bytes());
        // What is quadratic takes a minute and more.
        let taken = start.elapsed();
        assert!(taken < Duration::from_secs(20), "{taken:?} for {:?}", &text[..100]);
    }
}

#[test]
fn mutated_files_cause_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::env::var("PATH").unwrap_or_default();
    let seeds = Command::new("sh")
        .arg(root.join("fuzz/seeds.sh"))
        .env("R", root)
        .env("M", env!("CARGO_BIN_EXE_moby"))
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("MOBY_CACHE", directory.path().join("cache"))
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(seeds.status.success(), "{}", String::from_utf8_lossy(&seeds.stderr));
    let rounds = std::env::var("MOBY_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(100);
    let parsers: &[(&str, Parser)] = &[
        ("yaml", yaml),
        ("reference", reference),
        ("deb", deb),
        ("modinfo", module),
        ("layer", layer),
        #[cfg(feature = "inspect")]
        ("inspect", |bytes| {
            drop(moby::inspect::inspect(&file(bytes), moby::inspect::Limits::Bounded))
        }),
        ("cpio", |bytes| drop(cpio::members(&file(bytes)))),
        ("loader", loader),
    ];
    for (target, parse) in parsers {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut seeds = crate::common::site::files(&directory.path().join("corpus").join(target));
        seeds.truncate(12);
        assert!(!seeds.is_empty() || *target == "modinfo", "{target}");
        for seed in seeds {
            let bytes = fs::read(directory.path().join("corpus").join(target).join(&seed)).unwrap();
            parse(&bytes);
            for round in 0..rounds {
                let mutated = random.mutate(&bytes);
                let parsed = std::panic::catch_unwind(|| parse(&mutated));
                if parsed.is_err() {
                    let input = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mutated-{target}-{seed}"));
                    fs::write(&input, &mutated).unwrap();
                    panic!("{target}, {seed}, round {round}: see {}", input.display());
                }
            }
        }
    }
}
