//! Why a text is not a selector: where, what would have fitted, what stands there instead.
//! Upstream's wording is kept beside ours, because scripts and logs have it.

use std::fmt;

use crate::parse::MAX_NESTING;
use crate::token::{Token, TokenKind};

/// The longest piece of the selector that a message repeats, in characters.
const MAX_QUOTED: usize = 60;

/// The text is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("selector, column {column}: expected {expected}, found {found}")]
pub struct ParseError {
    column: usize,
    expected: Expected,
    found: Found,
    upstream: Option<String>,
    hint: Option<String>,
}

/// What would have fitted at the place of the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Anything that can stand in a selector at all.
    Token,
    /// The start of a condition.
    Operand,
    /// An operator after a label.
    Operator,
    /// The value of a comparison.
    Text,
    /// The set of `in` and `not in`.
    Set,
    /// A value of a set, or its end.
    SetValue,
    /// What may follow a value of a set.
    SetSeparator,
    /// The end of a bracket.
    CloseBracket,
    /// The end of the selector.
    End,
    /// `==`, where a lone `=` stands.
    DoubleEquals,
    /// `&&`, where a lone `&` stands.
    DoubleAmpersand,
    /// `||`, where a lone `|` stands.
    DoubleBar,
    /// The quote that closes the string starting here.
    ClosingQuote(char),
    /// Fewer brackets inside each other.
    LessNesting,
}

/// What stands at the place of the fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A label key, or another bare word.
    Label(String),
    /// A string in quotes.
    Text(String),
    /// An operator, bracket or keyword.
    Symbol(&'static str),
    /// `has(KEY)`.
    Has(String),
    /// A character that starts no token.
    Character(char),
    /// Nothing more.
    End,
}

// === impl ParseError ===

impl ParseError {
    /// A fault at that byte of the text.
    pub(crate) fn new(text: &str, offset: usize, expected: Expected, found: Found) -> Self {
        let column = text[..offset].chars().count() + 1;
        ParseError { column, expected, found, upstream: None, hint: None }
    }

    /// Adds upstream's wording.
    pub(crate) fn upstream(mut self, wording: impl Into<String>) -> Self {
        self.upstream = Some(wording.into());
        self
    }

    /// Adds advice, if there is some.
    pub(crate) fn hinted(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Where the fault is, in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What would have fitted there.
    pub fn expected(&self) -> Expected {
        self.expected
    }

    /// What stands there.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Upstream's error text; nothing where upstream would accept the selector.
    pub fn upstream_text(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// What the author probably meant to write.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

// === impl Expected ===

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Token => "a label, an operator or a string in quotes",
            Expected::Operand => "a label, has(LABEL), all(), '!' or '('",
            Expected::Operator => "'==', '!=', 'in' or 'not in'",
            Expected::Text => "a string in quotes",
            Expected::Set => "a set of strings in '{' and '}'",
            Expected::SetValue => "a string in quotes or '}'",
            Expected::SetSeparator => "',' or '}'",
            Expected::CloseBracket => "'&&', '||' or ')'",
            Expected::End => "'&&', '||' or the end of the selector",
            Expected::DoubleEquals => "'=='",
            Expected::DoubleAmpersand => "'&&'",
            Expected::DoubleBar => "'||'",
            Expected::ClosingQuote(quote) => {
                return write!(f, "a closing {quote} for the string that starts here");
            }
            Expected::LessNesting => return write!(f, "at most {MAX_NESTING} brackets inside each other"),
        })
    }
}

// === impl Found ===

impl From<Token<'_>> for Found {
    fn from(token: Token<'_>) -> Self {
        match token.kind {
            TokenKind::Label(key) => Found::Label(key.to_owned()),
            TokenKind::Text(value) => Found::Text(value.to_owned()),
            TokenKind::Has(key) => Found::Has(key.to_owned()),
            TokenKind::OpenBrace => Found::Symbol("'{'"),
            TokenKind::CloseBrace => Found::Symbol("'}'"),
            TokenKind::Comma => Found::Symbol("','"),
            TokenKind::Equal => Found::Symbol("'=='"),
            TokenKind::NotEqual => Found::Symbol("'!='"),
            TokenKind::In => Found::Symbol("the keyword 'in'"),
            TokenKind::Not => Found::Symbol("'!'"),
            TokenKind::NotIn => Found::Symbol("the keyword 'not in'"),
            TokenKind::All => Found::Symbol("all()"),
            TokenKind::OpenBracket => Found::Symbol("'('"),
            TokenKind::CloseBracket => Found::Symbol("')'"),
            TokenKind::And => Found::Symbol("'&&'"),
            TokenKind::Or => Found::Symbol("'||'"),
            TokenKind::End => Found::End,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Label(key) => write!(f, "label '{}'", excerpt(key)),
            Found::Text(value) => write!(f, "string '{}'", excerpt(value)),
            Found::Symbol(symbol) => f.write_str(symbol),
            Found::Has(key) => write!(f, "has({})", excerpt(key)),
            Found::Character(character) => write!(f, "'{}'", excerpt(&character.to_string())),
            Found::End => f.write_str("the end of the selector"),
        }
    }
}

/// The start of the text on one line, control characters escaped.
fn excerpt(text: &str) -> String {
    let mut excerpt = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == MAX_QUOTED {
            excerpt.push('…');
            break;
        }
        if character.is_control() {
            excerpt.extend(character.escape_default());
        } else {
            excerpt.push(character);
        }
    }
    excerpt
}
