//! What a plain scalar means under YAML 1.1, as upstream's reader of late 2016 decides it.
//!
//! The rules are looser than YAML's own text: whatever the number parser of the time took is a number (`08` is the
//! float 8, `-inf` is a float), sexagesimal numbers and dates stay text.

use super::Resolved;

/// Decides what the characters of an unquoted scalar mean.
pub(super) fn resolve_plain(text: &str) -> Resolved<'_> {
    let Some(&first) = text.as_bytes().first() else {
        return Resolved::Null;
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => dotted(text),
        b'+' | b'-' | b'0'..=b'9' => signed(text),
        _ => Resolved::Text(text),
    }
}

fn word(text: &str) -> Resolved<'_> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Resolved::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        _ => Resolved::Text(text),
    }
}

fn dotted(text: &str) -> Resolved<'_> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Resolved::Float(f64::INFINITY),
        _ => decimal_float(text).map_or(Resolved::Text(text), Resolved::Float),
    }
}

fn signed(text: &str) -> Resolved<'_> {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // An address, a date or a port range starts with a digit too: only digits and these letters reach a parser.
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_')) {
        return Resolved::Text(text);
    }
    let without_separators;
    let digits = if text.contains('_') {
        without_separators = text.replace('_', "");
        without_separators.as_str()
    } else {
        text
    };
    if let Some(int) = prefixed_int(digits) {
        return Resolved::Int(int);
    }
    if let Some(float) = decimal_float(digits) {
        return Resolved::Float(float);
    }
    binary_int(digits).map_or(Resolved::Text(text), Resolved::Int)
}

/// An integer whose prefix names its base: `0x` sixteen, another leading `0` eight, else ten.
///
/// Negative numbers reach down to 64 bits with sign; positive ones, if they have no `+`, up to 64 bits without.
fn prefixed_int(text: &str) -> Option<i128> {
    let (negative, plus, digits) = match text.as_bytes().first()? {
        b'-' => (true, false, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let magnitude = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        magnitude(hex, 16)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        magnitude(&digits[1..], 8)?
    } else {
        magnitude(digits, 10)?
    };
    let limit = match (negative, plus) {
        (true, _) => 1 << 63,
        (false, true) => i128::from(i64::MAX),
        (false, false) => i128::from(u64::MAX),
    };
    (magnitude <= limit).then_some(if negative { -magnitude } else { magnitude })
}

fn magnitude(digits: &str, radix: u32) -> Option<i128> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok()
}

/// `0b101` and `-0b101`; the digits may carry a sign of their own, as they could upstream.
fn binary_int(text: &str) -> Option<i128> {
    let (digits, negative) = match text.strip_prefix("-0b") {
        Some(digits) => (digits, true),
        None => (text.strip_prefix("0b")?, false),
    };
    let value = i128::from_str_radix(digits, 2).ok()?;
    let most = if negative || digits.starts_with('+') { i128::from(i64::MAX) } else { i128::from(u64::MAX) };
    if value > most || value < i128::from(i64::MIN) {
        return None;
    }
    Some(if negative { -value } else { value })
}

/// A decimal float, or `inf` and `infinity` behind a sign; too large for 64 bits is no number.
fn decimal_float(text: &str) -> Option<f64> {
    // The standard parser takes the same forms except a signed `nan`, which upstream's did not take.
    if text.len() < 2 || text.ends_with(['n', 'N']) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let spelled_out = text.bytes().any(|b| matches!(b, b'i' | b'I'));
    (value.is_finite() || spelled_out).then_some(value)
}
