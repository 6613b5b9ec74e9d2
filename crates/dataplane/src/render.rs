//! Chains as rules: pure functions of intents and configuration.
//!
//! A [`Builder`] makes the rules of one chain, stamps each with a hash of itself and all before it, and notes which
//! chains and sets they refer to.

pub(crate) mod fixed;
pub(crate) mod matching;
pub(crate) mod program;

use std::hash::{DefaultHasher, Hash, Hasher};

use margay_intent::SetId;
use margay_kernel::nft::{Name, Rule, Statement, Verdict};

use crate::names::ChainKey;

/// How a stamp begins inside a rule's comment.
const MARK: &str = "calico:";

/// The hash of a rule and of all rules before it in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp(u64);

/// The rules of a chain, and what they refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// The rules, each with its stamp in its comment.
    pub(crate) rules: Vec<Rule>,
    /// The stamps alone.
    pub(crate) stamps: Vec<Stamp>,
    /// What the rules refer to.
    pub(crate) uses: Uses,
}

/// Chains and sets that rules refer to; each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// Chains made from intents.
    pub(crate) chains: Vec<ChainKey>,
    /// Sets of selectors.
    pub(crate) sets: Vec<SetId>,
}

/// Makes the rules of one chain.
pub(crate) struct Builder {
    rendered: Rendered,
    last: u64,
}

// === impl Stamp ===

impl Stamp {
    /// The stamp in a comment; none when the rule is not ours.
    pub(crate) fn read(comment: Option<&str>) -> Option<Self> {
        let rest = comment?.strip_prefix(MARK)?;
        let hex = rest.split(' ').next().filter(|hex| hex.len() == 16)?;
        u64::from_str_radix(hex, 16).ok().map(Self)
    }
}

impl Stamp {
    /// The words behind the stamp in a comment.
    pub(crate) fn words(comment: &str) -> &str {
        let Some(rest) = comment.strip_prefix(MARK) else { return comment };
        rest.split_once(' ').map_or("", |(_, words)| words)
    }
}

// === impl Uses ===

impl Uses {
    fn chain(&mut self, key: ChainKey) {
        if !self.chains.contains(&key) {
            self.chains.push(key);
        }
    }

    fn set(&mut self, id: &SetId) {
        if !self.sets.contains(id) {
            self.sets.push(id.clone());
        }
    }
}

// === impl Builder ===

impl Builder {
    /// Begins a chain of that name.
    pub(crate) fn new(name: &Name) -> Self {
        let mut hasher = DefaultHasher::new();
        name.as_str().hash(&mut hasher);
        Self { rendered: Rendered::default(), last: hasher.finish() }
    }

    /// Adds a rule; the words are for people.
    ///
    /// Statements that make no rule become one that drops: a mistake of ours must not open anything.
    pub(crate) fn rule(&mut self, statements: Vec<Statement>, words: &str) {
        let rule = Rule::new(statements);
        debug_assert!(rule.is_ok(), "{rule:?}");
        let rule = rule.unwrap_or_else(|_| {
            Rule::new(vec![Statement::Counter, Statement::Verdict(Verdict::Drop)])
                .expect("counting needs nothing")
        });
        // The default hasher has fixed keys. Should it change with a compiler, a restart writes all rules once.
        let mut hasher = DefaultHasher::new();
        self.last.hash(&mut hasher);
        rule.statements().hash(&mut hasher);
        words.hash(&mut hasher);
        self.last = hasher.finish();
        let space = if words.is_empty() { "" } else { " " };
        self.rendered.rules.push(rule.with_comment(&format!("{MARK}{:016x}{space}{words}", self.last)));
        self.rendered.stamps.push(Stamp(self.last));
    }

    /// Adds a rule that drops what comes to it, and counts it.
    pub(crate) fn drop(&mut self, words: &str) {
        self.rule(vec![Statement::Counter, Statement::Verdict(Verdict::Drop)], words);
    }

    /// Notes a chain that rules refer to, and says its name.
    pub(crate) fn uses_chain(&mut self, key: ChainKey) -> Name {
        let name = key.name();
        self.rendered.uses.chain(key);
        name
    }

    /// Notes the sets that rules refer to.
    pub(crate) fn uses_sets<'a>(&mut self, sets: impl IntoIterator<Item = &'a SetId>) {
        for id in sets {
            self.rendered.uses.set(id);
        }
    }

    /// The chain.
    pub(crate) fn finish(self) -> Rendered {
        self.rendered
    }
}

#[cfg(test)]
mod tests;
