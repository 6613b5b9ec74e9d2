//! [`Known`]: the keys that a consumer has been told of, each with its [`Mark`], in little memory.
//!
//! A large cluster has a hundred thousand keys that differ in their last letters. They stand sorted in small blocks,
//! each key as what it shares with the one before and the rest. Order is by component, as stores list, so what a
//! snapshot brings is appended, and everything below a directory stands together.

use std::cmp::Ordering;

use crate::kv::Revision;

/// How many keys a block holds before it is cut in two.
const FULL: usize = 32;

/// What the consumer knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The revision of the last write.
    pub(super) revision: Revision,
    /// A digest of the value; tells values apart whose revisions are equal.
    pub(super) digest: u64,
}

/// Sorted keys with marks.
#[derive(Debug, Default)]
pub(super) struct Known {
    blocks: Vec<Block>,
    len: usize,
    /// The last key, so that what comes in order is only appended.
    last: String,
}

/// Up to [`FULL`] keys in order; never empty inside of [`Known`].
#[derive(Debug, Default)]
struct Block {
    /// For each key: how many bytes it shares with the one before, how many follow, and those. The first shares none.
    keys: Vec<u8>,
    marks: Vec<Stored>,
}

/// A mark, and in the lowest bit of its digest: the current list had the key.
#[derive(Debug, Clone, Copy)]
struct Stored {
    revision: Revision,
    digest: u64,
}

/// Where a key stands, or where it would.
enum Place {
    At(usize, usize),
    Before(usize, usize),
}

// === impl Known ===

impl Known {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The key's mark.
    pub(super) fn get(&self, key: &str) -> Option<Mark> {
        match self.find(key) {
            Place::At(block, index) => Some(self.blocks[block].marks[index].mark()),
            Place::Before(..) => None,
        }
    }

    /// Says that a list begins: none of the keys has been seen in it.
    pub(super) fn begin_list(&mut self) {
        for stored in self.blocks.iter_mut().flat_map(|block| &mut block.marks) {
            stored.digest &= !1;
        }
    }

    /// Says that the list has the key, and returns its mark.
    pub(super) fn see(&mut self, key: &str) -> Option<Mark> {
        match self.find(key) {
            Place::At(block, index) => {
                let stored = &mut self.blocks[block].marks[index];
                stored.digest |= 1;
                Some(stored.mark())
            }
            Place::Before(..) => None,
        }
    }

    /// Sets a key's mark, as seen in the current list. True when the key is new.
    pub(super) fn insert(&mut self, key: &str, mark: Mark) -> bool {
        let stored = Stored { revision: mark.revision, digest: mark.digest | 1 };
        if self.blocks.is_empty() || order(&self.last, key) == Ordering::Less {
            self.push(key, stored);
            return true;
        }
        match self.find(key) {
            Place::At(block, index) => {
                self.blocks[block].marks[index] = stored;
                false
            }
            Place::Before(block, index) => {
                self.len += 1;
                let target = &mut self.blocks[block];
                target.insert(index, key, stored);
                if target.marks.len() > FULL {
                    let rest = target.split_off(FULL / 2);
                    self.blocks.insert(block + 1, rest);
                }
                true
            }
        }
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: &str) -> Option<Mark> {
        let Place::At(block, index) = self.find(key) else { return None };
        self.len -= 1;
        let stored = self.blocks[block].remove(index);
        if self.blocks[block].marks.is_empty() {
            self.blocks.remove(block);
        }
        if self.last == key {
            self.last = self.blocks.last().and_then(|block| block.all().pop()).unwrap_or_default();
        }
        Some(stored.mark())
    }

