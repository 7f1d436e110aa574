//! Services of booted machines: restarted when they end, and gone before the disks are unmounted.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::machine::Machine;
use crate::common::{moby, moby_run};

/// A machine of several YAML files, and a disk for it.
struct Fixture {
    directory: tempfile::TempDir,
    name: &'static str,
}

impl Fixture {
    /// Builds the machine. It has the name of the last file.
    fn new(files: &[&'static str]) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let machines = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/machines");
        let output = moby()
            .args(["build", "--rebuild", "--compress", "lz4", "--dir"])
            .arg(directory.path())
            .args(files.iter().map(|file| machines.join(format!("{file}.yml"))))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let name = files.last().unwrap();
        let fixture = Fixture { directory, name };
        File::create(fixture.disk()).unwrap().set_len(128 << 20).unwrap();
        fixture
    }

    fn disk(&self) -> PathBuf {
        self.directory.path().join("disk.img")
    }

    /// Boots, waits for texts on the serial console, and powers off. Returns the console's lines.
    fn boot(&self, texts: &[&str]) -> Vec<String> {
        let mut command = moby_run();
        command.args(["--mem", "1024", "--disk"]).arg(self.disk());
        let mut machine = Machine::start(command.arg(self.directory.path().join(self.name)));
        for text in texts {
            // Services write in any order.
            if !machine.log.iter().any(|line| line.contains(text)) {
                machine.until(text);
            }
        }
        machine.power_button();
        let log = machine.goes_down();
        // The kernel's and init's reports of a disk that was not left properly.
        for text in [
            "cannot be killed",
            "recovery complete",
            "orphan cleanup",
            "sync page write",
            "stays mounted",
            "disks are still",
        ] {
            assert!(
                !log.iter().any(|line| line.contains(text)),
                "{text}:\n{}",
                log.join("\n")
            );
        }
        self.check_disk();
        log
    }

    /// Checks that nothing is wrong with the filesystem, and that its journal is empty.
    fn check_disk(&self) {
        let partition = format!("{}?offset={}", self.disk().display(), 1 << 20);
        let output = Command::new("/usr/sbin/e2fsck")
            .args(["-fn", &partition])
            .output()
            .unwrap();
        let (found, warnings) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{found}{warnings}");
        assert!(!warnings.contains("journal"), "{warnings}");
    }
}

/// Lines that contain a text.
fn count(log: &[String], text: &str) -> usize {
    log.iter().filter(|line| line.contains(text)).count()
}

#[test]
fn services_are_restarted_and_killed_before_the_disk_is_unmounted() {
    let machine = Fixture::new(&["services"]);
    let log = machine.boot(&[
        // The serial port is not the console that /dev/console leads to.
        "moby-init: starting",
        "format: /dev/vda1 is ready",
        "hello from a container",
        "moby-init: started",
        "stubborn writes after 0 lines",
        "flaky run 1",
        "service flaky ended: exit status 3; restarting in 1 s",
        "flaky run 2",
        "service flaky ended: exit status 3; restarting in 2 s",
        "flaky run 3",
    ]);
    let once = log.iter().filter(|line| line.contains("service once ended"));
    assert_eq!(
        once.collect::<Vec<_>>(),
        ["moby-init: service once ended: exit status 4"]
    );
    assert_eq!(count(&log, "stubborn ended"), 0);
    let log = machine.boot(&["moby-init: started", "stubborn writes after"]);
    assert_eq!(count(&log, "stubborn writes after 0 lines"), 0, "{}", log.join("\n"));
}

#[test]
fn services_under_containerd_are_restarted_and_the_machines_tools_work_in_containers() {
    let machine = Fixture::new(&["services", "services-containerd"]);
    let log = machine.boot(&[
        "moby-init: containerd listens",
        "service flaky ended: exit status 3; restarting in 1 s",
        "service flaky ended: exit status 3; restarting in 2 s",
        "service flaky ended: exit status 3; restarting in 4 s",
        "service tools ended",
    ]);
    let once = log.iter().filter(|line| line.contains("service once ended"));
    assert_eq!(
        once.collect::<Vec<_>>(),
        ["moby-init: service once ended: exit status 4"]
    );
    for text in [
        "flaky run 3",
        "executed by ctr",
        "executed by runc",
        "runc: cannot run /usr/sbin/runc: No such file or directory",
        "help: give the container `pid: host`",
    ] {
        assert_eq!(count(&log, text), 1, "{text}:\n{}", log.join("\n"));
    }
    let words = |line: &String| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let running = |line: &String| {
        let words = words(line);
        words.first().is_some_and(|word| word == "stubborn") && words.get(2).is_some_and(|word| word == "RUNNING")
    };
    assert_eq!(log.iter().filter(|line| running(line)).count(), 1, "{}", log.join("\n"));
    machine.boot(&["moby-init: started", "stubborn writes after"]);
}

#[test]
fn a_machine_powers_off_while_an_onboot_container_runs() {
    let machine = Fixture::new(&["endless"]);
    let mut booted = Machine::start(moby_run().arg(machine.directory.path().join("endless")));
    booted.until("endless runs");
    booted.power_button();
    let log = booted.goes_down();
    assert_eq!(count(&log, "onboot 001-later"), 0, "{}", log.join("\n"));
    assert_eq!(count(&log, "hello from bye"), 1, "{}", log.join("\n"));
}

/// Ten boots take some minutes under emulation.
#[test]
#[ignore = "takes minutes: `cargo xtask test --all`"]
fn ten_machines_leave_a_clean_disk() {
    let machine = Fixture::new(&["services"]);
    for _ in 0..10 {
        machine.boot(&["moby-init: started", "stubborn writes after"]);
    }
}
