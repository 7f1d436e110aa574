//! Containers: what `runtime.json` asks for, then runc or containerd.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::process::{ended, list, run, start, wait_for};
use crate::runtime::{Runtime, apply};
use crate::{containerd, say};

/// Where runc and containerd look for programs.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Services by the number of their runc.
pub type Services = BTreeMap<i32, String>;

/// Lays a layer in memory over each volume.
pub fn volumes() {
    for folder in list("/containers/volumes") {
        let tmp = format!("{folder}/tmp");
        let data = format!("lowerdir={folder}/lower,upperdir={tmp}/upper,workdir={tmp}/work");
        let made = apply("tmpfs", &tmp, "tmpfs", &[]).and_then(|()| {
            let options: Vec<String> = data.split(',').map(str::to_owned).collect();
            apply("overlay", &format!("{folder}/merged"), "overlay", &options)
        });
        if let Err(error) = made {
            say(&format!("volume {folder}: {error}"));
        }
    }
}

/// Runs the containers of a section, one after the other. One that fails is told of; the
/// others still run.
pub fn run_in_order(section: &str) {
    for folder in list(&format!("/containers/{section}")) {
        let name = name_of(&folder);
        say(&format!("{section} {name}"));
        let Some(runtime) = prepare(&folder) else { continue };
        let id = format!("{section}-{name}");
        match run_to_end(&folder, &id, &runtime) {
            Some(0) => {}
            Some(status) => say(&format!("{section} {name} failed: exit status {status}")),
            // Said already.
            None => {}
        }
        // What it left behind, as nobody is waited for now.
        ended();
    }
}

/// Runs a container; returns its exit status.
fn run_to_end(folder: &str, id: &str, runtime: &Runtime) -> Option<i32> {
    if !runtime.wants_process() {
        return run(runc(&["run", "--bundle", folder, id]));
    }
    let pid = create(folder, id, runtime, runc)?;
    let status = match run(runc(&["start", id])) {
        // An orphan of runc's, hence a child of PID 1.
        Some(0) => wait_for(pid),
        status => status,
    };
    run(runc(&["delete", "--force", id]));
    status
}

/// Makes a container that is still to be started, and does what is to be done in between.
fn create(folder: &str, id: &str, runtime: &Runtime, runc: impl Fn(&[&str]) -> Command) -> Option<Pid> {
    let file = format!("/run/{id}.pid");
    match run(runc(&["create", "--bundle", folder, "--pid-file", &file, id])) {
        Some(0) => {}
        status => {
            say(&format!("{id} cannot be made: exit status {}", status.unwrap_or(255)));
            return None;
        }
    }
    let pid: i32 = fs::read_to_string(&file).ok()?.trim().parse().ok()?;
    if let Err(error) = runtime.with_process(pid.unsigned_abs()) {
        say(&format!("{id}: {error}"));
        run(runc(&["delete", "--force", id]));
        return None;
    }
    Pid::from_raw(pid)
}

/// Does what is to be done before a container is made. A container without it is not run.
fn prepare(folder: &str) -> Option<Runtime> {
    let done = Runtime::read(folder).and_then(|runtime| runtime.prepare().map(|()| runtime));
    done.map_err(|error| say(&format!("{}: {error}", name_of(folder)))).ok()
}

/// Starts the services, their output in /var/log: under containerd when it is there, else each
/// under a runc of its own.
pub fn start_services() -> Services {
    let mut services = Services::new();
    let folders = list("/containers/services").into_iter().filter_map(|folder| {
        say(&format!("service {}", name_of(&folder)));
        prepare(&folder).map(|runtime| (folder, runtime))
    });
    let folders: Vec<(String, Runtime)> = folders.collect();
    if containerd::is_there() {
        if let Some(pid) = containerd::start_services(folders) {
            services.insert(Pid::as_raw(Some(pid)), "containerd".to_owned());
        }
        return services;
    }
    for (folder, runtime) in folders {
        let name = name_of(&folder);
        let log = log(&name);
        let logged = |arguments: &[&str]| {
            let mut command = runc(arguments);
            command.stdout(log()).stderr(log());
            command
        };
        let pid = if runtime.wants_process() {
            create(&folder, &name, &runtime, logged).filter(|_| match run(runc(&["start", &name])) {
                Some(0) => true,
                status => {
                    let status = status.unwrap_or(255);
                    say(&format!("service {name} cannot be started: exit status {status}"));
                    false
                }
            })
        } else {
            start(logged(&["run", "--bundle", &folder, &name]))
        };
        if let Some(pid) = pid {
            services.insert(Pid::as_raw(Some(pid)), name);
        }
    }
    services
}

/// Where what a program says goes: a file, or nowhere when there can be none.
pub fn log(name: &str) -> impl Fn() -> Stdio + use<> {
    let path = format!("/var/log/{name}.log");
    // A disk may have been mounted on /var since the folder was made.
    let _ = fs::create_dir_all("/var/log");
    let log = fs::File::options().create(true).append(true).open(&path);
    let log = log.map_err(|error| say(&format!("{path}: {error}"))).ok();
    move || {
        let copy = log.as_ref().and_then(|log| log.try_clone().ok());
        copy.map_or_else(Stdio::null, Stdio::from)
    }
}

/// What a container is called.
pub fn name_of(folder: &str) -> String {
    folder.rsplit('/').next().unwrap_or(folder).to_owned()
}

/// runc, with the PATH that it needs. A container that asks something must not stop the boot.
pub fn runc(arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/runc");
    command.env("PATH", PATH).args(arguments).stdin(Stdio::null());
    command
}
