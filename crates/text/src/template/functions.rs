//! The functions of the language.

use std::cmp::Ordering;
use std::fmt::Write;

use super::exec::Value;
use super::literal::is_printable;
use super::printf::{MAX_TEXT, Printer, printf, type_name};
use crate::value::GoValue;

/// A function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    And,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Join,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    UrlQuery,
}

/// Name, fewest arguments, and most, of each function.
const BUILTINS: &[(Builtin, &str, usize, Option<usize>)] = &[
    (Builtin::And, "and", 1, None),
    (Builtin::Eq, "eq", 1, None),
    (Builtin::Ge, "ge", 2, Some(2)),
    (Builtin::Gt, "gt", 2, Some(2)),
    (Builtin::Html, "html", 0, None),
    (Builtin::Index, "index", 1, None),
    (Builtin::Join, "join", 2, Some(2)),
    (Builtin::Js, "js", 0, None),
    (Builtin::Le, "le", 2, Some(2)),
    (Builtin::Len, "len", 1, Some(1)),
    (Builtin::Lt, "lt", 2, Some(2)),
    (Builtin::Ne, "ne", 2, Some(2)),
    (Builtin::Not, "not", 1, Some(1)),
    (Builtin::Or, "or", 1, None),
    (Builtin::Print, "print", 0, None),
    (Builtin::Printf, "printf", 1, None),
    (Builtin::Println, "println", 0, None),
    (Builtin::Slice, "slice", 1, None),
    (Builtin::UrlQuery, "urlquery", 0, None),
];

// === impl Builtin ===

impl Builtin {
    /// The function of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        BUILTINS.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    pub(super) fn name(self) -> &'static str {
        self.row().1
    }

    /// Fewest and most arguments.
    pub(super) fn arity(self) -> (usize, Option<usize>) {
        (self.row().2, self.row().3)
    }

    /// Which argument must be a text.
    pub(super) fn text_argument(self) -> Option<usize> {
        match self {
            Self::Printf => Some(0),
            Self::Join => Some(1),
            _ => None,
        }
    }

    fn row(self) -> &'static (Self, &'static str, usize, Option<usize>) {
        BUILTINS.iter().find(|row| row.0 == self).expect("every function has a row")
    }
}

/// Calls `builtin`; the caller has checked [`Builtin::arity`] and [`Builtin::text_argument`].
///
/// `and` and `or` choose among the arguments given; the caller leaves out those that do not count.
pub(super) fn call<'a>(builtin: Builtin, args: &[Value<'a>]) -> Result<Value<'a>, String> {
    let first = args.first().map_or(&GoValue::Nil, Value::as_go);
    let second = args.get(1).map_or(&GoValue::Nil, Value::as_go);
    let made = match builtin {
        Builtin::And | Builtin::Or => return Ok(args.last().cloned().unwrap_or(Value::Missing)),
        Builtin::Index => return index(args),
        Builtin::Slice => slice(first, &args[1..])?,
        Builtin::Not => GoValue::Bool(!args[0].is_true()),
        Builtin::Len => GoValue::Int(length(first)?),
        Builtin::Eq => GoValue::Bool(any_equal(first, &args[1..])?),
        Builtin::Ne => GoValue::Bool(!equal(first, second)?),
        Builtin::Lt => GoValue::Bool(order(first, second)? == Some(Ordering::Less)),
        Builtin::Ge => GoValue::Bool(order(first, second)? != Some(Ordering::Less)),
        Builtin::Le => GoValue::Bool(at_most(first, second)?),
        Builtin::Gt => GoValue::Bool(!at_most(first, second)?),
        Builtin::Print => print(args)?,
        Builtin::Println => println(args)?,
        Builtin::Printf => {
            let rest: Vec<&GoValue> = args[1..].iter().map(Value::as_go).collect();
            GoValue::Text(printf(text(first), &rest)?)
        }
        Builtin::Html => escaped(args, html)?,
        Builtin::Js => escaped(args, js)?,
        Builtin::UrlQuery => escaped(args, url_query)?,
        Builtin::Join => join(first, text(second))?,
    };
    Ok(Value::made(made))
}

fn text(value: &GoValue) -> &str {
    match value {
        GoValue::Text(text) => text,
        _ => "",
    }
}

// === containers ===

