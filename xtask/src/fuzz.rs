//! `cargo xtask fuzz`: each target of `fuzz/` for a while, from seeds that are made here. No sanitizer
//! takes part, as there is no unsafe code; overflows and assertions are checked. It needs a
//! nightly compiler and cargo-fuzz.

use std::path::Path;
use std::process::Command;

use crate::foreign::{root, succeed};

/// The longest file that is a seed, in bytes: fuzzing lives on speed.
const LONGEST: u64 = 128 << 10;

/// What writes the seeds that are not worth a file: folders are those of targets. `$M` is moby.
const SEEDS: &str = r#"
for target in yaml reference deb modinfo layout layer inspect cpio loader; do mkdir -p corpus/$target; done
n=0; for file in ../examples/*.yml ../pkg/*/build.yml; do n=$((n + 1)); cp $file corpus/yaml/$n; done
n=0; for name in nginx docker.io/library/nginx:latest a.b:80/c/d@sha256:$(printf '0%.0s' $(seq 64)); do
  n=$((n + 1)); printf %s $name > corpus/reference/$n; done
mkdir -p work/p/DEBIAN work/p/usr/bin; echo a > work/p/usr/bin/a; ln -sf a work/p/usr/bin/b
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: p\n' > work/p/DEBIAN/control
for how in gzip xz zstd none; do dpkg-deb -Z$how -b work/p corpus/deb/$how >/dev/null; done
tar -C work/p -cf corpus/layer/ustar --format=ustar usr; tar -C work/p -cf corpus/layer/pax --format=pax usr
ln -f work/p/usr/bin/a work/p/usr/bin/hard; mkfifo -m 600 work/p/usr/pipe 2>/dev/null || true
touch work/p/usr/.wh.gone; tar -C work/p -cf corpus/layer/gnu --format=gnu usr
(cd work/p; find . | cpio -o -H newc --quiet) > corpus/cpio/one
cp corpus/cpio/one corpus/inspect/cpio; gzip -kfc corpus/cpio/one > corpus/inspect/gzip; zstd -qc corpus/cpio/one > corpus/inspect/zstd
printf '%s\n' 'char modinfo[] __attribute__((section(".modinfo"))) = "depends=two\0alias=pci:*\0name=one";' > work/one.c
if command -v cc >/dev/null; then cc -c work/one.c -o corpus/modinfo/one; fi
cat > corpus/layout/index <<'END'
{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}
---
{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",@0},"layers":[]}
---
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",@1,"annotations":{"org.opencontainers.image.ref.name":"a"}}]}
END
cat > corpus/layout/saved <<'END'
{}
---
{}
---
[{"Config":"a.json","RepoTags":["a:1"],"Layers":["b/layer.tar"]}]
END
cat > work/tiny.yml <<'END'
files: [{path: a, contents: b}]
END
$M -q build -f tar,kernel+initrd --dir work work/tiny.yml
truncate -s 48K work/disk; echo '1,,c' | sfdisk -q work/disk
qemu-img convert -f raw -O qcow2 -o cluster_size=512 work/disk corpus/inspect/qcow2
qemu-img convert -f raw -O vmdk work/disk corpus/inspect/vmdk
mkfs.fat -C work/fat 64 >/dev/null 2>&1 && mcopy -i work/fat work/tiny.yml ::/ && cp work/fat corpus/inspect/fat
genisoimage -quiet -no-pad -R -o corpus/inspect/cd work/tiny.yml 2>/dev/null || true
sgdisk -a 1 -n 1:40:60 work/disk >/dev/null 2>&1 && cp work/disk corpus/inspect/gpt || true
cp /usr/lib/systemd/boot/efi/linuxx64.efi.stub corpus/loader/ 2>/dev/null || true
cp work/tiny* corpus/inspect/; rm -rf work
"#;

/// Runs all targets, each for some seconds.
pub fn run(seconds: Option<&str>) -> Result<(), String> {
    let fuzz = root().join("fuzz");
    crate::run("cargo", &["build", "--package", "moby"])?;
    let mut seeds = Command::new("sh");
    seeds
        .args(["-euc", SEEDS])
        .current_dir(&fuzz)
        .env("M", root().join("target/debug/moby"));
    let folders = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    seeds
        .env("PATH", folders)
        .env("MOBY_CACHE", root().join("target/test-cache"));
    succeed(seeds)?;
    shorten(&fuzz.join("corpus"))?;
    let mut failed = Vec::new();
    for target in targets(&fuzz)? {
        let mut command = Command::new("cargo");
        command
            .args(["+nightly", "fuzz", "run", "-O", "-a", "-s", "none", &target, "--"])
            .current_dir(root());
        command.arg(format!("-max_total_time={}", seconds.unwrap_or("60")));
        command
            .args(["-rss_limit_mb=3000", "-timeout=20"])
            .arg(format!("-max_len={LONGEST}"));
        if succeed(command).is_err() {
            failed.push(target);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "these found something: {}; see fuzz/artifacts",
            failed.join(", ")
        )),
    }
}

/// The names of the targets.
fn targets(fuzz: &Path) -> Result<Vec<String>, String> {
    let listed = std::fs::read_dir(fuzz.join("fuzz_targets")).map_err(|error| error.to_string())?;
    let name = |entry: std::fs::DirEntry| Some(entry.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = listed.flatten().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Removes seeds that are too long.
fn shorten(corpus: &Path) -> Result<(), String> {
    let list = |path: &Path| std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()));
    for folder in list(corpus)?.flatten() {
        for file in list(&folder.path())?.flatten() {
            if file.metadata().is_ok_and(|meta| meta.len() > LONGEST) {
                std::fs::remove_file(file.path()).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(())
}
