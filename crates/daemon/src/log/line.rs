//! [`Line`]: one line of a log in each of its shapes.

use std::fmt::{Debug, Write as _};
use std::time::SystemTime;

use jiff::Timestamp;
use tracing::field::{Field, Visit};

use super::Severity;

/// The name that syslog files lines under.
const TAG: &str = "calico-felix";

/// The facility "daemon" of syslog.
const FACILITY: u8 = 3;

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) at: SystemTime,
    pub(super) severity: Severity,
    pub(super) pid: u32,
    /// File and line of the source.
    pub(super) source: Option<(&'a str, u32)>,
    pub(super) message: &'a str,
    /// Names and values, sorted.
    pub(super) fields: &'a [(&'static str, FieldValue)],
}

/// A field's value as text.
pub(super) struct FieldValue {
    text: String,
    /// It was a text and stands in quotes.
    quoted: bool,
}

/// Gathers the fields of an event.
#[derive(Default)]
pub(super) struct Fields {
    message: String,
    rest: Vec<(&'static str, FieldValue)>,
}

// === impl Fields ===

impl Fields {
    /// The message, and the other fields by name.
    pub(super) fn sorted(mut self) -> (String, Vec<(&'static str, FieldValue)>) {
        self.rest.sort_by_key(|(name, _)| *name);
        (self.message, self.rest)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.rest.push((name, FieldValue { text: value.to_owned(), quoted: true })),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.rest.push((name, FieldValue { text, quoted: false })),
        }
    }
}

// === impl Line ===

impl Line<'_> {
    /// Felix's shape: `2026-11-25 07:56:16.123 [INFO][17] file.rs 12: message key=value`.
    ///
    /// COMPAT(log-lines): the time is UTC, and a release build leaves file and line out; upstream's time is local.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = format!("{} [{}][{}] ", stamp(self.at, ' '), self.severity, self.pid);
        self.rest(&mut text);
        text.push('\n');
        text.into_bytes()
    }

    /// For syslog: no stamp and no process, which syslog adds.
    pub(super) fn syslog(&self) -> Vec<u8> {
        let priority = FACILITY * 8 + self.severity.syslog();
        let mut text = format!("<{priority}>{TAG}[{}]: {} ", self.pid, self.severity);
        self.rest(&mut text);
        text.into_bytes()
    }

    /// One JSON object.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut text = format!(
            "{{\"time\":\"{}Z\",\"level\":\"{}\",\"pid\":{}",
            stamp(self.at, 'T'),
            self.severity.to_string().to_ascii_lowercase(),
            self.pid
        );
        if let Some((file, line)) = self.source {
            text.push_str(",\"source\":");
            json_text(&mut text, &format!("{}:{line}", short(file)));
        }
        text.push_str(",\"message\":");
        json_text(&mut text, self.message);
        for (name, value) in self.fields {
            text.push(',');
            json_text(&mut text, name);
            text.push(':');
            if !value.quoted && is_json_scalar(&value.text) {
                text.push_str(&value.text);
            } else {
                json_text(&mut text, &value.text);
            }
        }
        text.push_str("}\n");
        text.into_bytes()
    }

    fn rest(&self, text: &mut String) {
        if let Some((file, line)) = self.source {
            let _ = write!(text, "{} {line}: ", short(file));
        }
        one_line(text, self.message);
        for (name, FieldValue { text: value, quoted }) in self.fields {
            let _ = write!(text, " {name}=");
            if *quoted {
                let _ = write!(text, "{value:?}");
            } else {
                one_line(text, value);
            }
        }
    }
}

// === helpers ===

/// The time in UTC with milliseconds.
fn stamp(at: SystemTime, gap: char) -> String {
    let Ok(at) = Timestamp::try_from(at) else { return String::from("-") };
    let format = if gap == ' ' { "%Y-%m-%d %H:%M:%S%.3f" } else { "%Y-%m-%dT%H:%M:%S%.3f" };
    at.strftime(format).to_string()
}

/// The last component of a path.
fn short(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// Adds a text without letting it begin a line of its own.
fn one_line(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c if c.is_control() => text.extend(c.escape_default()),
            c => text.push(c),
        }
    }
}

fn is_json_scalar(text: &str) -> bool {
    matches!(text, "true" | "false")
        || (text.parse::<i64>().is_ok()
            && !text.starts_with('+')
            && (text == "0" || !text.starts_with(['0', '-'])))
}

fn json_text(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}
