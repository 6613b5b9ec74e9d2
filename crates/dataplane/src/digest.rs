//! One number for many things, whatever their order, that can be kept while things come and go.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The sum of the hashes of things.
///
/// Twice 64 bits, so that two tables that differ do not meet by chance. Keys are fixed: equal things are equal in the
/// next process too, as long as it was made by the same compiler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest(u64, u64);

// === impl Digest ===

impl Digest {
    /// One thing more.
    pub(crate) fn add(&mut self, thing: &impl Hash) {
        let Self(a, b) = halves(thing);
        *self = Self(self.0.wrapping_add(a), self.1.wrapping_add(b));
    }

    /// One thing less.
    pub(crate) fn remove(&mut self, thing: &impl Hash) {
        let Self(a, b) = halves(thing);
        *self = Self(self.0.wrapping_sub(a), self.1.wrapping_sub(b));
    }

    /// 96 bits of it.
    pub(crate) fn words(self) -> [u32; 3] {
        let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).expect("masked");
        [low(self.0), low(self.0 >> 32), low(self.1)]
    }
}

fn halves(thing: &impl Hash) -> Digest {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    let first = hasher.finish();
    first.hash(&mut hasher);
    Digest(first, hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_and_what_came_and_went_leaves_nothing() {
        let of = |things: &[&str]| {
            let mut digest = Digest::default();
            things.iter().for_each(|thing| digest.add(thing));
            digest
        };
        assert_eq!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
        let mut digest = of(&["a", "b", "c"]);
        digest.remove(&"b");
        assert_eq!(digest, of(&["a", "c"]));
        digest.remove(&"a");
        digest.remove(&"c");
        assert_eq!(digest, Digest::default());
    }
}
