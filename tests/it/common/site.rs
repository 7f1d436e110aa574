//! A directory with two packages of inline files and a YAML; its cache is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const YAML: &str = r#"
kernel:
  image: "@pkg:kernel"
  cmdline: console=ttyS0
  tar: none
init:
  - "@pkg:init"
onboot:
  - name: one
    image: "@pkg:init"
    uid: one
    binds: ["data:/data"]
volumes:
  - name: data
files:
  - path: etc/motd
    contents: "hello\n"
    mode: "0644"
"#;

pub struct Site(pub tempfile::TempDir);

impl Site {
    pub fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        site.write(
            "kernel/build.yml",
            "image: kernel\ncontents:\n  - file: /kernel\n    contents: MZ, a kernel\n",
        );
        let noise: String = (0..40_000u32)
            .map(|i| format!("{:x}", i.wrapping_mul(2_654_435_761)))
            .collect();
        let init = "image: init\nentrypoint: [/bin/one]\ncontents:\n  - file: /bin/one\n    mode: \"0755\"\n    contents: one\n";
        site.write(
            "init/build.yml",
            &format!("{init}  - copy: noise\n    to: /usr/noise\n"),
        );
        site.write("init/noise", &noise);
        site.write("machine.yml", YAML);
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the recipe of a package of nothing but `contents:`.
    pub fn package(&self, name: &str, contents: &str) {
        self.write(
            &format!("{name}/build.yml"),
            &format!("image: {name}\ncontents:\n{contents}"),
        );
    }

    /// moby with no PATH, so that no other program can help it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moby"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("PATH", "")
            .env_remove("SOURCE_DATE_EPOCH")
            .env("MOBY_OFFLINE", "1")
            .env("MOBY_CACHE", self.path("cache"));
        command
    }

    /// Runs moby.
    pub fn moby(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn build(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["-q", "build", "--rebuild"];
        all.extend(arguments);
        self.moby(&all)
    }

    /// Runs another program, which has to succeed, and returns what it prints.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.0.path())
            .output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    pub fn blob(&self, large: bool) -> PathBuf {
        let blobs = fs::read_dir(self.path("cache/blobs/sha256")).unwrap();
        let mut blobs: Vec<_> = blobs.map(|entry| entry.unwrap().path()).collect();
        blobs.sort_by_key(|path| fs::metadata(path).unwrap().len());
        let at = if large { blobs.len() - 1 } else { 0 };
        blobs[at].clone()
    }
}

pub fn good(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The message of a command that has to fail with a status.
pub fn refused(output: Output, status: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{message}");
    message
}

pub fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The files in a directory that are, or may be, initrds.
pub fn initrds(directory: &Path) -> Vec<String> {
    let mut names = files(directory);
    names.retain(|name| name.contains("initrd"));
    names
}
