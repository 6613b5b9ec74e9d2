//! How a text is written: plain where YAML 1.1 reads it back as the same text, else quoted or as a literal block.

use crate::tree::{Resolved, resolve_plain};

/// The four ways in which a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// As it is.
    Plain,
    /// In `'`.
    Single,
    /// In `"`, with escapes.
    Double,
    /// `|`, line by line.
    Literal,
}

/// What the characters of a text allow.
#[derive(Default)]
struct Analysis {
    /// A character that only an escape can carry.
    special: bool,
    /// A sign that means something else in block context.
    indicator: bool,
    /// Starts with a blank.
    leading_blank: bool,
    /// Ends with a blank.
    trailing_blank: bool,
    /// A newline with a blank before it.
    blank_then_break: bool,
    /// A newline.
    line_break: bool,
}

/// Decides how `text` is written, as a key on one line with its value (`simple_key`) or anywhere else.
pub(super) fn quoting(text: &str, simple_key: bool) -> Quoting {
    let analysis = Analysis::of(text);
    if analysis.line_break {
        let literal =
            !(simple_key || analysis.special || analysis.blank_then_break || analysis.trailing_blank);
        return if literal { Quoting::Literal } else { Quoting::Double };
    }
    if analysis.special || reads_as_something_else(text) {
        Quoting::Double
    } else if analysis.indicator || analysis.leading_blank || analysis.trailing_blank {
        Quoting::Single
    } else {
        Quoting::Plain
    }
}

/// Whether a text holds a line break of YAML 1.1, which a key on one line cannot.
pub(super) fn has_break(text: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some()
        || (!text.is_ascii() && text.contains(['\u{85}', '\u{2028}', '\u{2029}']))
}

/// Whether a character in double quotes needs an escape.
pub(super) fn must_escape(character: char) -> bool {
    match character {
        '"' | '\\' => true,
        ' '..='~' => false,
        // COMPAT(astral): upstream's table of printable characters ends before the four-byte ones.
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{10000}'.. => true,
        '\u{a0}'.. => false,
        _ => true,
    }
}

fn reads_as_something_else(text: &str) -> bool {
    // COMPAT(merge key): upstream writes `<<` plain and cannot read it back; we quote it.
    !matches!(resolve_plain(text), Resolved::Text(_)) || is_base_60(text) || text == "<<"
}

/// `10:20`, `-1:59.5`: a number to other YAML 1.1 readers, though not to ours.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = text.split(':');
    let Some(head) = parts.next() else {
        return false;
    };
    if !head.starts_with(|c: char| c.is_ascii_digit()) || !head.bytes().all(is_digit_or_underscore) {
        return false;
    }
    let Some(mut last) = parts.next_back() else {
        return false;
    };
    if let Some((whole, fraction)) = last.split_once('.') {
        if !fraction.bytes().all(is_digit_or_underscore) {
            return false;
        }
        last = whole;
    }
    parts.chain([last]).all(|part| match part.as_bytes() {
        [units] => units.is_ascii_digit(),
        [tens, units] => matches!(tens, b'0'..=b'5') && units.is_ascii_digit(),
        _ => false,
    })
}

fn is_digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

// === impl Analysis ===

impl Analysis {
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut analysis = Self {
            indicator: starts_with_indicator(bytes),
            leading_blank: bytes.first() == Some(&b' '),
            trailing_blank: bytes.last() == Some(&b' '),
            ..Self::default()
        };
        let mut previous = b' ';
        for (at, &byte) in bytes.iter().enumerate() {
            match CLASSES[usize::from(byte)] {
                Class::Ordinary => {}
                Class::Colon => {
                    analysis.indicator |= at > 0 && matches!(bytes.get(at + 1), None | Some(b' '))
                }
                Class::Hash => analysis.indicator |= matches!(previous, b' ' | b'\n'),
                Class::Break => {
                    analysis.line_break = true;
                    analysis.blank_then_break |= at > 0 && previous == b' ';
                }
                Class::Special => analysis.special = true,
                Class::Lead => {
                    // In valid UTF-8 the bytes that belong to a lead byte are there.
                    let character = text[at..].chars().next().expect("a lead byte starts a character");
                    // COMPAT(line separators): upstream writes U+2028 and U+2029 as they are into plain and quoted
                    // text, where a YAML 1.2 reader takes them for text and the folds around them for blanks.
                    analysis.special |= must_escape(character);
                }
            }
            previous = byte;
        }
        analysis
    }
}

/// Whether the first characters alone forbid plain style.
fn starts_with_indicator(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"---") || bytes.starts_with(b"...") {
        return true;
    }
    match bytes.first() {
        Some(
            b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%'
            | b'@' | b'`',
        ) => true,
        Some(b'?' | b':' | b'-') => matches!(bytes.get(1), None | Some(b' ')),
        _ => false,
    }
}

/// What a byte of a text asks of the analysis.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Ordinary,
    Colon,
    Hash,
    Break,
    /// A control character.
    Special,
    /// The first byte of a character that may be special.
    Lead,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Ordinary; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = Class::Special;
        byte += 1;
    }
    classes[b'\n' as usize] = Class::Break;
    classes[b':' as usize] = Class::Colon;
    classes[b'#' as usize] = Class::Hash;
    classes[0x7f] = Class::Special;
    classes[0xc2] = Class::Lead;
    classes[0xe2] = Class::Lead;
    let mut lead = 0xef;
    while lead < 0x100 {
        classes[lead] = Class::Lead;
        lead += 1;
    }
    classes
};
