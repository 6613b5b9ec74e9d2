//! How Go prints values: `%v` and the verbs of `printf`.

use super::literal::{describe_char, is_printable, quote_with};
use super::number::format_float;
use crate::value::{GoStruct, GoValue};

/// The longest text that a function may make, in bytes.
pub(super) const MAX_TEXT: usize = 64 << 20;

/// The largest width or precision.
const MAX_WIDTH: usize = 1_000_000;

/// The Go type of a value, as far as the value tells.
pub(super) fn type_name(value: &GoValue) -> String {
    let element = |first: Option<&GoValue>| first.map_or_else(|| "interface {}".to_owned(), type_name);
    match value {
        GoValue::Nil => "interface {}".to_owned(),
        GoValue::Bool(_) => "bool".to_owned(),
        GoValue::Int(_) => "int".to_owned(),
        GoValue::Float(_) => "float64".to_owned(),
        GoValue::Text(_) => "string".to_owned(),
        GoValue::List(list) => format!("[]{}", element(list.first())),
        GoValue::Map(map) => format!("map[string]{}", element(map.values().next())),
        GoValue::Struct(structure) => structure.type_name.to_owned(),
    }
}

/// `printf FORMAT ARGS`.
pub(super) fn printf(format: &str, args: &[&GoValue]) -> Result<String, String> {
    let mut out = String::new();
    let mut directives =
        Directives { rest: format, args, next: 0, reordered: false, printer: Printer::new(&mut out) };
    directives.run()?;
    Ok(out)
}

/// What stands between `%` and the verb.
#[derive(Debug, Default, Clone, Copy)]
struct Flags {
    width: Option<usize>,
    precision: Option<usize>,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v`: names of fields.
    named: bool,
    /// `%#v`: Go syntax.
    syntax: bool,
}

/// Prints values to a text.
pub(super) struct Printer<'o> {
    out: &'o mut String,
    flags: Flags,
    /// The length that `out` may reach.
    limit: usize,
    /// Set while a wrong verb is reported: then no value has a text of its own.
    reporting: bool,
}

// === impl Printer ===

impl<'o> Printer<'o> {
    /// A printer of `%v` to the text that a function makes.
    pub(super) fn new(out: &'o mut String) -> Self {
        Self { out, flags: Flags::default(), limit: MAX_TEXT, reporting: false }
    }

    /// A printer of `%v` to the output, whose length may reach `limit`.
    pub(super) fn to_output(out: &'o mut String, limit: usize) -> Self {
        Self { limit, ..Self::new(out) }
    }

    /// Prints `value` with `verb`.
    pub(super) fn value(&mut self, value: &GoValue, verb: char) -> Result<(), String> {
        match value {
            GoValue::Nil if matches!(verb, 'v' | 'T') => self.pad("<nil>"),
            _ if verb == 'T' => self.pad(&self.truncated(&type_name(value))),
            GoValue::Nil => self.bad_verb(value, verb)?,
            GoValue::Bool(truth) => match verb {
                'v' | 't' => self.pad(if *truth { "true" } else { "false" }),
                _ => self.bad_verb(value, verb)?,
            },
            GoValue::Int(int) => self.int(*int, verb)?,
            GoValue::Float(float) => self.float(*float, verb)?,
            GoValue::Text(text) => self.text(text, verb)?,
            GoValue::List(list) => self.list(value, list, verb)?,
            GoValue::Map(map) => {
                let (open, close) = self.brackets(value, "map[", "]");
                self.write(&open);
                for (index, (key, element)) in map.iter().enumerate() {
                    self.separate(index);
                    self.text(key, verb)?;
                    self.write(":");
                    self.value(element, verb)?;
                }
                self.write(close);
            }
            GoValue::Struct(structure) => self.structure(value, structure, verb)?,
        }
        match self.out.len() > self.limit {
            true => Err(format!("text longer than {} bytes", self.limit)),
            false => Ok(()),
        }
    }

    fn list(&mut self, value: &GoValue, list: &[GoValue], verb: char) -> Result<(), String> {
        let (open, close) = self.brackets(value, "[", "]");
        self.write(&open);
        for (index, element) in list.iter().enumerate() {
            self.separate(index);
            self.value(element, verb)?;
        }
        self.write(close);
        Ok(())
    }

