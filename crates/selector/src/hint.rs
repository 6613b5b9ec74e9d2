//! Guesses what the author of a faulty selector meant. A wrong guess costs a moment, so the rules
//! name only mistakes that people coming from other selector languages really make.

use crate::error::Expected;
use crate::token::{MAX_KEY, Token, TokenKind};

/// Advice on a string that no quote closes.
pub(crate) fn for_open_string(quote: char) -> Option<String> {
    let other = if quote == '"' { '\'' } else { '"' };
    Some(format!("nothing escapes a quote; to put {quote} inside a string, enclose it in {other}"))
}

/// Advice on a character that starts no token, between what stands before and from there on.
pub(crate) fn for_character(character: char, before: &str, from: &str) -> Option<String> {
    let advice = match character {
        '=' if before.ends_with('=') => "write '==', two signs only",
        '=' if from.starts_with("=!") => "write '!='",
        '=' if from.starts_with("=~") => "there is no pattern matching; list the values: in {\"a\", \"b\"}",
        '=' => "write '=='",
        '&' => "write '&&'",
        '|' => "write '||'",
        '<' if from.starts_with("<>") => "write '!='",
        '[' => "write sets in '{' and '}'",
        '\\' => "strings have no escapes; enclose a value that holds one kind of quote in the other kind",
        '\n' | '\r' => "write the selector on one line; only blanks and tabs may stand between words",
        '“' | '”' | '„' | '‘' | '’' | '`' => "write plain quotes: \" or '",
        '\u{a0}' => "this blank is a no-break space; write a plain one",
        ':' => "write LABEL == \"VALUE\"; a label key cannot hold ':'",
        _ if character.is_alphanumeric() => "a label key holds only A-Z a-z 0-9 _ . / -",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Advice on the token at `at`, where something else was expected.
pub(crate) fn for_token(tokens: &[Token<'_>], at: usize, expected: Expected) -> Option<String> {
    let found = tokens[at].kind;
    let before = at.checked_sub(1).map(|index| tokens[index].kind);
    let after = tokens.get(at + 1).map(|token| token.kind);
    match expected {
        Expected::Operator => match before {
            Some(TokenKind::Label(label)) => for_operator(label, found, after),
            _ => None,
        },
        Expected::Text => for_value(found),
        Expected::Set => for_set(found),
        Expected::SetValue => for_value(found),
        Expected::SetSeparator => match found {
            TokenKind::Text(_) => Some("separate the values with ','".to_owned()),
            _ => for_value(found),
        },
        Expected::Operand => for_operand(found, before),
        Expected::CloseBracket | Expected::End => for_end(found),
        Expected::Token
        | Expected::DoubleEquals
        | Expected::DoubleAmpersand
        | Expected::DoubleBar
        | Expected::ClosingQuote(_)
        | Expected::LessNesting => None,
    }
}

/// After `label`, where an operator should stand.
fn for_operator(label: &str, found: TokenKind<'_>, after: Option<TokenKind<'_>>) -> Option<String> {
    if label.len() == MAX_KEY {
        return Some(format!("a label key has at most {MAX_KEY} characters"));
    }
    let advice = match (label.to_ascii_lowercase().as_str(), found) {
        ("has", TokenKind::OpenBracket | TokenKind::Label(_) | TokenKind::Text(_)) => {
            "write has(LABEL): lower case, no blank before '(', no quotes"
        }
        ("all", _) => "write all(): lower case, no blank before '('",
        ("global" | "any" | "everything", TokenKind::OpenBracket) => "write all() to select everything",
        ("not", _) => "write '!' to negate a condition",
        (_, TokenKind::Label(word)) => return for_operator_word(word, after),
        (_, TokenKind::OpenBracket) => "the functions are has(LABEL) and all()",
        _ => "a label alone is no condition; write has(LABEL) or LABEL == \"VALUE\"",
    };
    Some(advice.to_owned())
}

/// A bare word where an operator should stand.
fn for_operator_word(word: &str, after: Option<TokenKind<'_>>) -> Option<String> {
    let advice = match word.to_ascii_lowercase().as_str() {
        "in" => "write 'in' in lower case",
        "not" if matches!(after, Some(TokenKind::Label(_) | TokenKind::In)) => "write 'not in' in lower case",
        "notin" | "not-in" | "not_in" => "write 'not in'",
        "eq" | "is" | "equals" => "write '=='",
        "ne" | "not" | "isnt" => "write '!='",
        "contains" | "starts" | "ends" | "startswith" | "endswith" | "matches" | "like" => {
            "values are compared whole; list them: in {\"a\", \"b\"}"
        }
        "and" | "or" => "a label alone is no condition; write has(LABEL) or LABEL == \"VALUE\"",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Where a string should stand.
fn for_value(found: TokenKind<'_>) -> Option<String> {
    match found {
        TokenKind::Label(word) => Some(format!("put the value in quotes: \"{word}\"")),
        TokenKind::In => Some("put the value in quotes: \"in\"".to_owned()),
        TokenKind::OpenBrace => Some("compare with a set by 'in' or 'not in'".to_owned()),
        _ => None,
    }
}

/// Where a set should stand.
fn for_set(found: TokenKind<'_>) -> Option<String> {
    match found {
        TokenKind::Text(value) if !value.contains('"') => Some(format!("write a set: {{\"{value}\"}}")),
        TokenKind::Label(word) => Some(format!("write a set of strings: {{\"{word}\"}}")),
        TokenKind::OpenBracket => Some("write sets in '{' and '}'".to_owned()),
        _ => None,
    }
}

/// Where a condition should start.
fn for_operand(found: TokenKind<'_>, before: Option<TokenKind<'_>>) -> Option<String> {
    let advice = match (found, before) {
        (TokenKind::Text(_), _) => "the label stands on the left, without quotes",
        (TokenKind::In | TokenKind::NotIn, _) => {
            "a label spelled like a keyword can only be tested by has(LABEL)"
        }
        (TokenKind::CloseBracket, Some(TokenKind::OpenBracket)) => "write all() to select everything",
        (TokenKind::OpenBrace, _) => "write all() to select everything, or LABEL in {\"a\", \"b\"}",
        (TokenKind::And, Some(TokenKind::And)) | (TokenKind::Or, Some(TokenKind::Or)) => {
            "one of the two operators is too many"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// After a condition.
fn for_end(found: TokenKind<'_>) -> Option<String> {
    let advice = match found {
        TokenKind::Label(word) if word.eq_ignore_ascii_case("and") => "write '&&'",
        TokenKind::Label(word) if word.eq_ignore_ascii_case("or") => "write '||'",
        TokenKind::Comma
        | TokenKind::Label(_)
        | TokenKind::Has(_)
        | TokenKind::Not
        | TokenKind::OpenBracket => "join conditions with '&&' or '||'",
        TokenKind::CloseBracket => "this ')' closes nothing",
        _ => return None,
    };
    Some(advice.to_owned())
}
