//! The steps of the work, each a place where it can be interrupted.

/// A step, named for what is true after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The workload's namespace is open and has its own settings.
    Entered,
    /// The pair is there, its host end down.
    Created,
    /// The workload's end has its addresses and routes.
    Addressed,
    /// The host's end has its settings.
    Configured,
    /// The host's end is up and named for its owner, the host has its routes: the whole is done.
    Published,
    /// Detaching knows what there is.
    Examined,
    /// Detaching has removed it.
    Removed,
}

/// The hook wants the work to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

// === impl Step ===

impl Step {
    /// What [`attach`](crate::attach) goes through, in order.
    pub const ATTACH: [Self; 5] =
        [Self::Entered, Self::Created, Self::Addressed, Self::Configured, Self::Published];

    /// What [`detach`](crate::detach) goes through, in order.
    pub const DETACH: [Self; 2] = [Self::Examined, Self::Removed];

    /// The name that fault points and logs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Step::Entered => "wiring-entered",
            Step::Created => "wiring-created",
            Step::Addressed => "wiring-addressed",
            Step::Configured => "wiring-configured",
            Step::Published => "wiring-published",
            Step::Examined => "wiring-examined",
            Step::Removed => "wiring-removed",
        }
    }
}
