//! Small dense numbers for things, and cheap maps by such numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Items by number; the numbers of removed items are given out again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

/// A map by dense numbers.
pub(super) type IntMap<K, V> = HashMap<K, V, BuildHasherDefault<IntHasher>>;

/// Spreads a number: the numbers are ours, nobody can choose them to collide.
#[derive(Debug, Default)]
pub(super) struct IntHasher(u64);

// === impl Slab ===

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, item: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self.items[number as usize] = Some(item);
            return number;
        }
        self.items.push(Some(item));
        u32::try_from(self.items.len() - 1).expect("memory ends before four billion items")
    }

    pub(super) fn remove(&mut self, number: u32) -> T {
        let item =
            self.items[number as usize].take().expect("a number stands for an item until it is removed");
        self.free.push(number);
        item
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.items).filter_map(|(number, item)| Some((number, item.as_ref()?)))
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, number: u32) -> &T {
        self.items[number as usize].as_ref().expect("a number stands for an item until it is removed")
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.items[number as usize].as_mut().expect("a number stands for an item until it is removed")
    }
}

// === impl IntHasher ===

impl Hasher for IntHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        let spread = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}
