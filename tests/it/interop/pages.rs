//! docs/how-to/registries.md and docs/how-to/lock.md, followed literally: the hosts that they name are a
//! registry on loopback, behind a proxy for HTTPS.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::page;
use crate::common::registry::{Registry, Tunnel, htpasswd, tls};
use crate::common::site::Site;

/// The hosts of the pages, for a certificate.
const HOSTS: &str = "DNS:registry-1.docker.io,DNS:ghcr.io,DNS:example.org,DNS:registry.example.org,\
    DNS:mirror.example.org,IP:127.0.0.1";

/// The network of the pages.
struct Network {
    site: Site,
    open: Registry,
    /// `ghcr.io`, which demands a password.
    _closed: Registry,
    tunnel: Tunnel,
}

impl Network {
    fn start() -> Network {
        let site = super::registry::site(1000);
        let tls = tls(&site, HOSTS);
        let registry = |name: &str, auth: &str| {
            fs::create_dir(site.path(name)).unwrap();
            Registry::start(&site.path(name), &tls, auth)
        };
        let (open, closed) = (registry("open", ""), registry("closed", &htpasswd(&site)));
        let ports = (open.port, closed.port);
        let tunnel = Tunnel::start(move |host| if host == "ghcr.io:443" { ports.1 } else { ports.0 });
        let network = Network {
            site,
            open,
            _closed: closed,
            tunnel,
        };
        for name in ["library/nginx:1.27", "library/nginx:latest"] {
            let to = format!("docker://{}/{name}", network.open.host());
            network.copy(&["--dest-tls-verify=false", "oci:images:example.org/app:v1", &to]);
        }
        network
    }

    /// Copies an image by skopeo.
    fn copy(&self, arguments: &[&str]) {
        super::registry::skopeo(&self.site, &[&["copy", "-q", "--all"], arguments].concat());
    }

    /// Runs commands.
    fn run(&self, script: &str) -> String {
        page::run(&mut self.command(script))
    }

    fn command(&self, script: &str) -> Command {
        let mut command = page::shell(&self.site, &[], script);
        for variable in ["https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(variable);
        }
        command
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.tunnel.port))
            .env("SSL_CERT_FILE", self.site.path("ca.crt"))
            .stdin(Stdio::null());
        command
    }

    /// Returns the hosts that were asked for since the last call.
    fn hosts(&self) -> Vec<String> {
        let mut hosts = std::mem::take(&mut *self.tunnel.hosts.lock().unwrap());
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Returns whether the open registry has an image.
    fn has(&self, name: &str) -> bool {
        let name = format!("docker://{}/{name}", self.open.host());
        let mut inspect = Command::new("skopeo");
        inspect.args(["inspect", "--raw", "--tls-verify=false", &name]);
        inspect.output().unwrap().status.success()
    }
}

#[test]
fn registries_are_used_as_the_page_says() {
    let network = Network::start();
    let section = |title: &str| page::commands("registries.md", title);

    let [pull, pull_yaml] = section("Pull").try_into().unwrap();
    network.run(&pull);
    assert_eq!(network.hosts(), ["registry-1.docker.io:443"]);
    network.site.write("machine.yml", "init: [\"nginx:latest\"]\n");
    network.run(&pull_yaml);
    let listed = network.run("moby cache ls --names");
    assert_eq!(listed, "docker.io/library/nginx\ndocker.io/library/nginx:1.27\n");

    let [ask, given] = section("Log in").try_into().unwrap();
    // script gives the command a terminal.
    let mut asked = network.command(&format!("echo secret | script -qec '{}' /dev/null", ask.trim_end()));
    let said = page::run(&mut asked);
    assert!(said.contains("Password: "), "{said}");
    let config = network.site.path("home/.docker/config.json");
    let stored = || fs::read_to_string(&config).unwrap();
    assert!(stored().contains("ghcr.io"));
    network.run("moby logout ghcr.io");
    assert!(!stored().contains("ghcr.io"));
    network.site.write("token.txt", "secret\n");
    network.run(&given);
    assert!(stored().contains("ghcr.io"));
    assert_eq!(network.hosts(), ["ghcr.io:443", "registry-1.docker.io:443"]);

    for name in ["example.org/team/app:v1", "docker.io/moby/hello:latest"] {
        network.copy(&["oci:images:example.org/app:v1", &format!("oci:more:{name}")]);
    }
    network.run("moby -q cache import more");
    let [push, push_other] = section("Push").try_into().unwrap();
    network.run(&push);
    network.run(&push_other);
    assert_eq!(network.hosts(), ["example.org:443", "registry.example.org:443"]);
    assert!(network.has("team/app:v1") && network.has("team/hello:v1") && !network.has("moby/hello:latest"));

    let [mirror, export] = section("Use a mirror").try_into().unwrap();
    network.run(&mirror);
    network.run(&format!("{export}moby cache pull nginx:1.27"));
    assert_eq!(network.hosts(), ["mirror.example.org:443"]);
}

#[test]
fn locks_are_used_as_the_page_says() {
    let network = Network::start();
    let site = &network.site;
    let section = |title: &str| page::commands("lock.md", title);
    site.package("kernel", "  - file: /kernel\n    contents: MZ, a kernel\n");
    site.package("tool", "  - file: /bin/tool\n    contents: one\n");
    site.write(
        "machine.yml",
        "kernel: {image: \"@pkg:kernel\", tar: none}\ninit: [\"nginx:1.27\", \"@pkg:tool\"]\n",
    );
    let lock = || fs::read_to_string(site.path("machine.lock")).unwrap();

    let [write, write_both] = section("Write a lock").try_into().unwrap();
    network.run(&write);
    let one = lock();
    network.run(&write_both);
    assert!(one.contains("linux/arm64") && lock().contains("docker.io/library/nginx:1.27"));
    let locked = lock();

    let [build] = section("Build with a lock").try_into().unwrap();
    network.run(&build);
    // What the lock lacks is named.
    site.write(
        "tool/build.yml",
        "image: tool\ncontents:\n  - file: /bin/tool\n    contents: two\n",
    );
    let output = network.command(&build).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("@pkg:tool"), "{said}");

    // Both move: the tag, and the package's sources.
    let moved = super::registry::site(2000);
    let to = format!("docker://{}/library/nginx:1.27", network.open.host());
    let copy = [
        "copy",
        "-q",
        "--all",
        "--dest-tls-verify=false",
        "oci:images:example.org/app:v1",
        &to,
    ];
    super::registry::skopeo(&moved, &copy);
    let [update, update_one] = section("Update").try_into().unwrap();
    let mut one_by_one = update_one.lines();
    network.run("rm -r cache");
    let said = network.run(one_by_one.next().unwrap());
    assert!(said.contains("nginx:1.27 moved from sha256:"), "{said}");
    network.run(one_by_one.next().unwrap());
    assert_eq!(one_by_one.next(), None);
    let updated = lock();
    assert!(updated != locked);
    network.run(&update);
    assert_eq!(lock(), updated);
    network.run(&build);

    let [debs] = section("Old Debian versions").try_into().unwrap();
    fs::create_dir(site.path("debs")).unwrap();
    network.run(&debs);
}
