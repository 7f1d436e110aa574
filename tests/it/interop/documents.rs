//! Documents about a build, as validators of other projects read them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

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
