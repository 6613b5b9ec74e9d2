//! Walks a template over a value.

use std::rc::Rc;

use super::ast::{Branch, Call, Command, Node, Operand, Pipeline, Term};
use super::functions::{self, Builtin};
use super::literal::quote;
use super::printf::{Printer, type_name};
use super::{Functions, Template, TemplateError};
use crate::value::GoValue;

/// How deep blocks, parentheses and template calls may stand in each other, counted together.
///
/// COMPAT(templates): Go allows 100000 template calls; ours must fit the smallest stack in use.
const MAX_DEPTH: usize = 300;

/// How many bytes one execution writes.
///
/// COMPAT(templates): Go has no bound; here the output is built in memory, and blocks in blocks multiply.
const MAX_OUTPUT: usize = 256 << 20;

/// A value under way.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// Nothing: a key that a map does not have.
    Missing,
    /// A part of the data or of the template.
    Lent(&'a GoValue),
    /// What a function made.
    Made(Rc<GoValue>),
}

// === impl Value ===

impl<'a> Value<'a> {
    pub(super) fn made(value: GoValue) -> Self {
        Self::Made(Rc::new(value))
    }

    /// The value as functions see it.
    pub(super) fn as_go(&self) -> &GoValue {
        match self {
            Self::Missing => &GoValue::Nil,
            Self::Lent(value) => value,
            Self::Made(value) => value,
        }
    }

    /// A part of the value, lent for as long as the value itself is.
    pub(super) fn part(&self, pick: impl for<'v> FnOnce(&'v GoValue) -> Option<&'v GoValue>) -> Option<Self> {
        match self {
            Self::Missing => None,
            Self::Lent(value) => pick(value).map(Self::Lent),
            Self::Made(value) => pick(value).map(|part| Self::made(part.clone())),
        }
    }

    /// Whether `if` takes the value for true.
    pub(super) fn is_true(&self) -> bool {
        match self.as_go() {
            GoValue::Nil => false,
            GoValue::Bool(truth) => *truth,
            GoValue::Int(int) => *int != 0,
            GoValue::Float(float) => *float != 0.0,
            GoValue::Text(text) => !text.is_empty(),
            GoValue::List(list) => !list.is_empty(),
            GoValue::Map(map) => !map.is_empty(),
            GoValue::Struct(_) => true,
        }
    }
}