fn length(value: &GoValue) -> Result<i64, String> {
    let length = match value {
        GoValue::Text(text) => text.len(),
        GoValue::List(list) => list.len(),
        GoValue::Map(map) => map.len(),
        GoValue::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", type_name(other))),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

fn index<'a>(args: &[Value<'a>]) -> Result<Value<'a>, String> {
    let (mut item, indexes) = match args {
        [Value::Missing, ..] | [] => return Err("index of untyped nil".to_owned()),
        [item, indexes @ ..] => (item.clone(), indexes),
    };
    for index in indexes {
        item = index_once(&item, index.as_go())?;
    }
    Ok(item)
}

fn index_once<'a>(item: &Value<'a>, index: &GoValue) -> Result<Value<'a>, String> {
    match item.as_go() {
        GoValue::Nil => Err("index of nil pointer".to_owned()),
        GoValue::List(list) => {
            let at = offset(index, list.len())?;
            let element = item.part(|value| match value {
                GoValue::List(list) => list.get(at),
                _ => None,
            });
            element.ok_or_else(|| format!("index out of range: {at}"))
        }
        GoValue::Text(text) => {
            let at = offset(index, text.len())?;
            let byte = text.as_bytes().get(at);
            let byte = byte.ok_or_else(|| format!("index out of range: {at}"))?;
            Ok(Value::made(GoValue::Int(i64::from(*byte))))
        }
        GoValue::Map(map) => {
            let key = match index {
                GoValue::Text(key) => key,
                GoValue::Nil => return Err("value is nil; should be of type string".to_owned()),
                other => return Err(format!("value has type {}; should be string", type_name(other))),
            };
            // A map does not tell its element type: one of nothing but texts counts as a map of texts.
            let of_texts = map.values().all(|value| matches!(value, GoValue::Text(_)));
            Ok(match item.part(|value| member(value, key)) {
                Some(value) => value,
                None if of_texts => Value::made(GoValue::Text(String::new())),
                None => Value::Missing,
            })
        }
        other => Err(format!("can't index item of type {}", type_name(other))),
    }
}

fn member<'v>(value: &'v GoValue, key: &str) -> Option<&'v GoValue> {
    match value {
        GoValue::Map(map) => map.get(key),
        _ => None,
    }
}

