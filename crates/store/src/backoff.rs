//! [`Backoff`]: how long to wait before the next attempt. Bounded, jittered, reset by success.

use std::time::Duration;

/// A source of randomness: each call returns any number.
pub type Jitter = Box<dyn FnMut() -> u32 + Send>;

/// The delays between attempts: doubling from the first to the longest, each cut by up to a half at random.
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: Jitter,
    failures: u32,
}

// === impl Backoff ===

impl Backoff {
    /// Delays that double from `first` to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration, jitter: Jitter) -> Self {
        Self { first, longest, jitter, failures: 0 }
    }

    /// Counts a failure and returns how long to wait after it.
    pub fn failed(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let random = f64::from((self.jitter)()) / f64::from(u32::MAX);
        doubled.mul_f64(1.0 - random / 2.0)
    }

    /// Begins again with the first delay.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests;
