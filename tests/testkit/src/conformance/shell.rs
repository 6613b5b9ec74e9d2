//! Splits a recorded command line the way a shell does, as far as the recordings go.

/// The words of `line`: blanks divide, quotes and backslashes keep together.
///
/// # Panics
/// When a quote is not closed: a recording is part of the tests.
#[must_use]
pub fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' => found.extend(word.take()),
            '\'' => quoted(&mut rest, '\'', word.get_or_insert_default(), line),
            '"' => quoted(&mut rest, '"', word.get_or_insert_default(), line),
            '\\' => word.get_or_insert_default().extend(rest.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    found.extend(word);
    found
}

/// Reads up to the closing quote; between double quotes a backslash escapes what it escapes in a shell.
fn quoted(rest: &mut std::str::Chars<'_>, quote: char, word: &mut String, line: &str) {
    while let Some(c) = rest.next() {
        if c == quote {
            return;
        }
        if c == '\\' && quote == '"' {
            match rest.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => break,
            }
        } else {
            word.push(c);
        }
    }
    panic!("the quote {quote} is not closed in: {line}");
}
