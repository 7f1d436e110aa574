//! Restarts of services: policies, and delays that grow.

use std::time::Duration;

/// Delay before the first restart.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// Maximum delay.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// Run time after which a service counts as healthy, and the delays begin again at the shortest.
const MIN_HEALTHY_RUN: Duration = Duration::from_secs(10);

/// Restart policy of a service: `restart` in its `runtime.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Started again whenever it ends, whatever its exit status.
    #[default]
    Always,
    /// Started once.
    No,
}

/// Delays between the end of a service and its next start, each twice as long as the one before.
#[derive(Debug)]
pub struct Backoff {
    policy: Policy,
    next: Duration,
}

impl Backoff {
    pub fn new(policy: Policy) -> Backoff {
        let next = MIN_DELAY;
        Backoff { policy, next }
    }

    /// Returns the time to wait after a run of the given length; `None` when the service is not
    /// started again.
    pub fn delay(&mut self, ran: Duration) -> Option<Duration> {
        if self.policy == Policy::No {
            return None;
        }
        if ran >= MIN_HEALTHY_RUN {
            self.next = MIN_DELAY;
        }
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(MAX_DELAY);
        Some(delay)
    }
}

/// Returns the end of the console line about a service that ended: the time of its restart, if there is one.
pub fn restart_notice(delay: Option<Duration>) -> String {
    delay.map_or_else(String::new, |delay| format!("; restarting in {} s", delay.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_minute_and_begin_again_after_a_healthy_run() {
        let mut backoff = Backoff::new(Policy::Always);
        let mut delay = |ran| backoff.delay(Duration::from_secs(ran)).unwrap().as_secs();
        let failing: Vec<u64> = (0..9).map(|_| delay(9)).collect();
        assert_eq!(failing, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!([delay(10), delay(0), delay(0)], [1, 2, 4]);
    }

    #[test]
    fn a_service_that_is_started_once_gets_no_delay() {
        let mut backoff = Backoff::new(Policy::No);
        assert_eq!(backoff.delay(Duration::from_secs(100)), None);
    }
}
