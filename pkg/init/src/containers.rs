//! Containers: the preparations that `runtime.json` asks for, then runc or containerd.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::error::Error;
use crate::process::{list, run, start, wait_for};
use crate::runtime::Runtime;
use crate::supervisor::Supervisor;
use crate::{containerd, fstab, log, shutdown};

/// Directories where programs are looked up, also by runc and containerd.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Directory in which runc keeps the state of every container.
const RUNC_STATE: &str = "/run/runc";

/// OCI runtime bundle of a container, a directory below /containers.
pub struct Container {
    /// Absolute path of the OCI runtime bundle.
    pub directory: String,
    /// Last component of the path.
    pub name: String,
    pub runtime: Runtime,
}

impl Container {
    /// Reads `runtime.json`, and prepares what it asks for. Returns `None`, after reporting the error, if that
    /// fails: the container is not run.
    fn prepare(section: &str, directory: String) -> Option<Container> {
        let name = directory.rsplit('/').next().unwrap_or_default().to_owned();
        log(&format!("{section} {name}"));
        let prepared = Runtime::read(&directory).and_then(|runtime| runtime.prepare().map(|()| runtime));
        match prepared {
            Ok(runtime) => Some(Container {
                directory,
                name,
                runtime,
            }),
            Err(error) => {
                log(&format!("cannot prepare {section} {name}: {error}"));
                None
            }
        }
    }
}

/// Mounts a writable layer in memory over each volume.
pub fn volumes() {
    for directory in list("/containers/volumes") {
        let tmp = format!("{directory}/tmp");
        let options = [
            format!("lowerdir={directory}/lower"),
            format!("upperdir={tmp}/upper"),
            format!("workdir={tmp}/work"),
        ];
        let mounted = fstab::mount("tmpfs", &tmp, "tmpfs", &[])
            .and_then(|()| fstab::mount("overlay", &format!("{directory}/merged"), "overlay", &options));
        if let Err(error) = mounted {
            log(&format!("cannot mount the volume {directory}: {error}"));
        }
    }
}

/// Runs the containers of a section, one after the other. The failure of one is reported, and the
/// others still run.
pub fn run_in_order(section: &str) {
    for directory in list(&format!("/containers/{section}")) {
        let Some(container) = Container::prepare(section, directory) else {
            continue;
        };
        let name = &container.name;
        match run_to_end(&container, &format!("{section}-{name}")) {
            Ok(0) => {}
            Ok(status) => log(&format!("{section} {name} failed: exit status {status}")),
            Err(error) => log(&format!("cannot run {section} {name}: {error}")),
        }
        // Orphans that it left behind.
        shutdown::reap();
    }
}

/// Runs a container to its end. Returns its exit status.
fn run_to_end(container: &Container, id: &str) -> Result<i32, Error> {
    if !container.runtime.needs_process() {
        return run(runc(&["run", "--bundle", &container.directory, id]));
    }
    let pid = create(container, id, runc)?;
    let status = match run(runc(&["start", id])) {
        // An orphan of runc's, hence a child of PID 1.
        Ok(0) => wait_for(pid),
        failed => failed,
    };
    let _ = run(runc(&["delete", "--force", id]));
    status
}

/// Creates a container that is still to be started, its interfaces and its namespaces' files.
fn create(container: &Container, id: &str, runc: impl Fn(&[&str]) -> Command) -> Result<Pid, Error> {
    let file = format!("/run/{id}.pid");
    let arguments = ["create", "--bundle", &container.directory, "--pid-file", &file, id];
    run_successfully("runc create", runc(&arguments))?;
    let text = fs::read_to_string(&file).map_err(Error::file("read", &file))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let pid = pid.ok_or_else(invalid).map_err(Error::file("read", &file))?;
    let attached = container.runtime.attach(pid.as_raw_nonzero().get().unsigned_abs());
    if attached.is_err() {
        let _ = run(runc(&["delete", "--force", id]));
    }
    attached.map(|()| pid)
}

/// Runs a command that must end with 0.
fn run_successfully(program: &str, command: Command) -> Result<(), Error> {
    match run(command)? {
        0 => Ok(()),
        status => Err(Error::Program {
            program: program.to_owned(),
            status,
        }),
    }
}

/// Starts the services, their output in /var/log: under containerd when the image has it, else each
/// under a runc of its own.
pub fn start_services() -> Supervisor {
    let mut services = Supervisor::default();
    let containers = list("/containers/services").into_iter();
    let prepare = |directory| Container::prepare("service", directory);
    let containers: Vec<Container> = containers.filter_map(prepare).collect();
    if containerd::is_installed() {
        containerd::start_services(containers, &mut services);
        return services;
    }
    for container in containers {
        let (name, policy) = (container.name.clone(), container.runtime.restart());
        let start = move |again| {
            let started = start_service(&container, again);
            started
                .map_err(|error| log(&format!("cannot start service {}: {error}", container.name)))
                .ok()
        };
        services.add(&name, policy, Box::new(start));
    }
    services
}

/// Starts a service under runc. Returns the process that ends with the service: runc, or the
/// container's own.
fn start_service(container: &Container, again: bool) -> Result<Pid, Error> {
    let id = container.name.as_str();
    if again && Path::new(&format!("{RUNC_STATE}/{id}")).exists() {
        // A runc that was killed has not removed it.
        let _ = run(runc(&["delete", "--force", id]));
    }
    let output = log_file(id);
    let logged = |arguments: &[&str]| {
        let mut command = runc(arguments);
        command.stdout(output()).stderr(output());
        command
    };
    if !container.runtime.needs_process() {
        return start(logged(&["run", "--bundle", &container.directory, id]));
    }
    let pid = create(container, id, logged)?;
    run_successfully("runc start", runc(&["start", id]))?;
    Ok(pid)
}

/// Opens the log file of a program. Returns a function that copies its handle, or discards output if the
/// file cannot be opened.
pub fn log_file(name: &str) -> impl Fn() -> Stdio + use<> {
    let path = format!("/var/log/{name}.log");
    // A disk may have been mounted on /var since the directory was created.
    let _ = fs::create_dir_all("/var/log");
    let file = fs::File::options().create(true).append(true).open(&path);
    let file = file
        .map_err(|error| log(&format!("cannot write the log {path}: {error}")))
        .ok();
    move || {
        let copy = file.as_ref().and_then(|file| file.try_clone().ok());
        copy.map_or_else(Stdio::null, Stdio::from)
    }
}

/// Returns a runc command. Its standard input is empty: a container that reads it must not stop the
/// boot.
pub fn runc(arguments: &[&str]) -> Command {
    let mut command = Command::new("runc");
    command.env("PATH", PATH).args(arguments).stdin(Stdio::null());
    command
}
