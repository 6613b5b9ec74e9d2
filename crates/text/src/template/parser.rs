//! Tokens to trees, with the fault texts of Go's parser.

use std::collections::BTreeMap;

use super::TemplateError;
use super::ast::{Branch, Call, Command, External, Node, Operand, Pipeline, Term};
use super::functions::Builtin;
use super::lexer::{Keyword, Kind, Token, Tokens, lex};
use super::literal::{Number, char_constant, number, quote, unquote};
use crate::value::GoValue;

/// How deep blocks and parentheses may stand in each other.
const MAX_NESTING: usize = 100;

/// A parsed source.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Definitions by name; the template itself stands under its own.
    pub(super) trees: BTreeMap<String, Vec<Node>>,
    /// Functions that the caller must have, in order of appearance.
    pub(super) externals: Vec<External>,
}

/// Parses `source`.
pub(super) fn parse(name: &str, source: &str) -> Result<Parsed, TemplateError> {
    let mut parser = Parser {
        name,
        tokens: lex(source),
        next: 0,
        furthest: 0,
        nesting: 0,
        scope: Scope::new(),
        parsed: Parsed { trees: BTreeMap::new(), externals: Vec::new() },
    };
    let body = parser.top()?;
    parser.define(name.to_owned(), body)?;
    Ok(parser.parsed)
}

type Result<T, E = TemplateError> = std::result::Result<T, E>;

struct Parser<'s> {
    name: &'s str,
    tokens: Tokens<'s>,
    /// Index of the next token.
    next: usize,
    /// Index of the last token looked at: faults name its line.
    furthest: usize,
    nesting: usize,
    scope: Scope<'s>,
    parsed: Parsed,
}

/// What belongs to one definition.
struct Scope<'s> {
    variables: Vec<&'s str>,
    /// How many ranges stand around.
    ranges: usize,
    /// Where the action being read began; 0 outside of one.
    action_line: usize,
}

/// What ends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

enum Item {
    Node(Node),
    Ending(Ending),
}

// === impl Scope ===

impl Scope<'_> {
    fn new() -> Self {
        Self { variables: vec!["$"], ranges: 0, action_line: 0 }
    }
}

// === impl Ending ===

impl Ending {
    fn spelled(self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

// === impl Parser: bodies ===

impl<'s> Parser<'s> {
    /// Like [`Parser::body`], to the end of the source; only here may definitions stand.
    fn top(&mut self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::Eof {
            let start = self.next;
            if self.peek().kind == Kind::LeftDelimiter {
                self.advance();
                if self.advance_to_word().kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.next = start;
            }
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => return self.fail(format!("unexpected {}", ending.spelled())),
            }
        }
        Ok(nodes)
    }

    fn definition(&mut self) -> Result<()> {
        let context = "define clause";
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let token = self.advance_to_word();
        let name = self.quoted_name(token, context)?;
        self.expect(Kind::RightDelimiter, context)?;
        let (body, ending) = self.body()?;
        if ending != Ending::End {
            return self.fail(format!("unexpected {} in {context}", ending.spelled()));
        }
        self.scope = outer;
        self.define(name, body)
    }

    /// Keeps a definition; one that is blank may be replaced, and replaces none.
    fn define(&mut self, name: String, body: Vec<Node>) -> Result<()> {
        let is_blank = |body: &[Node]| body.iter().all(Node::is_blank);
        if self.parsed.trees.get(&name).is_none_or(|known| is_blank(known)) {
            self.parsed.trees.insert(name, body);
            return Ok(());
        }
        if is_blank(&body) {
            return Ok(());
        }
        self.fail(format!("template: multiple definition of template {}", quote(&name)))
    }

    /// Text and actions up to `{{end}}` or `{{else}}`.
    fn body(&mut self) -> Result<(Vec<Node>, Ending)> {
        let mut nodes = Vec::new();
        while self.peek_word().kind != Kind::Eof {
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => return Ok((nodes, ending)),
            }
        }
        self.fail("unexpected EOF")
    }

