//! The order of a mapping's keys: runs of digits compare as numbers, other signs come before letters.

use std::borrow::Cow;

use crate::value::Value;

type Entry<'v> = (Cow<'v, str>, Value<'v>);

/// The members in the order in which they are written.
pub(super) fn sorted<'m, 'v>(members: &'m [Entry<'v>]) -> Vec<&'m Entry<'v>> {
    let mut sorted: Vec<&Entry<'v>> = members.iter().collect();
    if !sorted.is_sorted_by(|left, right| !less(&right.0, &left.0)) {
        let mut spare = sorted.clone();
        merge_sort(&mut sorted, &mut spare);
    }
    sorted
}

/// Sorts with [`less`], which is no total order (`19` < `20` < `100` < `19`), so the standard sort may panic on it.
///
/// Where it is one among the given keys the result is the only sorted one, hence upstream's.
fn merge_sort<'m, 'v>(items: &mut [&'m Entry<'v>], spare: &mut [&'m Entry<'v>]) {
    if items.len() < 2 {
        return;
    }
    let middle = items.len() / 2;
    merge_sort(&mut items[..middle], &mut spare[..middle]);
    merge_sort(&mut items[middle..], &mut spare[middle..]);
    spare.copy_from_slice(items);
    let (mut left, mut right) = (0, middle);
    for place in items {
        let take_right = left == middle || (right < spare.len() && less(&spare[right].0, &spare[left].0));
        let from = if take_right { &mut right } else { &mut left };
        *place = spare[*from];
        *from += 1;
    }
}

/// Whether upstream writes `left` before `right`.
///
/// COMPAT(natural order): digits that both keys share before the first difference do not count, so `a100` comes
/// before `a11`, as go-yaml of 2016 has it. Combining vowel signs of some scripts count as letters here only.
fn less(left: &str, right: &str) -> bool {
    let mut at = left.bytes().zip(right.bytes()).take_while(|(l, r)| l == r).count();
    while !left.is_char_boundary(at) || !right.is_char_boundary(at) {
        at -= 1;
    }
    let (left, right) = (&left[at..], &right[at..]);
    let (Some(l), Some(r)) = (left.chars().next(), right.chars().next()) else {
        return left.len() < right.len();
    };
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => l < r,
        (true, false) => false,
        (false, true) => true,
        (false, false) => (leading_number(left), l) < (leading_number(right), r),
    }
}

/// The number that a text starts with, and how many digits it has. Wraps around like upstream's.
fn leading_number(text: &str) -> (i64, usize) {
    let digits = text.bytes().take_while(u8::is_ascii_digit);
    digits.fold((0_i64, 0), |(number, count), digit| {
        (number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')), count + 1)
    })
}
