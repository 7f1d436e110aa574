//! Supervision of services that are children of PID 1: containerd, or without it every runc.

use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::log;
use crate::restart::{Backoff, Policy, restart_notice};

/// Starts a service, and returns the process to wait for. `None` means that the start failed, and that
/// the reason has been printed. The argument is `true` from the second start on.
type Start = Box<dyn FnMut(bool) -> Option<Pid>>;

/// Services by the order of their start.
#[derive(Default)]
pub struct Supervisor(Vec<Service>);

struct Service {
    name: String,
    start: Start,
    backoff: Backoff,
    state: State,
}

enum State {
    Running { pid: Pid, since: Instant },
    Waiting { until: Instant },
    Stopped,
}

impl Supervisor {
    /// Starts a service for the first time. Returns its process.
    pub fn add(&mut self, name: &str, policy: Policy, start: Start) -> Option<Pid> {
        let mut service = Service {
            name: name.to_owned(),
            start,
            backoff: Backoff::new(policy),
            state: State::Stopped,
        };
        let pid = service.start(false);
        self.0.push(service);
        pid
    }

    /// Takes note that a child of PID 1 has ended.
    pub fn child_ended(&mut self, child: Pid, status: i32) {
        for service in &mut self.0 {
            if let State::Running { pid, since } = service.state
                && pid == child
            {
                service.wait(&format!("ended: exit status {status}"), since.elapsed());
            }
        }
    }

    /// Starts the services whose delay is over. Returns the time until the next one has to be started.
    pub fn restart(&mut self) -> Option<Duration> {
        for service in &mut self.0 {
            if let State::Waiting { until } = service.state
                && until <= Instant::now()
            {
                service.start(true);
            }
        }
        let waits = self.0.iter().filter_map(|service| match service.state {
            State::Waiting { until } => Some(until.saturating_duration_since(Instant::now())),
            _ => None,
        });
        waits.min()
    }
}

impl Service {
    fn start(&mut self, again: bool) -> Option<Pid> {
        let pid = (self.start)(again);
        match pid {
            Some(pid) => {
                let since = Instant::now();
                self.state = State::Running { pid, since };
            }
            None => self.wait("did not start", Duration::ZERO),
        }
        pid
    }

    fn wait(&mut self, event: &str, ran: Duration) {
        let delay = self.backoff.delay(ran);
        log(&format!("service {} {event}{}", self.name, restart_notice(delay)));
        self.state = match delay.and_then(|delay| Instant::now().checked_add(delay)) {
            Some(until) => State::Waiting { until },
            None => State::Stopped,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// A start that records its argument and gives out ascending process numbers.
    fn recorded(starts: &Rc<RefCell<Vec<bool>>>, first: i32) -> Start {
        let starts = Rc::clone(starts);
        Box::new(move |again| {
            starts.borrow_mut().push(again);
            let count = i32::try_from(starts.borrow().len()).unwrap();
            // The second time it cannot be started.
            (count != 2).then(|| Pid::from_raw(first + count)).flatten()
        })
    }

    fn pid(number: i32) -> Pid {
        Pid::from_raw(number).unwrap()
    }

    #[test]
    fn a_service_that_ends_is_started_again_after_its_delay() {
        let starts = Rc::default();
        let mut supervisor = Supervisor::default();
        assert_eq!(
            supervisor.add("a", Policy::Always, recorded(&starts, 10)),
            Some(pid(11))
        );
        assert_eq!(supervisor.restart(), None);
        // Somebody else's process.
        supervisor.child_ended(pid(99), 0);
        assert_eq!(supervisor.restart(), None);
        supervisor.child_ended(pid(11), 0);
        let wait = supervisor.restart().unwrap();
        assert!(
            wait > Duration::from_millis(500) && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        std::thread::sleep(wait);
        // It does not start, and has to wait for twice as long.
        let wait = supervisor.restart().unwrap();
        assert!(
            wait > Duration::from_secs(1) && wait <= Duration::from_secs(2),
            "{wait:?}"
        );
        std::thread::sleep(wait);
        assert_eq!(supervisor.restart(), None);
        assert_eq!(*starts.borrow(), [false, true, true]);
        // It runs under another number now.
        supervisor.child_ended(pid(11), 0);
        assert_eq!(supervisor.restart(), None);
        supervisor.child_ended(pid(13), 1);
        assert!(supervisor.restart().is_some());
    }

    #[test]
    fn a_service_without_restarts_stays_ended() {
        let (once, restarted) = (Rc::default(), Rc::default());
        let mut supervisor = Supervisor::default();
        supervisor.add("once", Policy::No, recorded(&once, 10));
        supervisor.add("restarted", Policy::Always, recorded(&restarted, 20));
        supervisor.child_ended(pid(11), 1);
        assert_eq!(supervisor.restart(), None);
        supervisor.child_ended(pid(21), 1);
        assert!(supervisor.restart().is_some());
        assert_eq!(*once.borrow(), [false]);
    }
}
