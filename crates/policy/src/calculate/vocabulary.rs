//! Label keys, and pairs of key and value, as numbers; each text is held once and goes with its last user.
//!
//! A pair also knows the endpoints that have it among their own labels: the index that selectors start from.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::cluster::EndpointIndex;
use super::slab::Slab;

/// A label key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u32);

/// A label: a key with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pair(u32);

/// All keys and pairs in use.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    hasher: RandomState,
    keys: Slab<KeyEntry>,
    keys_by_text: HashTable<u32>,
    pairs: Slab<PairEntry>,
    pairs_by_text: HashTable<u32>,
    /// The key of each pair, beside each other because evaluation reads little else.
    key_of: Vec<Key>,
}

#[derive(Debug)]
struct KeyEntry {
    text: Box<str>,
    /// Its pairs, and selectors that ask for the key alone.
    users: u32,
    pairs: Vec<Pair>,
}

#[derive(Debug)]
struct PairEntry {
    value: Box<str>,
    users: u32,
    /// Where it stands in its key's list.
    place: u32,
    endpoints: Vec<EndpointIndex>,
}

// === impl Pair ===

impl Pair {
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// The pair of a number that [`Pair::number`] gave.
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

// === impl Vocabulary ===

impl Vocabulary {
    /// The number of a key, for one more user.
    pub(super) fn use_key(&mut self, text: &str) -> Key {
        let hash = self.hasher.hash_one(text);
        let keys = &mut self.keys;
        if let Some(number) = self.keys_by_text.find(hash, |number| *keys[*number].text == *text) {
            keys[*number].users += 1;
            return Key(*number);
        }
        let number = keys.insert(KeyEntry { text: text.into(), users: 1, pairs: Vec::new() });
        let hasher = &self.hasher;
        self.keys_by_text.insert_unique(hash, number, |number| hasher.hash_one(&*keys[*number].text));
        Key(number)
    }

    /// Gives a key back.
    pub(super) fn drop_key(&mut self, key: Key) {
        let entry = &mut self.keys[key.0];
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        let entry = self.keys.remove(key.0);
        let hash = self.hasher.hash_one(&*entry.text);
        if let Ok(found) = self.keys_by_text.find_entry(hash, |number| *number == key.0) {
            found.remove();
        }
    }

    /// The number of a pair, for one more user.
    pub(super) fn use_pair(&mut self, key: &str, value: &str) -> Pair {
        let key = self.use_key(key);
        let hash = self.hasher.hash_one((key.0, value));
        let (pairs, key_of) = (&mut self.pairs, &self.key_of);
        let same = |number: &u32| key_of[*number as usize] == key && *pairs[*number].value == *value;
        if let Some(number) = self.pairs_by_text.find(hash, same) {
            let pair = Pair(*number);
            pairs[pair.0].users += 1;
            self.drop_key(key);
            return pair;
        }
        let siblings = &mut self.keys[key.0].pairs;
        let place = u32::try_from(siblings.len()).expect("pairs are numbered in 32 bits");
        let entry = PairEntry { value: value.into(), users: 1, place, endpoints: Vec::new() };
        let pair = Pair(pairs.insert(entry));
        siblings.push(pair);
        if self.key_of.len() <= pair.0 as usize {
            self.key_of.resize(pair.0 as usize + 1, key);
        }
        self.key_of[pair.0 as usize] = key;
        let (hasher, key_of) = (&self.hasher, &self.key_of);
        let rehash = |number: &u32| hasher.hash_one((key_of[*number as usize].0, &*pairs[*number].value));
        self.pairs_by_text.insert_unique(hash, pair.0, rehash);
        pair
    }

    /// Gives a pair back.
    pub(super) fn drop_pair(&mut self, pair: Pair) {
        let entry = &mut self.pairs[pair.0];
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        let key = self.key(pair);
        let entry = self.pairs.remove(pair.0);
        let hash = self.hasher.hash_one((key.0, &*entry.value));
        if let Ok(found) = self.pairs_by_text.find_entry(hash, |number| *number == pair.0) {
            found.remove();
        }
        let siblings = &mut self.keys[key.0].pairs;
        siblings.swap_remove(entry.place as usize);
        if let Some(moved) = siblings.get(entry.place as usize) {
            self.pairs[moved.0].place = entry.place;
        }
        self.drop_key(key);
    }

    /// The number of a key that somebody uses.
    pub(super) fn find_key(&self, text: &str) -> Option<Key> {
        let hash = self.hasher.hash_one(text);
        self.keys_by_text.find(hash, |number| *self.keys[*number].text == *text).map(|number| Key(*number))
    }

    /// The number of a pair that somebody uses.
    pub(super) fn find_pair(&self, key: &str, value: &str) -> Option<Pair> {
        let key = self.find_key(key)?;
        let same =
            |number: &u32| self.key_of[*number as usize] == key && *self.pairs[*number].value == *value;
        self.pairs_by_text.find(self.hasher.hash_one((key.0, value)), same).map(|number| Pair(*number))
    }

    pub(super) fn key(&self, pair: Pair) -> Key {
        self.key_of[pair.0 as usize]
    }

    /// All pairs with a key.
    pub(super) fn pairs_of(&self, key: Key) -> &[Pair] {
        &self.keys[key.0].pairs
    }

    /// The endpoints that have the pair among their own labels.
    pub(super) fn endpoints(&self, pair: Pair) -> &[EndpointIndex] {
        &self.pairs[pair.0].endpoints
    }

    pub(super) fn endpoints_mut(&mut self, pair: Pair) -> &mut Vec<EndpointIndex> {
        &mut self.pairs[pair.0].endpoints
    }

    /// True when nothing is held.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.len() == 0 && self.pairs.len() == 0
    }
}
