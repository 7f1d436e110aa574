//! Small packages, .debs and YAMLs, which moby on two operating systems builds.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::{root, succeed};
use crate::error::{Result, cannot};

/// Packages made of files and of .debs, and moby's boot loaders.
pub const PACKAGES: &[&str] = &["kernel", "init", "hello", "greeting", "syslinux", "systemd-boot"];

const KERNEL: &str = "image: kernel
contents:
  - file: /kernel
    contents: MZ, a kernel
";

const INIT: &str = r#"image: init
entrypoint: [/bin/one, "--all"]
env: ["PATH=/bin"]
contents:
  # The init of an initrd that mounts a root filesystem.
  - file: /init
    mode: "0755"
    contents: init
  - file: /bin/one
    mode: "0755"
    contents: |
      #!/bin/sh
      echo one
  - copy: files
    to: usr/share/one
  - directory: /tmp
    mode: "1777"
  - symlink: /etc/link
    target: ../usr/share/one/noise
  - file: /usr/share/Größe/файл
    uid: 70000
    gid: 3
    contents: names that are not ASCII
"#;

const HELLO: &str = r#"image: hello
entrypoint: [/hello]
config:
  capabilities: [CAP_CHOWN]
contents:
  - file: /hello
    mode: "0755"
    contents: hello
"#;

const GREETING: &str = "image: greeting
contents:
  - debian: [greeting]
    exclude: [usr/share/doc/]
";

/// The machine. moby finds the directories of the boot loaders by itself. `boot.initrd` is given, since
/// moby would compile its own otherwise.
const YAML: &str = r#"kernel:
  image: "@pkg:kernel"
  cmdline: console=ttyS0 panic=5
  tar: none
boot:
  initrd: "@pkg:init"
init:
  - "@pkg:init"
  - "@pkg:greeting"
onboot:
  - name: first
    image: "@pkg:hello"
    uid: first
    binds: ["data:/data"]
services:
  - name: second
    image: "@pkg:hello"
    net: host
volumes:
  - name: data
files:
  - path: etc/motd
    contents: |
      hello
      from files
    mode: "0644"
  - path: etc/noise
    source: init/files/noise
    mode: "0600"
  - path: var/empty
    directory: true
  - path: etc/also
    symlink: motd
  - path: etc/linuxkit.yml
    metadata: yaml
  - path: DEEP
    contents: at the bottom
"#;

/// Writes all inputs into a directory that does not exist yet.
pub fn write(directory: &Path) -> Result {
    let put = |name: &str, text: &[u8]| {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.map_err(cannot(format!("write {}", path.display())))
    };
    for (package, recipe) in [
        ("kernel", KERNEL),
        ("init", INIT),
        ("hello", HELLO),
        ("greeting", GREETING),
    ] {
        put(&format!("{package}/build.yml"), recipe.as_bytes())?;
    }
    // Longer than the chunk of any compression.
    let noise = (0..1_500_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes());
    put("init/files/noise", &noise.collect::<Vec<u8>>())?;
    put("init/files/run.sh", b"#!/bin/sh\n")?;
    put("init/files/a/b/c", b"\r\n")?;
    let yaml = YAML.replace(
        "DEEP",
        &"d/".repeat(400).trim_end_matches('/').replace("d/d/d/d", "deep/d/d"),
    );
    put("machine.yml", yaml.as_bytes())?;
    put("crlf.yml", yaml.replace('\n', "\r\n").as_bytes())?;
    put(
        "wrong.yml",
        b"services:\n  - {name: a, image: b}\n  - {name: a, image: b}\n",
    )?;
    put("no-image.yml", b"onboot:\n  - name: a\n    image: nothing/here\n")?;
    debs(directory, &put)?;
    // The recipes of the boot loaders, and their .debs, which moby fetches.
    for package in ["syslinux", "systemd-boot"] {
        let recipe = root().join("pkg").join(package).join("build.yml");
        let text = fs::read(&recipe).map_err(cannot(format!("read {}", recipe.display())))?;
        put(&format!("{package}/build.yml"), &text)?;
        let cache = root().join("target/windows/fetched").join(package);
        let mut fetch = Command::new(root().join("target/debug/moby"));
        fetch
            .args(["-q", "pkg", "build", "--arch", "amd64", "--cache"])
            .arg(&cache)
            .arg(recipe.parent().unwrap_or(directory))
            .stdout(std::process::Stdio::null());
        succeed(fetch)?;
        let mut copy = Command::new("find");
        copy.arg(cache.join("moby/apt/amd64/archives"))
            .args(["-name", "*.deb", "-exec", "cp", "{}"])
            .arg(directory.join("debs"))
            .arg(";");
        succeed(copy)?;
    }
    Ok(())
}

/// Writes a file into the directory.
type Put<'a> = dyn Fn(&str, &[u8]) -> Result + 'a;

/// Writes a Debian package and its dependency, with different compression.
fn debs(directory: &Path, put: &Put<'_>) -> Result {
    let debs = directory.join("debs");
    fs::create_dir_all(&debs).map_err(cannot(format!("create {}", debs.display())))?;
    for (package, depends, compression) in [("greeting", "words", "xz"), ("words", "", "gzip")] {
        let mut control = format!(
            "Package: {package}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a test\n"
        );
        if !depends.is_empty() {
            control.push_str(&format!("Depends: {depends} (>= 1.0)\n"));
        }
        put(&format!("tree/{package}/DEBIAN/control"), control.as_bytes())?;
        put(&format!("tree/{package}/usr/share/{package}/text"), package.as_bytes())?;
        put(&format!("tree/{package}/usr/share/doc/{package}/copyright"), b"none\n")?;
        let mut link = Command::new("ln");
        link.args(["-s", "text", "link"]);
        link.current_dir(directory.join("tree").join(package).join("usr/share").join(package));
        succeed(link)?;
        let mut build = Command::new("dpkg-deb");
        build
            .arg(format!("-Z{compression}"))
            .args(["--root-owner-group", "--build"])
            .arg(directory.join("tree").join(package))
            .arg(debs.join(format!("{package}_1.0_all.deb")))
            .stdout(std::process::Stdio::null());
        succeed(build)?;
    }
    let tree = directory.join("tree");
    fs::remove_dir_all(&tree).map_err(cannot(format!("remove {}", tree.display())))
}
