//! Decimal text as Go's `strconv.ParseUint` reads it: digits only, leading zeros allowed.
//! The standard library's integer parsers also take a leading `+`, which is refused here.

use std::str::FromStr;

/// The number that `text` spells, or nothing when it is not digits or does not fit.
pub(crate) fn parse<T: FromStr>(text: &str) -> Option<T> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
