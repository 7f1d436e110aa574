//! Root filesystems that dm-verity verifies: booted, verified by veritysetup, and with a changed byte.

use std::fs;
use std::path::Path;

use testing::program::checked;

use crate::common::{boots, build_file, moby};

/// A text in a configuration file of the root filesystem, which a container prints.
const NAME: &str = "a verified name";
const MARKER: &str = "hello from a verified name";
/// The text with one bit changed.
const CHANGED_NAME: &str = "a Verified name";

/// `examples/minimal.yml`, with a container that prints [`NAME`].
fn yaml(directory: &Path) -> std::path::PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let text = fs::read_to_string(examples.join("minimal.yml")).unwrap();
    let text = text.replace("@pkg:..", &format!("@pkg:{}/..", examples.display()));
    let path = directory.join("m.yml");
    fs::write(&path, format!("{}    env: [\"PATH=/bin\", \"NAME={NAME}\"]\n", text)).unwrap();
    path
}

/// Runs `moby inspect`, and returns whether it succeeds and what it says.
fn inspected(file: &Path, arguments: &[&str]) -> (bool, String) {
    let output = moby().arg("inspect").args(arguments).arg(file).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Returns the value of a kernel argument in a text.
fn argument(text: &str, name: &str) -> String {
    let mut values = text.split_whitespace().filter_map(|word| word.strip_prefix(name));
    values
        .next()
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .to_owned()
}

/// Changes the name in an image that is not compressed.
fn change(image: &Path) {
    let mut bytes = fs::read(image).unwrap();
    let needle = format!("NAME={NAME}");
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle.as_bytes());
    let at = at.unwrap() + "NAME=a ".len();
    bytes[at] ^= 0x20;
    fs::write(image, bytes).unwrap();
}

#[test]
fn verified_roots_boot_and_veritysetup_verifies_them() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let yaml = yaml(directory);
    for (formats, root) in [
        ("kernel+squashfs", None),
        ("raw,iso", Some("squashfs")),
        ("raw-bios", Some("ext4")),
    ] {
        let mut arguments = vec!["--verity", "-f", formats];
        arguments.extend(root.into_iter().flat_map(|root| ["--root", root]));
        build_file(&yaml, &arguments, directory);
    }
    let image = directory.join("m-squashfs.img");
    let initrd = directory.join("m-squashfs-initrd.img");
    let (_, arguments) = inspected(&initrd, &["--cat", "etc/cmdline.d/root.conf"]);
    let (root_hash, blocks) = (argument(&arguments, "roothash="), argument(&arguments, "verity.at="));
    let offset = format!("--hash-offset={}", blocks.parse::<u64>().unwrap() * 4096);
    let path = image.to_str().unwrap();
    checked("veritysetup", &["verify", &offset, path, path], Path::new(&root_hash));
    let (good, said) = inspected(&image, &[]);
    assert!(
        good && said.contains(&format!("dm-verity, root hash {root_hash}, verified")),
        "{said}"
    );

    for (name, arguments) in [
        ("m-squashfs.img", &[][..]),
        ("m.img", &[]),
        ("m.img", &["--uefi"]),
        ("m-hybrid.iso", &["--uefi"]),
        ("m-bios.img", &[]),
    ] {
        let file = directory.join(name);
        let (good, said) = inspected(&file, &[]);
        let verified = said.matches("dm-verity, root hash ").count() == 1 && said.contains(", verified");
        assert!(good && verified, "{name}: {said}");
        let log = boots(&file, arguments, MARKER).join("\n");
        assert!(log.contains("moby-init: dm-verity: /dev/dm-0 has root hash "), "{log}");
    }
}

#[test]
fn changed_root_runs_without_verity_and_not_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = yaml(directory.path());
    let built = |options: &[&str]| {
        let arguments = [&["-f", "raw-bios", "--root", "ext4"], options].concat();
        build_file(&yaml, &arguments, directory.path());
        directory.path().join("m-bios.img")
    };
    let plain = built(&[]);
    change(&plain);
    boots(&plain, &[], CHANGED_NAME);

    let verified = built(&["--verity"]);
    change(&verified);
    let (good, said) = inspected(&verified, &[]);
    assert!(!good && said.contains("does not match its digest"), "{said}");
    // The machine goes on without the file, but never with a changed one.
    let log = boots(&verified, &[], "moby-init: started").join("\n");
    assert!(
        log.contains(" is corrupted") && log.contains("input/output error"),
        "{log}"
    );
    assert!(!log.contains(CHANGED_NAME) && !log.contains(MARKER), "{log}");
}
