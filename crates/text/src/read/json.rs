//! A JSON reader that keeps every place: strict RFC 8259, one value at a time.

use crate::tree::{Member, Node, NodeValue, Scalar, Span, Style, SyntaxError};

use super::{DEPTH_LIMIT, Place, keep_last_of_repeated, too_deep};

/// A position in JSON text.
#[derive(Debug, Clone)]
pub(super) struct JsonReader<'a> {
    text: &'a str,
    /// Where the text starts behind a byte order mark.
    first: usize,
    at: usize,
    line: u32,
    /// Byte offset of the current line's first character.
    line_start: usize,
    /// Bytes on the current line, before `at`, that do not start a character.
    continuations: usize,
    depth: usize,
    /// Members and elements read to their end.
    finished: usize,
}

/// Why a text is no JSON value.
#[derive(Debug)]
pub(super) struct Fault {
    /// What and where.
    pub(super) error: SyntaxError,
    /// Whether enough was JSON to take the rest for JSON with a mistake.
    pub(super) meant_as_json: bool,
}

// === impl JsonReader ===

impl<'a> JsonReader<'a> {
    /// Checks that the source is text and stands at its start, behind a byte order mark.
    pub(super) fn new(source: &'a [u8]) -> Result<Self, SyntaxError> {
        let (text, fault) = match std::str::from_utf8(source) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = std::str::from_utf8(&source[..error.valid_up_to()]).unwrap_or_default();
                (valid, Some("the input is not UTF-8 text"))
            }
        };
        let nul = memchr::memchr(0, text.as_bytes());
        let fault = nul.map(|at| (at, "the input holds a NUL character")).or(fault.map(|f| (text.len(), f)));
        if let Some((at, message)) = fault {
            return Err(place_of(&text[..at]).error(message));
        }
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Ok(Self {
            text,
            first,
            at: first,
            line: 1,
            line_start: first,
            continuations: 0,
            depth: 0,
            finished: 0,
        })
    }

    /// The whole text behind its byte order mark, and where that starts.
    pub(super) fn whole(&self) -> (&'a str, Place) {
        (&self.text[self.first..], Place { offset: self.first, line: 1, column: 1 })
    }

    /// What is still unread, and where it starts.
    pub(super) fn rest(&self) -> (&'a str, Place) {
        (&self.text[self.at..], self.place())
    }

    /// The position at `end`, which is not before this one.
    pub(super) fn behind(&self, end: usize) -> Self {
        let mut reader = Self { depth: 0, ..self.clone() };
        while reader.at < end {
            reader.skip_blanks();
            let Some(character) = reader.text[reader.at..].chars().next().filter(|_| reader.at < end) else {
                break;
            };
            reader.at += character.len_utf8();
            reader.continuations += character.len_utf8() - 1;
        }
        reader
    }

    /// Whether a list or map in brackets ends here.
    pub(super) fn follows_bracket(&self) -> bool {
        self.text[..self.at].ends_with(['}', ']'])
    }

    /// Whether a list or map may start here.
    pub(super) fn at_value(&self) -> bool {
        matches!(self.peek(), Some(b'{' | b'['))
    }

    /// Whether a YAML document can end before this place: at the end, a comment, or a marker that starts a line.
    pub(super) fn at_document_boundary(&self) -> bool {
        let rest = &self.text[self.at..];
        let marker = self.at == self.line_start && (rest.starts_with("---") || rest.starts_with("..."));
        rest.is_empty() || rest.starts_with('#') || marker
    }

    /// A fault at this place.
    pub(super) fn error(&self, message: impl Into<String>) -> SyntaxError {
        self.place().error(message)
    }

    /// Passes blanks and line breaks.
    pub(super) fn skip_blanks(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' | b'\r' => {
                    self.at += 1;
                    if byte == b'\r' && bytes.get(self.at) == Some(&b'\n') {
                        self.at += 1;
                    }
                    self.line += 1;
                    self.line_start = self.at;
                    self.continuations = 0;
                }
                _ => return,
            }
        }
    }

    /// Reads one value with everything in it.
    pub(super) fn value(&mut self) -> Result<Node, Fault> {
        self.finished = 0;
        self.depth = 0;
        self.node().map_err(|error| Fault { error, meant_as_json: self.finished > 0 })
    }

    fn node(&mut self) -> Result<Node, SyntaxError> {
        let place = self.place();
        let value = match self.peek() {
            Some(b'{') => self.map()?,
            Some(b'[') => self.list()?,
            Some(b'"') => NodeValue::Scalar(Scalar { text: self.string()?, style: Style::Text }),
            _ => NodeValue::Scalar(Scalar { text: self.literal()?.to_owned(), style: Style::Plain }),
        };
        Ok(Node { span: place.span_to(self.at), value })
    }

    fn map(&mut self) -> Result<NodeValue, SyntaxError> {
        let mut members = Vec::new();
        self.open()?;
        if !self.closes(b'}') {
            loop {
                if self.peek() != Some(b'"') {
                    return Err(self.expected("a key in double quotes"));
                }
                let place = self.place();
                let key = self.string()?;
                let key_span: Span = place.span_to(self.at);
                self.skip_blanks();
                if self.peek() != Some(b':') {
                    return Err(self.expected("':' behind the key"));
                }
                self.at += 1;
                self.skip_blanks();
                let value = self.node()?;
                members.push(Member { key, key_span, value });
                if self.ends(b'}', "',' or '}' behind the member")? {
                    break;
                }
            }
        }
        keep_last_of_repeated(&mut members);
        Ok(NodeValue::Mapping(members))
    }

    fn list(&mut self) -> Result<NodeValue, SyntaxError> {
        let mut items = Vec::new();
        self.open()?;
        if !self.closes(b']') {
            loop {
                items.push(self.node()?);
                if self.ends(b']', "',' or ']' behind the element")? {
                    break;
                }
            }
        }
        Ok(NodeValue::Sequence(items))
    }

    fn open(&mut self) -> Result<(), SyntaxError> {
        if self.depth == DEPTH_LIMIT {
            return Err(self.error(too_deep()));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    fn closes(&mut self, close: u8) -> bool {
        let closes = self.peek() == Some(close);
        if closes {
            self.at += 1;
            self.depth -= 1;
        }
        closes
    }

    /// Passes what stands behind a member or element; true if it closes the map or list.
    fn ends(&mut self, close: u8, expected: &str) -> Result<bool, SyntaxError> {
        self.finished += 1;
        self.skip_blanks();
        if self.closes(close) {
            return Ok(true);
        }
        if self.peek() != Some(b',') {
            return Err(self.expected(expected));
        }
        self.at += 1;
        self.skip_blanks();
        Ok(false)
    }

    fn literal(&mut self) -> Result<&'a str, SyntaxError> {
        let rest = &self.text[self.at..];
        let word = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        let word = &rest[..word.count()];
        if !(matches!(word, "true" | "false" | "null") || is_number(word.as_bytes())) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(word)
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut continuations = 0;
        while let Some(&byte) = bytes.get(at) {
            match STRING_CLASSES[usize::from(byte)] {
                0 => {}
                1 => continuations += 1,
                _ => break,
            }
            at += 1;
        }
        self.at = at;
        self.continuations += continuations;
        let text = &self.text[start..at];
        if bytes.get(at) == Some(&b'"') {
            self.at += 1;
            return Ok(text.to_owned());
        }
        self.string_with_escapes(text.to_owned())
    }

    fn string_with_escapes(&mut self, mut text: String) -> Result<String, SyntaxError> {
        loop {
            match self.text[self.at..].chars().next() {
                None => return Err(self.error("the text in double quotes does not end")),
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(control @ ..'\u{20}') => {
                    let message =
                        format!("control character U+{:04X} inside a JSON text", u32::from(control));
                    return Err(self.error(message));
                }
                Some(character) => {
                    text.push(character);
                    self.at += character.len_utf8();
                    self.continuations += character.len_utf8() - 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let character = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.error("unknown escape in a JSON text")),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let Some(first) = self.code_unit(self.at) else {
            return Err(self.error("'\\u' needs four hexadecimal digits"));
        };
        if let Some(character) = char::from_u32(first) {
            self.at += 6;
            return Ok(character);
        }
        let second = self.code_unit(self.at + 6).filter(|unit| (0xdc00..0xe000).contains(unit));
        match second {
            Some(second) if first < 0xdc00 => {
                self.at += 12;
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                Ok(char::from_u32(code).expect("two surrogates make a character"))
            }
            _ => Err(self.error("half of a surrogate pair stands alone")),
        }
    }

    /// The number behind the `\u` at `at`.
    fn code_unit(&self, at: usize) -> Option<u32> {
        let bytes = self.text.as_bytes();
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |code, &digit| Some(code * 16 + char::from(digit).to_digit(16)?))
    }

    fn expected(&self, what: &str) -> SyntaxError {
        match self.text[self.at..].chars().next() {
            None => self.error(format!("expected {what}, found the end of the input")),
            Some(found) => self.error(format!("expected {what}, found {found:?}")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn place(&self) -> Place {
        let column = self.at - self.line_start - self.continuations + 1;
        Place { offset: self.at, line: self.line, column: u32::try_from(column).unwrap_or(u32::MAX) }
    }
}

/// The place behind `text`, which starts the input.
fn place_of(text: &str) -> Place {
    let line_start = memchr::memrchr(b'\n', text.as_bytes()).map_or(0, |at| at + 1);
    let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
    let column = text[line_start..].chars().filter(|c| *c != '\u{feff}').count() + 1;
    Place {
        offset: text.len(),
        line: u32::try_from(lines + 1).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    }
}

fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let (whole, rest) = split_digits(word);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return false;
    }
    let mut rest = rest;
    if let Some(behind_point) = rest.strip_prefix(b".") {
        let (fraction, behind) = split_digits(behind_point);
        if fraction.is_empty() {
            return false;
        }
        rest = behind;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let (digits, behind) = split_digits(exponent);
        return !digits.is_empty() && behind.is_empty();
    }
    rest.is_empty()
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count())
}

/// For each byte of a text in quotes: 0 starts a character, 1 continues one, 2 ends the plain run.
const STRING_CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = 2;
        byte += 1;
    }
    classes[b'"' as usize] = 2;
    classes[b'\\' as usize] = 2;
    byte = 0x80;
    while byte < 0xc0 {
        classes[byte] = 1;
        byte += 1;
    }
    classes
};
