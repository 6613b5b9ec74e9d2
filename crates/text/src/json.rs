//! Writes JSON as Go's `encoding/json` does: HTML-safe escapes, members in the order given.

use std::fmt::Write as _;

use crate::go_fmt::write_float_json;
use crate::value::Value;

#[cfg(test)]
mod tests;

/// Appends `value` with one element per line, two blanks per level, without a final newline.
///
/// `indent_level` is the level of the line on which the value starts: 0 for a whole document. Empty lists and maps
/// print as `[]` and `{}`.
pub fn write_json(out: &mut String, value: &Value<'_>, indent_level: usize) {
    match value {
        Value::List(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                start_line(out, index > 0, indent_level + 1);
                write_json(out, item, indent_level + 1);
            }
            start_line(out, false, indent_level);
            out.push(']');
        }
        Value::Map(members) if !members.is_empty() => {
            out.push('{');
            for (index, (key, item)) in members.iter().enumerate() {
                start_line(out, index > 0, indent_level + 1);
                write_json_text(out, key);
                out.push_str(": ");
                write_json(out, item, indent_level + 1);
            }
            start_line(out, false, indent_level);
            out.push('}');
        }
        _ => write_json_compact(out, value),
    }
}

/// Appends `value` on one line without blanks, as stored in the datastore and shown in errors.
pub fn write_json_compact(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(value) => write!(out, "{value}").expect("a String takes all text"),
        Value::Float(value) => write_float_json(out, *value),
        Value::Text(text) => write_json_text(out, text),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json_compact(out, item);
            }
            out.push(']');
        }
        Value::Map(members) => {
            out.push('{');
            for (index, (key, item)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json_text(out, key);
                out.push(':');
                write_json_compact(out, item);
            }
            out.push('}');
        }
    }
}

/// Appends `text` in double quotes, escaped as Go's `json.Marshal` escapes it.
pub fn write_json_text(out: &mut String, text: &str) {
    out.push('"');
    let bytes = text.as_bytes();
    let mut written = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let length = match CLASSES[usize::from(byte)] {
            PLAIN => {
                at += 1;
                continue;
            }
            // U+2028 and U+2029 are E2 80 A8 and E2 80 A9; in valid UTF-8 two bytes always follow an E2.
            SEPARATOR if bytes[at + 1] == 0x80 && matches!(bytes[at + 2], 0xa8 | 0xa9) => 3,
            SEPARATOR => {
                at += 3;
                continue;
            }
            _ => 1,
        };
        out.push_str(&text[written..at]);
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0xe2 => out.push_str(if bytes[at + 2] == 0xa8 { "\\u2028" } else { "\\u2029" }),
            _ => write!(out, "\\u{byte:04x}").expect("a String takes all text"),
        }
        at += length;
        written = at;
    }
    out.push_str(&text[written..]);
    out.push('"');
}

const PLAIN: u8 = 0;
const ESCAPED: u8 = 1;
const SEPARATOR: u8 = 2;

/// What each byte needs: nothing, an escape, or a look at the two bytes behind it.
const CLASSES: [u8; 256] = {
    let mut classes = [PLAIN; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = ESCAPED;
        byte += 1;
    }
    classes[b'"' as usize] = ESCAPED;
    classes[b'\\' as usize] = ESCAPED;
    classes[b'<' as usize] = ESCAPED;
    classes[b'>' as usize] = ESCAPED;
    classes[b'&' as usize] = ESCAPED;
    classes[0xe2] = SEPARATOR;
    classes
};

fn start_line(out: &mut String, comma: bool, level: usize) {
    out.push_str(if comma { ",\n" } else { "\n" });
    for _ in 0..level {
        out.push_str("  ");
    }
}
