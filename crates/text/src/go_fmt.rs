//! Go's default printing (`%v`, `%g`) of the values that tables, templates and writers show.

use std::fmt::Write as _;

use crate::value::{GoStruct, GoValue};

#[cfg(test)]
mod tests;

/// Prints a float as Go's `%g`, and so `%v`, does: `0.5`, `1e+06`, `NaN`, `+Inf`.
pub fn format_float_g(value: f64) -> String {
    let mut out = String::new();
    write_float_g(&mut out, value);
    out
}

/// Appends a float as Go's `%g` prints it.
///
/// Shortest digits that read back the same; plain for decimal exponents -4 to 5, else an exponent of at least two
/// digits with its sign.
pub fn write_float_g(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let shortest = Shortest::of(value);
        if (-4..6).contains(&shortest.exponent) {
            write!(out, "{value}").expect("a String takes all text");
        } else {
            shortest.write(out, 2);
        }
    }
}

/// Appends a float as Go's `encoding/json` prints it: plain from 1e-6 up to 1e21, else with an exponent.
///
/// JSON has no infinity and no NaN: both come out as `null`.
pub(crate) fn write_float_json(out: &mut String, value: f64) {
    let size = value.abs();
    if !value.is_finite() {
        out.push_str("null");
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        write!(out, "{value}").expect("a String takes all text");
    } else {
        // COMPAT(exponents): Go pads only positive ones, and no double has a positive one below 21 here.
        Shortest::of(value).write(out, 1);
    }
}

/// The shortest decimal that reads back as the same double.
struct Shortest {
    /// Sign and digits, with a point behind the first digit if more follow: `-6.54`.
    mantissa: String,
    /// The power of ten that goes with it.
    exponent: i32,
}

// === impl Shortest ===

impl Shortest {
    fn of(value: f64) -> Self {
        let mut mantissa = format!("{value:e}");
        let at = mantissa.rfind('e').expect("exponent notation holds an e");
        let exponent = mantissa[at + 1..].parse().expect("an exponent is a small integer");
        mantissa.truncate(at);
        Self { mantissa, exponent }
    }

    fn write(&self, out: &mut String, width: usize) {
        let sign = if self.exponent < 0 { '-' } else { '+' };
        write!(out, "{}e{sign}{:0width$}", self.mantissa, self.exponent.unsigned_abs())
            .expect("a String takes all text");
    }
}

/// Prints a list of texts as Go's `%v` does: `[a b]`.
pub fn format_list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    write_bracketed(&mut out, '[', ']', items, |out, item| out.push_str(item));
    out
}

/// Prints a map of texts as Go's `%v` does: `map[a:1 b:2]`, in the order given.
///
/// COMPAT(map order): Go 1.12 and later sort by key; upstream's build printed them in random order. Give them sorted.
pub fn format_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("map");
    write_bracketed(&mut out, '[', ']', entries, |out, (key, value)| {
        out.push_str(key);
        out.push(':');
        out.push_str(value);
    });
    out
}

/// Appends any Go value as `%v` prints it.
pub fn write_go_value(out: &mut String, value: &GoValue) {
    match value {
        GoValue::Nil => out.push_str("<nil>"),
        GoValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        GoValue::Int(value) => write!(out, "{value}").expect("a String takes all text"),
        GoValue::Float(value) => write_float_g(out, *value),
        GoValue::Text(text) => out.push_str(text),
        GoValue::List(items) => write_bracketed(out, '[', ']', items, write_go_value),
        GoValue::Map(entries) => {
            out.push_str("map");
            write_bracketed(out, '[', ']', entries, |out, (key, value)| {
                out.push_str(key);
                out.push(':');
                write_go_value(out, value);
            });
        }
        GoValue::Struct(GoStruct { display: Some(text), .. }) => out.push_str(text),
        GoValue::Struct(GoStruct { fields, .. }) => {
            write_bracketed(out, '{', '}', fields, |out, (_, value)| write_go_value(out, value));
        }
    }
}

fn write_bracketed<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    mut write_item: impl FnMut(&mut String, T),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        write_item(out, item);
    }
    out.push(close);
}
