//! Documents about a build, as validators of other projects read them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, good};

const SPDX: &str = "
import sys
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
document = parse_file(sys.argv[1])
messages = validate_full_spdx_document(document, 'SPDX-2.3')
for message in messages:
    print(message.validation_message)
print(len(document.packages), 'packages')
sys.exit(1 if messages else 0)
";
const CYCLONEDX: &str = "
import json, sys
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
text = open(sys.argv[1]).read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error:
    print(error)
    sys.exit(1)
bom = Bom.from_json(json.loads(text))
bom.validate()
print(len(bom.components), 'components')
";

/// Runs a script of the Python environment that `cargo xtask test` makes.
fn python(script: &str, file: &Path) -> Output {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let output = Command::new(&python).args(["-c", script]).arg(file).output();
    output.unwrap_or_else(|error| panic!("{}: {error}", python.display()))
}

fn valid(script: &str, file: &Path) {
    let output = python(script, file);
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    assert!(
        output.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&text)
    );
}

/// A site with packages of every kind that moby reads; a Go program is that of skopeo.
fn site() -> Site {
    let site = Site::new();
    site.package(
        "deb",
        "  - file: /var/lib/dpkg/status.d/hello\n    contents: \"Package: libstdc++6\\nVersion: 1:2.10-3+deb12u1\\nArchitecture: amd64\\nSource: gcc-12 (12.2.0-14)\\n\"\n",
    );
    site.package(
        "apk",
        "  - file: /lib/apk/db/installed\n    contents: \"P:musl\\nV:1.2.5-r0\\nA:x86_64\\nL:MIT\\n\\nP:odd\\nV:1\\nL:its own (license)\\n\\nP:two\\nV:2\\nL:MIT AND GPL-2.0-only\\n\"\n",
    );
    fs::create_dir_all(site.path("go")).unwrap();
    fs::copy("/usr/bin/skopeo", site.path("go/skopeo")).unwrap();
    site.write(
        "go/build.yml",
        "image: go\ncontents:\n  - copy: skopeo\n    to: /usr/bin/skopeo\n",
    );
    site.write(
        "m.yml",
        "init: [\"@pkg:deb\", \"@pkg:apk\"]\nonboot:\n  - {name: one, image: \"@pkg:go\"}\n",
    );
    site
}

#[test]
fn sboms_are_valid() {
    let site = site();
    good(site.build(&["--sbom", "spdx,cyclonedx", "-f", "tar", "m.yml"]));
    valid(SPDX, &site.path("m.spdx.json"));
    valid(CYCLONEDX, &site.path("m.cdx.json"));
    let text = fs::read_to_string(site.path("m.spdx.json")).unwrap();
    for package in [
        "pkg:deb/debian/libstdc%2B%2B6@1:2.10-3%2Bdeb12u1?arch=amd64",
        "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64",
        "pkg:golang/stdlib@1.",
    ] {
        assert!(text.contains(package), "{package}: {text}");
    }
    // The validators refuse what is wrong.
    let wrong = text.replace("\"SPDXRef-Image-0\"", "\"not an identifier\"");
    site.write("wrong.spdx.json", &wrong);
    assert!(!python(SPDX, &site.path("wrong.spdx.json")).status.success());
    let cyclonedx = fs::read_to_string(site.path("m.cdx.json")).unwrap();
    site.write("wrong.cdx.json", &cyclonedx.replace("\"container\"", "\"box\""));
    assert!(!python(CYCLONEDX, &site.path("wrong.cdx.json")).status.success());
}

#[test]
fn an_sbom_of_an_output_is_valid_too() {
    let site = site();
    good(site.build(&["-f", "tar", "m.yml"]));
    for (format, script) in [("spdx", SPDX), ("cyclonedx", CYCLONEDX)] {
        let document = good(site.moby(&["inspect", &format!("--sbom={format}"), "m.tar"]));
        let found: Value = serde_json::from_slice(&document).unwrap();
        assert!(found.to_string().contains("pkg:apk/alpine/musl@1.2.5-r0"), "{found:#}");
        let file = format!("found.{format}.json").replace("cyclonedx", "cdx");
        fs::write(site.path(&file), &document).unwrap();
        valid(script, &site.path(&file));
    }
}

/// A spec file of many packages, so that the table of the database has several levels, and headers longer than
/// a page.
fn spec() -> String {
    let long = "A line of a long description.\n".repeat(400);
    let mut spec = format!(
        "Name: main\nEpoch: 2\nVersion: 1.2.3~rc1\nRelease: 4.fc40\nSummary: s\nLicense: MIT AND GPL-2.0-only\n\
         BuildArch: noarch\n%description\n{long}\n%files\n"
    );
    for number in 0..90 {
        let name = format!("libpart{number}++");
        spec.push_str(&format!(
            "%package -n {name}\nSummary: s\nLicense: Own {number}\n%description -n {name}\nd\n%files -n {name}\n"
        ));
    }
    spec
}

