//! A sorted list of numbers that needs no memory of its own while it is short, as nearly all of them are.

use std::ops::Deref;

/// How many fit without a block of memory.
const SHORT: usize = 4;

/// A sorted list, each item once.
#[derive(Debug)]
pub(super) enum Few<T> {
    /// The first so many of the array.
    Short(u8, [T; SHORT]),
    /// More than fit.
    Long(Box<[T]>),
}

// === impl Few ===

impl<T: Copy + Ord + Default> Few<T> {
    /// Takes a sorted list.
    pub(super) fn from_sorted(list: &[T]) -> Self {
        match u8::try_from(list.len()) {
            Ok(length) if list.len() <= SHORT => {
                let mut short = [T::default(); SHORT];
                short[..list.len()].copy_from_slice(list);
                Self::Short(length, short)
            }
            _ => Self::Long(list.into()),
        }
    }

    /// The list with one more item.
    pub(super) fn with(&self, item: T) -> Self {
        let mut list = Vec::with_capacity(self.len() + 1);
        list.extend_from_slice(self);
        list.insert(list.partition_point(|other| *other < item), item);
        Self::from_sorted(&list)
    }

    /// The list without an item.
    pub(super) fn without(&self, item: T) -> Self {
        let list: Vec<T> = self.iter().copied().filter(|other| *other != item).collect();
        Self::from_sorted(&list)
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Self::Short(length, short) => &short[..usize::from(*length)],
            Self::Long(list) => list,
        }
    }
}

impl<T: Default + Copy> Default for Few<T> {
    fn default() -> Self {
        Self::Short(0, [T::default(); SHORT])
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn a_list_stays_sorted_across_the_border_between_short_and_long() {
        let mut list = Few::<u32>::default();
        for item in [5, 1, 9, 3, 7, 2] {
            list = list.with(item);
            assert!(list.is_sorted() && list.contains(&item));
        }
        assert_eq!(*list, [1, 2, 3, 5, 7, 9]);
        for (item, left) in [(9, 5), (1, 4), (4, 4), (5, 3)] {
            list = list.without(item);
            assert_eq!(list.len(), left);
        }
        assert_eq!(*list, [2, 3, 7]);
        assert_eq!(size_of::<Few<u32>>(), 24);
    }
}