    fn structure(&mut self, value: &GoValue, structure: &GoStruct, verb: char) -> Result<(), String> {
        let has_text = matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') && !self.flags.syntax && !self.reporting;
        if let Some(display) = structure.display.as_ref().filter(|_| has_text) {
            return self.text(display, verb);
        }
        let (open, close) = self.brackets(value, "{", "}");
        self.write(&open);
        for (index, (name, field)) in structure.fields.iter().enumerate() {
            self.separate(index);
            if self.flags.named || self.flags.syntax {
                self.write(name);
                self.write(":");
            }
            self.value(field, verb)?;
        }
        self.write(close);
        Ok(())
    }

    /// What stands around a composite: in Go syntax its type and braces.
    fn brackets(&self, value: &GoValue, open: &str, close: &'static str) -> (String, &'static str) {
        match self.flags.syntax {
            true => (format!("{}{{", type_name(value)), "}"),
            false => (open.to_owned(), close),
        }
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.write(if self.flags.syntax { ", " } else { " " });
        }
    }

    fn text(&mut self, text: &str, verb: char) -> Result<(), String> {
        match verb {
            'v' if self.flags.syntax => self.quoted(text),
            'v' | 's' => self.pad(&self.truncated(text)),
            'q' => self.quoted(text),
            'x' | 'X' => self.hexadecimal(text, verb),
            _ => self.bad_verb(&GoValue::Text(text.to_owned()), verb)?,
        }
        Ok(())
    }

    fn quoted(&mut self, text: &str) {
        let text = self.truncated(text);
        let raw = |c: char| c != '`' && c != '\u{feff}' && c != '\x7f' && (c >= ' ' || c == '\t');
        match self.flags.sharp && text.chars().all(raw) {
            true => self.pad(&format!("`{text}`")),
            false => self.pad(&quote_with(&text, '"', self.flags.plus)),
        }
    }

    fn hexadecimal(&mut self, text: &str, verb: char) {
        let bytes = text.as_bytes();
        let bytes = &bytes[..self.flags.precision.unwrap_or(usize::MAX).min(bytes.len())];
        let prefix = match self.flags.sharp {
            true if verb == 'x' => "0x",
            true => "0X",
            false => "",
        };
        let mut digits = String::with_capacity(2 * bytes.len());
        for (index, byte) in bytes.iter().enumerate() {
            if index > 0 && self.flags.space {
                digits.push(' ');
            }
            if index == 0 || self.flags.space {
                digits.push_str(prefix);
            }
            digits.push_str(&match verb {
                'x' => format!("{byte:02x}"),
                _ => format!("{byte:02X}"),
            });
        }
        self.pad(&digits);
    }

    fn int(&mut self, int: i64, verb: char) -> Result<(), String> {
        let magnitude = int.unsigned_abs();
        let (digits, prefix) = match verb {
            'v' | 'd' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), "0b"),
            'o' => (format!("{magnitude:o}"), "0"),
            'O' => (format!("{magnitude:o}"), "0"),
            'x' => (format!("{magnitude:x}"), "0x"),
            'X' => (format!("{magnitude:X}"), "0X"),
            'c' => {
                self.pad(char_of(int).encode_utf8(&mut [0; 4]));
                return Ok(());
            }
            'q' => {
                let text = char_of(int).to_string();
                self.pad(&quote_with(&text, '\'', self.flags.plus));
                return Ok(());
            }
            'U' => {
                self.code_point(int);
                return Ok(());
            }
            _ => return self.bad_verb(&GoValue::Int(int), verb),
        };
        self.digits(int, digits, prefix, verb);
        Ok(())
    }

    fn digits(&mut self, int: i64, mut digits: String, prefix: &str, verb: char) {
        let sign = match int {
            ..0 => "-",
            _ if self.flags.plus => "+",
            _ if self.flags.space => " ",
            _ => "",
        };
        let least = match (self.flags.precision, self.flags.width) {
            (Some(0), _) if int == 0 => {
                self.pad_with("", ' ');
                return;
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if self.flags.zero => width - sign.len().min(width),
            (None, _) => 0,
        };
        digits.insert_str(0, &"0".repeat(least.saturating_sub(digits.len())));
        let prefix = match self.flags.sharp {
            true if prefix != "0" || !digits.starts_with('0') => prefix,
            _ => "",
        };
        let octal = if verb == 'O' { "0o" } else { "" };
        self.pad_with(&format!("{sign}{octal}{prefix}{digits}"), ' ');
    }

    fn code_point(&mut self, int: i64) {
        // Go takes the number for unsigned here.
        let code = int.cast_unsigned();
        let digits = self.flags.precision.unwrap_or(0).max(4);
        let mut text = format!("U+{}", zero_padded(&format!("{code:X}"), digits));
        let c = u32::try_from(code).ok().and_then(char::from_u32);
        if let Some(c) = c.filter(|&c| self.flags.sharp && is_printable(c)) {
            text = match describe_char(c).split_once(' ') {
                Some((_, shown)) => format!("{text} {shown}"),
                None => text,
            };
        }
        self.pad_with(&text, ' ');
    }

    fn float(&mut self, float: f64, verb: char) -> Result<(), String> {
        // COMPAT(templates): `#` changes nothing here, and the binary formats `%b` and `%x` are wrong verbs.
        let precision = self.flags.precision;
        let number = match verb {
            'v' => format_float(float, 'g', precision),
            'g' | 'G' => format_float(float, verb, precision),
            'f' | 'F' => format_float(float, 'f', precision.or(Some(6))),
            'e' | 'E' => format_float(float, verb, precision.or(Some(6))),
            _ => return self.bad_verb(&GoValue::Float(float), verb),
        };
        let (sign, digits) = match number.strip_prefix(['-', '+']) {
            Some(digits) => (&number[..1], digits),
            None => ("+", number.as_str()),
        };
        let sign = match sign {
            "+" if self.flags.plus => "+",
            "+" if self.flags.space => " ",
            // Positive infinity alone is always signed.
            "+" if float.is_finite() || float.is_nan() => "",
            sign => sign,
        };
        if !float.is_finite() {
            self.pad_with(&format!("{sign}{digits}"), ' ');
            return Ok(());
        }
        match self.flags.width {
            Some(width) if self.flags.zero && !sign.is_empty() => {
                self.write(sign);
                self.write(&zero_padded(digits, width.saturating_sub(1)));
            }
            _ => self.pad(&format!("{sign}{digits}")),
        }
        Ok(())
    }

    /// `%!d(string=a)`.
    fn bad_verb(&mut self, value: &GoValue, verb: char) -> Result<(), String> {
        self.write("%!");
        self.out.push(verb);
        self.write("(");
        match value {
            GoValue::Nil => self.write("<nil>"),
            _ => {
                self.write(&type_name(value));
                self.write("=");
                self.reporting = true;
                self.value(value, 'v')?;
                self.reporting = false;
            }
        }
        self.write(")");
        Ok(())
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn truncated(&self, text: &str) -> String {
        match self.flags.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        }
    }

    fn pad(&mut self, text: &str) {
        self.pad_with(text, if self.flags.zero { '0' } else { ' ' });
    }

    /// Writes `text` in a field of the width that the flags ask for.
    fn pad_with(&mut self, text: &str, filler: char) {
        let width = self.flags.width.unwrap_or(0);
        let missing = width.saturating_sub(text.chars().count());
        if self.flags.minus {
            self.write(text);
            self.out.extend(std::iter::repeat_n(' ', missing));
        } else {
            self.out.extend(std::iter::repeat_n(filler, missing));
            self.write(text);
        }
    }
}

