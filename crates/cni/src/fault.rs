//! Named places where tests stop, fail or kill the plugin. Release builds have none of it.
//!
//! `MARGAY_CNI_FAULT=kill:POINT` ends the process there as `kill -9` would, `fail:POINT` makes the step fail, and
//! `stop:POINT` stops the process until somebody continues it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use rustix::process::{Signal, getpid, kill_process};

use crate::error::{Code, Failure, Result};

/// The variable that arms a point.
pub const VARIABLE: &str = "MARGAY_CNI_FAULT";

/// The points of ADD, in order. Those that begin with `wiring-` are the steps of the interface.
pub const ADD: [&str; 12] = [
    "add-locked",
    "add-read",
    "add-replayed",
    "add-assigning",
    "add-assigned",
    "wiring-entered",
    "wiring-created",
    "wiring-addressed",
    "wiring-configured",
    "wiring-published",
    "add-recorded",
    "add-profiled",
];

/// The points of DEL, in order.
pub const DEL: [&str; 7] = [
    "del-locked",
    "wiring-examined",
    "wiring-removed",
    "del-unwired",
    "del-ready",
    "del-unrecorded",
    "del-released",
];

/// What happens at an armed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Fail,
    Stop,
}

/// The armed point, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    armed: Option<(Kind, String)>,
}

// === impl Faults ===

impl Faults {
    /// What the environment arms.
    #[must_use]
    pub fn of_environment(env: &BTreeMap<String, OsString>) -> Self {
        if !cfg!(debug_assertions) {
            return Self::default();
        }
        let armed = env.get(VARIABLE).and_then(|value| value.to_str()).and_then(|value| {
            let (kind, point) = value.split_once(':')?;
            let kind = match kind {
                "kill" => Kind::Kill,
                "fail" => Kind::Fail,
                "stop" => Kind::Stop,
                _ => return None,
            };
            Some((kind, point.to_owned()))
        });
        Self { armed }
    }

    /// Passes a point.
    ///
    /// # Errors
    /// The point is armed to fail.
    pub fn pass(&self, point: &str) -> Result<()> {
        match &self.armed {
            Some((kind, armed)) if armed == point => match kind {
                Kind::Kill => signal(Signal::KILL),
                Kind::Stop => signal(Signal::STOP),
                Kind::Fail => return Err(Failure::new(Code::GENERIC, format!("told to fail at {point}"))),
            },
            _ => {}
        }
        Ok(())
    }
}

fn signal(signal: Signal) {
    // A signal to ourselves cannot be refused.
    let _ = kill_process(getpid(), signal);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Faults, VARIABLE};

    #[test]
    fn only_the_armed_point_fails() {
        let env = BTreeMap::from([(VARIABLE.to_owned(), "fail:add-assigned".into())]);
        let faults = Faults::of_environment(&env);
        assert!(faults.pass("add-read").is_ok());
        assert_eq!(faults.pass("add-assigned").unwrap_err().msg, "told to fail at add-assigned");
        assert!(Faults::of_environment(&BTreeMap::new()).pass("add-assigned").is_ok());
    }
}
