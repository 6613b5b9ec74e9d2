//! How long to wait before a compare-and-swap that lost is tried again, and how often (`spec/ipam.md` 11).

use std::time::Duration;

use margay_model::Key;

use crate::mix::{mix, next};
use crate::{Error, Result};

/// How often a record that others keep changing is tried, as upstream does.
pub(crate) const ATTEMPTS: u32 = 100;

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_millis(50);

/// The attempts of one operation.
#[derive(Debug)]
pub(crate) struct Retry {
    failures: u32,
    /// Where the series of waits stands: another one for each operation, the same each time it is tested.
    seed: u64,
}

// === impl Retry ===

impl Retry {
    /// Attempts of the operation that the names describe.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self { failures: 0, seed: mix(names) }
    }

    /// Waits for the next attempt at a record: up to 1 ms at first, up to 50 ms in the end, any length below.
    ///
    /// # Errors
    /// [`Error::Contended`] when it was tried often enough.
    pub(crate) async fn wait(&mut self, key: &Key) -> Result<()> {
        self.failures += 1;
        if self.failures >= ATTEMPTS {
            return Err(Error::Contended { key: key.to_string(), attempts: self.failures });
        }
        tokio::time::sleep(self.delay()).await;
        Ok(())
    }

    fn delay(&mut self) -> Duration {
        let longest = Duration::from_millis(1 << self.failures.min(6)).min(LONGEST);
        let share = next(&mut self.seed) % 1024;
        longest.mul_f64(share as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, Retry};

    fn delays(names: &[&str]) -> Vec<Duration> {
        let mut retry = Retry::of(names);
        (1..100)
            .map(|failures| {
                retry.failures = failures;
                retry.delay()
            })
            .collect()
    }

    #[test]
    fn waits_grow_to_their_limit_and_differ_between_operations() {
        let delays_of_a = delays(&["a"]);
        assert!(delays_of_a.iter().all(|delay| *delay <= LONGEST));
        assert!(delays_of_a[0] <= Duration::from_millis(2));
        assert!(delays_of_a[6..].iter().any(|delay| *delay > Duration::from_millis(40)));
        assert_ne!(delays_of_a, delays(&["b"]));
        assert_eq!(delays_of_a, delays(&["a"]));
    }
}
