//! Reads YAML and JSON input into trees, one document at a time.
//!
//! Text that starts with `{` or `[` is tried as JSON first and falls back to YAML; several JSON values after one
//! another are several documents. Depth, alias expansion and memory are bounded whatever the input.

mod json;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::HashSet;

use crate::tree::{Member, Node, Span, SyntaxError};
use json::JsonReader;
use yaml::YamlReader;

/// How deep lists and maps may nest.
pub const DEPTH_LIMIT: usize = 200;

/// One document of the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its number in the input, from 1; blank documents count.
    pub number: usize,
    /// What it holds; `None` if it holds nothing but blanks and comments.
    pub root: Option<Node>,
}

/// Splits input into documents and reads each when it is asked for.
///
/// Input without any document gives an empty iterator. After the first fault the iterator ends.
pub fn documents(source: &[u8]) -> Documents<'_> {
    Documents { state: State::Start(source), number: 0 }
}

/// The documents of an input, in order; made by [`documents`].
#[derive(Debug)]
pub struct Documents<'a> {
    state: State<'a>,
    number: usize,
}

#[derive(Debug)]
enum State<'a> {
    /// Nothing read yet.
    Start(&'a [u8]),
    /// Before something that may be a JSON value.
    Json(JsonReader<'a>),
    /// Inside a YAML stream, which reaches to the end of the input.
    Yaml(Box<YamlReader<'a>>),
    /// Nothing more to read.
    Done,
}

/// A place in the whole input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Bytes before it.
    offset: usize,
    /// Line, from 1.
    line: u32,
    /// Column in characters, from 1.
    column: u32,
}

// === impl Documents ===

impl<'a> Documents<'a> {
    /// Reads up to the end of the next document; `None` at the end of the input.
    fn read(&mut self) -> Option<Result<Option<Node>, SyntaxError>> {
        loop {
            match &mut self.state {
                State::Start(source) => match JsonReader::new(source) {
                    Ok(reader) => self.state = State::Json(reader),
                    Err(error) => return Some(Err(error)),
                },
                State::Json(reader) => {
                    reader.skip_blanks();
                    if !reader.at_value() {
                        if let Err(error) = self.continue_as_yaml() {
                            return Some(Err(error));
                        }
                        continue;
                    }
                    let start = reader.clone();
                    match reader.value() {
                        Ok(node) => return Some(Ok(Some(node))),
                        Err(fault) => return Some(self.read_as_yaml(start, fault)),
                    }
                }
                State::Yaml(reader) => return reader.next_document(),
                State::Done => return None,
            }
        }
    }

    /// Hands what follows the last JSON value, or the whole input, to the YAML reader.
    fn continue_as_yaml(&mut self) -> Result<(), SyntaxError> {
        let State::Json(reader) = &self.state else {
            return Ok(());
        };
        if self.number > 0 && !reader.at_document_boundary() {
            return Err(reader.error("unexpected text behind the end of the document"));
        }
        // Before the first value nothing but blanks has been passed, and these matter to YAML's indentation.
        let (rest, place) = if self.number > 0 { reader.rest() } else { reader.whole() };
        self.state = State::Yaml(Box::new(YamlReader::new(rest, place)));
        Ok(())
    }

    /// Reads a document as YAML that `fault` keeps from being JSON.
    ///
    /// Behind a list or map in brackets the input may go on with JSON.
    fn read_as_yaml(
        &mut self,
        start: JsonReader<'a>,
        fault: json::Fault,
    ) -> Result<Option<Node>, SyntaxError> {
        let (rest, place) = if self.number > 0 { start.rest() } else { start.whole() };
        let mut reader = Box::new(YamlReader::new(rest, place));
        match reader.next_document() {
            Some(Ok(Some(root))) => {
                let end = start.behind(root.span.end);
                self.state = if end.follows_bracket() { State::Json(end) } else { State::Yaml(reader) };
                Ok(Some(root))
            }
            // Neither: what got as far as a whole member was meant as JSON.
            Some(Err(error)) if !fault.meant_as_json => Err(error),
            _ => Err(fault.error),
        }
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.read() {
            None => {
                self.state = State::Done;
                None
            }
            Some(Err(error)) => {
                self.state = State::Done;
                Some(Err(error))
            }
            Some(Ok(root)) => {
                self.number += 1;
                Some(Ok(Document { number: self.number, root }))
            }
        }
    }
}

// === impl Place ===

impl Place {
    fn error(self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, message: message.into() }
    }

    fn span_to(self, end: usize) -> Span {
        Span { start: self.offset, end, line: self.line, column: self.column }
    }
}

fn too_deep() -> String {
    format!("lists and maps nest deeper than {DEPTH_LIMIT} levels")
}

/// Lets the last of several members with the same key stand, as `spec/api-v1.md` 1.3 D5 has it.
fn keep_last_of_repeated(members: &mut Vec<Member>) {
    /// Up to here comparing each with each is faster than hashing.
    const FEW: usize = 12;
    let repeated: Vec<bool> = if members.len() <= FEW {
        let repeats = |at: usize| members[at + 1..].iter().any(|later| later.key == members[at].key);
        if !(0..members.len()).any(repeats) {
            return;
        }
        (0..members.len()).map(repeats).collect()
    } else {
        let mut seen = HashSet::with_capacity(members.len());
        let mut repeated: Vec<bool> =
            members.iter().rev().map(|member| !seen.insert(member.key.as_str())).collect();
        repeated.reverse();
        repeated
    };
    let mut repeated = repeated.into_iter();
    members.retain(|_| !repeated.next().expect("one answer for each member"));
}