fn zero_padded(digits: &str, width: usize) -> String {
    format!("{}{digits}", "0".repeat(width.saturating_sub(digits.len())))
}

fn char_of(int: i64) -> char {
    u32::try_from(int).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

/// A format being worked off.
struct Directives<'f, 'o> {
    rest: &'f str,
    args: &'f [&'f GoValue],
    /// The argument whose turn it is.
    next: usize,
    /// An argument was chosen by number: then none counts as left over.
    reordered: bool,
    printer: Printer<'o>,
}

// === impl Directives ===

impl Directives<'_, '_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some((text, directive)) = self.rest.split_once('%') {
            self.printer.write(text);
            self.rest = directive;
            self.printer.flags = Flags::default();
            self.directive()?;
        }
        let text = self.rest;
        self.printer.write(text);
        self.extra()
    }

    /// Arguments that no verb asked for.
    fn extra(&mut self) -> Result<(), String> {
        if self.reordered || self.next >= self.args.len() {
            return Ok(());
        }
        self.printer.flags = Flags::default();
        self.printer.write("%!(EXTRA ");
        for (index, arg) in self.args[self.next..].iter().enumerate() {
            if index > 0 {
                self.printer.write(", ");
            }
            if **arg != GoValue::Nil {
                self.printer.write(&type_name(arg));
                self.printer.write("=");
            }
            self.printer.value(arg, 'v')?;
        }
        self.printer.write(")");
        Ok(())
    }

    fn directive(&mut self) -> Result<(), String> {
        self.flags();
        let mut good = true;
        let mut numbered = self.choose(&mut good);
        if self.accept('*') {
            numbered = false;
            self.width_argument();
        } else {
            self.printer.flags.width = self.digits();
            good &= !(numbered && self.printer.flags.width.is_some());
        }
        if self.rest.len() > 1 && self.accept('.') {
            good &= !numbered;
            numbered = self.choose(&mut good);
            if self.accept('*') {
                numbered = false;
                self.precision_argument();
            } else {
                self.printer.flags.precision = Some(self.digits().unwrap_or(0));
            }
        }
        if !numbered {
            self.choose(&mut good);
        }
        let Some(verb) = self.rest.chars().next() else {
            self.printer.write("%!(NOVERB)");
            return Ok(());
        };
        self.rest = &self.rest[verb.len_utf8()..];
        self.verb(verb, good)
    }

    fn verb(&mut self, verb: char, good: bool) -> Result<(), String> {
        if verb == '%' {
            self.printer.write("%");
            return Ok(());
        }
        let fault = match self.args.get(self.next) {
            _ if !good => "(BADINDEX)",
            None => "(MISSING)",
            Some(arg) => {
                let flags = &mut self.printer.flags;
                if verb == 'v' {
                    flags.syntax = std::mem::take(&mut flags.sharp);
                    flags.named = std::mem::take(&mut flags.plus);
                }
                self.next += 1;
                return self.printer.value(arg, verb);
            }
        };
        self.printer.write(&format!("%!{verb}{fault}"));
        Ok(())
    }

    fn flags(&mut self) {
        let flags = &mut self.printer.flags;
        for (index, c) in self.rest.char_indices() {
            match c {
                '#' => flags.sharp = true,
                '0' => flags.zero = !flags.minus,
                '+' => flags.plus = true,
                ' ' => flags.space = true,
                '-' => {
                    flags.minus = true;
                    flags.zero = false;
                }
                _ => {
                    self.rest = &self.rest[index..];
                    return;
                }
            }
        }
        self.rest = "";
    }

    /// `[n]`: whether it stands here; `good` becomes false if there is no such argument.
    fn choose(&mut self, good: &mut bool) -> bool {
        let Some(inner) = self.rest.strip_prefix('[') else {
            return false;
        };
        self.reordered = true;
        let Some((number, rest)) = inner.split_once(']') else {
            self.rest = inner;
            *good = false;
            return false;
        };
        self.rest = rest;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<usize>().ok().filter(|number| digits && *number <= MAX_WIDTH);
        match number.and_then(|number| number.checked_sub(1)) {
            Some(index) if index < self.args.len() => {
                self.next = index;
                true
            }
            _ => {
                *good = false;
                number.is_some()
            }
        }
    }

    fn width_argument(&mut self) {
        let width = self.number_argument();
        let flags = &mut self.printer.flags;
        match width {
            Some(width) => flags.width = usize::try_from(width.unsigned_abs()).ok(),
            None => self.printer.write("%!(BADWIDTH)"),
        }
        if width.is_some_and(i64::is_negative) {
            self.printer.flags.minus = true;
            self.printer.flags.zero = false;
        }
    }

    fn precision_argument(&mut self) {
        let precision = self.number_argument().and_then(|precision| usize::try_from(precision).ok());
        self.printer.flags.precision = precision;
        if precision.is_none() {
            self.printer.write("%!(BADPREC)");
        }
    }

    /// The next argument, if it is a number that may be a width.
    fn number_argument(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        match arg {
            GoValue::Int(number) if number.unsigned_abs() <= MAX_WIDTH as u64 => Some(*number),
            _ => None,
        }
    }

    /// A width or precision; one that is too large takes the rest of the format with it.
    fn digits(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        if digits.is_empty() {
            return None;
        }
        let number = digits.parse::<usize>().ok().filter(|number| *number <= MAX_WIDTH);
        if number.is_none() {
            self.rest = "";
        }
        number
    }

    fn accept(&mut self, c: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(c) else {
            return false;
        };
        self.rest = rest;
        true
    }
}