    fn item(&mut self) -> Result<Item> {
        let token = self.advance_to_word();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text.to_owned()))),
            Kind::LeftDelimiter => {
                self.scope.action_line = token.line;
                let item = self.action()?;
                self.scope.action_line = 0;
                Ok(item)
            }
            _ => self.unexpected(token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item> {
        let start = self.next;
        let Kind::Keyword(keyword) = self.advance_to_word().kind else {
            self.next = start;
            let pipeline = self.pipeline("command", Kind::RightDelimiter)?;
            return Ok(Item::Node(Node::Action(pipeline)));
        };
        let node = match keyword {
            Keyword::Block => self.nested(Self::block)?,
            Keyword::Break => self.jump("{{break}}", Node::Break)?,
            Keyword::Continue => self.jump("{{continue}}", Node::Continue)?,
            Keyword::Else => {
                if self.peek_word().kind != Kind::Keyword(Keyword::If) {
                    self.expect(Kind::RightDelimiter, "else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
            Keyword::End => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Item::Ending(Ending::End));
            }
            Keyword::If => self.nested(Self::condition)?,
            Keyword::Range => Node::Range(self.nested(|parser| parser.branch("range"))?),
            Keyword::Template => self.call()?,
            Keyword::With => Node::With(self.nested(|parser| parser.branch("with"))?),
            Keyword::Define | Keyword::Dot | Keyword::Nil => {
                self.next = start;
                Node::Action(self.pipeline("command", Kind::RightDelimiter)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn jump(&mut self, spelled: &str, node: Node) -> Result<Node> {
        let token = self.advance_to_word();
        if token.kind != Kind::RightDelimiter {
            return self.unexpected(token, spelled);
        }
        if self.scope.ranges == 0 {
            return self.fail(format!("{spelled} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn condition(&mut self) -> Result<Node> {
        let known = self.scope.variables.len();
        let mut arms = Vec::new();
        let otherwise = loop {
            let pipeline = self.pipeline("if", Kind::RightDelimiter)?;
            let (body, ending) = self.body()?;
            arms.push((pipeline, body));
            match ending {
                Ending::End => break Vec::new(),
                Ending::Else if self.peek().kind == Kind::Keyword(Keyword::If) => self.next += 1,
                Ending::Else => break self.otherwise()?,
            }
        };
        self.scope.variables.truncate(known);
        Ok(Node::If { arms, otherwise })
    }

    fn branch(&mut self, context: &str) -> Result<Branch> {
        let known = self.scope.variables.len();
        let ranges = usize::from(context == "range");
        let pipeline = self.pipeline(context, Kind::RightDelimiter)?;
        self.scope.ranges += ranges;
        let (body, ending) = self.body()?;
        self.scope.ranges -= ranges;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else => self.otherwise()?,
        };
        self.scope.variables.truncate(known);
        Ok(Branch { pipeline, body, otherwise })
    }

    fn otherwise(&mut self) -> Result<Vec<Node>> {
        let (body, ending) = self.body()?;
        if ending != Ending::End {
            return self.fail(format!("expected end; found {}", ending.spelled()));
        }
        Ok(body)
    }

    fn block(&mut self) -> Result<Node> {
        let context = "block clause";
        let token = self.advance_to_word();
        let name = self.quoted_name(token, context)?;
        let pipeline = self.pipeline(context, Kind::RightDelimiter)?;
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let (body, ending) = self.body()?;
        if ending != Ending::End {
            return self.fail(format!("unexpected {} in {context}", ending.spelled()));
        }
        self.scope = outer;
        self.define(name.clone(), body)?;
        Ok(Node::Call(Call { position: token.start, name, pipeline: Some(pipeline) }))
    }

    fn call(&mut self) -> Result<Node> {
        let context = "template clause";
        let token = self.advance_to_word();
        let name = self.quoted_name(token, context)?;
        let start = self.next;
        let pipeline = match self.advance_to_word().kind {
            Kind::RightDelimiter => None,
            _ => {
                self.next = start;
                Some(self.pipeline(context, Kind::RightDelimiter)?)
            }
        };
        Ok(Node::Call(Call { position: token.start, name, pipeline }))
    }

    fn quoted_name(&mut self, token: Token<'s>, context: &str) -> Result<String> {
        match token.kind {
            Kind::String | Kind::RawString => unquote(token.text).or_else(|fault| self.fail(fault)),
            _ => self.unexpected(token, context),
        }
    }
}

// === impl Parser: pipelines ===

impl<'s> Parser<'s> {
    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipeline> {
        let mut pipeline = Pipeline {
            position: self.peek_word().start,
            assigns: false,
            variables: Vec::new(),
            commands: Vec::new(),
        };
        self.declarations(context, &mut pipeline)?;
        loop {
            let start = self.next;
            let token = self.advance_to_word();
            if token.kind == end {
                break;
            }
            if !starts_operand(token.kind) {
                return self.unexpected(token, context);
            }
            self.next = start;
            let command = self.command()?;
            pipeline.commands.push(command);
        }
        if pipeline.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (index, command) in pipeline.commands.iter().enumerate().skip(1) {
            if matches!(command.first.term, Term::Dot | Term::Nil | Term::Literal { .. }) {
                return self.fail(format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(pipeline)
    }

    /// `$x :=`, `$x =` or, in a range, `$x, $y :=`.
    fn declarations(&mut self, context: &str, pipeline: &mut Pipeline) -> Result<()> {
        while self.peek_word().kind == Kind::Variable {
            let start = self.next;
            let variable = self.advance_to_word().text;
            let next = self.peek_word();
            let comma = next.kind == Kind::Char && next.text == ",";
            if !comma && !matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.next = start;
                return Ok(());
            }
            self.advance_to_word();
            pipeline.assigns = next.kind == Kind::Assign;
            pipeline.variables.push(variable.to_owned());
            self.scope.variables.push(variable);
            if !comma {
                return Ok(());
            }
            if context != "range" || pipeline.variables.len() > 1 {
                return self.fail(format!("too many declarations in {context}"));
            }
            let next = self.peek_word().kind;
            if !matches!(next, Kind::Variable | Kind::RightDelimiter | Kind::RightParen) {
                return self.fail("range can only initialize variables");
            }
        }
        Ok(())
    }

    /// Operands between blanks; takes the pipe that ends them, leaves another end.
    fn command(&mut self) -> Result<Command> {
        let position = self.peek_word().start;
        let mut operands = Vec::new();
        loop {
            self.peek_word();
            operands.extend(self.operand()?);
            let start = self.next;
            let token = self.advance();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelimiter | Kind::RightParen => self.next = start,
                Kind::Pipe => {}
                _ => return self.unexpected(token, "operand"),
            }
            break;
        }
        let mut operands = operands.into_iter();
        let Some(first) = operands.next() else {
            return self.fail("empty command");
        };
        Ok(Command { position, first, arguments: operands.collect() })
    }

    /// A term and the fields that follow it at once.
    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(mut base) = self.term()? else {
            return Ok(None);
        };
        let position = self.peek().start;
        let mut chain = Vec::new();
        while self.peek().kind == Kind::Field {
            chain.push(self.advance().text[1..].to_owned());
        }
        if chain.is_empty() {
            return Ok(Some(base));
        }
        match &mut base.term {
            Term::Field(fields) | Term::Variable { fields, .. } => {
                fields.append(&mut chain);
                base.position = position;
                Ok(Some(base))
            }
            Term::Dot | Term::Nil | Term::Literal { .. } => {
                self.fail(format!("unexpected . after term {}", quote(&base.to_string())))
            }
            Term::Builtin(_) | Term::External(_) | Term::Pipeline(_) | Term::Chain { .. } => {
                Ok(Some(Operand { position, term: Term::Chain { base: Box::new(base), fields: chain } }))
            }
        }
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let start = self.next;
        let token = self.advance_to_word();
        let literal = |value| Term::Literal { text: token.text.to_owned(), value };
        let term = match token.kind {
            Kind::Identifier => self.function(token),
            Kind::Keyword(Keyword::Dot) => Term::Dot,
            Kind::Keyword(Keyword::Nil) => Term::Nil,
            Kind::Variable if self.scope.variables.contains(&token.text) => {
                Term::Variable { name: token.text.to_owned(), fields: Vec::new() }
            }
            Kind::Variable => return self.fail(format!("undefined variable {}", quote(token.text))),
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => literal(GoValue::Bool(token.text == "true")),
            Kind::CharConstant => match char_constant(token.text) {
                Ok(code) => literal(GoValue::Int(code)),
                Err(fault) => return self.fail(fault),
            },
            Kind::Number => match number(token.text) {
                Ok(Number::Int(value)) => literal(GoValue::Int(value)),
                Ok(Number::Float(value)) => literal(GoValue::Float(value)),
                Err(fault) => return self.fail(fault),
            },
            Kind::String | Kind::RawString => match unquote(token.text) {
                Ok(text) => literal(GoValue::Text(text)),
                Err(fault) => return self.fail(fault),
            },
            Kind::LeftParen => {
                let inner = |parser: &mut Self| parser.pipeline("parenthesized pipeline", Kind::RightParen);
                Term::Pipeline(Box::new(self.nested(inner)?))
            }
            Kind::Fault
            | Kind::Char
            | Kind::Assign
            | Kind::Declare
            | Kind::Eof
            | Kind::LeftDelimiter
            | Kind::Pipe
            | Kind::RightDelimiter
            | Kind::RightParen
            | Kind::Space
            | Kind::Text
            | Kind::Keyword(_) => {
                // The blanks before stay read: what follows is not an operand, and they say nothing.
                self.next = start.max(self.next - 1);
                return Ok(None);
            }
        };
        Ok(Some(Operand { position: token.start, term }))
    }

    fn function(&mut self, token: Token<'s>) -> Term {
        if let Some(builtin) = Builtin::named(token.text) {
            return Term::Builtin(builtin);
        }
        self.parsed.externals.push(External { name: token.text.to_owned(), line: token.line });
        Term::External(token.text.to_owned())
    }
}

// === impl Parser: tokens ===

impl<'s> Parser<'s> {
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting == MAX_NESTING {
            return self.fail(format!("more than {MAX_NESTING} blocks and parentheses in each other"));
        }
        self.nesting += 1;
        let parsed = inner(self)?;
        self.nesting -= 1;
        Ok(parsed)
    }

    /// The next token, which stays the next one; the last token repeats for ever.
    fn peek(&mut self) -> Token<'s> {
        let index = self.next.min(self.tokens.list.len() - 1);
        self.furthest = self.furthest.max(index);
        self.tokens.list[index]
    }

    fn advance(&mut self) -> Token<'s> {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// Like [`Parser::peek`], after moving over blanks.
    fn peek_word(&mut self) -> Token<'s> {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
        self.peek()
    }

    fn advance_to_word(&mut self) -> Token<'s> {
        self.peek_word();
        self.advance()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<()> {
        let token = self.advance_to_word();
        match token.kind == kind {
            true => Ok(()),
            false => self.unexpected(token, context),
        }
    }

    fn unexpected<T>(&self, token: Token<'s>, context: &str) -> Result<T> {
        if token.kind != Kind::Fault {
            return self.fail(format!("unexpected {} in {context}", describe(token)));
        }
        let fault = &self.tokens.fault;
        if self.scope.action_line == 0 || self.scope.action_line == token.line {
            return self.fail(fault.as_str());
        }
        // "unclosed action" and "in action" are not said both.
        let action = if fault.ends_with(" action") { "" } else { " in action" };
        let place = format!("started at {}:{}", self.name, self.scope.action_line);
        self.fail(format!("{fault}{action} {place}"))
    }

    fn fail<T>(&self, fault: impl Into<String>) -> Result<T> {
        Err(TemplateError::Parse {
            name: self.name.to_owned(),
            line: self.tokens.list[self.furthest].line,
            fault: fault.into(),
        })
    }
}

fn starts_operand(kind: Kind) -> bool {
    match kind {
        Kind::Bool
        | Kind::CharConstant
        | Kind::Field
        | Kind::Identifier
        | Kind::LeftParen
        | Kind::Number
        | Kind::RawString
        | Kind::String
        | Kind::Variable
        | Kind::Keyword(Keyword::Dot | Keyword::Nil) => true,
        Kind::Fault
        | Kind::Char
        | Kind::Assign
        | Kind::Declare
        | Kind::Eof
        | Kind::LeftDelimiter
        | Kind::Pipe
        | Kind::RightDelimiter
        | Kind::RightParen
        | Kind::Space
        | Kind::Text
        | Kind::Keyword(_) => false,
    }
}

/// A token in a fault text.
fn describe(token: Token<'_>) -> String {
    match token.kind {
        Kind::Eof => "EOF".to_owned(),
        Kind::Keyword(_) => format!("<{}>", token.text),
        _ if token.text.len() > 10 => {
            let start: String = token.text.chars().take(10).collect();
            format!("{}...", quote(&start))
        }
        _ => quote(token.text),
    }
}
