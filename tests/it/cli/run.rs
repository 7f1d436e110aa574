//! `moby run` with a stand-in for QEMU that behaves as on hosts whose KVM does not work.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::site::Site;

/// A stand-in for QEMU. Under TCG its guest boots and powers off. Under another accelerator it does
/// what `$BEHAVIOUR` says. Its arguments go to the file `calls`, one line a call.
const QEMU: &str = r#"#!/bin/bash
echo "$*" >> calls
ALL="$* "
qmp() { echo "$1" >&3; }
# Connects to moby, sends an event, and answers until it is to quit.
connect() {
    local port=${ALL##*port=}
    exec 3<>"/dev/tcp/127.0.0.1/${port%% *}"
    qmp '{"QMP": {"version": {}, "capabilities": []}}'
    while read -r -u 3 line; do
        case "$line" in
        *qmp_capabilities*)
            qmp '{"return": {}, "id": "capabilities"}'
            [ -z "$1" ] || { sleep 0.5; qmp "$1"; } ;;
        *query-status*) qmp "{\"return\": {\"status\": \"$STATUS\"}, \"id\": \"query-status\"}" ;;
        *query-blockstats*)
            qmp "{\"return\": [{\"device\": \"disk-0\", \"stats\": {\"wr_operations\": ${WRITES:-0}}}], \"id\": \"query-blockstats\"}" ;;
        *quit*) qmp '{"return": {}, "id": "quit"}'; kill $$; exit ;;
        esac
    done
}
kernel() { echo "[    0.000000] Linux version 6.1 under $1"; }
case "$ALL" in
*"-S -nodefaults"*) exit "${USABLE:-0}" ;;
*"-accel tcg"*)
    [ ! -f pid ] || ! kill -0 "$(cat pid)" 2> /dev/null || echo "the first attempt still runs"
    case "$TCG" in
    stays) STATUS=running connect "" & kernel TCG; wait ;;
    panics) connect "" & kernel TCG; echo "---[ end Kernel panic - not syncing: Attempted to kill init! ]---"; wait ;;
    powers-off) connect '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}' & kernel TCG; wait ;;
    fails) echo "qemu: no such option" >&2; exit 1 ;;
    esac
    kernel TCG
    exit 0 ;;
esac
echo $$ > pid
echo "Probing EDD (edd=off to disable)... ok"
RESET='{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}'
case "$BEHAVIOUR" in
silent) STATUS=running connect "" & ;;
internal-error) STATUS=internal-error connect "" & sleep 0.5; echo "KVM internal error. Suberror: 1" >&2; echo "RAX=00000001" >&2 ;;
late-internal-error) STATUS=internal-error connect "" & kernel KVM; sleep 0.5; echo "KVM internal error. Suberror: 1" >&2 ;;
guest-panicked) STATUS=guest-panicked connect '{"event": "STOP"}' & kernel WHPX ;;
pause) STATUS=paused connect '{"event": "STOP"}' & ;;
late-pause) STATUS=internal-error connect '{"event": "STOP"}' & kernel KVM ;;
reset) connect "$RESET" & ;;
reset-loop) connect '{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}' & ;;
crash) kill -SEGV $$ ;;
reboot) connect "$RESET" & kernel KVM; echo "reboot: Restarting system" ;;
power-off) connect '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}' & kernel KVM ;;
good) kernel KVM; exit 0 ;;
esac
wait
sleep 60
"#;

/// Behaviours of a guest under an accelerator that does not work, and the reason that moby gives.
const FAILURES: [(&str, &str); 9] = [
    ("silent", "its console stayed silent"),
    ("internal-error", "QEMU reported an internal error"),
    ("late-internal-error", "QEMU reported an internal error"),
    ("guest-panicked", "QEMU reported an internal error"),
    ("pause", "QEMU paused it"),
    ("late-pause", "QEMU reported an internal error"),
    ("reset", "it was reset while it booted"),
    ("reset-loop", "it was reset while it booted"),
    ("crash", "QEMU ended before the kernel ran"),
];

fn site() -> Site {
    let site = Site::new();
    site.write("bin/qemu-system-x86_64", QEMU);
    fs::set_permissions(site.path("bin/qemu-system-x86_64"), fs::Permissions::from_mode(0o755)).unwrap();
    for file in ["machine-kernel", "machine-initrd.img"] {
        site.write(file, "");
    }
    site
}

