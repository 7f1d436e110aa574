//! Access to registries: credential helpers, and certificate authorities in `certs.d`.

use std::fs;
use std::process::Command;

use super::registry::{command, message, moby, push, site};
use crate::common::registry::{Registry, htpasswd, tls};
use crate::common::site::good;

#[cfg(unix)]
#[test]
fn credential_helpers_are_asked() {
    use std::os::unix::fs::PermissionsExt;
    let site = site(1000);
    let registry = Registry::start(&site.path(""), "", &htpasswd(&site));
    let host = registry.host();
    site.write(
        "bin/docker-credential-test",
        "#!/bin/sh\nread -r host\necho \"$1 $host\" >> asked\n\
         echo '{\"ServerURL\": \"any\", \"Username\": \"me\", \"Secret\": \"secret\"}'\n",
    );
    let helper = site.path("bin/docker-credential-test");
    fs::set_permissions(helper, fs::Permissions::from_mode(0o755)).unwrap();
    let name = format!("{host}/team/app:v1");
    let path = format!("{}:/usr/bin:/bin", site.path("bin").display());
    for key in [format!("{{\"{host}\": \"test\"}}"), "\"test\"".to_owned()] {
        let field = if key.starts_with('{') {
            "credHelpers"
        } else {
            "credsStore"
        };
        site.write("docker/config.json", &format!("{{\"{field}\": {key}}}"));
        fs::remove_dir_all(site.path("cache")).ok();
        // The first of them pushes the image.
        if field == "credHelpers" {
            good(moby(&site, &["-q", "cache", "import", "images"]));
            let mut push = command(&site, &["cache", "push", "example.org/app:v1", &name]);
            good(push.env("PATH", &path).output().unwrap());
            fs::remove_dir_all(site.path("cache")).unwrap();
        }
        let mut pull = command(&site, &["cache", "pull", &name, "--arch", "amd64"]);
        good(pull.env("PATH", &path).output().unwrap());
        let asked = fs::read_to_string(site.path("asked")).unwrap();
        assert!(asked.lines().count() > 0 && asked.lines().all(|line| line == format!("get {host}")));
        fs::remove_file(site.path("asked")).unwrap();
    }
    let said = message(moby(&site, &["cache", "pull", &name, "--arch", "arm64"]));
    assert!(said.contains("docker-credential-test"), "{said}");
}

#[test]
fn authorities_of_a_host_are_read_from_certs_d() {
    let site = site(1000);
    let plain = Registry::start(&site.path(""), "", "");
    push(&site, &plain, "team/app:v1");
    drop(plain);
    let registry = Registry::start(&site.path(""), &tls(&site, "IP:127.0.0.1"), "");
    let host = registry.host();
    let name = format!("{host}/team/app:v1");
    let pull = ["cache", "pull", &name, "--arch", "amd64"];
    message(moby(&site, &pull));
    let moby = command(&site, &pull);
    // A mount namespace with another /etc/containers, which skopeo's packages create.
    let directory = site.path("containers/certs.d").join(&host);
    fs::create_dir_all(&directory).unwrap();
    fs::copy(site.path("ca.crt"), directory.join("own.crt")).unwrap();
    let script = "mount --bind containers /etc/containers; exec \"$@\"";
    let mut namespace = Command::new("unshare");
    namespace
        .args(["-rm", "sh", "-ec", script, "sh"])
        .arg(moby.get_program());
    namespace.args(moby.get_args()).current_dir(site.path(""));
    for (name, value) in moby.get_envs().filter(|(name, _)| *name != "PATH") {
        match value {
            Some(value) => namespace.env(name, value),
            None => namespace.env_remove(name),
        };
    }
    good(namespace.output().unwrap());
}
