//! What this kernel's nftables can do, asked once.

use std::fmt;

/// What differs between kernels, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Deleting what may not be there (Linux 6.3).
    pub destroy: bool,
    /// Sets of ranges with several fields (Linux 5.6).
    pub concatenated_ranges: bool,
    /// Tables that only their maker may change and that stay when it ends (Linux 6.9).
    pub persist: bool,
    /// Address translation in tables of both families (Linux 5.2).
    pub inet_nat: bool,
    /// Looking up routes in rules.
    pub fib: bool,
}

// === impl Features ===

impl fmt::Display for Features {
    /// What the kernel has and what it lacks, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.fib, "route lookup"),
            (self.inet_nat, "translation for both families"),
            (self.concatenated_ranges, "ranges of several fields"),
            (self.destroy, "deletion of what may be absent"),
            (self.persist, "tables that nobody else may change"),
        ];
        let named = |has: bool| -> Vec<&str> {
            all.iter().filter(|(there, _)| *there == has).map(|(_, name)| *name).collect()
        };
        let (there, missing) = (named(true), named(false));
        match (there.is_empty(), missing.is_empty()) {
            (_, true) => write!(f, "has {}", there.join(", ")),
            (true, false) => write!(f, "lacks {}", missing.join(", ")),
            (false, false) => write!(f, "has {}; lacks {}", there.join(", "), missing.join(", ")),
        }
    }
}

impl Features {
    /// Everything, as on a new kernel.
    #[must_use]
    pub const fn all() -> Self {
        Self { destroy: true, concatenated_ranges: true, persist: true, inet_nat: true, fib: true }
    }

    /// Nothing that came after the oldest kernel that we run on (Linux 5.2).
    #[must_use]
    pub const fn oldest() -> Self {
        Self { destroy: false, concatenated_ranges: false, persist: false, inet_nat: true, fib: true }
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::oldest()
    }
}
