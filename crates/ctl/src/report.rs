//! Faults of documents for people: one line each, or with the source line and a caret.

use std::io::{self, Write as _};

use margay_model::Fault;

use crate::session::Session;

/// How much is said of each fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// One line, and a hint.
    Lines,
    /// The source line with a caret as well.
    Excerpts,
}

/// The longest excerpt of a source line, in characters.
const EXCERPT: usize = 100;

/// Prints faults to stderr as `FILE:LINE:COLUMN: PATH: MESSAGE`, each with its hint.
pub(crate) fn faults(
    session: &mut Session<'_, '_>,
    filename: &str,
    source: &[u8],
    faults: &[Fault],
    detail: Detail,
) -> io::Result<()> {
    let name = if filename == "-" { "<stdin>" } else { filename };
    let several = faults.iter().any(|fault| fault.document > 1);
    let bold = |text: String| {
        if session.invocation.stderr_is_terminal { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text }
    };
    let mut out = Vec::new();
    for fault in faults {
        let place = bold(format!("{name}:{}:{}:", fault.span.line, fault.span.column));
        let document = if several { format!(" document {}:", fault.document) } else { String::new() };
        let path = if fault.path.is_empty() { String::new() } else { format!(" {}:", fault.path) };
        writeln!(out, "{place}{document}{path} {}", fault.message)?;
        if detail == Detail::Excerpts {
            excerpt(&mut out, source, fault)?;
        }
        if let Some(hint) = &fault.hint {
            writeln!(out, "  hint: {hint}")?;
        }
    }
    session.invocation.stderr.write_all(&out)
}

/// The source line of a fault, cut to a readable width, and a caret under its place.
fn excerpt(out: &mut Vec<u8>, source: &[u8], fault: &Fault) -> io::Result<()> {
    let number = fault.span.line as usize;
    let Some(line) = source.split(|byte| *byte == b'\n').nth(number.saturating_sub(1)) else { return Ok(()) };
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches('\r').trim_start_matches('\u{feff}');
    let column = fault.span.column as usize;
    let skipped = column.saturating_sub(EXCERPT / 2);
    let shown: String =
        line.chars().skip(skipped).take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let margin = " ".repeat(number.to_string().len());
    writeln!(out, "{margin} |")?;
    writeln!(out, "{number} | {shown}")?;
    writeln!(out, "{margin} | {}^", " ".repeat(column.saturating_sub(skipped + 1)))
}
