//! Cuts a template into tokens, all at once; a fault ends the list.

use super::literal::describe_char;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The source is wrong here; [`Tokens::fault`] says how.
    Fault,
    Bool,
    /// A character with no meaning of its own, such as the comma.
    Char,
    CharConstant,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelimiter,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelimiter,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Keyword(Keyword),
}

/// Words that are not names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Dot,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A piece of the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind,
    pub(super) text: &'s str,
    /// Where it starts, in bytes.
    pub(super) start: usize,
    /// The line it starts on, from 1.
    pub(super) line: usize,
}

/// The whole source; the last token is [`Kind::Eof`] or [`Kind::Fault`].
#[derive(Debug)]
pub(super) struct Tokens<'s> {
    pub(super) list: Vec<Token<'s>>,
    pub(super) fault: String,
}

/// Blanks in an action, and what trim markers eat.
const SPACES: &[char] = &[' ', '\t', '\r', '\n'];
const LEFT: &str = "{{";
const RIGHT: &str = "}}";

/// Cuts `source` into tokens.
pub(super) fn lex(source: &str) -> Tokens<'_> {
    let mut lexer = Lexer { source, list: Vec::new(), start: 0, position: 0, line: 1, counted: 0 };
    let fault = lexer.run().err().unwrap_or_default();
    if !fault.is_empty() {
        lexer.position = lexer.start;
        lexer.emit(Kind::Fault);
    }
    Tokens { list: lexer.list, fault }
}

struct Lexer<'s> {
    source: &'s str,
    list: Vec<Token<'s>>,
    /// Start of the token being read.
    start: usize,
    position: usize,
    /// The line of the byte `counted`.
    line: usize,
    counted: usize,
}

// === impl Lexer ===

