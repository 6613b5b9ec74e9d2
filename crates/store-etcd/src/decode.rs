//! Decodes etcd's JSON answers while they arrive: a list of 100,000 endpoints is 62 MB in one body.
//!
//! Owns the state between two chunks. What must stay true: a chunk may end anywhere, memory holds one leaf and the
//! keys above it, and every leaf is visited once, in the order of the body, as soon as its object closes.

use memchr::memchr2;

/// How deep an answer may nest. A key of etcd has far fewer components.
const MAX_DEPTH: usize = 512;

/// One node of an answer, borrowed for the time of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node<'a> {
    /// The full key; empty for the root of the keyspace.
    pub(crate) key: &'a str,
    /// The value; a directory and a deleted node have none.
    pub(crate) value: Option<&'a str>,
    /// True for a directory, which is visited behind everything in it.
    pub(crate) directory: bool,
    /// The index of the last write, 0 when the answer has none.
    pub(crate) modified: u64,
}

/// What is done with each node.
pub(crate) type Visit<'v> = dyn FnMut(Node<'_>) + Send + 'v;

/// Where and why an answer is not one of etcd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at byte {at}")]
pub(crate) struct Malformed {
    /// The offset from the beginning of the body.
    pub(crate) at: u64,
    /// What should stand there.
    pub(crate) expected: &'static str,
}

/// The decoder of one answer.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// What the value that is being read, or comes next, means.
    slot: Slot,
    open: Vec<Frame>,
    /// The keys of all open nodes, one behind the other.
    keys: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
    has_value: bool,
    action: Vec<u8>,
    /// Bytes in the chunks before this one.
    before: u64,
    nodes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value, whose meaning is the slot.
    Value,
    /// Behind `[`: a value or the end.
    FirstItem,
    /// Behind `{`: a name or the end.
    FirstName,
    /// Behind `,` in an object.
    Name,
    Colon,
    /// Behind a value in an object or array: a comma or the end.
    After,
    Text,
    Escape,
    /// In `\uXXXX`: the digits so far, how many, and the high surrogate before them.
    Hex {
        unit: u16,
        digits: u8,
        high: Option<u16>,
    },
    /// Behind a high surrogate, which wants another `\u`.
    High(u16),
    HighEscape(u16),
    Number,
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Answer,
    Action,
    Node,
    Key,
    Value,
    Directory,
    Modified,
    Nodes,
    Name,
    Skip,
}

#[derive(Debug, Clone, Copy)]
enum Frame {
    Answer,
    Node {
        /// Where in `keys` this node's key begins.
        key_at: usize,
        directory: bool,
        modified: u64,
    },
    Nodes,
    SkippedObject,
    SkippedArray,
}

