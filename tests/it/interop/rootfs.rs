//! Mount points in a root filesystem, as unsquashfs lists it.

use crate::common::site::{Site, good};

#[test]
fn mount_points_are_created_where_a_container_sees_them() {
    let site = Site::new();
    site.package(
        "app",
        "  - file: /bin/app\n    contents: app\n    mode: \"0755\"\n  - symlink: /var/run\n    target: /run\n",
    );
    let app = |name: &str, more: &str| format!("  - {{name: {name}, image: '@pkg:app', command: [/bin/app]{more}}}\n");
    let bound = ", readonly: true, binds: ['/etc:/new', '/etc:/var/run/sub']";
    let machine = [
        "kernel: {image: '@pkg:kernel', cmdline: x, tar: none}\ninit: ['@pkg:init']\nservices:\n".to_owned(),
        app("first", ", readonly: true"),
        app("second", bound),
        app("third", ", binds: ['/etc:/upper']"),
    ];
    site.write("m.yml", &machine.concat());
    good(site.build(&["-f", "kernel+squashfs", "m.yml"]));
    let directories = String::from_utf8(site.run("unsquashfs", &["-q", "-l", "-d", "", "m-squashfs.img"])).unwrap();
    let has = |path: &str| {
        directories
            .lines()
            .any(|line| line == format!("/containers/services/{path}"))
    };
    for path in ["first/rootfs/new", "first/rootfs/run/sub", "first/rootfs/proc"] {
        assert!(has(path), "{path}: {directories}");
    }
    for path in ["second/rootfs/new", "third/rootfs/upper", "third/rootfs/proc"] {
        assert!(!has(path), "{path}: {directories}");
    }
    assert!(!directories.lines().any(|line| line == "/run/sub"), "{directories}");
}
