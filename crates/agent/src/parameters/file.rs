//! The configuration file: INI whose sections mean nothing (`spec/agent.md` 2.1).
//!
//! As upstream's library reads it: `=` or `:` between name and value, `#` and `;` begin comments, a value may stand in
//! quotes, and a backslash at the end of a line joins the next.

/// The names and values of a file, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTexts {
    /// Names as written, each with its value; a name may come twice.
    pub entries: Vec<(String, String)>,
}

/// The file is no INI file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FileError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong. Values are not repeated: they may be secrets.
    pub what: &'static str,
}

/// Reads a file's text.
///
/// # Errors
/// A line is neither a section, a comment nor a value, or a quote is left open.
pub fn read_file(text: &str) -> Result<FileTexts, FileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate();
    let mut entries = Vec::new();
    while let Some((index, line)) = lines.next() {
        let fault = |what| FileError { line: index + 1, what };
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            if !line.contains(']') {
                return Err(fault("a section is not closed"));
            }
            continue;
        }
        let Some(at) = line.find(['=', ':']) else { return Err(fault("there is no '=' or ':'")) };
        let name = line[..at].trim();
        if name.is_empty() {
            return Err(fault("there is no name"));
        }
        let rest = line[at + 1..].trim();
        let value = match ["\"\"\"", "`"].into_iter().find(|quote| rest.starts_with(quote)) {
            Some(quote) => {
                let mut value = rest[quote.len()..].to_owned();
                while !value.contains(quote) {
                    let Some((_, next)) = lines.next() else { return Err(fault("a quote is not closed")) };
                    value.push('\n');
                    value.push_str(next);
                }
                value.truncate(value.find(quote).unwrap_or(value.len()));
                value
            }
            None => plain(rest, &mut lines),
        };
        entries.push((name.to_owned(), value));
    }
    Ok(FileTexts { entries })
}

/// A value of one line, joined with the next where it ends in a backslash; comments and quotes are taken off.
fn plain<'a>(first: &'a str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> String {
    let mut value = first.to_owned();
    while let Some(stripped) = value.strip_suffix('\\') {
        value.truncate(stripped.len());
        let Some((_, next)) = lines.next() else { break };
        value.push_str(next.trim());
    }
    let comment = value.find(['#', ';']).unwrap_or(value.len());
    let value = value[..comment].trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    value.to_owned()
}
