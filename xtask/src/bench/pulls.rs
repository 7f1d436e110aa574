//! `cargo xtask bench --registry`: the time that moby and skopeo take to pull an image from Debian's
//! docker-registry on loopback.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{ROUNDS, median};
use crate::command::{root, succeed};
use crate::error::{Error, Result, cannot};
use crate::registry::Registry;

/// Writes an image of six layers, 200 MB that cannot be compressed, as the layout `image`, and a certificate for
/// loopback.
const PREPARE: &str = r#"
blob() { # FILE TYPE: moves a file to the layout and prints its descriptor
    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    size=$(stat -c %s "$1")
    mv "$1" "image/blobs/sha256/$digest"
    printf '{"mediaType": "application/vnd.oci.image.%s", "digest": "sha256:%s", "size": %s' "$2" "$digest" "$size"
}
mkdir -p image/blobs/sha256 registry
layers= diff_ids=
for megabytes in 60 50 40 30 15 5; do
    head -c "${megabytes}000000" /dev/urandom > noise
    tar -cf layer noise
    diff_ids="$diff_ids, \"sha256:$(sha256sum layer | cut -d ' ' -f 1)\""
    gzip -1 -n layer
    layers="$layers, $(blob layer.gz layer.v1.tar+gzip)}"
done
printf '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [%s]}}' "${diff_ids#, }" > config
config="$(blob config config.v1+json)}"
printf '{"schemaVersion": 2, "config": %s, "layers": [%s]}' "$config" "${layers#, }" > manifest
manifest="$(blob manifest manifest.v1+json), \"annotations\": {\"org.opencontainers.image.ref.name\": \"v1\"}}"
printf '{"schemaVersion": 2, "manifests": [%s]}' "$manifest" > image/index.json
printf '{"imageLayoutVersion": "1.0.0"}' > image/oci-layout
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry -days 30 \
    -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
    -keyout registry/tls.key -out registry/tls.crt 2> /dev/null
mkdir -p certs
cp registry/tls.crt certs/ca.crt
"#;

/// Wall time and CPU time of a command.
struct Times {
    wall: Duration,
    cpu: Duration,
}

/// Prints a table in Markdown.
pub fn pulls() -> Result {
    crate::run("cargo", &["build", "--release", "--package", "moby"])?;
    let work = root().join("target/bench-registry");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work).map_err(cannot(format!("create {}", work.display())))?;
    let bash = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-euc", script]).current_dir(&work);
        command
    };
    succeed(bash(PREPARE))?;
    let moby = root().join("target/release/moby");
    println!("| protocol | program | wall | CPU |\n| --- | --- | --- | --- |");
    for is_tls in [true, false] {
        if !is_tls {
            succeed(bash("rm registry/tls.*"))?;
        }
        let registry = Registry::start(&work.join("registry"))?;
        let host = &registry.host;
        // Plain HTTP is for loopback only, and skopeo needs to be told.
        let (verify, protocol) = if is_tls { ("true", "HTTPS") } else { ("false", "HTTP") };
        succeed(bash(&format!(
            "skopeo --insecure-policy copy -q --dest-cert-dir certs --dest-tls-verify={verify} \
             oci:image:v1 docker://{host}/app:v1"
        )))?;
        let ours = format!(
            "{} -q --cert-file certs/ca.crt --cache out cache pull {host}/app:v1 --arch amd64",
            moby.display()
        );
        let theirs = format!(
            "skopeo --insecure-policy copy -q --src-cert-dir certs --src-tls-verify={verify} \
             docker://{host}/app:v1 oci:out:v1"
        );
        let mut times = [Vec::new(), Vec::new()];
        // They take turns, since the speed of a machine varies. The first round warms the caches.
        for round in 0..=ROUNDS {
            for (command, times) in [&ours, &theirs].into_iter().zip(&mut times) {
                succeed(bash("rm -rf out"))?;
                let found = time(&work, command)?;
                if round > 0 {
                    times.push(found);
                }
            }
        }
        for (name, times) in ["moby", "skopeo"].into_iter().zip(times) {
            let of = |value: fn(&Times) -> Duration| median(times.iter().map(value).collect()).as_secs_f64();
            println!(
                "| {protocol} | {name} | {:.2} s | {:.2} s |",
                of(|times| times.wall),
                of(|times| times.cpu)
            );
        }
    }
    std::fs::remove_dir_all(&work).map_err(cannot(format!("remove {}", work.display())))
}

/// Times a command by bash, which knows the CPU time.
fn time(directory: &Path, command: &str) -> Result<Times> {
    let mut bash = Command::new("bash");
    bash.args(["-euc", &format!("TIMEFORMAT='%R %U %S'; time {command}")])
        .current_dir(directory);
    let output = bash.output().map_err(cannot(format!("run {bash:?}")))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let unusable = || Error::new(format!("{command} ended with {}: {stderr}", output.status));
    let last = stderr
        .lines()
        .last()
        .filter(|_| output.status.success())
        .ok_or_else(unusable)?;
    let seconds: Vec<f64> = last.split(' ').filter_map(|text| text.parse().ok()).collect();
    let [wall, user, system] = seconds.try_into().map_err(|_| unusable())?;
    Ok(Times {
        wall: Duration::from_secs_f64(wall),
        cpu: Duration::from_secs_f64(user + system),
    })
}
