//! The root filesystem as the image of a container: `oci` and `docker-archive`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{build, moby};
use testing::program::checked;

/// The names in a tar, without those of a directory.
fn names(tar: &Path, without: &str) -> BTreeSet<String> {
    let out = Command::new("tar").arg("-tf").arg(tar).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let names = text.lines().map(|name| name.trim_end_matches('/').to_owned());
    names.filter(|name| !name.starts_with(without)).collect()
}

#[test]
fn skopeo_reads_the_root_filesystem_as_an_image() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    build("minimal.yml", &["-f", "oci,docker-archive,tar"], directory.path());
    let wanted = names(&path("minimal.tar"), "boot/");
    assert!(wanted.contains("containers/onboot/000-hello/config.json"));
    for (transport, file) in [
        ("oci-archive", "minimal-oci.tar"),
        ("docker-archive", "minimal-docker.tar"),
    ] {
        // skopeo checks digests and sizes as it copies.
        let layout = path(transport);
        let from = format!("{transport}:{}", path(file).display());
        checked(
            "skopeo",
            &["--insecure-policy", "copy", "-q", &from],
            Path::new(&format!("dir:{}", layout.display())),
        );
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(layout.join("manifest.json")).unwrap()).unwrap();
        let blob = |field: &str| {
            let digest = manifest.pointer(field).unwrap().as_str().unwrap();
            layout.join(digest.strip_prefix("sha256:").unwrap())
        };
        assert_eq!(names(&blob("/layers/0/digest"), "boot/"), wanted, "{transport}");
        let config: serde_json::Value = serde_json::from_slice(&fs::read(blob("/config/digest")).unwrap()).unwrap();
        assert_eq!(config.pointer("/config/Entrypoint/0").unwrap(), "/sbin/init");
        assert_eq!(config.pointer("/architecture").unwrap(), "amd64");
        // And moby's own store.
        let cache = path(&format!("cache-{transport}"));
        let run = |arguments: &[&str]| {
            let out = moby().env("MOBY_CACHE", &cache).args(arguments).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        };
        run(&["cache", "import", path(file).to_str().unwrap()]);
        assert!(run(&["cache", "ls"]).contains("docker.io/library/minimal"));
        run(&["cache", "verify"]);
    }
}
