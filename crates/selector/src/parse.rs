//! Reads tokens into nodes in pre-order, with an explicit stack of open brackets.
//! Every bracket gets an `Or` and every alternative an `And`, with their operands counted as they
//! come; those that end up with one operand are dropped afterwards, and so are double negations.

use crate::error::{Expected, ParseError};
use crate::hint;
use crate::selector::Op;
use crate::token::{Token, TokenKind, tokenize};

/// How many brackets may stand inside each other, as written and in the canonical form.
///
/// The canonical form brackets every group of `&&` or `||`; it too must be readable again.
// COMPAT(nesting): upstream has no limit but its stack; ours keeps a hostile selector small everywhere.
pub const MAX_NESTING: usize = 1000;

/// A node whose operands, if any, follow it directly.
pub(crate) struct Counted {
    pub(crate) op: Op,
    pub(crate) operands: usize,
    /// Where in the text the node starts.
    offset: usize,
}

/// An open bracket, or the selector as a whole: where its nodes are.
struct Group {
    or: usize,
    /// The alternative that is being read.
    and: usize,
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    /// The next token.
    at: usize,
    nodes: Vec<Counted>,
    groups: Vec<Group>,
}

/// The nodes of the selector in pre-order, without needless ones.
pub(crate) fn parse(text: &str) -> Result<Vec<Counted>, ParseError> {
    let tokens = tokenize(text)?;
    if tokens[0].kind == TokenKind::End {
        return Ok(vec![Counted { op: Op::All, operands: 0, offset: 0 }]);
    }
    let mut parser = Parser { text, tokens, at: 0, nodes: Vec::new(), groups: Vec::new() };
    parser.selector()?;
    let nodes = without_needless(std::mem::take(&mut parser.nodes));
    match too_deep(&nodes) {
        Some(offset) => Err(parser.too_nested(offset)),
        None => Ok(nodes),
    }
}

// === impl Parser ===

impl<'t> Parser<'t> {
    fn selector(&mut self) -> Result<(), ParseError> {
        self.open_group();
        while !self.at_end_after_operand()? {}
        Ok(())
    }

    /// Reads one operand, or opens a bracket, and the operators and brackets that follow an operand.
    fn at_end_after_operand(&mut self) -> Result<bool, ParseError> {
        while self.eat(TokenKind::Not) {
            self.push(Op::Not, 1);
        }
        match self.kind() {
            TokenKind::OpenBracket => {
                self.open_bracket()?;
                return Ok(false);
            }
            TokenKind::Has(key) => self.leaf(Op::Has(key.into()), 1),
            TokenKind::All => self.leaf(Op::All, 1),
            TokenKind::Label(key) => self.comparison(key)?,
            _ => {
                let upstream = format!("Unexpected token: {}", self.token());
                return Err(self.fault(Expected::Operand, upstream));
            }
        }
        self.after_operand()
    }

    /// Closes brackets and reads the operator before the next operand; true at the end.
    fn after_operand(&mut self) -> Result<bool, ParseError> {
        loop {
            let group = self.groups.last().expect("the outermost group is never closed");
            self.nodes[group.and].operands += 1;
            let in_bracket = self.groups.len() > 1;
            match self.kind() {
                TokenKind::And => {
                    self.at += 1;
                    return Ok(false);
                }
                TokenKind::Or => {
                    self.at += 1;
                    self.open_alternative();
                    return Ok(false);
                }
                // The bracket as a whole is an operand of the group around it: go round once more.
                TokenKind::CloseBracket if in_bracket => {
                    self.at += 1;
                    self.groups.pop();
                }
                TokenKind::End if !in_bracket => return Ok(true),
                _ if in_bracket => return Err(self.fault(Expected::CloseBracket, "Expected )".to_owned())),
                _ => {
                    let rest = printed_list(&self.tokens[self.at..]);
                    let upstream = format!("unexpected content at end of selector {rest}");
                    return Err(self.fault(Expected::End, upstream));
                }
            }
        }
    }

    /// Reads `key OPERATOR value`.
    fn comparison(&mut self, key: &str) -> Result<(), ParseError> {
        self.at += 1;
        match self.kind() {
            TokenKind::Equal => {
                let value = self.value()?;
                self.leaf(Op::Equal(key.into(), value), 1);
            }
            TokenKind::NotEqual => {
                let value = self.value()?;
                self.leaf(Op::NotEqual(key.into(), value), 1);
            }
            TokenKind::In => {
                let values = self.set()?;
                self.leaf(Op::In(key.into(), values), 1);
            }
            TokenKind::NotIn => {
                let values = self.set()?;
                self.leaf(Op::NotIn(key.into(), values), 1);
            }
            kind => {
                let upstream = match kind {
                    TokenKind::End => {
                        let rest = printed_list(&self.tokens[self.at - 1..]);
                        format!("Unexpected end of string in middle of op{rest}")
                    }
                    _ => format!("Expected == or != not {}", self.token()),
                };
                return Err(self.fault(Expected::Operator, upstream));
            }
        }
        Ok(())
    }