fn slice(item: &GoValue, indexes: &[Value<'_>]) -> Result<GoValue, String> {
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let length = match item {
        GoValue::Nil => return Err("slice of untyped nil".to_owned()),
        GoValue::Text(text) => text.len(),
        GoValue::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", type_name(other))),
    };
    if indexes.len() == 3 && matches!(item, GoValue::Text(_)) {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = offset(index.as_go(), length)?;
    }
    let [from, to, capacity] = bounds;
    for (low, high) in [(from, to), (to, capacity)] {
        if low > high {
            return Err(format!("invalid slice index: {low} > {high}"));
        }
    }
    match item {
        GoValue::List(list) => Ok(GoValue::List(list[from..to].to_vec())),
        // COMPAT(templates): Go cuts a character in two; ours are texts, so that is refused.
        _ => match text(item).get(from..to) {
            Some(part) => Ok(GoValue::Text(part.to_owned())),
            None => Err(format!("slice index within a character: {from}:{to}")),
        },
    }
}

/// An index of something with `length` elements, or the place behind the last.
fn offset(index: &GoValue, length: usize) -> Result<usize, String> {
    match index {
        GoValue::Int(index) => match usize::try_from(*index) {
            Ok(offset) if offset <= length => Ok(offset),
            _ => Err(format!("index out of range: {index}")),
        },
        GoValue::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", type_name(other))),
    }
}

// === comparison ===

fn any_equal(first: &GoValue, others: &[Value<'_>]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other.as_go())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(left: &GoValue, right: &GoValue) -> Result<bool, String> {
    match (left, right) {
        // COMPAT(templates): Go cannot compare a nil pointer with anything but nil; here it differs from it.
        (GoValue::Nil, _) | (_, GoValue::Nil) => Ok(left == right),
        (GoValue::Bool(_), GoValue::Bool(_))
        | (GoValue::Int(_), GoValue::Int(_))
        | (GoValue::Float(_), GoValue::Float(_))
        | (GoValue::Text(_), GoValue::Text(_))
        | (GoValue::Struct(_), GoValue::Struct(_)) => Ok(left == right),
        (GoValue::List(_), GoValue::List(_)) | (GoValue::Map(_), GoValue::Map(_)) => {
            let mut shown = String::new();
            Printer::new(&mut shown).value(right, 'v')?;
            Err(format!("non-comparable type {shown}: {}", type_name(right)))
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

/// How two values of one kind compare; `None` with a NaN.
fn order(left: &GoValue, right: &GoValue) -> Result<Option<Ordering>, String> {
    let has_kind = |value: &GoValue| match value {
        GoValue::Bool(_) | GoValue::Int(_) | GoValue::Float(_) | GoValue::Text(_) => true,
        GoValue::Nil | GoValue::List(_) | GoValue::Map(_) | GoValue::Struct(_) => false,
    };
    match (left, right) {
        (GoValue::Int(left), GoValue::Int(right)) => Ok(Some(left.cmp(right))),
        (GoValue::Float(left), GoValue::Float(right)) => Ok(left.partial_cmp(right)),
        (GoValue::Text(left), GoValue::Text(right)) => Ok(Some(left.cmp(right))),
        (GoValue::Bool(_), GoValue::Bool(_)) => Err("invalid type for comparison".to_owned()),
        _ if has_kind(left) && has_kind(right) => Err("incompatible types for comparison".to_owned()),
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn at_most(left: &GoValue, right: &GoValue) -> Result<bool, String> {
    Ok(matches!(order(left, right)?, Some(Ordering::Less | Ordering::Equal)))
}

// === text ===

/// Blanks stand between two values of which none is a text.
fn print(args: &[Value<'_>]) -> Result<GoValue, String> {
    let values: Vec<&GoValue> = args.iter().map(Value::as_go).collect();
    print_all(&values).map(GoValue::Text)
}

fn print_all(values: &[&GoValue]) -> Result<String, String> {
    let mut out = String::new();
    let is_text = |value: &GoValue| matches!(value, GoValue::Text(_));
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !is_text(value) && !is_text(values[index - 1]) {
            out.push(' ');
        }
        Printer::new(&mut out).value(value, 'v')?;
    }
    Ok(out)
}

fn println(args: &[Value<'_>]) -> Result<GoValue, String> {
    let mut out = String::new();
    for (index, value) in args.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        Printer::new(&mut out).value(value.as_go(), 'v')?;
    }
    out.push('\n');
    Ok(GoValue::Text(out))
}

/// The elements of a list with `separator` between them; anything else alone.
fn join(list: &GoValue, separator: &str) -> Result<GoValue, String> {
    let elements = match list {
        GoValue::List(list) => list.as_slice(),
        other => std::slice::from_ref(other),
    };
    let mut out = String::new();
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        Printer::new(&mut out).value(element, 'v')?;
    }
    Ok(GoValue::Text(out))
}

/// What the values print, escaped.
fn escaped(args: &[Value<'_>], escape: fn(&mut String, char) -> std::fmt::Result) -> Result<GoValue, String> {
    let absent = GoValue::Text("<no value>".to_owned());
    let values: Vec<&GoValue> = args
        .iter()
        .map(|value| match value {
            Value::Missing => &absent,
            Value::Lent(_) | Value::Made(_) => value.as_go(),
        })
        .collect();
    let mut out = String::new();
    for c in print_all(&values)?.chars() {
        escape(&mut out, c).expect("writing to a string succeeds");
        if out.len() > MAX_TEXT {
            return Err(format!("text longer than {MAX_TEXT} bytes"));
        }
    }
    Ok(GoValue::Text(out))
}

fn html(out: &mut String, c: char) -> std::fmt::Result {
    match c {
        '\0' => out.write_char('\u{fffd}'),
        '"' => out.write_str("&#34;"),
        '\'' => out.write_str("&#39;"),
        '&' => out.write_str("&amp;"),
        '<' => out.write_str("&lt;"),
        '>' => out.write_str("&gt;"),
        _ => out.write_char(c),
    }
}

fn js(out: &mut String, c: char) -> std::fmt::Result {
    match c {
        '\\' | '\'' | '"' => write!(out, "\\{c}"),
        '<' | '>' | '&' | '=' | '\0'..='\x1f' => write!(out, "\\u{:04X}", u32::from(c)),
        ' '..='\x7f' => out.write_char(c),
        _ if is_printable(c) => out.write_char(c),
        _ => write!(out, "\\u{:04X}", u32::from(c)),
    }
}

fn url_query(out: &mut String, c: char) -> std::fmt::Result {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' => out.write_char(c),
        ' ' => out.write_char('+'),
        _ => c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(out, "%{byte:02X}")),
    }
}
