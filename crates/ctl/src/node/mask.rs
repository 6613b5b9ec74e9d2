//! Takes secrets out of text that leaves the machine, line by line.
//!
//! Rather too much than too little: a masked harmless word costs nothing, a leaked password does.

use std::io::{self, BufRead, Write};

use regex_lite::Regex;

/// What stands in the place of a secret.
const STARS: &str = "***";

/// Words by which the name of a value gives it away.
const NAMES: &str = "password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|credential";

/// Shorter values of variables would mask ordinary words.
const SHORTEST_KNOWN: usize = 4;

/// Masks one text; remembers whether it is inside a private key.
pub(super) struct Masker {
    known: Vec<String>,
    rules: Vec<(Regex, &'static str)>,
    inside_key: bool,
}

// === impl Masker ===

impl Masker {
    /// A masker that also knows the values of the variables in `env` that look like secrets.
    pub(super) fn new<'a>(env: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let secret_name = pattern(&format!("(?i){NAMES}"));
        let mut known: Vec<String> = env
            .filter(|(name, value)| secret_name.is_match(name) && value.len() >= SHORTEST_KNOWN)
            .map(|(_, value)| value.to_owned())
            .collect();
        // A value that contains another one goes first.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let rules = vec![
            // NAME=VALUE, NAME: VALUE, "name": "value", also inside a quoted JSON text
            (
                pattern(&format!(
                    r#"(?i)([\w.-]*(?:{NAMES})[\w.-]*\\?["']?\s*(?::=|=>|=|:)\s*)(\\"[^"]*"|"[^"]*"|'[^']*'|[^\s"',;&)}}\]]+)"#
                )),
                "${1}***",
            ),
            // --token VALUE
            (pattern(&format!(r"(?i)(--[\w-]*(?:{NAMES})[\w-]*\s+)[^\s-]\S*")), "${1}***"),
            // Authorization: Bearer VALUE
            (pattern(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), "${1} ***"),
            // scheme://user:VALUE@host
            (pattern(r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*):[^/\s@]+@"), "${1}:***@"),
            // a JSON web token
            (pattern(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), STARS),
        ];
        Self { known, rules, inside_key: false }
    }

    /// Copies a whole text, masked.
    pub(super) fn copy(&mut self, mut from: impl BufRead, to: &mut dyn Write) -> io::Result<()> {
        self.inside_key = false;
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line)? > 0 {
            to.write_all(self.line(&String::from_utf8_lossy(&line)).as_bytes())?;
            line.clear();
        }
        Ok(())
    }

    /// One line, with or without its newline.
    fn line(&mut self, line: &str) -> String {
        let newline = if line.ends_with('\n') { "\n" } else { "" };
        let mut text = self.outside_keys(line.trim_end_matches('\n'));
        for value in &self.known {
            text = text.replace(value, STARS);
        }
        for (rule, replacement) in &self.rules {
            text = rule.replace_all(&text, *replacement).into_owned();
        }
        text + newline
    }

    /// The line without what lies between the marks of private keys.
    fn outside_keys(&mut self, line: &str) -> String {
        let mut text = String::new();
        let mut rest = line;
        loop {
            if self.inside_key && !rest.is_empty() {
                text.push_str(STARS);
                let Some(end) = rest.find("-----END") else { return text };
                self.inside_key = false;
                rest = &rest[end..];
            }
            match begin_of_key(rest) {
                Some(end) => {
                    text.push_str(&rest[..end]);
                    rest = &rest[end..];
                    self.inside_key = true;
                }
                None => return text + rest,
            }
        }
    }
}

/// Where the mark that opens a private key ends.
fn begin_of_key(text: &str) -> Option<usize> {
    const END: &str = "PRIVATE KEY-----";
    let begin = text.find("-----BEGIN ")?;
    text[begin..].find(END).map(|at| begin + at + END.len())
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns are constants")
}

#[cfg(test)]
mod tests;