// === impl Decoder ===

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Value,
            slot: Slot::Answer,
            open: Vec::with_capacity(32),
            keys: Vec::with_capacity(256),
            name: Vec::with_capacity(32),
            value: Vec::with_capacity(1024),
            has_value: false,
            action: Vec::new(),
            before: 0,
            nodes: 0,
        }
    }

    /// Reads the next part of the body.
    pub(crate) fn feed(&mut self, chunk: &[u8], visit: &mut Visit<'_>) -> Result<(), Malformed> {
        let mut at = 0;
        while at < chunk.len() {
            at = match self.state {
                State::Text => self.text(chunk, at),
                State::Number => self.number(chunk, at)?,
                _ => self.step(chunk, at, visit)?,
            };
        }
        self.before += chunk.len() as u64;
        Ok(())
    }

    /// The body has ended.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        match (self.state, self.nodes) {
            (State::Done, 0) => self.expected("a node somewhere before the end", 0),
            (State::Done, _) => Ok(()),
            _ => self.expected("more: the answer ends too early", 0),
        }
    }

    /// What happened, as a watch says it: `set`, `delete` …
    pub(crate) fn action(&self) -> &[u8] {
        &self.action
    }

    /// How many bytes were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.before
    }

    /// How many nodes were visited.
    pub(crate) fn nodes(&self) -> u64 {
        self.nodes
    }

    /// One byte of structure, an escape or a word. Returns where to go on.
    fn step(&mut self, chunk: &[u8], at: usize, visit: &mut Visit<'_>) -> Result<usize, Malformed> {
        let byte = chunk[at];
        match self.state {
            State::Escape => self.escape(byte, at)?,
            State::Hex { .. } => self.hex(byte, at)?,
            State::High(_) | State::HighEscape(_) => return Ok(self.behind_high(byte, at)),
            State::Word(rest) => self.word(rest, byte, at)?,
            _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => {}
            State::FirstName if byte == b'}' => self.close(byte, at, visit)?,
            State::FirstName | State::Name if byte == b'"' => {
                self.name.clear();
                self.begin_text(Slot::Name);
            }
            State::FirstName | State::Name => return self.expected("the name of a member", at),
            State::Colon if byte == b':' => self.state = State::Value,
            State::Colon => return self.expected("a colon", at),
            State::FirstItem if byte == b']' => self.close(byte, at, visit)?,
            State::Value | State::FirstItem => return self.begin(byte, at),
            State::After if byte == b',' => self.next_member(at)?,
            State::After => self.close(byte, at, visit)?,
            State::Done => return self.expected("nothing behind the answer", at),
            State::Text | State::Number => {}
        }
        Ok(at + 1)
    }

    /// The first byte of a value.
    fn begin(&mut self, byte: u8, at: usize) -> Result<usize, Malformed> {
        match (self.slot, byte) {
            (Slot::Answer, b'{') => self.push(Frame::Answer, at)?,
            (Slot::Node, b'{') => {
                self.has_value = false;
                let key_at = self.keys.len();
                self.push(Frame::Node { key_at, directory: false, modified: 0 }, at)?;
            }
            (Slot::Skip, b'{') => self.push(Frame::SkippedObject, at)?,
            (Slot::Nodes, b'[') => {
                self.set_directory();
                self.push(Frame::Nodes, at)?;
            }
            (Slot::Skip, b'[') => self.push(Frame::SkippedArray, at)?,
            (Slot::Key, b'"') => {
                if let Some(Frame::Node { key_at, .. }) = self.open.last() {
                    self.keys.truncate(*key_at);
                }
                self.state = State::Text;
            }
            (Slot::Value, b'"') => {
                self.value.clear();
                self.has_value = true;
                self.state = State::Text;
            }
            (Slot::Action, b'"') => {
                self.action.clear();
                self.state = State::Text;
            }
            (Slot::Skip, b'"') => self.state = State::Text,
            (Slot::Modified, b'0'..=b'9') => {
                self.set_modified(0);
                self.state = State::Number;
                return Ok(at);
            }
            (Slot::Skip, b'0'..=b'9' | b'-') => self.state = State::Number,
            (Slot::Directory | Slot::Skip, b't') => {
                if self.slot == Slot::Directory {
                    self.set_directory();
                }
                self.state = State::Word(b"rue");
            }
            (Slot::Directory | Slot::Skip, b'f') => self.state = State::Word(b"alse"),
            (Slot::Value | Slot::Nodes | Slot::Skip, b'n') => self.state = State::Word(b"ull"),
            (slot, _) => return self.expected(slot.describe(), at),
        }
        Ok(at + 1)
    }

    fn push(&mut self, frame: Frame, at: usize) -> Result<(), Malformed> {
        if self.open.len() == MAX_DEPTH {
            return self.expected("fewer nested directories", at);
        }
        self.state = match frame {
            Frame::Answer | Frame::Node { .. } | Frame::SkippedObject => State::FirstName,
            Frame::Nodes => {
                self.slot = Slot::Node;
                State::FirstItem
            }
            Frame::SkippedArray => State::FirstItem,
        };
        self.open.push(frame);
        Ok(())
    }

    /// A comma behind a value.
    fn next_member(&mut self, at: usize) -> Result<(), Malformed> {
        self.state = match self.open.last() {
            Some(Frame::Answer | Frame::Node { .. } | Frame::SkippedObject) => State::Name,
            Some(Frame::Nodes) => {
                self.slot = Slot::Node;
                State::Value
            }
            Some(Frame::SkippedArray) => {
                self.slot = Slot::Skip;
                State::Value
            }
            None => return self.expected("nothing behind the answer", at),
        };
        Ok(())
    }

    /// The end of an object or array.
    fn close(&mut self, byte: u8, at: usize, visit: &mut Visit<'_>) -> Result<(), Malformed> {
        match (self.open.last(), byte) {
            (Some(Frame::Answer | Frame::SkippedObject), b'}')
            | (Some(Frame::Nodes | Frame::SkippedArray), b']') => {}
            (Some(&Frame::Node { key_at, directory, modified }), b'}') => {
                self.emit(key_at, directory, modified, at, visit)?;
                self.keys.truncate(key_at);
            }
            (Some(Frame::Nodes | Frame::SkippedArray), _) => {
                return self.expected("a comma or a closing bracket", at);
            }
            _ => return self.expected("a comma or a closing brace", at),
        }
        self.open.pop();
        self.state = if self.open.is_empty() { State::Done } else { State::After };
        Ok(())
    }

    fn emit(
        &mut self,
        key_at: usize,
        directory: bool,
        modified: u64,
        at: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), Malformed> {
        let Ok(key) = std::str::from_utf8(&self.keys[key_at..]) else {
            return self.expected("a key in UTF-8 before this", at);
        };
        if !directory && key.is_empty() {
            return self.expected("a node with a key before this", at);
        }
        if !directory && modified == 0 {
            return self.expected("a node with a modifiedIndex before this", at);
        }
        let value = match std::str::from_utf8(&self.value) {
            Ok(value) => (self.has_value && !directory).then_some(value),
            Err(_) if directory => None,
            Err(_) => return self.expected("a value in UTF-8 before this", at),
        };
        visit(Node { key, value, directory, modified });
        self.nodes += 1;
        Ok(())
    }

    fn set_directory(&mut self) {
        if let Some(Frame::Node { directory, .. }) = self.open.last_mut() {
            *directory = true;
        }
    }

    fn set_modified(&mut self, index: u64) {
        if let Some(Frame::Node { modified, .. }) = self.open.last_mut() {
            *modified = index;
        }
    }

    // --- texts ---

    fn begin_text(&mut self, slot: Slot) {
        self.slot = slot;
        self.state = State::Text;
    }

    fn end_text(&mut self) {
        if self.slot == Slot::Name {
            self.slot = self.member();
            self.state = State::Colon;
        } else {
            self.state = State::After;
        }
    }

    /// What the member that was just named means.
    fn member(&self) -> Slot {
        match (self.open.last(), self.name.as_slice()) {
            (Some(Frame::Answer), b"action") => Slot::Action,
            (Some(Frame::Answer), b"node") => Slot::Node,
            (Some(Frame::Node { .. }), b"key") => Slot::Key,
            (Some(Frame::Node { .. }), b"value") => Slot::Value,
            (Some(Frame::Node { .. }), b"dir") => Slot::Directory,
            (Some(Frame::Node { .. }), b"modifiedIndex") => Slot::Modified,
            (Some(Frame::Node { .. }), b"nodes") => Slot::Nodes,
            _ => Slot::Skip,
        }
    }

    /// Where the text that is being read goes; a skipped one goes nowhere.
    fn sink(&mut self) -> Option<&mut Vec<u8>> {
        match self.slot {
            Slot::Key => Some(&mut self.keys),
            Slot::Value => Some(&mut self.value),
            Slot::Name => Some(&mut self.name),
            Slot::Action => Some(&mut self.action),
            _ => None,
        }
    }

    /// As much of a text as stands in this chunk, short escapes included. Values are JSON inside JSON: nearly every
    /// second word of them is an escaped quote.
    fn text(&mut self, chunk: &[u8], mut at: usize) -> usize {
        let Some(sink) = self.sink() else { return self.skip_text(chunk, at) };
        loop {
            let Some(run) = memchr2(b'"', b'\\', &chunk[at..]) else {
                sink.extend_from_slice(&chunk[at..]);
                return chunk.len();
            };
            sink.extend_from_slice(&chunk[at..at + run]);
            at += run + 1;
            if chunk[at - 1] == b'"' {
                self.end_text();
                return at;
            }
            let Some(meant) = chunk.get(at).and_then(|byte| short_escape(*byte)) else {
                self.state = State::Escape;
                return at;
            };
            sink.push(meant);
            at += 1;
        }
    }

    fn skip_text(&mut self, chunk: &[u8], at: usize) -> usize {
        let Some(run) = memchr2(b'"', b'\\', &chunk[at..]) else { return chunk.len() };
        if chunk[at + run] == b'"' {
            self.end_text();
        } else {
            self.state = State::Escape;
        }
        at + run + 1
    }

    fn escape(&mut self, byte: u8, at: usize) -> Result<(), Malformed> {
        if byte == b'u' {
            self.state = State::Hex { unit: 0, digits: 0, high: None };
            return Ok(());
        }
        let Some(meant) = short_escape(byte) else { return self.expected("an escape", at) };
        if let Some(sink) = self.sink() {
            sink.push(meant);
        }
        self.state = State::Text;
        Ok(())
    }

    fn hex(&mut self, byte: u8, at: usize) -> Result<(), Malformed> {
        let State::Hex { unit, digits, high } = self.state else { return Ok(()) };
        let Some(digit) = char::from(byte).to_digit(16) else {
            return self.expected("a hexadecimal digit", at);
        };
        let unit = unit << 4 | digit as u16;
        if digits < 3 {
            self.state = State::Hex { unit, digits: digits + 1, high };
            return Ok(());
        }
        self.state = State::Text;
        match (high, unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                let low = u32::from(unit) - 0xDC00;
                self.append(char::from_u32(0x1_0000 + (u32::from(high) - 0xD800) * 0x400 + low));
            }
            (before, 0xD800..=0xDBFF) => {
                if before.is_some() {
                    self.append(None);
                }
                self.state = State::High(unit);
            }
            (before, _) => {
                if before.is_some() {
                    self.append(None);
                }
                self.append(char::from_u32(u32::from(unit)));
            }
        }
        Ok(())
    }

    /// A high surrogate wants `\u` behind it; what else comes leaves it alone, and a lone one means nothing.
    fn behind_high(&mut self, byte: u8, at: usize) -> usize {
        match (self.state, byte) {
            (State::High(high), b'\\') => {
                self.state = State::HighEscape(high);
                at + 1
            }
            (State::HighEscape(high), b'u') => {
                self.state = State::Hex { unit: 0, digits: 0, high: Some(high) };
                at + 1
            }
            (State::HighEscape(_), _) => {
                self.append(None);
                self.state = State::Escape;
                at
            }
            _ => {
                self.append(None);
                self.state = State::Text;
                at
            }
        }
    }

    fn append(&mut self, c: Option<char>) {
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        if let Some(sink) = self.sink() {
            sink.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    // --- numbers and words ---

    fn number(&mut self, chunk: &[u8], mut at: usize) -> Result<usize, Malformed> {
        if self.slot == Slot::Modified {
            let Some(Frame::Node { modified, .. }) = self.open.last_mut() else { return Ok(at) };
            while let Some(digit @ b'0'..=b'9') = chunk.get(at) {
                let next =
                    modified.checked_mul(10).and_then(|index| index.checked_add(u64::from(digit - b'0')));
                let Some(next) = next else { return self.expected("a smaller index", at) };
                *modified = next;
                at += 1;
            }
        } else {
            while let Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') = chunk.get(at) {
                at += 1;
            }
        }
        if at < chunk.len() {
            self.state = State::After;
        }
        Ok(at)
    }

    fn word(&mut self, rest: &'static [u8], byte: u8, at: usize) -> Result<(), Malformed> {
        match rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.state = if rest.is_empty() { State::After } else { State::Word(rest) };
                Ok(())
            }
            _ => self.expected("true, false or null", at),
        }
    }

    fn expected<T>(&self, expected: &'static str, at: usize) -> Result<T, Malformed> {
        Err(Malformed { at: self.before + at as u64, expected })
    }
}

// === impl Slot ===

impl Slot {
    fn describe(self) -> &'static str {
        match self {
            Self::Answer => "an answer of etcd in JSON",
            Self::Action => "the action as text",
            Self::Node => "a node object",
            Self::Key => "a key as text",
            Self::Value => "a value as text",
            Self::Directory => "true or false",
            Self::Modified => "an index",
            Self::Nodes => "an array of nodes",
            Self::Name => "the name of a member",
            Self::Skip => "a value",
        }
    }
}

// === helpers ===

/// What an escape of one character means.
fn short_escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' | b'/' => Some(byte),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        b'b' => Some(8),
        b'f' => Some(12),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
