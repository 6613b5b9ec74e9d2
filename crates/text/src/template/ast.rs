//! What a parsed template is made of, and how each piece is spelled in an error.

use std::fmt;

use super::functions::Builtin;
use super::literal::quote;
use crate::value::GoValue;

/// One step of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Text between actions.
    Text(String),
    /// `{{pipeline}}`.
    Action(Pipeline),
    /// `{{if}}`, with its `{{else if}}` in a row: nothing nests, however long the row.
    If {
        /// Conditions with what they guard, in order.
        arms: Vec<(Pipeline, Vec<Node>)>,
        /// The final `{{else}}`.
        otherwise: Vec<Node>,
    },
    /// `{{range}}`.
    Range(Branch),
    /// `{{with}}`.
    With(Branch),
    /// `{{template}}`, and the call that `{{block}}` makes.
    Call(Call),
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
}

/// `{{range}}` or `{{with}}`.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) position: usize,
    pub(super) name: String,
    pub(super) pipeline: Option<Pipeline>,
}

/// `$x, $y := command | command`.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) position: usize,
    /// `=` instead of `:=`.
    pub(super) assigns: bool,
    /// Names with their `$`.
    pub(super) variables: Vec<String>,
    pub(super) commands: Vec<Command>,
}

/// `first argument argument`; the parser leaves none without `first`.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) position: usize,
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// One word of a command.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) position: usize,
    pub(super) term: Term,
}

/// What an operand says.
#[derive(Debug, Clone)]
pub(super) enum Term {
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// A constant with its spelling.
    Literal { text: String, value: GoValue },
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`
    Variable { name: String, fields: Vec<String> },
    /// A function of the language.
    Builtin(Builtin),
    /// A function of the caller.
    External(String),
    /// `(pipeline)`
    Pipeline(Box<Pipeline>),
    /// `(pipeline).A.B`, `function.A.B`, `nil.A`
    Chain { base: Box<Operand>, fields: Vec<String> },
}

/// A function that the caller must have.
#[derive(Debug, Clone)]
pub(super) struct External {
    pub(super) name: String,
    pub(super) line: usize,
}

// === impl Node ===

impl Node {
    /// Nothing but blanks: such a definition may be replaced.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}

// === impl Display: as Go spells the piece in `executing … at <…>` ===

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(&self.name))?;
        if let Some(pipeline) = &self.pipeline {
            write!(f, " {pipeline}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let operator = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {operator} ", self.variables.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            let separator = if index > 0 { " | " } else { "" };
            write!(f, "{separator}{command}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.spell(f)?;
        for argument in &self.arguments {
            f.write_str(" ")?;
            argument.spell(f)?;
        }
        Ok(())
    }
}

impl Operand {
    /// As within a command: a pipeline in its parentheses.
    fn spell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Pipeline(pipeline) => write!(f, "({pipeline})"),
            _ => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Literal { text, .. } => f.write_str(text),
            Term::Field(fields) => spell_fields(f, fields),
            Term::Variable { name, fields } => {
                f.write_str(name)?;
                spell_fields(f, fields)
            }
            Term::Builtin(builtin) => f.write_str(builtin.name()),
            Term::External(name) => f.write_str(name),
            Term::Pipeline(pipeline) => write!(f, "{pipeline}"),
            Term::Chain { base, fields } => {
                base.spell(f)?;
                spell_fields(f, fields)
            }
        }
    }
}

fn spell_fields(f: &mut fmt::Formatter<'_>, fields: &[String]) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(f, ".{field}"))
}
