//! The patterns of `spec/api-v1.md` 3.3, each with what it allows in words.

/// A pattern for a text field: ASCII, anchored at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Node names, `activeInstanceID`, tags.
    Name,
    /// Endpoint, workload, orchestrator, profile and policy names: a name that may hold `/`.
    NamespacedName,
    /// Interface names.
    Interface,
    /// Keys of labels.
    LabelKey,
    /// Values of labels.
    LabelValue,
}

impl Pattern {
    /// True when `text` keeps the pattern.
    #[must_use]
    pub fn matches(self, text: &str) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let slashed = |b: u8| plain(b) || b == b'/';
        let within = |max: usize, allowed: &dyn Fn(u8) -> bool| {
            (1..=max).contains(&text.len()) && text.bytes().all(allowed)
        };
        match self {
            Self::Name => within(128, &plain),
            Self::NamespacedName => within(128, &slashed),
            Self::Interface => within(15, &plain),
            Self::LabelKey => within(512, &slashed),
            Self::LabelValue => label_value(text.as_bytes()),
        }
    }

    /// What the pattern allows, for people.
    #[must_use]
    pub fn allows(self) -> &'static str {
        match self {
            Self::Name => "1 to 128 of a-z A-Z 0-9 _ . -",
            Self::NamespacedName => "1 to 128 of a-z A-Z 0-9 _ . - /",
            Self::Interface => "1 to 15 of a-z A-Z 0-9 _ . -",
            Self::LabelKey => "1 to 512 of a-z A-Z 0-9 _ . - /",
            Self::LabelValue => "empty, or at most 63 of a-z A-Z 0-9 _ . - ending in a letter or digit",
        }
    }
}

/// `^[a-zA-Z0-9]?([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?$`: a value starting with `_ . -` has one character less.
fn label_value(text: &[u8]) -> bool {
    let Some(last) = text.last() else { return true };
    let limit = if text[0].is_ascii_alphanumeric() { 63 } else { 62 };
    text.len() <= limit
        && last.is_ascii_alphanumeric()
        && text.iter().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b))
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn label_values_may_start_with_punctuation_but_not_end_with_it() {
        for good in ["", "a", "A.b", "_a", "-a", ".a", &"a".repeat(63), &format!("_{}", "a".repeat(61))] {
            assert!(Pattern::LabelValue.matches(good), "{good}");
        }
        for bad in ["-", "a-", "a b", "é", &"a".repeat(64), &format!("_{}", "a".repeat(62))] {
            assert!(!Pattern::LabelValue.matches(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_ascii_and_bounded() {
        assert!(Pattern::Interface.matches("ens3.100") && Pattern::Interface.matches(".."));
        assert!(!Pattern::Interface.matches("sixteen-chars-xx") && !Pattern::Interface.matches("*"));
        assert!(!Pattern::Name.matches("a/b") && Pattern::NamespacedName.matches("a/b"));
        assert!(!Pattern::Name.matches("a\n") && !Pattern::Name.matches(""));
    }
}