#[test]
fn rpm_packages_are_those_that_rpm_lists() {
    let site = Site::new();
    site.write("main.spec", &spec());
    let top = format!("_topdir {}", site.path("rpm").display());
    site.run("rpmbuild", &["-bb", "--quiet", "--define", &top, "main.spec"]);
    let built = site.path("rpm/RPMS/noarch");
    let packages: Vec<String> = fs::read_dir(&built)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    let db = site.path("db").display().to_string();
    let rpm = |arguments: &[&str]| {
        let all = ["--dbpath", &db, "--define", "_db_backend sqlite"];
        site.run("rpm", &[&all[..], arguments].concat())
    };
    let install: Vec<&str> = ["-i", "--justdb", "--nodeps", "--force-debian"]
        .into_iter()
        .chain(packages.iter().map(String::as_str))
        .collect();
    rpm(&install);
    // As an update leaves it: with free pages in the middle.
    rpm(&[
        "-e",
        "--justdb",
        "--nodeps",
        "--force-debian",
        "libpart7++",
        "libpart40++",
    ]);
    let format = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{SOURCERPM}\n";
    let listed = String::from_utf8(rpm(&["-qa", "--qf", format])).unwrap();
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort();
    assert_eq!(listed.len(), 89);
    let database = fs::read(site.path("db/rpmdb.sqlite")).unwrap();
    assert!(fs::read(site.path("db/rpmdb.sqlite-wal")).unwrap().is_empty());
    let mut layout = Layout::new(&site.path("images"));
    let mut image = |name: &str, files: &[(&str, &[u8])]| {
        let files: Vec<_> = files.iter().map(|(path, bytes)| (b'0', *path, "", *bytes)).collect();
        let manifest = layout.manifest("amd64", &[Layer::plain(&tar(&files))]);
        layout.name(name, manifest);
    };
    let release: (&str, &[u8]) = ("etc/os-release", b"ID=fedora\n");
    let path = "usr/lib/sysimage/rpm/rpmdb.sqlite";
    image("example.org/rpm:1", &[release, (path, &database)]);
    image("example.org/cut:1", &[release, (path, &database[..database.len() / 2])]);
    image(
        "example.org/wal:1",
        &[
            release,
            (path, &database),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", b"frames"),
        ],
    );
    image("example.org/old:1", &[("var/lib/rpm/Packages", b"Berkeley DB")]);
    let sbom = |name: &str, format: &str| {
        let format = format!("--sbom={format}");
        good(site.moby(&["inspect", &format, name, "--arch", "amd64", "--layout", "images"]))
    };
    for (format, script, file) in [
        ("spdx", SPDX, "rpm.spdx.json"),
        ("cyclonedx", CYCLONEDX, "rpm.cdx.json"),
    ] {
        fs::write(site.path(file), sbom("example.org/rpm:1", format)).unwrap();
        valid(script, &site.path(file));
    }
    let document: Value = serde_json::from_slice(&fs::read(site.path("rpm.spdx.json")).unwrap()).unwrap();
    let packages = document["packages"].as_array().unwrap();
    let mut found: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let source = package["sourceInfo"].as_str()?.rsplit(' ').next()?;
            let text = |key: &str| package[key].as_str().unwrap();
            Some(format!("{} {} {source}", text("name"), text("versionInfo")))
        })
        .collect();
    found.sort();
    assert_eq!(found, listed);
    let main = packages.iter().find(|package| package["name"] == "main").unwrap();
    assert_eq!(main["licenseDeclared"], "MIT AND GPL-2.0-only");
    assert_eq!(
        main["externalRefs"][0]["referenceLocator"],
        "pkg:rpm/fedora/main@1.2.3~rc1-4.fc40?arch=noarch&epoch=2"
    );
    // What is not read is named.
    for (name, expected) in [
        ("example.org/cut:1", "rpmdb.sqlite (corrupt RPM database)"),
        (
            "example.org/wal:1",
            "rpmdb.sqlite (RPM database with a write-ahead log)",
        ),
        ("example.org/old:1", "var/lib/rpm/Packages (RPM database, Berkeley DB)"),
    ] {
        let text = String::from_utf8(sbom(name, "spdx")).unwrap();
        assert!(text.contains(expected) && !text.contains("pkg:rpm"), "{name}: {text}");
    }
}