/// What goes on after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// The piece of the template that an error names.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Action(&'a Pipeline),
    Pipeline(&'a Pipeline),
    Command(&'a Command),
    Operand(&'a Operand),
    Call(&'a Call),
}

type Result<T> = std::result::Result<T, TemplateError>;

/// One execution of a template.
pub(super) struct Execution<'a, 'o> {
    template: &'a Template,
    functions: &'a dyn Functions,
    out: &'o mut String,
    /// The length that `out` may reach.
    limit: usize,
    /// The definition being executed.
    name: &'a str,
    variables: Vec<(&'a str, Value<'a>)>,
    place: Option<Place<'a>>,
    depth: usize,
}

// === impl Execution: nodes ===

impl<'a, 'o> Execution<'a, 'o> {
    pub(super) fn new(template: &'a Template, functions: &'a dyn Functions, out: &'o mut String) -> Self {
        let limit = out.len().saturating_add(MAX_OUTPUT);
        let variables = Vec::new();
        Self { template, functions, out, limit, name: &template.name, variables, place: None, depth: 0 }
    }

    pub(super) fn run(&mut self, data: &'a GoValue) -> Result<()> {
        let Some(body) = self.template.trees.get(self.name) else {
            return Ok(());
        };
        let dot = Value::Lent(data);
        self.variables.push(("$", dot.clone()));
        self.walk(&dot, body).map(|_| ())
    }

    fn walk(&mut self, dot: &Value<'a>, nodes: &'a [Node]) -> Result<Flow> {
        self.enter()?;
        for node in nodes {
            let flow = match node {
                Node::Text(text) => self.write(text)?,
                Node::Action(pipeline) => self.action(dot, pipeline)?,
                Node::If { arms, otherwise } => self.condition(dot, arms, otherwise)?,
                Node::Range(branch) => self.range(dot, branch)?,
                Node::With(branch) => self.with(dot, branch)?,
                Node::Call(call) => self.call_template(dot, call)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                self.depth -= 1;
                return Ok(flow);
            }
        }
        self.depth -= 1;
        Ok(Flow::Next)
    }

    fn action(&mut self, dot: &Value<'a>, pipeline: &'a Pipeline) -> Result<Flow> {
        let value = self.pipeline(dot, pipeline)?;
        if !pipeline.variables.is_empty() {
            return Ok(Flow::Next);
        }
        self.place = Some(Place::Action(pipeline));
        match &value {
            Value::Missing => self.write("<no value>"),
            Value::Lent(_) | Value::Made(_) => {
                let printed = Printer::to_output(self.out, self.limit).value(value.as_go(), 'v');
                printed.map(|()| Flow::Next).or_else(|fault| self.fail(fault))
            }
        }
    }

    fn write(&mut self, text: &str) -> Result<Flow> {
        if text.len() > self.limit.saturating_sub(self.out.len()) {
            return self.fail(format!("text longer than {} bytes", self.limit));
        }
        self.out.push_str(text);
        Ok(Flow::Next)
    }

    fn condition(
        &mut self,
        dot: &Value<'a>,
        arms: &'a [(Pipeline, Vec<Node>)],
        otherwise: &'a [Node],
    ) -> Result<Flow> {
        let known = self.variables.len();
        let mut chosen = otherwise;
        for (pipeline, body) in arms {
            if self.pipeline(dot, pipeline)?.is_true() {
                chosen = body;
                break;
            }
        }
        let flow = self.walk(dot, chosen)?;
        self.variables.truncate(known);
        Ok(flow)
    }

    fn with(&mut self, dot: &Value<'a>, branch: &'a Branch) -> Result<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = match value.is_true() {
            true => self.walk(&value, &branch.body)?,
            false => self.walk(dot, &branch.otherwise)?,
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value<'a>, branch: &'a Branch) -> Result<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = match value.as_go() {
            GoValue::List(list) if !list.is_empty() => self.range_list(&value, list.len(), branch)?,
            GoValue::Map(map) if !map.is_empty() => {
                let keys: Vec<String> = map.keys().cloned().collect();
                self.range_map(&value, keys, branch)?
            }
            // COMPAT(templates): Go refuses to range over a nil pointer; here an absent list is an empty one.
            GoValue::Nil | GoValue::List(_) | GoValue::Map(_) => self.walk(dot, &branch.otherwise)?,
            other => {
                let mut shown = String::new();
                let printed = Printer::new(&mut shown).value(other, 'v');
                let fault =
                    printed.map_or_else(|fault| fault, |()| format!("range can't iterate over {shown}"));
                return self.fail(fault);
            }
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range_list(&mut self, list: &Value<'a>, length: usize, branch: &'a Branch) -> Result<Flow> {
        for index in 0..length {
            let element = list.part(|value| match value {
                GoValue::List(list) => list.get(index),
                _ => None,
            });
            let index = GoValue::Int(i64::try_from(index).unwrap_or(i64::MAX));
            if self.iterate(Value::made(index), element.unwrap_or(Value::Missing), branch)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn range_map(&mut self, map: &Value<'a>, keys: Vec<String>, branch: &'a Branch) -> Result<Flow> {
        for key in keys {
            let element = map.part(|value| match value {
                GoValue::Map(map) => map.get(&key),
                _ => None,
            });
            let key = Value::made(GoValue::Text(key));
            if self.iterate(key, element.unwrap_or(Value::Missing), branch)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn iterate(&mut self, key: Value<'a>, element: Value<'a>, branch: &'a Branch) -> Result<Flow> {
        // The pipeline has put its variables on top; the last of them is the element.
        let known = self.variables.len();
        let declared = branch.pipeline.variables.len();
        if declared > 0 {
            self.variables[known - 1].1 = element.clone();
        }
        if declared > 1 {
            self.variables[known - 2].1 = key;
        }
        let flow = self.walk(&element, &branch.body)?;
        self.variables.truncate(known);
        Ok(flow)
    }

    fn call_template(&mut self, dot: &Value<'a>, call: &'a Call) -> Result<Flow> {
        self.place = Some(Place::Call(call));
        let Some((name, body)) = self.template.trees.get_key_value(&call.name) else {
            return self.fail(format!("template {} not defined", quote(&call.name)));
        };
        let dot = match &call.pipeline {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Missing,
        };
        // A definition sees no variables but its own.
        let outer = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let outer_name = std::mem::replace(&mut self.name, name);
        self.walk(&dot, body)?;
        self.name = outer_name;
        self.variables = outer;
        Ok(Flow::Next)
    }
}

// === impl Execution: pipelines ===

impl<'a> Execution<'a, '_> {
    /// The value of a pipeline; its variables stay until the block ends.
    fn pipeline(&mut self, dot: &Value<'a>, pipeline: &'a Pipeline) -> Result<Value<'a>> {
        self.enter()?;
        self.place = Some(Place::Pipeline(pipeline));
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(dot, command, last)?);
        }
        let value = last.unwrap_or(Value::Missing);
        for variable in &pipeline.variables {
            if !pipeline.assigns {
                self.variables.push((variable, value.clone()));
                continue;
            }
            match self.variables.iter_mut().rev().find(|(name, _)| name == variable) {
                Some(slot) => slot.1 = value.clone(),
                None => return self.fail(format!("undefined variable: {variable}")),
            }
        }
        self.depth -= 1;
        Ok(value)
    }

    fn command(
        &mut self,
        dot: &Value<'a>,
        command: &'a Command,
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let first = &command.first;
        let arguments = command.arguments.len() + usize::from(last.is_some());
        let alone = |execution: &mut Self| match arguments {
            0 => Ok(()),
            _ => execution.fail(format!("can't give argument to non-function {first}")),
        };
        match &first.term {
            Term::Builtin(_) | Term::External(_) => {
                let place = Place::Command(command);
                return self.function(dot, first, place, &command.arguments, last);
            }
            Term::Pipeline(pipeline) => {
                alone(self)?;
                return self.pipeline(dot, pipeline);
            }
            Term::Field(_) | Term::Chain { .. } => return self.operand(dot, first, arguments),
            Term::Variable { fields, .. } => {
                self.place = Some(Place::Operand(first));
                if fields.is_empty() {
                    alone(self)?;
                }
                return self.operand(dot, first, arguments);
            }
            Term::Dot | Term::Nil | Term::Literal { .. } => {}
        }
        self.place = Some(Place::Operand(first));
        alone(self)?;
        if matches!(first.term, Term::Nil) {
            return self.fail("nil is not a command");
        }
        self.operand(dot, first, 0)
    }

    /// The value of an operand; given arguments, its last field would have to be a method.
    fn operand(&mut self, dot: &Value<'a>, operand: &'a Operand, arguments: usize) -> Result<Value<'a>> {
        self.place = Some(Place::Operand(operand));
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Missing),
            Term::Literal { value, .. } => Ok(Value::Lent(value)),
            Term::Field(fields) => self.fields(dot.clone(), fields, arguments),
            Term::Variable { name, fields } => {
                let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| known == name) else {
                    return self.fail(format!("undefined variable: {name}"));
                };
                self.fields(value.clone(), fields, arguments)
            }
            Term::Builtin(_) | Term::External(_) => {
                self.function(dot, operand, Place::Operand(operand), &[], None)
            }
            Term::Pipeline(pipeline) => self.pipeline(dot, pipeline),
            Term::Chain { base, fields } => {
                if matches!(base.term, Term::Nil) {
                    return self.fail(format!("indirection through explicit nil in {operand}"));
                }
                let value = self.operand(dot, base, 0)?;
                self.fields(value, fields, arguments)
            }
        }
    }

    fn fields(&mut self, mut value: Value<'a>, fields: &'a [String], arguments: usize) -> Result<Value<'a>> {
        for (index, field) in fields.iter().enumerate() {
            let is_last = index + 1 == fields.len();
            value = self.field(&value, field, if is_last { arguments } else { 0 })?;
        }
        Ok(value)
    }

    fn field(&mut self, value: &Value<'a>, name: &str, arguments: usize) -> Result<Value<'a>> {
        let part = value.part(|value| match value {
            GoValue::Struct(structure) => {
                structure.fields.iter().find(|field| field.0 == name).map(|field| &field.1)
            }
            GoValue::Map(map) => map.get(name),
            _ => None,
        });
        if let Some(part) = part.clone().filter(|_| arguments == 0) {
            return Ok(part);
        }
        let method = match value.as_go() {
            GoValue::Struct(structure) if name == "String" => structure.display.clone(),
            _ => None,
        };
        match (value, value.as_go()) {
            (Value::Missing, _) => Ok(Value::Missing),
            (_, GoValue::Map(_)) if arguments == 0 => Ok(Value::Missing),
            (_, GoValue::Map(_)) => self.fail(format!("{name} is not a method but has arguments")),
            (_, GoValue::Nil) => self.fail(format!("nil pointer evaluating interface {{}}.{name}")),
            _ if part.is_some() => {
                self.fail(format!("{name} has arguments but cannot be invoked as function"))
            }
            (_, other) => match method {
                Some(text) if arguments == 0 => Ok(Value::made(GoValue::Text(text))),
                Some(_) => self.fail(format!("wrong number of args for String: want 0 got {arguments}")),
                None => self.fail(format!("can't evaluate field {name} in type {}", type_name(other))),
            },
        }
    }
}