    /// Adds a key behind all others.
    fn push(&mut self, key: &str, stored: Stored) {
        self.len += 1;
        match self.blocks.last_mut() {
            Some(block) if block.marks.len() < FULL => {
                append(&mut block.keys, &self.last, key);
                block.marks.push(stored);
            }
            full => {
                if let Some(full) = full {
                    full.keys.shrink_to_fit();
                }
                let mut block = Block { keys: Vec::new(), marks: Vec::with_capacity(FULL) };
                append(&mut block.keys, "", key);
                block.marks.push(stored);
                self.blocks.push(block);
            }
        }
        key.clone_into(&mut self.last);
    }

    /// The keys that the current list did not have.
    pub(super) fn unseen(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for block in
            self.blocks.iter().filter(|block| block.marks.iter().any(|stored| stored.digest & 1 == 0))
        {
            block.visit(|index, key| {
                if block.marks[index].digest & 1 == 0 {
                    keys.push(key.to_owned());
                }
                true
            });
        }
        keys
    }

    /// A key and everything below it, in order, with their marks.
    pub(super) fn at_and_below(&self, key: &str) -> Vec<(String, Mark)> {
        let (Place::At(first, _) | Place::Before(first, _)) = self.find(key);
        let mut found = Vec::new();
        for block in self.blocks.iter().skip(first) {
            let goes_on = block.visit(|index, there| match there.strip_prefix(key) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    found.push((there.to_owned(), block.marks[index].mark()));
                    true
                }
                _ => order(there, key) == Ordering::Less,
            });
            if !goes_on {
                break;
            }
        }
        found
    }

    fn find(&self, key: &str) -> Place {
        // The last block whose first key is not behind this one.
        let behind = self.blocks.partition_point(|block| order(block.first(), key) != Ordering::Greater);
        let number = behind.saturating_sub(1);
        let Some(block) = self.blocks.get(number) else { return Place::Before(0, 0) };
        let mut place = Place::Before(number, block.marks.len());
        block.visit(|index, there| match order(there, key) {
            Ordering::Less => true,
            Ordering::Equal => {
                place = Place::At(number, index);
                false
            }
            Ordering::Greater => {
                place = Place::Before(number, index);
                false
            }
        });
        place
    }
}

// === impl Block ===

impl Block {
    /// The first key.
    fn first(&self) -> &str {
        let (_, length) = header(&self.keys);
        text(&self.keys[HEADER..HEADER + length])
    }

    /// Hands out the keys in order until told to stop; false when it was.
    fn visit(&self, mut each: impl FnMut(usize, &str) -> bool) -> bool {
        let mut key: Vec<u8> = Vec::with_capacity(128);
        let mut rest = self.keys.as_slice();
        for index in 0..self.marks.len() {
            let (shared, length) = header(rest);
            key.truncate(shared);
            key.extend_from_slice(&rest[HEADER..HEADER + length]);
            rest = &rest[HEADER + length..];
            if !each(index, text(&key)) {
                return false;
            }
        }
        true
    }

    fn all(&self) -> Vec<String> {
        let mut keys = Vec::with_capacity(self.marks.len() + 1);
        self.visit(|_, key| {
            keys.push(key.to_owned());
            true
        });
        keys
    }

    fn insert(&mut self, index: usize, key: &str, stored: Stored) {
        let mut keys = self.all();
        self.marks.insert(index, stored);
        keys.insert(index, key.to_owned());
        self.write(&keys);
    }

    fn remove(&mut self, index: usize) -> Stored {
        let mut keys = self.all();
        keys.remove(index);
        self.write(&keys);
        self.marks.remove(index)
    }

    fn split_off(&mut self, at: usize) -> Self {
        let keys = self.all();
        let mut rest = Self { keys: Vec::new(), marks: self.marks.split_off(at) };
        rest.write(&keys[at..]);
        self.write(&keys[..at]);
        self.marks.shrink_to_fit();
        rest
    }

    fn write(&mut self, keys: &[String]) {
        self.keys.clear();
        let mut before = "";
        for key in keys {
            append(&mut self.keys, before, key);
            before = key;
        }
        self.keys.shrink_to_fit();
    }
}

// === impl Stored ===

