//! Services under containerd.

mod client;
mod messages;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tonic::transport::Channel;

use crate::containers::{self, Container};
use crate::error::Error;
use crate::process::{is_running, start};
use crate::restart::{Backoff, Policy, restart_notice};
use crate::supervisor::Supervisor;
use crate::{log, shutdown};
use client::{Client, SOCKET, connect};

const PROGRAM: &str = "/usr/bin/containerd";
const CONFIG: &str = "/etc/containerd/config.toml";
const LOG: &str = "/var/log/containerd.log";
/// LinuxKit's name of the namespace of services.
const NAMESPACE: &str = "services.linuxkit";
/// Time between two looks for the socket: while the boot waits, and later.
const INTERVALS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// Maximum time that the boot waits for the socket.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(120);
/// Number of lines of containerd's log that are shown when it does not listen.
const LOG_LINES: usize = 5;

/// Returns whether the image has containerd. Without it, services run under runc.
pub fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// Starts containerd and, when it listens, the services. Returns when they are started, or cannot be:
/// a thread keeps trying.
pub fn start_services(services: Vec<Container>, supervisor: &mut Supervisor) {
    let start = |_| start_daemon().map_err(|error| log(&error.to_string())).ok();
    let pid = supervisor.add("containerd", Policy::Always, Box::new(start));
    let (started, wait) = channel();
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(serve(pid, services, started)),
            Err(error) => log(&format!("cannot connect to containerd: {error}")),
        }
    };
    if let Err(error) = std::thread::Builder::new().spawn(serve) {
        log(&format!("cannot start the thread for services: {error}"));
    }
    // Ends when the thread has started everything, or is gone.
    let _ = wait.recv();
}

fn start_daemon() -> Result<Pid, Error> {
    let output = containers::log_file("containerd");
    let mut command = Command::new(PROGRAM);
    command.env("PATH", containers::PATH).stdin(Stdio::null());
    if Path::new(CONFIG).exists() {
        command.args(["--config", CONFIG]);
    }
    command.stdout(output()).stderr(output());
    // A socket that a crash left on a disk would be taken for the new one.
    let _ = fs::remove_file(SOCKET);
    start(command)
}

/// Starts the services one after the other, and restarts those that end.
async fn serve(daemon: Option<Pid>, services: Vec<Container>, started: Sender<()>) {
    let channel = first_connection(daemon, &started).await;
    log("containerd listens");
    let mut seen = BTreeSet::new();
    let mut tasks = Vec::new();
    for service in services {
        let client = Client {
            channel: channel.clone(),
            namespace: service.runtime.namespace().unwrap_or(NAMESPACE).to_owned(),
        };
        if seen.insert(client.namespace.clone())
            && let Err(error) = client.forget_containers().await
        {
            log(&format!("cannot remove the containers of an earlier boot: {error}"));
        }
        let result = client.start(&service).await;
        tasks.push(tokio::spawn(supervise(client, service, result)));
    }
    let _ = started.send(());
    for task in tasks {
        let _ = task.await;
    }
}

/// Waits until containerd listens. When that takes too long, or containerd ends, it shows why, and
/// lets the boot go on.
async fn first_connection(daemon: Option<Pid>, started: &Sender<()>) -> Channel {
    let start = Instant::now();
    let mut reported = false;
    loop {
        let is_overdue = !daemon.is_some_and(is_running) || start.elapsed() > SOCKET_TIMEOUT;
        if Path::new(SOCKET).exists() || is_overdue && !reported {
            match connect().await {
                Ok(channel) => return channel,
                Err(error) if is_overdue && !reported => {
                    reported = true;
                    report(&error);
                    let _ = started.send(());
                }
                Err(_) => {}
            }
        }
        let [soon, later] = INTERVALS;
        tokio::time::sleep(if reported { later } else { soon }).await;
    }
}

/// Shows the end of containerd's log: without services, there may be no shell to look at it.
fn report(error: &Error) {
    log(&format!("containerd does not answer on {SOCKET}: {error}"));
    let text = fs::read_to_string(LOG).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
        log(&format!("containerd: {line}"));
    }
}

/// Restarts a service whenever it ends, as its policy says. Takes the result of its first start.
async fn supervise(client: Client, service: Container, mut started: Result<(), Error>) {
    let name = &service.name;
    let mut backoff = Backoff::new(service.runtime.restart());
    loop {
        let since = Instant::now();
        let ended = match started {
            Ok(()) => client.wait(name).await,
            Err(error) => Err(error),
        };
        let event = match ended {
            // containerd ends as well.
            Err(_) if shutdown::is_stopping() => return,
            Ok(status) => format!("service {name} ended: exit status {status}"),
            Err(error) => format!("service {name} failed: {error}"),
        };
        if shutdown::is_stopping() {
            log(&event);
            return;
        }
        let delay = backoff.delay(since.elapsed());
        log(&format!("{event}{}", restart_notice(delay)));
        let Some(delay) = delay else { return };
        tokio::time::sleep(delay).await;
        if shutdown::is_stopping() {
            return;
        }
        started = client.start(&service).await;
    }
}