// === impl Execution: functions ===

impl<'a> Execution<'a, '_> {
    /// Calls the function that `operand` names; `last` comes from the command before and is the last argument.
    fn function(
        &mut self,
        dot: &Value<'a>,
        operand: &'a Operand,
        place: Place<'a>,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        self.place = Some(Place::Operand(operand));
        match &operand.term {
            Term::Builtin(builtin) => self.builtin(dot, *builtin, place, arguments, last),
            Term::External(name) => self.external(dot, name, place, arguments, last),
            _ => self.fail(format!("can't give argument to non-function {operand}")),
        }
    }

    fn builtin(
        &mut self,
        dot: &Value<'a>,
        builtin: Builtin,
        place: Place<'a>,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let name = builtin.name();
        let given = arguments.len() + usize::from(last.is_some());
        match builtin.arity() {
            (fewest, Some(most)) if given < fewest || given > most => {
                return self.fail(format!("wrong number of args for {name}: want {fewest} got {given}"));
            }
            (fewest, None) if given < fewest => {
                return self
                    .fail(format!("wrong number of args for {name}: want at least {fewest} got {given}"));
            }
            _ => {}
        }
        let mut values = Vec::with_capacity(given);
        for (index, argument) in arguments.iter().enumerate() {
            let value = self.operand(dot, argument, 0)?;
            if builtin.text_argument() == Some(index) {
                self.expect_text(Some(argument), &value)?;
            }
            let decides = match builtin {
                Builtin::And => !value.is_true(),
                Builtin::Or => value.is_true(),
                _ => false,
            };
            if decides {
                return Ok(value);
            }
            values.push(value);
        }
        if let Some(last) = last {
            if builtin.text_argument() == Some(arguments.len()) {
                self.expect_text(None, &last)?;
            }
            values.push(last);
        }
        functions::call(builtin, &values).or_else(|fault| {
            self.place = Some(place);
            self.fail(format!("error calling {name}: {fault}"))
        })
    }

    fn external(
        &mut self,
        dot: &Value<'a>,
        name: &str,
        place: Place<'a>,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let identifier = self.place;
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(dot, argument, 0)?.as_go().clone());
        }
        values.extend(last.map(|last| last.as_go().clone()));
        match self.functions.call(name, &values) {
            Some(Ok(value)) => Ok(Value::made(value)),
            Some(Err(fault)) => {
                self.place = Some(place);
                self.fail(format!("error calling {name}: {fault}"))
            }
            None => {
                self.place = identifier;
                self.fail(format!("{} is not a defined function", quote(name)))
            }
        }
    }

    fn expect_text(&self, argument: Option<&'a Operand>, value: &Value<'a>) -> Result<()> {
        match (argument.map(|argument| &argument.term), value.as_go()) {
            (_, GoValue::Text(_)) => Ok(()),
            (Some(Term::Literal { text, .. }), _) => self.fail(format!("expected string; found {text}")),
            (Some(Term::Nil), _) => self.fail("cannot assign nil to string"),
            (_, GoValue::Nil) => self.fail("invalid value; expected string"),
            (_, other) => {
                self.fail(format!("wrong type for value; expected string; got {}", type_name(other)))
            }
        }
    }

    fn enter(&mut self) -> Result<()> {
        if self.depth == MAX_DEPTH {
            return self.fail(format!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        self.depth += 1;
        Ok(())
    }

    fn fail<T>(&self, fault: impl Into<String>) -> Result<T> {
        let (position, node) = match self.place {
            Some(Place::Action(pipeline)) => (pipeline.position, format!("{{{{{pipeline}}}}}")),
            Some(Place::Pipeline(pipeline)) => (pipeline.position, pipeline.to_string()),
            Some(Place::Command(command)) => (command.position, command.to_string()),
            Some(Place::Operand(operand)) => (operand.position, operand.to_string()),
            Some(Place::Call(call)) => (call.position, call.to_string()),
            None => (0, String::new()),
        };
        let (line, column) = self.template.locate(position);
        Err(TemplateError::Execute {
            name: self.template.name.clone(),
            line,
            column,
            executing: self.name.to_owned(),
            node,
            fault: fault.into(),
        })
    }
}
