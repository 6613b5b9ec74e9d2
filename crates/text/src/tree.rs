//! A document as read: nodes with spans, scalars with their text and style.
//!
//! The tree keeps what the writer wrote (`007`, `yes`, `"x"`); what a scalar *means* under YAML 1.1 is asked for
//! with [`Scalar::resolve`]. Mapping keys keep their order; an exactly repeated key keeps its last value
//! (`spec/api-v1.md` 1.3 D5).

mod resolve;
#[cfg(test)]
mod tests;

/// A place in the source: byte offsets and the first character's line and column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Byte offset of the first character in the whole input.
    pub start: usize,
    /// Byte offset behind the last character in the whole input.
    pub end: usize,
    /// Line of the first character, from 1.
    pub line: u32,
    /// Column of the first character in Unicode scalar values, from 1.
    pub column: u32,
}

/// One node of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the node stands.
    pub span: Span,
    /// What the node is.
    pub value: NodeValue,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    /// Text, number, boolean or null.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A map, in source order.
    Mapping(Vec<Member>),
}

/// One key and value of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The key's text: YAML keys that are numbers or booleans are kept as written.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// A scalar as written, after unescaping and unfolding.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The characters.
    pub text: String,
    /// How it was written, which decides whether it can be anything but text.
    pub style: Style,
}

// === impl Scalar ===

impl Scalar {
    /// Says what the scalar means: quoted text is text, anything else as YAML 1.1 reads it.
    pub fn resolve(&self) -> Resolved<'_> {
        match self.style {
            Style::Plain => resolve::resolve_plain(&self.text),
            Style::Text => Resolved::Text(&self.text),
        }
    }
}

/// Says what `text` would mean if it stood unquoted in a document.
pub fn resolve_plain(text: &str) -> Resolved<'_> {
    resolve::resolve_plain(text)
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Unquoted: may be a boolean, number or null.
    Plain,
    /// Quoted, a block scalar, or tagged `!!str`: always text.
    Text,
}

/// What a plain scalar means under YAML 1.1 (`spec/api-v1.md` 1.3 D10 to D12).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resolved<'a> {
    /// `null`, `~`, or nothing.
    Null,
    /// `y`, `yes`, `on`, `true`, … in lower, Capitalised or UPPER case.
    Bool(bool),
    /// Decimal, `0x`, leading-`0` octal, `0b`, with `_` separators.
    Int(i128),
    /// A number with a fraction or exponent, `.inf`, `.nan`, or an integer wider than 64 bits.
    Float(f64),
    /// Text.
    Text(&'a str),
}

/// A fault that keeps a document from becoming a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong, lower case, without full stop.
    pub message: String,
}
