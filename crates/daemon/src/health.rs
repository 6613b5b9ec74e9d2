//! [`Health`]: is the program alive, is it ready, judged by progress.
//!
//! Each stage has a [`Reporter`]. Whoever hands work to a stage calls [`Reporter::work`]; the stage calls
//! [`Reporter::progress`] whenever it gets further and [`Reporter::idle`] when nothing is left. A stage is stuck when
//! there has been work and no progress for longer than it may take, so a long step that gets on is healthy and an idle
//! program needs no timer. All reporters are made before the page opens, so an early question is never answered "ready".

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a stage may have work and make no progress.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The health of a program.
#[derive(Debug, Clone, Default)]
pub struct Health {
    stages: Arc<Mutex<Vec<Arc<Stage>>>>,
}

/// One stage's voice.
#[derive(Debug, Clone)]
pub struct Reporter {
    stage: Arc<Stage>,
}

#[derive(Debug)]
struct Stage {
    name: &'static str,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    ready: bool,
    /// Since when there is work without progress.
    waiting_since: Option<Instant>,
    detail: String,
}

/// What one stage says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The stage.
    pub name: &'static str,
    /// It does what it is there for.
    pub ready: bool,
    /// It gets on, or has nothing to do.
    pub live: bool,
    /// What it waits for, in words.
    pub detail: String,
}

// === impl Health ===

impl Health {
    /// A new stage, not ready, with the usual patience.
    #[must_use]
    pub fn reporter(&self, name: &'static str) -> Reporter {
        self.reporter_with(name, PATIENCE)
    }

    /// A new stage that may have work without progress for `patience`.
    #[must_use]
    pub fn reporter_with(&self, name: &'static str, patience: Duration) -> Reporter {
        let state = State { ready: false, waiting_since: None, detail: String::new() };
        let stage = Arc::new(Stage { name, patience, state: Mutex::new(state) });
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&stage));
        Reporter { stage }
    }

    /// What every stage says at `now`, in the order in which they were made.
    #[must_use]
    pub fn verdicts(&self, now: Instant) -> Vec<Verdict> {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.iter().map(|stage| stage.verdict(now)).collect()
    }

    /// True when no stage is stuck.
    #[must_use]
    pub fn is_live(&self, now: Instant) -> bool {
        self.verdicts(now).iter().all(|verdict| verdict.live)
    }

    /// True when every stage is ready and none is stuck.
    #[must_use]
    pub fn is_ready(&self, now: Instant) -> bool {
        self.verdicts(now).iter().all(|verdict| verdict.ready && verdict.live)
    }

    /// One line for each stage.
    #[must_use]
    pub fn describe(&self, now: Instant) -> String {
        let mut text = String::new();
        for Verdict { name, ready, live, detail } in self.verdicts(now) {
            let state = match (ready, live) {
                (_, false) => "stuck",
                (true, true) => "ready",
                (false, true) => "not ready",
            };
            let gap = if detail.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "{name}: {state}{gap}{detail}");
        }
        text
    }
}

// === impl Reporter ===

impl Reporter {
    /// The stage does what it is there for, or no longer.
    pub fn set_ready(&self, ready: bool) {
        self.state(|state| state.ready = ready);
    }

    /// There is work; the patience begins unless it has.
    pub fn work(&self) {
        self.state(|state| {
            state.waiting_since.get_or_insert_with(Instant::now);
        });
    }

    /// The stage got further; the patience begins anew if there is work.
    pub fn progress(&self) {
        self.state(|state| {
            if let Some(since) = &mut state.waiting_since {
                *since = Instant::now();
            }
        });
    }

    /// Nothing is left to do.
    pub fn idle(&self) {
        self.state(|state| state.waiting_since = None);
    }

    /// What it waits for, in words; empty = nothing.
    pub fn detail(&self, text: &str) {
        self.state(|state| {
            if state.detail != text {
                text.clone_into(&mut state.detail);
            }
        });
    }

    fn state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.stage.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

// === impl Stage ===

impl Stage {
    fn verdict(&self, now: Instant) -> Verdict {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stuck =
            state.waiting_since.is_some_and(|since| now.saturating_duration_since(since) > self.patience);
        Verdict { name: self.name, ready: state.ready, live: !stuck, detail: state.detail }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Health, PATIENCE};

    #[test]
    fn a_stage_with_work_and_no_progress_is_stuck_after_its_patience() {
        let health = Health::default();
        let stage = health.reporter("stage");
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(health.is_live(later(100_000)), "an idle stage is live for ever");
        stage.work();
        assert!(health.is_live(later(PATIENCE.as_secs() - 1)));
        assert!(!health.is_live(later(PATIENCE.as_secs() + 1)));
        assert_eq!(health.describe(later(1000)), "stage: stuck\n");
        stage.idle();
        assert!(health.is_live(later(100_000)));
        stage.progress();
        assert!(health.is_live(later(100_000)), "progress without work begins nothing");
    }

    #[test]
    fn more_work_does_not_renew_the_patience_and_progress_does() {
        let health = Health::default();
        let stage = health.reporter_with("stage", Duration::from_millis(1));
        stage.work();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2) {
            std::thread::yield_now();
        }
        stage.work();
        assert!(!health.is_live(Instant::now()));
        stage.progress();
        assert!(health.is_live(begun));
    }

    #[test]
    fn all_stages_must_be_ready() {
        let health = Health::default();
        let (one, two) = (health.reporter("one"), health.reporter("two"));
        one.set_ready(true);
        two.detail("waits for the datastore");
        assert!(!health.is_ready(Instant::now()));
        assert_eq!(health.describe(Instant::now()), "one: ready\ntwo: not ready: waits for the datastore\n");
        two.set_ready(true);
        assert!(health.is_ready(Instant::now()));
        one.set_ready(false);
        assert!(!health.is_ready(Instant::now()));
    }
}
