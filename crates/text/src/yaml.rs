//! Writes YAML byte for byte as upstream's go-yaml of late 2016 does: block style, sorted keys, folds at 80 columns.
//!
//! `scalar` decides how a text is quoted, `order` sorts keys; this file owns lines, indentation and folding.

mod order;
mod scalar;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::go_fmt::write_float_g;
use crate::value::Value;
use scalar::Quoting;

/// The column behind which a blank becomes a line break.
const FOLD_COLUMN: usize = 80;

/// What one level adds to the indentation.
const STEP: usize = 2;

/// Longer keys, in bytes, are written with `?`.
const SIMPLE_KEY_LENGTH: usize = 128;

/// Appends `value` as one YAML document with a final newline, without `---`.
///
/// `out` must be empty or end with a newline.
pub fn write_yaml(out: &mut String, value: &Value<'_>) {
    let mut emitter = Emitter::new(out);
    emitter.node(value, Place { indent: None, mapping: false });
    emitter.finish();
}

/// Appends one element of a list that is the whole document: `- apiVersion: v1` and so on, with a final newline.
///
/// Elements written one after another give the same bytes as [`write_yaml`] of the whole list.
pub fn write_yaml_item(out: &mut String, value: &Value<'_>) {
    let mut emitter = Emitter::new(out);
    emitter.item(value, 0);
    emitter.finish();
}

/// Where a node stands.
#[derive(Clone, Copy)]
struct Place {
    /// Indentation of the collection around it; `None` around the document.
    indent: Option<usize>,
    /// Whether it is a mapping's value.
    mapping: bool,
}

/// The state of the line being written, in the terms of libyaml's emitter, which go-yaml translates.
struct Emitter<'o> {
    out: &'o mut String,
    /// Characters on the current line.
    column: usize,
    /// Whether the last thing written separates tokens.
    whitespace: bool,
    /// Whether the line holds nothing but indentation and `-`, `?`, `:`.
    indention: bool,
}

// === impl Emitter ===

impl<'o> Emitter<'o> {
    fn new(out: &'o mut String) -> Self {
        Self { out, column: 0, whitespace: true, indention: true }
    }

    fn finish(&mut self) {
        self.start_line(0);
    }

    fn node(&mut self, value: &Value<'_>, place: Place) {
        match value {
            Value::Null => self.token("null"),
            Value::Bool(true) => self.token("true"),
            Value::Bool(false) => self.token("false"),
            Value::Int(value) => {
                self.token_fmt(|out| write!(out, "{value}").expect("a String takes all text"))
            }
            Value::Float(value) => self.token_fmt(|out| write_float(out, *value)),
            Value::Text(text) => {
                let quoting = scalar::quoting(text, false);
                self.text(text, quoting, place.indent.map_or(STEP, |indent| indent + STEP), true);
            }
            Value::List(items) if items.is_empty() => self.token("[]"),
            Value::Map(members) if members.is_empty() => self.token("{}"),
            Value::List(items) => {
                let indent = match place.indent {
                    None => 0,
                    Some(indent) if place.mapping && !self.indention => indent,
                    Some(indent) => indent + STEP,
                };
                for item in items {
                    self.item(item, indent);
                }
            }
            Value::Map(members) => self.mapping(members, place.indent.map_or(0, |indent| indent + STEP)),
        }
    }

    fn item(&mut self, value: &Value<'_>, indent: usize) {
        self.start_line(indent);
        self.indicator("-");
        self.node(value, Place { indent: Some(indent), mapping: false });
    }

    fn mapping(&mut self, members: &[(Cow<'_, str>, Value<'_>)], indent: usize) {
        for (key, value) in order::sorted(members) {
            self.start_line(indent);
            if key.len() <= SIMPLE_KEY_LENGTH && !scalar::has_break(key) {
                self.text(key, scalar::quoting(key, true), indent + STEP, false);
                self.push_str(":", 1);
                self.whitespace = false;
                self.indention = false;
            } else {
                self.indicator("?");
                self.text(key, scalar::quoting(key, false), indent + STEP, true);
                self.start_line(indent);
                self.indicator(":");
            }
            self.node(value, Place { indent: Some(indent), mapping: true });
        }
    }

    /// Writes `-`, `?` or `:` where it opens a block entry.
    fn indicator(&mut self, indicator: &str) {
        self.separate();
        self.push_str(indicator, 1);
        self.whitespace = false;
    }

    /// Writes ASCII text that needs neither quotes nor folding.
    fn token(&mut self, text: &str) {
        self.separate();
        self.push_str(text, text.len());
        self.content_written();
    }

    fn token_fmt(&mut self, write: impl FnOnce(&mut String)) {
        self.separate();
        let before = self.out.len();
        write(self.out);
        self.column += self.out.len() - before;
        self.content_written();
    }

    fn text(&mut self, text: &str, quoting: Quoting, indent: usize, may_fold: bool) {
        match quoting {
            Quoting::Plain => {
                self.separate();
                self.plain(text, indent, may_fold);
                self.content_written();
            }
            Quoting::Single => {
                self.separate();
                self.push_str("'", 1);
                self.single(text, indent, may_fold);
                self.push_str("'", 1);
                self.content_written();
            }
            Quoting::Double => {
                self.separate();
                self.push_str("\"", 1);
                self.double(text, indent, may_fold);
                self.push_str("\"", 1);
                self.content_written();
            }
            Quoting::Literal => self.literal(text, indent),
        }
    }

