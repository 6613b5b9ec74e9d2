//! Go's literals: strings, characters and numbers read, strings and characters written.

use std::fmt::Write;

/// What is wrong with a literal that has no better name.
const INVALID: &str = "invalid syntax";

// === reading ===

/// The text of a quoted or raw string with its quotes.
pub(super) fn unquote(literal: &str) -> Result<String, String> {
    if let Some(raw) = literal.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        return Ok(raw.replace('\r', ""));
    }
    let inner = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(INVALID)?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, tail) = unescape(rest, '"').ok_or(INVALID)?;
        match unit {
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(byte) => bytes.push(byte),
        }
        rest = tail;
    }
    // COMPAT(templates): Go's strings may hold any bytes; ours are text, so `"\xff"` alone is refused.
    String::from_utf8(bytes).map_err(|_| INVALID.to_owned())
}

/// The number that a character constant with its quotes stands for.
pub(super) fn char_constant(literal: &str) -> Result<i64, String> {
    let (unit, tail) = literal.strip_prefix('\'').and_then(|rest| unescape(rest, '\'')).ok_or(INVALID)?;
    if tail != "'" {
        return Err(format!("malformed character constant: {literal}"));
    }
    Ok(match unit {
        Unit::Char(c) => i64::from(u32::from(c)),
        Unit::Byte(byte) => i64::from(byte),
    })
}

/// A number by its spelling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// No point and no exponent.
    Int(i64),
    /// With a point or an exponent.
    Float(f64),
}

/// The value of a number: decimal, `0x`, `0o`, `0b`, octal by a leading zero, or a float.
pub(super) fn number(literal: &str) -> Result<Number, String> {
    let (sign, digits) = match literal.strip_prefix(['+', '-']) {
        Some(digits) => (&literal[..1], digits),
        None => ("", literal),
    };
    let illegal = || format!("illegal number syntax: {}", quote(literal));
    if !underscores_separate(digits) {
        return Err(illegal());
    }
    let plain = digits.replace('_', "");
    let (radix, body) = radix(&plain);
    let magnitude = format!("{sign}{body}");
    let starts = body.chars().next().is_some_and(|c| c.is_digit(radix));
    if starts && let Ok(int) = i64::from_str_radix(&magnitude, radix) {
        return Ok(Number::Int(int));
    }
    if starts && body.chars().all(|c| c.is_digit(radix)) {
        // COMPAT(templates): Go tells a number that fits an unsigned integer apart and says `overflows int`
        // when it is used; ours are all signed, and the template is refused at once.
        return Err(format!("integer overflow: {}", quote(literal)));
    }
    // COMPAT(templates): hexadecimal floats and imaginary numbers are refused.
    let float = plain.chars().all(|c| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'));
    match format!("{sign}{plain}").parse::<f64>() {
        Ok(value) if float && value.is_finite() => match plain.contains(['.', 'e', 'E']) {
            true => Ok(Number::Float(value)),
            false => Err(format!("integer overflow: {}", quote(literal))),
        },
        _ => Err(illegal()),
    }
}

/// Underscores may stand between digits, and after a radix prefix.
fn underscores_separate(digits: &str) -> bool {
    let (prefix, hexadecimal) = match digits.get(..2).unwrap_or_default() {
        "0x" | "0X" => (2, true),
        "0o" | "0O" | "0b" | "0B" => (2, false),
        _ => (0, false),
    };
    let bytes = &digits.as_bytes()[prefix..];
    let is_digit = |byte: u8| byte.is_ascii_digit() || hexadecimal && byte.is_ascii_hexdigit();
    (0..bytes.len()).filter(|&index| bytes[index] == b'_').all(|index| {
        let follows = match index.checked_sub(1) {
            Some(before) => is_digit(bytes[before]),
            None => prefix > 0,
        };
        follows && bytes.get(index + 1).is_some_and(|&next| is_digit(next))
    })
}

fn radix(digits: &str) -> (u32, &str) {
    let Some(rest) = digits.strip_prefix('0') else {
        return (10, digits);
    };
    match rest.chars().next() {
        Some('x' | 'X') => (16, &rest[1..]),
        Some('o' | 'O') => (8, &rest[1..]),
        Some('b' | 'B') => (2, &rest[1..]),
        Some('0'..='9') => (8, rest),
        _ => (10, digits),
    }
}

enum Unit {
    Char(char),
    Byte(u8),
}

/// The first character of a literal's inside and what follows it.
fn unescape(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first == quote || first == '\n' {
        return None;
    }
    if first != '\\' {
        return Some((Unit::Char(first), chars.as_str()));
    }
    let escaped = chars.next()?;
    let rest = chars.as_str();
    let plain = |c| Some((Unit::Char(c), rest));
    match escaped {
        'a' => plain('\x07'),
        'b' => plain('\x08'),
        'f' => plain('\x0c'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\x0b'),
        '\\' => plain('\\'),
        '\'' | '"' if escaped == quote => plain(quote),
        'x' => coded(rest, 2, 16).and_then(|(code, tail)| Some((Unit::Byte(u8::try_from(code).ok()?), tail))),
        'u' => coded(rest, 4, 16).and_then(|(code, tail)| Some((Unit::Char(char::from_u32(code)?), tail))),
        'U' => coded(rest, 8, 16).and_then(|(code, tail)| Some((Unit::Char(char::from_u32(code)?), tail))),
        '0'..='7' => {
            let (code, tail) = coded(&text[1..], 3, 8)?;
            Some((Unit::Byte(u8::try_from(code).ok()?), tail))
        }
        _ => None,
    }
}

fn coded(text: &str, length: usize, radix: u32) -> Option<(u32, &str)> {
    let (code, tail) = text.split_at_checked(length)?;
    let digits = code.chars().all(|c| c.is_digit(radix));
    let code = u32::from_str_radix(code, radix).ok().filter(|_| digits)?;
    Some((code, tail))
}

// === writing ===

/// `text` as a quoted string.
pub(super) fn quote(text: &str) -> String {
    quote_with(text, '"', false)
}

/// `text` between two `mark`s; `ascii` escapes everything else.
pub(super) fn quote_with(text: &str, mark: char, ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(mark);
    for c in text.chars() {
        escape(&mut quoted, c, mark, ascii).expect("writing to a string succeeds");
    }
    quoted.push(mark);
    quoted
}

fn escape(out: &mut String, c: char, mark: char, ascii: bool) -> std::fmt::Result {
    match c {
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\x0c' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\x0b' => out.write_str("\\v"),
        '\\' => out.write_str("\\\\"),
        _ if c == mark => write!(out, "\\{c}"),
        _ if is_printable(c) && (c.is_ascii() || !ascii) => out.write_char(c),
        '\0'..='\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
        '\u{80}'..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(c)),
        _ => write!(out, "\\U{:08x}", u32::from(c)),
    }
}

/// `U+007D '}'`.
pub(super) fn describe_char(c: char) -> String {
    let code = u32::from(c);
    match is_printable(c) {
        true => format!("U+{code:04X} '{c}'"),
        false => format!("U+{code:04X}"),
    }
}

/// Letters, marks, digits, punctuation, symbols and the space, as Unicode has them.
pub(super) fn is_printable(c: char) -> bool {
    // Debug formatting escapes what cannot be printed, and a mark too, but only at the start of a text.
    c == '"' || c == '\'' || c == '\\' || {
        let mut buffer = [b'a'; 5];
        let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
        let text = str::from_utf8(&buffer[..length]).expect("an a and a character are text");
        text.escape_debug().nth(1) == Some(c)
    }
}
