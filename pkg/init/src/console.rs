//! Consoles of the machine. The lines of PID 1 and of the programs that it runs reach all of them.
//!
//! The kernel writes its own messages to every console, but /dev/console is only one of them: the
//! last `console=` argument or, when no such device exists, the console that registered first. With
//! `console=tty0 console=ttyS0 console=ttyAMA0` that is the screen of a machine whose user looks at
//! the serial port. So, with several consoles, a pipe becomes the standard output:
//!
//! ```text
//! PID 1 ─────┐                      ┌─▶ /dev/tty0
//! onboot ────┼─▶ pipe ─▶ a thread ──┤
//! onshutdown ┘                      └─▶ /dev/ttyS0
//! ```

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// Names of the kernel's consoles below /dev, between blanks (drivers/tty/tty_io.c).
const ACTIVE: &str = "/sys/class/tty/console/active";
/// Maximum time that a console may take to accept more bytes. Flow control can stop one for ever.
const WRITE_TIMEOUT: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// Maximum wait for the last lines when the copying ends.
const FLUSH: Duration = Duration::from_secs(3);

static CONSOLES: Mutex<Vec<Console>> = Mutex::new(Vec::new());
static COPY: Mutex<Option<Copy>> = Mutex::new(None);

/// A running copy of the standard output to the consoles.
struct Copy {
    /// Standard output and standard error as they were before.
    before: (OwnedFd, OwnedFd),
    /// Disconnected when the thread has written everything.
    done: Receiver<()>,
}

/// Writes a line of PID 1.
pub fn log(text: &str) {
    // A console that is gone must not stop the machine.
    let _ = writeln!(io::stdout().lock(), "moby-init: {text}");
}

/// Sends the standard output to all consoles. Can be called again when drivers may have brought
/// more of them. Needs /dev and /sys.
pub fn open() {
    let active = fs::read_to_string(ACTIVE).unwrap_or_default();
    let mut consoles = locked(&CONSOLES);
    for name in active.split_whitespace() {
        let path = format!("/dev/{name}");
        if consoles.iter().any(|console| console.path == path) {
            continue;
        }
        if let Ok(console) = Console::open(path) {
            consoles.push(console);
        }
    }
    // A single one is /dev/console, which programs see as a terminal.
    let enough = consoles.is_empty() || consoles.len() == 1 && io::stdout().is_terminal();
    drop(consoles);
    let mut copy = locked(&COPY);
    if !enough && copy.is_none() {
        match start_copy() {
            Ok(started) => *copy = Some(started),
            Err(error) => log(&format!("cannot write to several consoles: {error}")),
        }
    }
}

/// Ends the copying when all lines are written: before the machine stops, and before another
/// program becomes PID 1.
pub fn close() {
    let Some(Copy { before, done }) = locked(&COPY).take() else {
        return;
    };
    let _ = io::stdout().flush();
    // The thread sees end of file once no process holds the write end.
    let restored = dup2_stdout(&before.0).and_then(|()| dup2_stderr(&before.1));
    if restored.is_ok() {
        // A process that cannot be killed may hold the pipe.
        let _ = done.recv_timeout(FLUSH);
    }
}

fn start_copy() -> io::Result<Copy> {
    let keep = |fd: &dyn std::os::fd::AsFd| rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), 3);
    let before = (keep(&io::stdout())?, keep(&io::stderr())?);
    let (output, input) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (finished, done) = channel();
    let copy = move || {
        copy_to_consoles(File::from(output));
        drop(finished);
    };
    std::thread::Builder::new().spawn(copy)?;
    dup2_stdout(&input)?;
    dup2_stderr(&input)?;
    Ok(Copy { before, done })
}

fn copy_to_consoles(mut output: File) {
    let mut buffer = [0; 4096];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                for console in locked(&CONSOLES).iter_mut() {
                    console.write(buffer.get(..len).unwrap_or_default());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Console {
    path: String,
    file: File,
    /// Set while the console accepts nothing. It is no longer waited for.
    stuck: bool,
}

impl Console {
    fn open(path: String) -> io::Result<Console> {
        let file = open_terminal(&path)?;
        let stuck = false;
        Ok(Console { path, file, stuck })
    }

    /// Writes as much as the console accepts in time, and drops the rest.
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let mut reopened = false;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(len) => {
                    self.stuck = false;
                    rest = rest.get(len..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stuck || !self.wait() {
                        self.stuck = true;
                        return;
                    }
                }
                // The end of a login hangs up the terminal for all who have it open (tty_ioctl(4)).
                Err(_) if !reopened => match open_terminal(&self.path) {
                    Ok(file) => (self.file, reopened) = (file, true),
                    Err(_) => return,
                },
                Err(_) => return,
            }
        }
    }

    /// Waits until the console accepts more. Returns `false` when it does not.
    fn wait(&self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        match poll(&mut fds, Some(&WRITE_TIMEOUT)) {
            Ok(ready) => ready > 0,
            Err(error) => error == Errno::INTR,
        }
    }
}

/// Opens a terminal that neither becomes the controlling one nor is waited for: a serial port without
/// a carrier would block.
fn open_terminal(path: &str) -> io::Result<File> {
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let flags = flags.bits().cast_signed();
    File::options().write(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_that_accepts_nothing_loses_bytes_and_time_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        // Opened for both, a FIFO takes 64 KiB without a reader.
        let mut reader = File::options().read(true).write(true).open(&path).unwrap();
        let mut console = Console::open(path.to_str().unwrap().to_owned()).unwrap();
        let start = std::time::Instant::now();
        console.write(&vec![b'x'; 100 << 10]);
        assert!(console.stuck);
        for _ in 0..9 {
            console.write(b"lost");
        }
        assert!(start.elapsed() < Duration::from_secs(9));
        let mut buffer = vec![0; 100 << 10];
        assert_eq!(reader.read(&mut buffer).unwrap(), 64 << 10);
        console.write(b"seen");
        let len = reader.read(&mut buffer).unwrap();
        assert_eq!((buffer.get(..len).unwrap(), console.stuck), (b"seen".as_slice(), false));
    }
}
