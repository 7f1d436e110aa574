//! Detection of a hung guest from its console output.

use std::fmt;
use std::time::{Duration, Instant};

/// Maximum silence of a console before the kernel prints.
const MAX_SILENCE: Duration = Duration::from_secs(15);
/// Number of bytes kept of the end of the output.
const TAIL: usize = 4096;

/// Texts that only a running kernel or its init print. Firmware, boot loaders and the boot code of
/// the kernel ("Probing EDD", "Decompressing Linux") print before, and a guest may hang there.
const KERNEL_TEXTS: [&str; 4] = ["Linux version ", "[    0.", "moby-init", "login: "];
/// Texts of the kernel that announce a reset (kernel/reboot.c, kernel/panic.c).
const RESET_TEXTS: [&str; 4] = ["Restarting system", "Rebooting in", "Kernel panic", "reboot: "];
/// Last text of a kernel that panicked and halts (kernel/panic.c).
const HALT_TEXT: &str = "end Kernel panic";
/// Prompts at which a boot loader waits for a person.
const PROMPTS: [&str; 2] = ["boot: ", "Boot in "];

/// A failure of a guest that points to its accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// QEMU reported an internal error of the accelerator.
    InternalError,
    /// The guest was paused without anybody asking for it.
    Paused,
    /// The guest was reset without its kernel announcing it.
    Reset,
    /// The console stayed silent.
    Silent,
    /// QEMU ended with an error before the kernel ran.
    Ended,
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Symptom::InternalError => "QEMU reported an internal error",
            Symptom::Paused => "QEMU paused it",
            Symptom::Reset => "it was reset while it booted",
            Symptom::Silent => "its console stayed silent",
            Symptom::Ended => "QEMU ended before the kernel ran",
        })
    }
}

/// Console as far as it was read.
#[derive(Debug)]
pub struct Console {
    tail: Vec<u8>,
    last_output: Instant,
    kernel_seen: bool,
}

impl Console {
    /// Creates the console of a guest that starts now.
    pub fn new(now: Instant) -> Self {
        Console {
            tail: Vec::new(),
            last_output: now,
            kernel_seen: false,
        }
    }

    /// Takes in bytes that appeared.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        self.last_output = now;
        self.tail.extend_from_slice(bytes);
        self.kernel_seen = self.kernel_seen || self.shows(&KERNEL_TEXTS);
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
    }

    /// Returns whether the guest's kernel has shown that it runs.
    pub fn kernel_seen(&self) -> bool {
        self.kernel_seen
    }

    /// Returns whether the kernel announced that it resets the machine.
    pub fn announced_reset(&self) -> bool {
        self.shows(&RESET_TEXTS)
    }

    /// Returns whether the kernel panicked and halted.
    pub fn halted(&self) -> bool {
        self.shows(&[HALT_TEXT])
    }

    /// Returns whether the console has been silent for too long before the kernel ran.
    pub fn is_silent(&self, now: Instant) -> bool {
        !self.kernel_seen && now.duration_since(self.last_output) >= MAX_SILENCE && !self.prompts()
    }

    fn prompts(&self) -> bool {
        let end = self.tail.len().saturating_sub(64);
        let end = self.tail.get(end..).unwrap_or_default();
        PROMPTS.iter().any(|prompt| contains(end, prompt))
    }

    fn shows(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| contains(&self.tail, text))
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_until_the_kernel_runs() {
        let start = Instant::now();
        let late = start + MAX_SILENCE;
        let mut console = Console::new(start);
        assert!(!console.is_silent(start) && console.is_silent(late));
        console.push(
            b"Booting from ROM..\r\nProbing EDD (edd=off to disable)... ok\r\n",
            start,
        );
        assert!(console.is_silent(late));
        console.push(b"[    0.0000", start);
        assert!(!console.kernel_seen() || !console.is_silent(late));
        console.push(b"00] Linux version 6.1", start);
        assert!(console.kernel_seen() && !console.is_silent(late));
    }

    #[test]
    fn a_text_may_come_in_two_reads() {
        let now = Instant::now();
        let mut console = Console::new(now);
        console.push(b"Linux ver", now);
        assert!(!console.kernel_seen());
        console.push(b"sion 6.1", now);
        assert!(console.kernel_seen());
    }

    #[test]
    fn a_boot_prompt_may_wait() {
        let now = Instant::now();
        let mut console = Console::new(now);
        console.push(b"ISOLINUX 6.04\r\nboot: ", now);
        assert!(!console.is_silent(now + 10 * MAX_SILENCE));
    }

    #[test]
    fn a_reboot_is_announced() {
        let now = Instant::now();
        let mut console = Console::new(now);
        console.push(b"[    9.1] reboot: Restarting system\r\n", now);
        assert!(console.announced_reset());
        console.push(&[b'x'; TAIL], now);
        assert!(!console.announced_reset());
    }
}
