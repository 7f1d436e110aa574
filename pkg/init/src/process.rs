//! Children of PID 1, and the orphans that it inherits. One that matters is waited for by its
//! process number; all the others are reaped when no child is waited for.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitOptions, wait, waitpid};

use crate::error::Error;
use crate::{log, shutdown};

/// Exit status of a process that was killed by a signal.
const KILLED: i32 = 255;

/// Returns the paths of a directory's entries, sorted.
pub fn list(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<String> = entries
        .map(|entry| format!("{directory}/{}", entry.file_name().to_string_lossy()))
        .collect();
    paths.sort();
    paths
}

/// Starts a program.
///
/// # Errors
/// The program cannot be executed.
pub fn start(mut command: Command) -> Result<Pid, Error> {
    shutdown::hold_up();
    // The child is waited for by its number.
    let child = command.spawn();
    let started = child.and_then(|child| {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    });
    started.map_err(Error::file("run", &command.get_program().to_string_lossy()))
}

/// Runs a program to its end. Returns its exit status.
///
/// # Errors
/// The program cannot be executed, or is not a child of this process any more.
pub fn run(command: Command) -> Result<i32, Error> {
    wait_for(start(command)?)
}

/// Runs the programs of a directory, sorted by their names.
pub fn run_parts(directory: &str) {
    for path in list(directory).into_iter().filter(|path| Path::new(path).is_file()) {
        log(&format!("running {path}"));
        let mut command = Command::new(&path);
        command.stdin(Stdio::null());
        match run(command) {
            Ok(0) => {}
            Ok(status) => log(&format!("{path} failed: exit status {status}")),
            Err(error) => log(&error.to_string()),
        }
    }
}

/// Returns whether a process exists and has not ended. In state Z it only waits to be reaped
/// (proc_pid_stat(5), whose second field is a name in parentheses).
pub fn is_running(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Waits for a child. Returns its exit status. Other children that end meanwhile keep theirs, in the
/// kernel, until they are waited for: a container may end before the `runc start` that starts it, and
/// a service while the next one is created.
///
/// # Errors
/// The process is not a child of this one, or its exit status has been taken.
pub fn wait_for(child: Pid) -> Result<i32, Error> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.exit_status().unwrap_or(KILLED)),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                // The thread that stops the machine has reaped it.
                shutdown::hold_up();
                return Err(Error::file("wait for process", &child.to_string())(error));
            }
        }
    }
}

/// Reaps the children that have ended, without waiting. Returns their exit statuses.
pub fn reap() -> Vec<(Pid, i32)> {
    let mut ended = Vec::new();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        ended.push((pid, status.exit_status().unwrap_or(KILLED)));
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolated::is_isolated;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn children_that_end_meanwhile_keep_their_status() {
        // `reap` reaps what other tests wait for.
        if !is_isolated("process::tests::children_that_end_meanwhile_keep_their_status", &[]) {
            return;
        }
        // Orphans become children of this process, as they become PID 1's.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        // As `runc create` does: the container is a child of PID 1's when runc has ended.
        let script = format!("(sleep 0.2; exit 5) & echo $! > {}", file.display());
        assert_eq!(run(shell(&script)).unwrap(), 0);
        let container = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let container = Pid::from_raw(container).unwrap();
        let service = start(shell("exit 7")).unwrap();
        assert!(is_running(rustix::process::getpid()));
        // A child that does not end, such as containerd.
        let mut endless = Command::new("sleep").arg("5").spawn().unwrap();
        // As `runc start` does, which here outlives what it starts.
        assert_eq!(run(shell("sleep 1; exit 3")).unwrap(), 3);
        assert!(!is_running(service));
        assert_eq!(wait_for(container).unwrap(), 5);
        assert!(!is_running(container));
        assert_eq!(reap(), [(service, 7)]);
        // It has been reaped.
        assert!(wait_for(container).is_err());
        endless.kill().unwrap();
        endless.wait().unwrap();
    }
}