impl Stored {
    fn mark(self) -> Mark {
        Mark { revision: self.revision, digest: self.digest & !1 }
    }
}

// === helpers ===

/// Two bytes say what is shared, four what follows.
const HEADER: usize = 6;

fn header(bytes: &[u8]) -> (usize, usize) {
    let shared = u16::from_le_bytes([bytes[0], bytes[1]]);
    let length = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    (usize::from(shared), length as usize)
}

/// Keys are cut between characters only.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it was put together from keys, which are text")
}

fn append(keys: &mut Vec<u8>, before: &str, key: &str) {
    let common =
        before.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count().min(usize::from(u16::MAX));
    let shared = (0..=common).rev().find(|at| key.is_char_boundary(*at)).unwrap_or(0);
    let rest = &key.as_bytes()[shared..];
    let length = u32::try_from(rest.len()).expect("no store has keys of four gigabytes");
    keys.extend_from_slice(&u16::try_from(shared).expect("it was cut to that").to_le_bytes());
    keys.extend_from_slice(&length.to_le_bytes());
    keys.extend_from_slice(rest);
}

/// Component by component: the slash comes before everything else.
fn order(left: &str, right: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    let differ = left.bytes().zip(right.bytes()).find(|(left, right)| left != right);
    differ.map_or(left.len().cmp(&right.len()), |(left, right)| rank(left).cmp(&rank(right)))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::{Known, Mark};
    use crate::kv::Revision;

    fn mark(number: u64) -> Mark {
        Mark { revision: Revision::new(number + 1).unwrap(), digest: number << 1 }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(String, u64),
        Remove(String),
        List(Vec<String>),
    }

    fn key() -> impl Strategy<Value = String> {
        prop::collection::vec("[a-cä.-]{1,3}", 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (key(), 0..50_u64).prop_map(|(key, number)| Step::Insert(key, number)),
            2 => key().prop_map(Step::Remove),
            1 => prop::collection::vec(key(), 0..20).prop_map(Step::List),
        ]
    }

    proptest! {
        /// Whatever is done, it holds what a plain map holds.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec(step(), 0..400), asked in key()) {
            let (mut known, mut model, mut unseen) = (Known::default(), BTreeMap::new(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(key, number) => {
                        let new = known.insert(&key, mark(number));
                        unseen.remove(&key);
                        prop_assert_eq!(new, model.insert(key, mark(number)).is_none());
                    }
                    Step::Remove(key) => {
                        unseen.remove(&key);
                        prop_assert_eq!(known.remove(&key), model.remove(&key));
                    }
                    Step::List(keys) => {
                        known.begin_list();
                        unseen = model.keys().cloned().collect();
                        for key in keys {
                            prop_assert_eq!(known.see(&key), model.get(&key).copied());
                            unseen.remove(&key);
                        }
                    }
                }
                prop_assert_eq!(known.len(), model.len());
            }
            prop_assert_eq!(known.unseen().into_iter().collect::<BTreeSet<_>>(), unseen);
            prop_assert_eq!(known.get(&asked), model.get(&asked).copied());
            let below = format!("{asked}/");
            let expected: BTreeMap<String, Mark> = model
                .into_iter()
                .filter(|(key, _)| *key == asked || key.starts_with(&below))
                .collect();
            let found = known.at_and_below(&asked);
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }

    #[test]
    fn keys_that_come_in_order_fill_blocks() {
        let mut known = Known::default();
        for number in 0..10_000_u64 {
            known.insert(
                &format!("/calico/v1/host/node/workload/k8s/pod-{number:05}/endpoint/eth0"),
                mark(number),
            );
        }
        let bytes: usize = known.blocks.iter().map(|block| block.keys.len() + 16 * block.marks.len()).sum();
        assert!(bytes < 10_000 * 45, "{bytes} bytes");
        assert!(known.blocks.len() <= 10_000 / super::FULL + 1, "{} blocks", known.blocks.len());
    }
}
