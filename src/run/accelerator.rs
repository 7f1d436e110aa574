//! Choice of the accelerator for QEMU, and the memory of one that failed on this host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::Machine;
use super::console::Symptom;
use super::qemu::Qemu;
use crate::bounded;

/// QEMU's emulation of the CPU, which works on every host.
pub const TCG: &str = "tcg";

/// Returns the accelerator of the host's operating system.
fn of_host() -> Option<&'static str> {
    match std::env::consts::OS {
        "linux" => Some("kvm"),
        "macos" => Some("hvf"),
        "windows" => Some("whpx"),
        _ => None,
    }
}

/// Returns QEMU's arguments for the CPU of a guest under an accelerator. WHPX has no `host` on PCs, where
/// QEMU's default works (docs/system/whpx).
pub fn cpu(accelerator: &str, arch: &str) -> &'static [&'static str] {
    if accelerator.starts_with("whpx") && arch == "amd64" {
        &[]
    } else {
        &["-cpu", "host"]
    }
}

/// Chooses the accelerator for guests of the host's own architecture: the operating system's, if
/// QEMU can use it and it did not fail since the host's last boot.
pub fn choose(program: &Path, machine: &Machine, qemu: Qemu) -> &'static str {
    let cache = machine.cache.as_deref();
    let usable = |accelerator: &&str| {
        failure(cache, accelerator).is_none()
            && works(program, qemu.machine, accelerator, cpu(accelerator, &machine.arch))
    };
    of_host().filter(usable).unwrap_or(TCG)
}

/// Returns whether QEMU can set up a machine with an accelerator. A guest may still fail
/// under it.
fn works(program: &Path, machine: &str, accelerator: &str, cpu: &[&str]) -> bool {
    let child = Command::new(program)
        .args(["-machine", machine, "-accel", accelerator])
        .args(cpu)
        .args(["-S", "-nodefaults", "-display", "none", "-monitor", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut stdin) = child.stdin.take() {
        // QEMU may have failed already, and then nobody reads.
        let _ = std::io::Write::write_all(&mut stdin, b"quit\n");
    }
    child.wait().is_ok_and(|status| status.success())
}

/// A failure of an accelerator, as the cache directory keeps it.
#[derive(Serialize, Deserialize)]
struct Failure {
    accelerator: String,
    symptom: String,
}

/// Returns the file for failures since the host's last boot; none where the boot cannot be told apart
/// from others.
fn file(cache: Option<&Path>) -> Option<PathBuf> {
    let boot = boot_id()?;
    Some(cache?.join("moby/accelerators").join(format!("{boot}.json")))
}

/// Returns an identifier of the host's current boot.
fn boot_id() -> Option<String> {
    let id = match std::env::consts::OS {
        "linux" => fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?,
        "macos" => {
            let output = Command::new("/usr/sbin/sysctl")
                .args(["-n", "kern.bootsessionuuid"])
                .output();
            String::from_utf8(output.ok()?.stdout).ok()?
        }
        _ => return None,
    };
    let id = id.trim();
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_plain.then(|| id.to_owned())
}

/// Maximum length of a remembered failure, in bytes.
const MAX_FAILURE: u64 = 64 << 10;

/// Returns the remembered failure of an accelerator on this host since its last boot.
fn failure(cache: Option<&Path>, accelerator: &str) -> Option<Failure> {
    let failure: Failure = serde_json::from_slice(&bounded::regular(&file(cache)?, MAX_FAILURE).ok()?).ok()?;
    (failure.accelerator == accelerator).then_some(failure)
}

/// Remembers that an accelerator failed. What was remembered of earlier boots is removed. A cache
/// that cannot be written costs time at the next run, and nothing else.
pub fn remember(cache: Option<&Path>, accelerator: &str, symptom: Symptom) -> bool {
    let failure = Failure {
        accelerator: accelerator.to_owned(),
        symptom: symptom.to_string(),
    };
    let (Some(file), Ok(text)) = (file(cache), serde_json::to_vec(&failure)) else {
        return false;
    };
    if let Some(directory) = file.parent() {
        let _ = fs::remove_dir_all(directory);
        let _ = fs::create_dir_all(directory);
    }
    fs::write(file, text).is_ok()
}
