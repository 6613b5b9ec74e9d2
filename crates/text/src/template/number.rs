//! Writes floats with Go's verbs.

/// The digits after the point of any float end here; more are zeros.
const EXACT: usize = 1100;

/// A float as `%e`, `%f` or `%g` write it; no `precision` means as few digits as say the value exactly.
pub(super) fn format_float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match verb {
        'f' => fixed(value, precision),
        'e' => exponential(value, precision, 'e'),
        'E' => exponential(value, precision, 'E'),
        'G' => general(value, precision, 'E'),
        _ => general(value, precision, 'e'),
    }
}

fn fixed(value: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        return format!("{value}");
    };
    let exact = precision.min(EXACT);
    format!("{value:.exact$}{}", "0".repeat(precision - exact))
}

fn exponential(value: f64, precision: Option<usize>, letter: char) -> String {
    let (mantissa, exponent) = scientific(value, precision.map(|precision| precision.min(EXACT)));
    let missing = precision.map_or(0, |precision| precision.saturating_sub(EXACT));
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{}{letter}{sign}{:02}", "0".repeat(missing), exponent.unsigned_abs())
}

fn general(value: f64, precision: Option<usize>, letter: char) -> String {
    let digits = precision.map(|precision| precision.clamp(1, EXACT));
    let (mantissa, exponent) = scientific(value, digits.map(|digits| digits - 1));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => &mantissa,
    };
    let significant = mantissa.chars().filter(char::is_ascii_digit).count();
    let point = exponent + 1;
    let shown = i32::try_from(significant).unwrap_or(i32::MAX);
    let limit = match precision {
        None => 6,
        Some(precision) if precision > significant && shown >= point => shown,
        Some(precision) => i32::try_from(precision).unwrap_or(i32::MAX).max(1),
    };
    if exponent < -4 || exponent >= limit {
        return exponential(value, digits.map(|_| significant - 1), letter);
    }
    fixed(value, digits.map(|_| usize::try_from(shown - point).unwrap_or(0)))
}

/// `1.25` and 3 for 1250.
fn scientific(value: f64, precision: Option<usize>) -> (String, i32) {
    let text = match precision {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').expect("an exponent is always written");
    let exponent = exponent.parse().expect("an exponent is a small number");
    (mantissa.to_owned(), exponent)
}
