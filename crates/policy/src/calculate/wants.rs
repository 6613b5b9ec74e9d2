//! What a selector cannot do without: the labels of which an endpoint must have one to be worth a look.

use margay_selector::{Expr, Selector};

use super::cluster::{Cluster, EndpointIndex};
use super::slab::IntMap;
use super::vocabulary::{Key, Pair, Vocabulary};

/// Labels of which a matching endpoint has at least one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// No such labels are known: every endpoint has to be looked at.
    Anything,
    /// Any of these pairs, or any pair with one of these keys. Both empty: nothing matches.
    OneOf {
        /// Pairs.
        pairs: Box<[Pair]>,
        /// Keys.
        keys: Box<[Key]>,
    },
}

/// The same in texts, before they have numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Needs<'s> {
    pairs: Vec<(&'s str, &'s str)>,
    keys: Vec<&'s str>,
}

/// Things with a selector, found by what their selectors want.
#[derive(Debug)]
pub(super) struct WantIndex<T> {
    by_pair: IntMap<Pair, Vec<T>>,
    by_key: IntMap<Key, Vec<T>>,
    rest: Vec<T>,
}

// === impl Wants ===

impl Wants {
    /// What a selector wants; its labels are in use until [`Wants::drop_from`].
    ///
    /// Of several needs the one is taken that the fewest endpoints fulfil now: any would do.
    pub(super) fn new(selector: &Selector, cluster: &mut Cluster) -> Self {
        let Some(mut needs) = needs(selector, cluster) else { return Self::Anything };
        let vocabulary = &mut cluster.vocabulary;
        needs.pairs.sort_unstable();
        needs.pairs.dedup();
        needs.keys.sort_unstable();
        needs.keys.dedup();
        let pairs = needs.pairs.iter().map(|(key, value)| vocabulary.use_pair(key, value)).collect();
        let keys = needs.keys.iter().map(|key| vocabulary.use_key(key)).collect();
        Self::OneOf { pairs, keys }
    }

    /// Gives the labels back.
    pub(super) fn drop_from(self, vocabulary: &mut Vocabulary) {
        if let Self::OneOf { pairs, keys } = self {
            pairs.iter().for_each(|pair| vocabulary.drop_pair(*pair));
            keys.iter().for_each(|key| vocabulary.drop_key(*key));
        }
    }

    /// How many pairs are wanted; none = everything is.
    pub(super) fn pairs(&self, vocabulary: &Vocabulary) -> Option<usize> {
        match self {
            Self::Anything => None,
            Self::OneOf { pairs, keys } => {
                Some(pairs.len() + keys.iter().map(|key| vocabulary.pairs_of(*key).len()).sum::<usize>())
            }
        }
    }

    /// Every pair that is wanted, by itself or for its key.
    pub(super) fn each_pair(&self, vocabulary: &Vocabulary, mut f: impl FnMut(Pair)) {
        if let Self::OneOf { pairs, keys } = self {
            pairs.iter().copied().for_each(&mut f);
            for key in keys {
                vocabulary.pairs_of(*key).iter().copied().for_each(&mut f);
            }
        }
    }
}

// === impl Needs ===

impl Needs<'_> {
    /// How many endpoints fulfil them.
    fn breadth(&self, cluster: &Cluster) -> usize {
        let pairs = self.pairs.iter().map(|(key, value)| cluster.breadth(key, value));
        pairs.sum::<usize>() + self.keys.iter().map(|key| cluster.breadth_of_key(key)).sum::<usize>()
    }
}

/// What one leaf needs; none when an endpoint without any label can satisfy it.
fn leaf(expr: Expr<'_>) -> Option<Needs<'_>> {
    match expr {
        Expr::Has(key) => Some(Needs { keys: vec![key], ..Needs::default() }),
        Expr::Equal { key, value } => Some(Needs { pairs: vec![(key, value)], ..Needs::default() }),
        Expr::In { key, values } => {
            let pairs = values.iter().map(|value| (key, &**value)).collect();
            Some(Needs { pairs, ..Needs::default() })
        }
        Expr::All | Expr::NotEqual { .. } | Expr::NotIn { .. } | Expr::Not(_) => None,
        Expr::And(_) | Expr::Or(_) => None,
    }
}

/// What a selector needs, by going through its groups without recursion: selectors nest deeply.
fn needs<'s>(selector: &'s Selector, cluster: &Cluster) -> Option<Needs<'s>> {
    enum Work<'s> {
        Look(Expr<'s>),
        /// Puts together the last so many results.
        All(usize),
        Any(usize),
    }
    let mut work = vec![Work::Look(selector.expr())];
    let mut results: Vec<Option<Needs<'_>>> = Vec::new();
    while let Some(next) = work.pop() {
        match next {
            Work::Look(Expr::And(operands)) => {
                work.push(Work::All(operands.count()));
                work.extend(operands.map(Work::Look));
            }
            Work::Look(Expr::Or(operands)) => {
                work.push(Work::Any(operands.count()));
                work.extend(operands.map(Work::Look));
            }
            Work::Look(expr) => results.push(leaf(expr)),
            Work::All(count) => {
                let parts = results.split_off(results.len() - count);
                results.push(parts.into_iter().flatten().min_by_key(|needs| needs.breadth(cluster)));
            }
            Work::Any(count) => {
                let parts = results.split_off(results.len() - count);
                let mut any = Some(Needs::default());
                for part in parts {
                    any = any.zip(part).map(|(mut any, part)| {
                        any.pairs.extend(part.pairs);
                        any.keys.extend(part.keys);
                        any
                    });
                }
                results.push(any);
            }
        }
    }
    results.pop().flatten()
}

// === impl WantIndex ===

impl<T: Copy + Ord> WantIndex<T> {
    pub(super) fn insert(&mut self, item: T, wants: &Wants) {
        match wants {
            Wants::Anything => self.rest.push(item),
            Wants::OneOf { pairs, keys } => {
                for pair in pairs {
                    self.by_pair.entry(*pair).or_default().push(item);
                }
                for key in keys {
                    self.by_key.entry(*key).or_default().push(item);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, item: T, wants: &Wants) {
        let without = |list: &mut Vec<T>| list.retain(|candidate| *candidate != item);
        match wants {
            Wants::Anything => without(&mut self.rest),
            Wants::OneOf { pairs, keys } => {
                for pair in pairs {
                    if let Some(list) = self.by_pair.get_mut(pair) {
                        without(list);
                        if list.is_empty() {
                            self.by_pair.remove(pair);
                        }
                    }
                }
                for key in keys {
                    if let Some(list) = self.by_key.get_mut(key) {
                        without(list);
                        if list.is_empty() {
                            self.by_key.remove(key);
                        }
                    }
                }
            }
        }
    }

    /// The items that an endpoint may satisfy, sorted, each once.
    pub(super) fn candidates(&self, cluster: &Cluster, endpoint: EndpointIndex) -> Vec<T> {
        let mut found = self.rest.clone();
        if !self.by_pair.is_empty() || !self.by_key.is_empty() {
            cluster.each_pair(endpoint, |pair| {
                if let Some(items) = self.by_pair.get(&pair) {
                    found.extend_from_slice(items);
                }
                if let Some(items) = self.by_key.get(&cluster.vocabulary.key(pair)) {
                    found.extend_from_slice(items);
                }
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl<T> Default for WantIndex<T> {
    fn default() -> Self {
        Self { by_pair: IntMap::default(), by_key: IntMap::default(), rest: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