    /// Steps over the operator to the value, and leaves that to be stepped over by [`Self::leaf`].
    fn value(&mut self) -> Result<Box<str>, ParseError> {
        self.at += 1;
        match self.kind() {
            TokenKind::Text(value) => Ok(value.into()),
            _ => Err(self.fault(Expected::Text, "Expected string".to_owned())),
        }
    }

    /// Steps over the operator and the set up to its `}`; the values sorted, without repeats.
    fn set(&mut self) -> Result<Box<[Box<str>]>, ParseError> {
        self.at += 1;
        if !self.eat(TokenKind::OpenBrace) {
            return Err(self.fault(Expected::Set, "Expected set literal".to_owned()));
        }
        let mut values: Vec<&str> = Vec::new();
        let mut expected = Expected::SetValue;
        while let TokenKind::Text(value) = self.kind() {
            values.push(value);
            self.at += 1;
            if !self.eat(TokenKind::Comma) {
                expected = Expected::SetSeparator;
                break;
            }
        }
        if self.kind() != TokenKind::CloseBrace {
            return Err(self.fault(expected, "Expected }".to_owned()));
        }
        values.sort_unstable();
        values.dedup();
        Ok(values.into_iter().map(Box::from).collect())
    }

    fn open_bracket(&mut self) -> Result<(), ParseError> {
        if self.groups.len() > MAX_NESTING {
            return Err(self.too_nested(self.token().offset));
        }
        self.at += 1;
        self.open_group();
        Ok(())
    }

    fn open_group(&mut self) {
        let or = self.nodes.len();
        self.push(Op::Or, 0);
        self.groups.push(Group { or, and: or });
        self.open_alternative();
    }

    fn open_alternative(&mut self) {
        let and = self.nodes.len();
        self.push(Op::And, 0);
        let group = self.groups.last_mut().expect("the outermost group is never closed");
        group.and = and;
        self.nodes[group.or].operands += 1;
    }

    /// Adds a node without operands and steps over its last tokens.
    fn leaf(&mut self, op: Op, tokens: usize) {
        self.push(op, 0);
        self.at += tokens;
    }

    fn push(&mut self, op: Op, operands: usize) {
        let offset = self.token().offset;
        self.nodes.push(Counted { op, operands, offset });
    }

    fn eat(&mut self, kind: TokenKind<'_>) -> bool {
        let eaten = self.kind() == kind;
        self.at += usize::from(eaten);
        eaten
    }

    /// The next token; stays at the end token, which nothing steps over.
    fn token(&self) -> Token<'t> {
        self.tokens[self.at]
    }

    fn kind(&self) -> TokenKind<'t> {
        self.token().kind
    }

    /// The fault that a group starting at that byte is nested too deeply.
    fn too_nested(&self, offset: usize) -> ParseError {
        let token = self.tokens[self.tokens.partition_point(|token| token.offset < offset)];
        ParseError::new(self.text, offset, Expected::LessNesting, token.into())
    }

    fn fault(&self, expected: Expected, upstream: String) -> ParseError {
        let token = self.token();
        ParseError::new(self.text, token.offset, expected, token.into())
            .upstream(upstream)
            .hinted(hint::for_token(&self.tokens, self.at, expected))
    }
}

// === helpers ===

/// A list of tokens as upstream prints it.
fn printed_list(tokens: &[Token<'_>]) -> String {
    let printed: Vec<String> = tokens.iter().map(Token::to_string).collect();
    format!("[{}]", printed.join(" "))
}

/// Drops groups of one operand and double negations.
// COMPAT(double negation): upstream cancels `!!x` but keeps `!(!x)`, whose canonical text then reads
// back as another selector with another id. Ours cancels both (spec/api-v1.md 11 row 24).
fn without_needless(nodes: Vec<Counted>) -> Vec<Counted> {
    let mut kept: Vec<Counted> = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node.op {
            Op::And | Op::Or if node.operands == 1 => {}
            // The node after a `Not` is its operand, so these two cancel out.
            Op::Not if kept.last().is_some_and(|last| last.op == Op::Not) => {
                kept.pop();
            }
            _ => kept.push(node),
        }
    }
    kept
}

/// Where the first group starts whose canonical text would need too many brackets.
fn too_deep(nodes: &[Counted]) -> Option<usize> {
    // For each node that is being read, how many of its operands are still to come.
    let mut open: Vec<(&Op, usize)> = Vec::new();
    let mut groups = 0;
    for node in nodes {
        open.push((&node.op, node.operands));
        groups += usize::from(is_group(&node.op));
        if groups > MAX_NESTING {
            return Some(node.offset);
        }
        while let Some((op, _)) = open.pop_if(|(_, left)| *left == 0) {
            groups -= usize::from(is_group(op));
            if let Some((_, left)) = open.last_mut() {
                *left -= 1;
            }
        }
    }
    None
}

fn is_group(op: &Op) -> bool {
    matches!(op, Op::And | Op::Or)
}
