//! The part of Go's `text/template` language that `get -o go-template` promises (`spec/calicoctl.md` 7.3).
//!
//! A template is parsed once and executed over a [`GoValue`]. Neither step can panic, recurse without a bound
//! or build a text of unbounded length, whatever the template says. Error texts are those of Go's library.

mod ast;
mod exec;
mod functions;
mod lexer;
mod literal;
mod number;
mod parser;
mod printf;

use std::collections::BTreeMap;

use crate::value::GoValue;

/// A parsed template, with all that it defines.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    source: String,
    trees: BTreeMap<String, Vec<ast::Node>>,
    externals: Vec<ast::External>,
}

/// Functions that the caller adds to the language.
pub trait Functions {
    /// Calls a function: `None` if there is none of this name, else its value or what went wrong.
    fn call(&self, name: &str, args: &[GoValue]) -> Option<Result<GoValue, String>>;
    /// Whether there is a function of this name.
    fn exists(&self, name: &str) -> bool;
}

/// Why a template was refused, or where its execution stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The source is not a template.
    #[error("template: {name}:{line}: {fault}")]
    Parse {
        /// The template's name.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        fault: String,
    },
    /// The template asked for something the value cannot give.
    #[error("template: {name}:{line}:{column}: executing {} at <{node}>: {fault}", literal::quote(.executing))]
    Execute {
        /// The template's name.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The byte within the line, from 0.
        column: usize,
        /// The definition that was being executed: the template's name outside of `{{define}}`.
        executing: String,
        /// The piece of the template that was being evaluated.
        node: String,
        /// What is wrong there.
        fault: String,
    },
}

// === impl Template ===

impl Template {
    /// Parses a template; `name` stands in its error texts.
    ///
    /// # Errors
    /// [`TemplateError::Parse`] at the first fault.
    pub fn parse(name: &str, source: &str) -> Result<Self, TemplateError> {
        let parsed = parser::parse(name, source)?;
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            trees: parsed.trees,
            externals: parsed.externals,
        })
    }

    /// Writes the template over `data` to `out`; what was written before an error stays there.
    ///
    /// # Errors
    /// [`TemplateError::Parse`], before any output, if the template names a function that neither the language
    /// nor `functions` has; [`TemplateError::Execute`] where the template does not fit the data.
    pub fn execute(
        &self,
        data: &GoValue,
        functions: &dyn Functions,
        out: &mut String,
    ) -> Result<(), TemplateError> {
        if let Some(unknown) = self.externals.iter().find(|external| !functions.exists(&external.name)) {
            return Err(TemplateError::Parse {
                name: self.name.clone(),
                line: unknown.line,
                fault: format!("function {} not defined", literal::quote(&unknown.name)),
            });
        }
        exec::Execution::new(self, functions, out).run(data)
    }

    /// The line (from 1) and the byte within it (from 0) of a position in the source.
    fn locate(&self, position: usize) -> (usize, usize) {
        let before = &self.source.as_bytes()[..position.min(self.source.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column =
            memchr::memrchr(b'\n', before).map_or(before.len(), |newline| before.len() - newline - 1);
        (line, column)
    }
}

#[cfg(test)]
mod tests;
