//! docs/how-to/air-gap.md, followed literally: its commands, on a machine with a registry, and in a
//! network namespace without interfaces.

use std::fs;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::page;
use crate::common::registry::Registry;
use crate::common::site::{Site, YAML, files};
use crate::common::trust;

#[test]
fn how_to_page_is_followed_without_a_network() {
    let site = Site::new();
    let registry = Registry::start(&site.path(""), "", "");
    let name = format!("{}/team/app:v1", registry.host());
    let push = |content: &str| {
        let mut layout = Layout::new(&site.path(content));
        let manifests = ["amd64", "arm64"].map(|arch| {
            let text = format!("{content} for {arch}");
            layout.manifest(arch, &[Layer::gzip(&tar(&[(b'0', "a", "", text.as_bytes())]))])
        });
        let index = layout.index(&manifests);
        layout.name("app", index);
        let to = format!("docker://{name}");
        let from = format!("oci:{content}:app");
        let copy = [
            "--insecure-policy",
            "copy",
            "-q",
            "--all",
            "--dest-tls-verify=false",
            &from,
            &to,
        ];
        site.run("skopeo", &copy);
    };
    push("old");
    site.write("banner", "hello\n");
    let yaml = YAML.replace("onboot:", &format!("  - {name}\nonboot:"));
    site.write(
        "machine.yml",
        &format!("{yaml}  - path: etc/banner\n    source: banner\ntrust:\n  policy: policy.yml\n"),
    );
    // The image must be signed, here and beyond.
    let host = registry.host();
    site.write(
        "policy.yml",
        &format!("images:\n  - name: {host}/**\n    keys: [team.pub]\ndefault: accept-unsigned\n"),
    );
    fs::copy(trust::file("p256.pub"), site.path("team.pub")).unwrap();
    let here = |script: &str| page::run(&mut page::shell(&site, &[], script));
    here(&format!(
        "moby cache pull {name} && moby sign {name} --key {}",
        trust::key("p256.key")
    ));
    let beyond = Site(tempfile::tempdir().unwrap());
    let there = |script: &str| page::run(&mut page::shell(&beyond, &["unshare", "-rn"], script));
    let carry = |name: &str| {
        fs::copy(site.path(name), beyond.path(name)).unwrap();
    };
    let bits = |site: &Site, directory: &str| {
        let directory = site.path(directory);
        let names = files(&directory)
            .into_iter()
            .filter(|name| name.starts_with("machine-"));
        names
            .map(|name| (name.clone(), fs::read(directory.join(name)).unwrap()))
            .collect::<Vec<_>>()
    };
    // Two lines of header, and loopback, which is down.
    let interfaces = there("cat /proc/net/dev");
    assert_eq!(interfaces.lines().count(), 3, "{interfaces}");

    let [create] = page::commands("air-gap.md", "With the network: create a bundle")
        .try_into()
        .unwrap();
    here(&create);
    here("moby build machine.yml");
    let expected = bits(&site, "");
    assert_eq!(expected.len(), 3);
    drop(registry);
    carry("site.tar");
    let raw = site.run("skopeo", &["inspect", "--raw", &format!("oci-archive:site.tar:{name}")]);
    assert!(String::from_utf8(raw).unwrap().contains("arm64"));

    let [build] = page::commands("air-gap.md", "Without the network: build")
        .try_into()
        .unwrap();
    let said = there(&build);
    assert!(
        said.contains(&name) && said.contains("banner") && said.contains("machine.lock"),
        "{said}"
    );
    assert!(
        said.contains("team.pub") && said.contains("policy.yml of the bundle"),
        "{said}"
    );
    // A policy that was carried another way counts.
    beyond.write("own.yml", "default: reject\n");
    let refused = there(&format!(
        "{}|| echo refused",
        build.trim_end().replace("build", "build --policy own.yml") + " "
    ));
    assert!(refused.contains("rejected by the default of own.yml"), "{refused}");
    assert!(bits(&beyond, "") == expected);
    let [change] = page::commands("air-gap.md", "Change the YAML").try_into().unwrap();
    there(&change);
    assert!(bits(&beyond, "files") == expected);

    // The first machine moves on.
    site.write("init/noise", "other");
    let [create, build] = page::commands("air-gap.md", "Bring only what is new")
        .try_into()
        .unwrap();
    here(&create);
    here("moby build machine.yml");
    carry("update.tar");
    assert!(fs::metadata(site.path("update.tar")).unwrap().len() < fs::metadata(site.path("site.tar")).unwrap().len());
    there(&build);
    assert!(bits(&beyond, "") == bits(&site, "") && bits(&beyond, "") != expected);

    let [import] = page::commands("air-gap.md", "Use the cache in place of bundles")
        .try_into()
        .unwrap();
    there(&import);
    there(
        "cp files/machine.yml files/machine.lock files/banner files/policy.yml files/team.pub . && moby build --offline machine.yml",
    );
    assert!(bits(&beyond, "") == expected);
}
