//! A selector made ready to be held against many endpoints: labels as numbers, leaves with jumps.

use margay_selector::{Expr, Selector};

use super::vocabulary::{Key, Pair, Vocabulary};

/// Ends evaluation with "matches".
const ACCEPT: u32 = u32::MAX;
/// Ends evaluation with "does not match".
const REJECT: u32 = u32::MAX - 1;

/// A selector; its labels are in use until [`Program::drop_from`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    leaves: Box<[Leaf]>,
}

#[derive(Debug, PartialEq, Eq)]
struct Leaf {
    test: Test,
    on_true: u32,
    on_false: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Test {
    All,
    Has(Key),
    Is(Key, Pair),
    In(Key, Box<[Pair]>),
}

/// A place in the code that is not known yet.
#[derive(Debug, Clone, Copy)]
struct Label(u32);

// === impl Program ===

impl Program {
    pub(super) fn new(selector: &Selector, vocabulary: &mut Vocabulary) -> Self {
        enum Work<'s> {
            Emit(Expr<'s>, Label, Label),
            Place(Label),
        }
        // The first two labels are the ends.
        let mut places = vec![ACCEPT, REJECT];
        let mut leaves = Vec::new();
        let mut work = vec![Work::Emit(selector.expr(), Label(0), Label(1))];
        while let Some(next) = work.pop() {
            match next {
                Work::Place(label) => places[label.0 as usize] = number(leaves.len()),
                Work::Emit(Expr::Not(operand), yes, no) => work.push(Work::Emit(operand.expr(), no, yes)),
                Work::Emit(group @ (Expr::And(operands) | Expr::Or(operands)), yes, no) => {
                    let and = matches!(group, Expr::And(_));
                    let mut parts: Vec<Expr<'_>> = operands.collect();
                    // The last one decides; each before it goes on to its neighbour or out.
                    let mut behind = None;
                    while let Some(part) = parts.pop() {
                        let (on_true, on_false) = match (behind, and) {
                            (None, _) => (yes, no),
                            (Some(next), true) => (next, no),
                            (Some(next), false) => (yes, next),
                        };
                        work.push(Work::Emit(part, on_true, on_false));
                        let here = Label(number(places.len()));
                        places.push(0);
                        work.push(Work::Place(here));
                        behind = Some(here);
                    }
                }
                Work::Emit(leaf, yes, no) => {
                    let (test, turned) = Test::new(leaf, vocabulary);
                    let (yes, no) = if turned { (no, yes) } else { (yes, no) };
                    leaves.push(Leaf { test, on_true: yes.0, on_false: no.0 });
                }
            }
        }
        for leaf in &mut leaves {
            leaf.on_true = places[leaf.on_true as usize];
            leaf.on_false = places[leaf.on_false as usize];
        }
        Self { leaves: leaves.into() }
    }

    /// Gives the labels back.
    pub(super) fn drop_from(self, vocabulary: &mut Vocabulary) {
        for leaf in self.leaves {
            match leaf.test {
                Test::All => {}
                Test::Has(key) => vocabulary.drop_key(key),
                Test::Is(_, pair) => vocabulary.drop_pair(pair),
                Test::In(key, pairs) => {
                    pairs.iter().for_each(|pair| vocabulary.drop_pair(*pair));
                    vocabulary.drop_key(key);
                }
            }
        }
    }

    /// Whether labels satisfy the selector; `label` finds the pair with a key.
    pub(super) fn matches(&self, label: impl Fn(Key) -> Option<Pair>) -> bool {
        let mut at = 0;
        while let Some(leaf) = self.leaves.get(at as usize) {
            let holds = match &leaf.test {
                Test::All => true,
                Test::Has(key) => label(*key).is_some(),
                Test::Is(key, pair) => label(*key) == Some(*pair),
                Test::In(key, pairs) => label(*key).is_some_and(|pair| pairs.contains(&pair)),
            };
            at = if holds { leaf.on_true } else { leaf.on_false };
        }
        at == ACCEPT
    }
}

impl Test {
    /// The test of a leaf, and whether its answer is turned round.
    fn new(leaf: Expr<'_>, vocabulary: &mut Vocabulary) -> (Self, bool) {
        let is = |key: &str, value: &str, vocabulary: &mut Vocabulary| {
            let pair = vocabulary.use_pair(key, value);
            Self::Is(vocabulary.key(pair), pair)
        };
        let within = |key: &str, values: &[Box<str>], vocabulary: &mut Vocabulary| {
            let pairs = values.iter().map(|value| vocabulary.use_pair(key, value)).collect();
            Self::In(vocabulary.use_key(key), pairs)
        };
        match leaf {
            Expr::Has(key) => (Self::Has(vocabulary.use_key(key)), false),
            Expr::Equal { key, value } => (is(key, value, vocabulary), false),
            Expr::NotEqual { key, value } => (is(key, value, vocabulary), true),
            Expr::In { key, values } => (within(key, values, vocabulary), false),
            Expr::NotIn { key, values } => (within(key, values, vocabulary), true),
            // Groups and negations are no leaves.
            Expr::All | Expr::Not(_) | Expr::And(_) | Expr::Or(_) => (Self::All, false),
        }
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a selector is smaller than four gigabytes")
}

#[cfg(test)]
mod tests;
