//! Expected texts with holes: `{any}` stands for the rest of a line or a part of it, `{rest}` for all that follows.

/// True when `text` is `pattern` with its holes filled.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    if let Some((head, _)) = pattern.split_once("{rest}") {
        return (0..=text.len())
            .filter(|end| text.is_char_boundary(*end))
            .any(|end| matches_within_lines(head, &text[..end]));
    }
    matches_within_lines(pattern, text)
}

/// `{any}` only; the shortest filling is tried first, so that what follows it is found wherever it stands.
fn matches_within_lines(pattern: &str, text: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once("{any}") else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(literal) else {
        return false;
    };
    let line = text.find('\n').unwrap_or(text.len());
    (0..=line).filter(|end| text.is_char_boundary(*end)).any(|end| matches_within_lines(rest, &text[end..]))
}
