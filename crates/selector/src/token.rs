//! Splits selector text into tokens. The keyword tests come before the label test, so that some
//! labels cannot stand before an operator; upstream behaves so, and stored documents rely on it.

use std::fmt;

use crate::error::{Expected, Found, ParseError};
use crate::hint;

/// The longest label key.
pub(crate) const MAX_KEY: usize = 512;

/// One token and where it starts, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind<'t>,
    pub(crate) offset: usize,
}

/// What a token is; keys and string contents borrow from the selector's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind<'t> {
    Label(&'t str),
    Text(&'t str),
    OpenBrace,
    CloseBrace,
    Comma,
    Equal,
    NotEqual,
    In,
    Not,
    NotIn,
    All,
    Has(&'t str),
    OpenBracket,
    CloseBracket,
    And,
    Or,
    End,
}

// === impl TokenKind ===

impl TokenKind<'_> {
    /// The number upstream gives this kind of token, visible in its error texts.
    fn upstream_number(self) -> u8 {
        match self {
            TokenKind::Label(_) => 1,
            TokenKind::Text(_) => 2,
            TokenKind::OpenBrace => 3,
            TokenKind::CloseBrace => 4,
            TokenKind::Comma => 5,
            TokenKind::Equal => 6,
            TokenKind::NotEqual => 7,
            TokenKind::In => 8,
            TokenKind::Not => 9,
            TokenKind::NotIn => 10,
            TokenKind::All => 11,
            TokenKind::Has(_) => 12,
            TokenKind::OpenBracket => 13,
            TokenKind::CloseBracket => 14,
            TokenKind::And => 15,
            TokenKind::Or => 16,
            TokenKind::End => 17,
        }
    }
}

// === impl Token ===

/// Prints the token as upstream's error texts do.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.kind.upstream_number();
        match self.kind {
            TokenKind::Label(value) | TokenKind::Text(value) | TokenKind::Has(value) => {
                write!(f, "{{{number} {value}}}")
            }
            _ => write!(f, "{{{number} <nil>}}"),
        }
    }
}

// === splitting ===

/// All tokens of the text; the last one is [`TokenKind::End`].
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    loop {
        let rest = text[offset..].trim_start_matches([' ', '\t']);
        offset = text.len() - rest.len();
        let (kind, length) = match rest.chars().next() {
            None => {
                tokens.push(Token { kind: TokenKind::End, offset });
                return Ok(tokens);
            }
            Some(first) => next_token(rest, first).map_err(|fault| fault.at(text, offset))?,
        };
        tokens.push(Token { kind, offset });
        offset += length;
    }
}

/// Why no token starts here.
enum Fault {
    /// A lone character of a doubled operator: the operator, and how upstream words it.
    Lone { character: char, expected: Expected, upstream: &'static str },
    /// A quote that nothing closes.
    Unterminated(char),
    /// A character with no meaning outside strings.
    Character(char),
}

impl Fault {
    fn at(self, text: &str, offset: usize) -> ParseError {
        let (expected, found, upstream) = match self {
            Fault::Lone { character, expected, upstream } => {
                (expected, Found::Character(character), upstream)
            }
            Fault::Unterminated(quote) => (Expected::ClosingQuote(quote), Found::End, "unterminated string"),
            Fault::Character(character) => {
                (Expected::Token, Found::Character(character), "unexpected characters")
            }
        };
        let hint = match self {
            Fault::Unterminated(quote) => hint::for_open_string(quote),
            Fault::Lone { character, .. } | Fault::Character(character) => {
                hint::for_character(character, &text[..offset], &text[offset..])
            }
        };
        ParseError::new(text, offset, expected, found).upstream(upstream).hinted(hint)
    }
}

/// The token at the start of `rest` (whose first character is given) and its length in bytes.
fn next_token(rest: &str, first: char) -> Result<(TokenKind<'_>, usize), Fault> {
    let lone = |expected, upstream| Err(Fault::Lone { character: first, expected, upstream });
    match first {
        '(' => Ok((TokenKind::OpenBracket, 1)),
        ')' => Ok((TokenKind::CloseBracket, 1)),
        '{' => Ok((TokenKind::OpenBrace, 1)),
        '}' => Ok((TokenKind::CloseBrace, 1)),
        ',' => Ok((TokenKind::Comma, 1)),
        '"' | '\'' => {
            let content = &rest[1..];
            let length = content.find(first).ok_or(Fault::Unterminated(first))?;
            Ok((TokenKind::Text(&content[..length]), length + 2))
        }
        '!' if rest.starts_with("!=") => Ok((TokenKind::NotEqual, 2)),
        '!' => Ok((TokenKind::Not, 1)),
        '=' if rest.starts_with("==") => Ok((TokenKind::Equal, 2)),
        '=' => lone(Expected::DoubleEquals, "expected =="),
        '&' if rest.starts_with("&&") => Ok((TokenKind::And, 2)),
        '&' => lone(Expected::DoubleAmpersand, "expected &&"),
        '|' if rest.starts_with("||") => Ok((TokenKind::Or, 2)),
        '|' => lone(Expected::DoubleBar, "expected ||"),
        _ => word(rest).ok_or(Fault::Character(first)),
    }
}

/// A keyword or a label, the keywords first.
fn word(rest: &str) -> Option<(TokenKind<'_>, usize)> {
    if let Some((key, length)) = has(rest) {
        return Some((TokenKind::Has(key), length));
    }
    if let Some(after) = rest.strip_prefix("not")
        && let Some(after) = skip_white(after).strip_prefix("in")
        && at_word_boundary(after)
    {
        return Some((TokenKind::NotIn, rest.len() - after.len()));
    }
    if let Some(after) = rest.strip_prefix("in")
        && at_word_boundary(after)
    {
        return Some((TokenKind::In, 2));
    }
    if let Some(after) = rest.strip_prefix("all(")
        && let Some(after) = skip_white(after).strip_prefix(')')
    {
        return Some((TokenKind::All, rest.len() - after.len()));
    }
    let length = rest.bytes().take(MAX_KEY).take_while(|byte| is_key_byte(*byte)).count();
    (length > 0).then(|| (TokenKind::Label(&rest[..length]), length))
}

/// `has(KEY)`: the key and the length of the whole.
fn has(rest: &str) -> Option<(&str, usize)> {
    let inner = skip_white(rest.strip_prefix("has(")?);
    let length = inner.bytes().take_while(|byte| is_key_byte(*byte)).count();
    let (key, after) = inner.split_at(length);
    let after = skip_white(after).strip_prefix(')')?;
    (1..=MAX_KEY).contains(&length).then(|| (key, rest.len() - after.len()))
}

/// Drops the white space that keywords may contain; more kinds than may stand between tokens.
fn skip_white(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\x0c'])
}

/// Whether a word that ends before `after` ends there.
fn at_word_boundary(after: &str) -> bool {
    !after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}
