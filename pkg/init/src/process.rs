//! Children, and the orphans that PID 1 inherits: one that matters is waited for by its number, all
//! the others are reaped when nobody is waited for.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitOptions, wait, waitpid};

use crate::say;

/// The entries of a folder as paths, by name.
pub fn list(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<String> = entries
        .map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
        .collect();
    paths.sort();
    paths
}

/// Starts a program; `None`, said on the console, when it cannot be started.
pub fn start(mut command: Command) -> Option<Pid> {
    match command.spawn() {
        // The child is waited for by number, below.
        Ok(child) => Pid::from_raw(child.id() as i32),
        Err(error) => {
            say(&format!(
                "cannot run {}: {error}",
                command.get_program().to_string_lossy()
            ));
            None
        }
    }
}

/// Runs a program to its end; returns its exit status.
pub fn run(command: Command) -> Option<i32> {
    wait_for(start(command)?)
}

/// Runs the programs in a folder, by name.
pub fn run_parts(folder: &str) {
    for path in list(folder).into_iter().filter(|path| Path::new(path).is_file()) {
        say(&path);
        let mut command = Command::new(&path);
        command.stdin(Stdio::null());
        run(command);
    }
}

/// Whether a process is there and has not ended: in state Z it only waits to be waited for
/// (proc_pid_stat(5), whose second field is a name in parentheses).
pub fn is_running(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Waits for a child; returns its exit status. Whoever else ends meanwhile keeps its own, in the
/// kernel, until it is waited for too: a container may end before the `runc start` that starts it,
/// and a service while the next one is made.
pub fn wait_for(child: Pid) -> Option<i32> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Some(status.exit_status().unwrap_or(255)),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                say(&format!(
                    "process {} cannot be waited for: {error}",
                    Pid::as_raw(Some(child))
                ));
                return None;
            }
        }
    }
}

/// Reaps the children that have ended, without waiting.
pub fn ended() -> Vec<(Pid, i32)> {
    let mut ended = Vec::new();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        ended.push((pid, status.exit_status().unwrap_or(255)));
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone::is_alone;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn whoever_ends_meanwhile_keeps_its_status() {
        // `ended` reaps what other tests wait for.
        if !is_alone("process::tests::whoever_ends_meanwhile_keeps_its_status", &[]) {
            return;
        }
        // Orphans become children of this process, as they become PID 1's.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let folder = std::env::temp_dir().join(format!("moby-init-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pid");
        // As `runc create` does: the container is a child of PID 1's when runc has ended.
        let script = format!("(sleep 0.2; exit 5) & echo $! > {}", file.display());
        assert_eq!(run(shell(&script)), Some(0));
        let container = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let container = Pid::from_raw(container).unwrap();
        let service = start(shell("exit 7")).unwrap();
        assert!(is_running(std::process::id() as i32));
        // containerd, say, that has no reason to end.
        let mut endless = Command::new("sleep").arg("5").spawn().unwrap();
        // As `runc start` does, which here outlives what it starts.
        assert_eq!(run(shell("sleep 1; exit 3")), Some(3));
        assert!(!is_running(Pid::as_raw(Some(service))));
        assert_eq!(wait_for(container), Some(5));
        assert!(!is_running(Pid::as_raw(Some(container))));
        assert_eq!(ended(), [(service, 7)]);
        // Nobody's.
        assert_eq!(wait_for(container), None);
        endless.kill().unwrap();
        endless.wait().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