fn run(site: &Site, behaviour: &str, arguments: &[&str]) -> Command {
    let all = [&["run", "--arch", "amd64", "machine"], arguments].concat();
    let mut command = site.command(&all);
    let path = format!("{}:/usr/bin:/bin", site.path("bin").display());
    command
        .env("PATH", path)
        .env("BEHAVIOUR", behaviour)
        .stdin(Stdio::null());
    command
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn calls(site: &Site) -> usize {
    fs::read_to_string(site.path("calls")).unwrap().lines().count()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn failed_guest_starts_again_under_tcg() {
    std::thread::scope(|scope| {
        for (behaviour, reason) in FAILURES {
            scope.spawn(move || {
                let site = site();
                let output = run(&site, behaviour, &[]).output().unwrap();
                let (console, messages) = text(&output);
                assert!(output.status.success(), "{behaviour}: {messages}");
                assert!(
                    console.contains("under TCG") && !console.contains("still runs"),
                    "{behaviour}: {console}"
                );
                let warnings: Vec<&str> = messages.lines().filter(|line| line.starts_with("warning: ")).collect();
                assert_eq!(warnings.len(), 1, "{behaviour}: {messages}");
                assert!(
                    warnings[0].contains(reason) && warnings[0].contains("--accel kvm"),
                    "{behaviour}: {messages}"
                );
                assert!(!messages.contains("RAX="), "{behaviour}: {messages}");
                // The probe, the first attempt, and TCG. The next run is TCG's at once.
                assert_eq!(calls(&site), 3, "{behaviour}");
                let again = run(&site, "good", &[]).output().unwrap();
                let (console, _) = text(&again);
                assert!(console.contains("under TCG"), "{behaviour}: {console}");
                assert_eq!(calls(&site), 4, "{behaviour}");
            });
        }
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn good_guest_stays_under_its_accelerator() {
    for behaviour in ["good", "reboot", "power-off"] {
        let site = site();
        let output = run(&site, behaviour, &[]).output().unwrap();
        let (console, messages) = text(&output);
        assert!(output.status.success(), "{behaviour}: {messages}");
        assert!(console.contains("under KVM"), "{behaviour}: {console}");
        assert_eq!((messages.as_str(), calls(&site)), ("", 2), "{behaviour}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn host_without_an_accelerator_gets_tcg() {
    let site = site();
    let output = run(&site, "silent", &[]).env("USABLE", "1").output().unwrap();
    let (console, messages) = text(&output);
    assert!(
        output.status.success() && console.contains("under TCG"),
        "{console}{messages}"
    );
    assert_eq!((messages.as_str(), calls(&site)), ("", 2));
}

#[test]
fn accelerator_that_was_asked_for_is_kept() {
    std::thread::scope(|scope| {
        for (behaviour, reason) in FAILURES {
            scope.spawn(move || {
                let site = site();
                let output = run(&site, behaviour, &["--accel", "kvm"]).output().unwrap();
                let (console, messages) = text(&output);
                assert_eq!(output.status.code(), Some(1), "{behaviour}: {console}{messages}");
                assert!(
                    messages.contains(&format!("under the accelerator kvm: {reason}")),
                    "{behaviour}: {messages}"
                );
                assert!(messages.contains("help: pass `--accel tcg`"), "{behaviour}: {messages}");
                assert_eq!(messages.contains("RAX="), behaviour == "internal-error", "{messages}");
                assert_eq!(calls(&site), 1, "{behaviour}");
            });
        }
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn disk_that_was_written_is_not_booted_again() {
    let site = site();
    site.write("data.img", "");
    let start = |writes: &str| {
        let mut command = run(&site, "pause", &["--disk", "data.img"]);
        command.env("WRITES", writes).output().unwrap()
    };
    let (_, messages) = text(&start("3"));
    assert!(
        messages.contains("may be inconsistent, as after a power failure") && messages.contains("help: run it again"),
        "{messages}"
    );
    assert_eq!(calls(&site), 2);
    let (console, _) = text(&start("3"));
    assert!(console.contains("under TCG"), "{console}");
    fs::remove_dir_all(site.path("cache/moby/accelerators")).unwrap();
    let (console, messages) = text(&start("0"));
    assert!(
        console.contains("under TCG") && messages.contains("warning: "),
        "{console}{messages}"
    );
}

#[test]
fn inputs_are_checked_before_qemu_starts() {
    let site = site();
    site.write("data.img", "");
    site.write("machine.yml", "");
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = used.local_addr().unwrap().port();
    let publish = format!("{port}:80");
    let twice = format!("{}:81", port.checked_sub(1).unwrap());
    for (arguments, message, help) in [
        (vec!["--disk", "no.img"], "the disk no.img does not exist", "truncate"),
        (
            vec!["--disk", "data.img", "--disk", "./data.img"],
            "is attached twice",
            "once",
        ),
        (vec!["--publish", &publish], "cannot publish port", "another port"),
        (
            vec!["--publish", &twice, "--publish", &twice],
            "cannot publish port",
            "another port",
        ),
    ] {
        let output = run(&site, "good", &arguments).output().unwrap();
        let (_, messages) = text(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {messages}");
        assert!(
            messages.contains(message) && messages.contains("help: ") && messages.contains(help),
            "{messages}"
        );
    }
    let output = site.moby(&["run", "machine.yml"]);
    let (_, messages) = text(&output);
    assert!(
        messages.contains("cannot boot machine.yml: it is a YAML file")
            && messages.contains("`moby build machine.yml`"),
        "{messages}"
    );
    for arguments in [["--cpus", "0"], ["--mem", "0"], ["--mem", "1T"], ["--publish", "0:0"]] {
        let output = run(&site, "good", &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    assert!(!site.path("calls").exists());
}

#[test]
fn qemu_ends_when_moby_is_killed() {
    let site = site();
    let mut moby = run(&site, "none", &["--accel", "kvm"]);
    moby.stdout(Stdio::null()).stderr(Stdio::null());
    let mut moby = moby.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let pid = loop {
        let pid = fs::read_to_string(site.path("pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    };
    let alive = || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    assert!(alive());
    moby.kill().unwrap();
    moby.wait().unwrap();
    while alive() {
        assert!(Instant::now() < end, "QEMU still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs the machine under TCG.
fn emulated(site: &Site, behaviour: &str, arguments: &[&str]) -> Output {
    let mut command = run(site, "none", &[&["--accel", "tcg"], arguments].concat());
    command.env("TCG", behaviour).output().unwrap()
}

#[test]
fn expected_text_ends_the_run() {
    let site = site();
    let log = ["--serial-log", "serial.log"];
    let output = emulated(
        &site,
        "stays",
        &[&["--expect", "6.1 under", "--expect", "Linux"], &log[..]].concat(),
    );
    let (console, messages) = text(&output);
    assert!(output.status.success(), "{messages}");
    assert_eq!(console, "[    0.000000] Linux version 6.1 under TCG\n");
    assert_eq!(fs::read_to_string(site.path("serial.log")).unwrap(), console);
    // What the machine printed last counts as well.
    let output = emulated(&site, "powers-off", &["--expect", "under TCG"]);
    assert!(output.status.success(), "{}", text(&output).1);
    // An earlier log is replaced, and a log alone ends nothing.
    let output = emulated(&site, "powers-off", &log);
    assert!(output.status.success(), "{}", text(&output).1);
    assert_eq!(fs::read_to_string(site.path("serial.log")).unwrap(), console);
}

#[test]
fn unmet_expectation_has_its_own_status() {
    let never = "its console did not show \"never\"";
    let page = "it did not serve /x at port 80: ";
    for (behaviour, arguments, status, message) in [
        ("stays", &["--expect", "never", "--timeout", "1"][..], 3, never),
        (
            "stays",
            &["--expect", "under TCG", "--expect", "never", "--timeout", "1"],
            3,
            never,
        ),
        (
            "stays",
            &["--expect", "under TCG", "--expect-http", "80/x", "--timeout", "1"],
            3,
            page,
        ),
        (
            "stays",
            &["--timeout", "1"],
            3,
            "error: the machine was stopped after 1 s\n",
        ),
        (
            "panics",
            &["--expect", "never"],
            4,
            "the kernel panicked before everything expected was seen: ",
        ),
        (
            "powers-off",
            &["--expect", "never"],
            4,
            "the machine was powered off or reset before everything expected was seen: ",
        ),
        (
            "ends",
            &["--expect", "never"],
            4,
            "QEMU was ended before everything expected was seen: ",
        ),
        ("ends", &["--expect-http", "80/x"], 4, page),
        (
            "fails",
            &["--expect", "never"],
            1,
            "qemu-system-x86_64 ended with exit status: 1",
        ),
    ] {
        let site = site();
        let output = emulated(&site, behaviour, arguments);
        let (_, messages) = text(&output);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{behaviour} {arguments:?}: {messages}"
        );
        assert!(messages.contains(message), "{behaviour} {arguments:?}: {messages}");
    }
}

#[test]
fn test_options_are_checked() {
    let site = site();
    for arguments in [
        ["--expect", ""],
        ["--expect-http", "0"],
        ["--expect-http", "80/a b"],
        ["--timeout", "0"],
    ] {
        let output = emulated(&site, "stays", &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let output = emulated(&site, "stays", &["--serial-log", "no/serial.log"]);
    let (_, messages) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("cannot write no/serial.log"), "{messages}");
    assert!(!site.path("calls").exists());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn restarted_guest_has_to_meet_every_expectation() {
    let site = site();
    let log = ["--serial-log", "serial.log"];
    let both = ["--expect", "under KVM", "--expect", "under TCG", "--expect", "never"];
    let output = run(&site, "late-internal-error", &[&both, &log[..]].concat())
        .output()
        .unwrap();
    let (_, messages) = text(&output);
    assert_eq!(output.status.code(), Some(4), "{messages}");
    assert!(
        messages.contains("its console did not show \"under KVM\"; its console did not show \"never\""),
        "{messages}"
    );
    let log = fs::read_to_string(site.path("serial.log")).unwrap();
    assert!(log.contains("under KVM") && log.contains("under TCG"), "{log}");
    for (behaviour, expected) in [("reset", "under TCG"), ("reboot", "under KVM")] {
        let site = self::site();
        let output = run(&site, behaviour, &["--expect", expected]).output().unwrap();
        assert!(output.status.success(), "{behaviour}: {}", text(&output).1);
    }
}

/// Answers requests at the port that QEMU was asked to forward: with each status once, then always with
/// the last. Ends after an "OK", or when the file `calls` is gone. Returns the last request.
fn serve(site: &Site, statuses: &[&str]) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    let port = loop {
        let calls = fs::read_to_string(site.path("calls")).unwrap_or_default();
        let port = calls.split_once("hostfwd=tcp:127.0.0.1:").map(|(_, rest)| rest);
        if let Some((port, rest)) = port.and_then(|rest| rest.split_once('-')) {
            assert!(rest.starts_with(":8080 "), "{calls}");
            break port.parse().unwrap();
        }
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut statuses = statuses.iter().peekable();
    let mut request = String::new();
    while site.path("calls").exists() && !request.ends_with("OK") {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        request.clear();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        let status = *statuses.peek().unwrap();
        write!(&stream, "{status}\r\n\r\n").unwrap();
        request.push_str(status);
        if statuses.len() > 1 {
            statuses.next();
        }
    }
    request
}

#[test]
fn expected_page_ends_the_run() {
    for (statuses, timeout, code, message) in [
        (&["SSH-2.0-x", "HTTP/1.1 503 busy", "HTTP/1.1 200 OK"][..], "60", 0, ""),
        (
            &["HTTP/1.1 404 no"],
            "3",
            3,
            "it did not serve /health at port 8080: its status is 404",
        ),
    ] {
        let site = site();
        let arguments = ["--expect-http", "8080/health", "--timeout", timeout];
        std::thread::scope(|scope| {
            let server = scope.spawn(|| serve(&site, statuses));
            let output = emulated(&site, "stays", &arguments);
            let (_, messages) = text(&output);
            assert_eq!(output.status.code(), Some(code), "{statuses:?}: {messages}");
            assert!(messages.contains(message), "{messages}");
            fs::remove_file(site.path("calls")).unwrap();
            let last = format!("GET /health HTTP/1.0\r\n{}", statuses.last().unwrap());
            assert_eq!(server.join().unwrap(), last);
        });
    }
}
