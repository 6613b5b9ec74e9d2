//! [`Stop`]: one signal that ends everything, for tasks and for threads.

use std::sync::Arc;

use tokio::sync::watch;

/// Says once, to everyone who holds a copy, that it is time to end, and why.
#[derive(Debug, Clone)]
pub struct Stop {
    sender: Arc<watch::Sender<Option<String>>>,
}

// === impl Stop ===

impl Default for Stop {
    fn default() -> Self {
        Self { sender: Arc::new(watch::Sender::new(None)) }
    }
}

impl Stop {
    /// Ends everything; the first reason counts.
    pub fn stop(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.sender.send_if_modified(|state| {
            let first = state.is_none();
            if first {
                *state = Some(reason);
            }
            first
        });
    }

    /// True when it is time to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.sender.borrow().is_some()
    }

    /// Why, once it is time to end.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.sender.borrow().clone()
    }

    /// Waits until it is time to end; cancel-safe.
    pub async fn stopped(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = receiver.wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::Stop;

    #[tokio::test]
    async fn everyone_hears_the_first_reason() {
        let stop = Stop::default();
        let other = stop.clone();
        assert!(!other.is_stopped());
        let waiting = tokio::spawn(async move {
            other.stopped().await;
            other.reason()
        });
        stop.stop("first");
        stop.stop("second");
        assert_eq!(waiting.await.unwrap().as_deref(), Some("first"));
        stop.stopped().await;
        assert!(stop.is_stopped());
    }
}