    fn plain(&mut self, text: &str, indent: usize, may_fold: bool) {
        if !may_fold || self.column + text.len() <= FOLD_COLUMN {
            self.push_counted(text);
            return;
        }
        let mut after_blank = false;
        let mut rest = text;
        while let Some(blank) = memchr::memchr(b' ', rest.as_bytes()) {
            after_blank &= blank == 0;
            self.push_counted(&rest[..blank]);
            rest = &rest[blank + 1..];
            if !after_blank && self.column > FOLD_COLUMN && !rest.starts_with(' ') {
                self.fold(indent);
            } else {
                self.push_str(" ", 1);
            }
            after_blank = true;
        }
        self.push_counted(rest);
    }

    fn single(&mut self, text: &str, indent: usize, may_fold: bool) {
        let mut after_blank = false;
        let mut rest = text;
        while let Some(at) = memchr::memchr2(b' ', b'\'', rest.as_bytes()) {
            after_blank &= at == 0;
            let first = rest.len() == text.len() && at == 0;
            self.push_counted(&rest[..at]);
            let quote = rest.as_bytes()[at] == b'\'';
            rest = &rest[at + 1..];
            if quote {
                self.push_str("''", 2);
                after_blank = false;
                continue;
            }
            let foldable = may_fold && !after_blank && !first && !rest.is_empty() && !rest.starts_with(' ');
            if foldable && self.column > FOLD_COLUMN {
                self.fold(indent);
            } else {
                self.push_str(" ", 1);
            }
            after_blank = true;
        }
        self.push_counted(rest);
    }

    fn double(&mut self, text: &str, indent: usize, may_fold: bool) {
        // COMPAT(byte order mark): upstream asks of every character whether the *text* starts with the mark.
        let escape_all = text.starts_with('\u{feff}');
        let mut after_blank = false;
        for (at, character) in text.char_indices() {
            if escape_all || scalar::must_escape(character) {
                self.escape(character);
                after_blank = false;
                continue;
            }
            if character != ' ' {
                self.out.push(character);
                self.column += 1;
                after_blank = false;
                continue;
            }
            let inside = at > 0 && at + 1 < text.len();
            if may_fold && !after_blank && inside && self.column > FOLD_COLUMN {
                self.fold(indent);
                if text[at + 1..].starts_with(' ') {
                    self.push_str("\\", 1);
                }
            } else {
                self.push_str(" ", 1);
            }
            after_blank = true;
        }
    }

    fn escape(&mut self, character: char) {
        let before = self.out.len();
        self.out.push('\\');
        match character {
            '\0' => self.out.push('0'),
            '\x07' => self.out.push('a'),
            '\x08' => self.out.push('b'),
            '\t' => self.out.push('t'),
            '\n' => self.out.push('n'),
            '\x0b' => self.out.push('v'),
            '\x0c' => self.out.push('f'),
            '\r' => self.out.push('r'),
            '\x1b' => self.out.push('e'),
            '"' => self.out.push('"'),
            '\\' => self.out.push('\\'),
            '\u{85}' => self.out.push('N'),
            '\u{a0}' => self.out.push('_'),
            '\u{2028}' => self.out.push('L'),
            '\u{2029}' => self.out.push('P'),
            _ => match u32::from(character) {
                code @ 0..=0xff => write!(self.out, "x{code:02X}").expect("a String takes all text"),
                code @ 0x100..=0xffff => write!(self.out, "u{code:04X}").expect("a String takes all text"),
                code => write!(self.out, "U{code:08X}").expect("a String takes all text"),
            },
        }
        self.column += self.out.len() - before;
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.separate();
        self.out.push('|');
        if text.starts_with([' ', '\n']) {
            self.out.push('2');
        }
        if !text.ends_with('\n') {
            self.out.push('-');
        } else if text == "\n" || text.ends_with("\n\n") {
            self.out.push('+');
        }
        self.new_line();
        for line in text.split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            if !content.is_empty() {
                self.pad(indent);
                self.push_counted(content);
                self.indention = false;
            }
            if line.len() > content.len() {
                self.new_line();
            }
        }
        self.whitespace = true;
    }

    /// Goes to a fresh line at `indent`, unless the current line holds no more than that yet.
    fn start_line(&mut self, indent: usize) {
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.new_line();
        }
        self.pad(indent);
        self.whitespace = true;
        self.indention = true;
    }

    fn fold(&mut self, indent: usize) {
        self.new_line();
        self.pad(indent);
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.indention = true;
    }

    fn pad(&mut self, indent: usize) {
        const BLANKS: &str = "                                                                ";
        while self.column < indent {
            let count = (indent - self.column).min(BLANKS.len());
            self.push_str(&BLANKS[..count], count);
        }
    }

    fn separate(&mut self) {
        if !self.whitespace {
            self.push_str(" ", 1);
        }
    }

    fn content_written(&mut self) {
        self.whitespace = false;
        self.indention = false;
    }

    fn push_counted(&mut self, text: &str) {
        self.push_str(text, text.chars().count());
    }

    fn push_str(&mut self, text: &str, columns: usize) {
        self.out.push_str(text);
        self.column += columns;
    }
}

/// Appends a float: as an integer where JSON would print one that fits 64 bits, else as Go's `%g`.
fn write_float(out: &mut String, value: f64) {
    const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;
    const MINUS_TWO_POW_63: f64 = -9_223_372_036_854_775_808.0;
    if value.is_nan() {
        out.push_str(".nan");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { ".inf" } else { "-.inf" });
    } else if value == 0.0 {
        out.push('0');
    } else if value.fract() == 0.0 && value > MINUS_TWO_POW_63 && value < TWO_POW_64 {
        write!(out, "{value}").expect("a String takes all text");
    } else {
        write_float_g(out, value);
    }
}