impl<'s> Lexer<'s> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(offset) = self.rest().find(LEFT) {
            self.text(offset);
            self.start = self.position;
            let marker = if starts_trimmed(&self.rest()[LEFT.len()..]) { 2 } else { 0 };
            if self.rest()[LEFT.len() + marker..].starts_with("/*") {
                self.position += LEFT.len() + marker;
                self.start = self.position;
                self.comment()?;
                continue;
            }
            self.position += LEFT.len();
            self.emit(Kind::LeftDelimiter);
            self.position += marker;
            self.action()?;
        }
        self.start = self.position;
        self.position = self.source.len();
        if self.position > self.start {
            self.emit(Kind::Text);
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    /// Emits the text before the delimiter at `offset`, less what its trim marker eats.
    fn text(&mut self, offset: usize) {
        let delimiter = self.position + offset;
        let text = &self.source[self.position..delimiter];
        let kept = match starts_trimmed(&self.source[delimiter + LEFT.len()..]) {
            true => text.trim_end_matches(SPACES),
            false => text,
        };
        self.start = self.position;
        self.position += kept.len();
        if !kept.is_empty() {
            self.emit(Kind::Text);
        }
        self.position = delimiter;
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(end) = self.rest()[2..].find("*/") else {
            return Err("unclosed comment".to_owned());
        };
        self.position += 2 + end + 2;
        let Some(trims) = self.right_delimiter() else {
            return Err("comment ends before closing delimiter".to_owned());
        };
        self.close(trims);
        self.trim(trims);
        Ok(())
    }

    fn action(&mut self) -> Result<(), String> {
        let mut depth = 0_usize;
        loop {
            self.start = self.position;
            if let Some(trims) = self.right_delimiter() {
                if depth > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.close(trims);
                self.emit(Kind::RightDelimiter);
                self.trim(trims);
                return Ok(());
            }
            let Some(c) = self.bump() else {
                return Err("unclosed action".to_owned());
            };
            match c {
                '(' => depth += 1,
                ')' => {
                    let Some(outer) = depth.checked_sub(1) else {
                        self.emit(Kind::RightParen);
                        self.start = self.position;
                        return Err(format!("unexpected right paren {}", describe_char(c)));
                    };
                    depth = outer;
                }
                _ => {}
            }
            let kind = self.token(c)?;
            self.emit(kind);
        }
    }

    /// Reads the rest of the token that starts with `c`.
    fn token(&mut self, c: char) -> Result<Kind, String> {
        Ok(match c {
            ' ' | '\t' | '\r' | '\n' => {
                while self.right_delimiter().is_none() && self.accept(SPACES) {}
                Kind::Space
            }
            '=' => Kind::Assign,
            ':' if self.accept(&['=']) => Kind::Declare,
            ':' => return Err("expected :=".to_owned()),
            '|' => Kind::Pipe,
            '(' => Kind::LeftParen,
            ')' => Kind::RightParen,
            '"' => self.quoted('"', "unterminated quoted string", Kind::String)?,
            '\'' => self.quoted('\'', "unterminated character constant", Kind::CharConstant)?,
            '`' => {
                let Some(end) = self.rest().find('`') else {
                    return Err("unterminated raw quoted string".to_owned());
                };
                self.position += end + 1;
                Kind::RawString
            }
            '$' => self.name(Kind::Variable, Kind::Variable)?,
            '.' if self.peek().is_some_and(|next| !next.is_ascii_digit()) => {
                self.name(Kind::Field, Kind::Keyword(Keyword::Dot))?
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.position = self.start;
                self.number()?
            }
            _ if is_alphanumeric(c) => {
                self.name(Kind::Identifier, Kind::Identifier)?;
                word(&self.source[self.start..self.position])
            }
            _ if c.is_ascii_graphic() => Kind::Char,
            _ => return Err(format!("unrecognized character in action: {}", describe_char(c))),
        })
    }

    /// The letters and digits after `.`, `$` or the first letter; `bare` if there are none.
    fn name(&mut self, kind: Kind, bare: Kind) -> Result<Kind, String> {
        if self.at_terminator() {
            return Ok(bare);
        }
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
        match self.peek() {
            Some(c) if !self.at_terminator() => Err(format!("bad character {}", describe_char(c))),
            _ => Ok(kind),
        }
    }

    fn quoted(&mut self, quote: char, unterminated: &str, kind: Kind) -> Result<Kind, String> {
        loop {
            let c = match self.bump() {
                Some('\\') => self.bump().filter(|&escaped| escaped != '\n').map(|_| '\\'),
                c => c.filter(|&c| c != '\n'),
            };
            match c {
                None => return Err(unterminated.to_owned()),
                Some(c) if c == quote => return Ok(kind),
                Some(_) => {}
            }
        }
    }

    /// Anything like a number; whether it is one is found when it is converted.
    fn number(&mut self) -> Result<Kind, String> {
        let bad = |lexer: &Self| {
            let text = super::literal::quote(&lexer.source[lexer.start..lexer.position]);
            format!("bad number syntax: {text}")
        };
        if !self.scan_number() {
            return Err(bad(self));
        }
        // A complex number such as `1+2i`: refused when it is converted.
        if matches!(self.peek(), Some('+' | '-')) && (!self.scan_number() || !self.read().ends_with('i')) {
            return Err(bad(self));
        }
        Ok(Kind::Number)
    }

    fn scan_number(&mut self) -> bool {
        self.accept(&['+', '-']);
        let mut radix = 10;
        if self.accept(&['0']) {
            radix = match self.peek() {
                Some('x' | 'X') => 16,
                Some('o' | 'O') => 8,
                Some('b' | 'B') => 2,
                _ => 10,
            };
            if radix != 10 {
                self.bump();
            }
        }
        self.digits(radix);
        if self.accept(&['.']) {
            self.digits(radix);
        }
        if radix == 10 && self.accept(&['e', 'E']) || radix == 16 && self.accept(&['p', 'P']) {
            self.accept(&['+', '-']);
            self.digits(10);
        }
        self.accept(&['i']);
        if self.peek().is_some_and(is_alphanumeric) {
            self.bump();
            return false;
        }
        true
    }

    fn digits(&mut self, radix: u32) {
        while self.peek().is_some_and(|c| c == '_' || c.is_digit(radix)) {
            self.bump();
        }
    }

    fn emit(&mut self, kind: Kind) {
        let between = &self.source.as_bytes()[self.counted..self.start];
        self.line += memchr::memchr_iter(b'\n', between).count();
        self.counted = self.start;
        self.list.push(Token { kind, text: self.read(), start: self.start, line: self.line });
        self.start = self.position;
    }

    /// Whether a right delimiter is next, and if so, whether it trims.
    fn right_delimiter(&self) -> Option<bool> {
        let rest = self.rest();
        let trimmed = rest.strip_prefix(SPACES).and_then(|rest| rest.strip_prefix('-'));
        if trimmed.is_some_and(|rest| rest.starts_with(RIGHT)) {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    /// Moves over the right delimiter; the token starts behind its trim marker.
    fn close(&mut self, trims: bool) {
        self.position += if trims { 2 } else { 0 };
        self.start = self.position;
        self.position += RIGHT.len();
    }

    /// Moves over the blanks that a trim marker eats.
    fn trim(&mut self, trims: bool) {
        if trims {
            let rest = self.rest();
            self.position += rest.len() - rest.trim_start_matches(SPACES).len();
        }
    }

    /// Whether a name may end here: `.X.Y` is two tokens, `$x+2` is none.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn rest(&self) -> &'s str {
        &self.source[self.position..]
    }

    fn read(&self) -> &'s str {
        &self.source[self.start..self.position]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, allowed: &[char]) -> bool {
        let accepted = self.peek().is_some_and(|c| allowed.contains(&c));
        if accepted {
            self.bump();
        }
        accepted
    }
}

/// Whether the action that goes on with `rest` trims the text before it.
fn starts_trimmed(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(text: &str) -> Kind {
    match text {
        "true" | "false" => Kind::Bool,
        "block" => Kind::Keyword(Keyword::Block),
        "break" => Kind::Keyword(Keyword::Break),
        "continue" => Kind::Keyword(Keyword::Continue),
        "define" => Kind::Keyword(Keyword::Define),
        "else" => Kind::Keyword(Keyword::Else),
        "end" => Kind::Keyword(Keyword::End),
        "if" => Kind::Keyword(Keyword::If),
        "nil" => Kind::Keyword(Keyword::Nil),
        "range" => Kind::Keyword(Keyword::Range),
        "template" => Kind::Keyword(Keyword::Template),
        "with" => Kind::Keyword(Keyword::With),
        _ => Kind::Identifier,
    }
}
