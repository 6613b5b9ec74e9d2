//! Fits scanned arguments into one of a command's forms, or says why none takes them.

use super::Problem;
use super::nearest;
use super::scan::Scanned;
use super::table::{CommandSpec, Form, OptionSpec, Values, Word, Words};

/// The options with their table rows; unknown and repeated ones are refused.
pub(crate) fn known_once(
    scanned: &Scanned,
    specs: &[&'static OptionSpec],
) -> Result<Vec<(&'static OptionSpec, Option<String>)>, Problem> {
    let mut given: Vec<(&'static OptionSpec, Option<String>)> = Vec::new();
    for option in &scanned.options {
        let long = option.name.strip_prefix("--");
        let Some(spec) = specs.iter().find(|spec| long == Some(spec.long)) else {
            return Err(Problem::hint(nearest::unknown_option(&option.name, specs)));
        };
        if !spec.repeats && given.iter().any(|(other, _)| other.long == spec.long) {
            return Err(Problem::hint(format!("{} is given more than once", option.name)));
        }
        given.push((spec, option.value.clone()));
    }
    Ok(given)
}

/// The values of the first form that takes these arguments.
pub(crate) fn fit(
    scanned: &Scanned,
    spec: &'static CommandSpec,
    specs: &[&'static OptionSpec],
) -> Result<Values, Problem> {
    let given = known_once(scanned, specs)?;
    if let (Words::Verbatim, [form, ..]) = (spec.words, spec.forms) {
        return Ok(Values { given, words: scanned.words.clone(), form, options: spec.options });
    }
    let actions: Vec<&str> = spec.forms.iter().filter_map(Form::action).collect();
    if !actions.is_empty() && !scanned.words.first().is_some_and(|word| actions.contains(&word.as_str())) {
        return Err(Problem::hint(format!("expected one of: {}", actions.join(", "))));
    }
    let mut faults = Vec::new();
    for form in spec.forms {
        match mismatch(form, &given, &scanned.words) {
            None => {
                let words = scanned.words[form.leading_literals()..].to_vec();
                return Ok(Values { given, words, form, options: spec.options });
            }
            Some(fault) => faults.push(fault),
        }
    }
    // The form that got furthest is the one that was meant.
    let best = faults.into_iter().max_by_key(|fault| fault.progress);
    Err(best.map_or_else(Problem::default, |fault| Problem::hint(fault.text)))
}

struct Mismatch {
    progress: u8,
    text: String,
}

fn mismatch(form: &Form, given: &[(&OptionSpec, Option<String>)], words: &[String]) -> Option<Mismatch> {
    let has = |long: &str| given.iter().any(|(spec, _)| spec.long == long);
    for (index, expected) in form.words.iter().enumerate() {
        match (expected, words.get(index)) {
            (Word::Literal(_) | Word::Required(..) | Word::Optional(..), None) if !expected.is_needed() => {}
            (Word::Literal(literal), Some(word)) if word == literal => {}
            (Word::Literal(literal), _) => {
                return Some(Mismatch { progress: 0, text: format!("expected '{literal}'") });
            }
            (Word::Required(name, _), None) => {
                let progress = if index == 0 { 3 } else { 4 };
                return Some(Mismatch { progress, text: format!("{name} is missing") });
            }
            (Word::Required(..) | Word::Optional(..), _) => {}
        }
    }
    if let Some(extra) = words.get(form.words.len()) {
        let clash = form.required.first().filter(|long| has(long) && form.words.is_empty());
        let (progress, text) = match clash {
            Some(long) => (3, format!("--{long} cannot be combined with '{extra}'")),
            None if form.words.is_empty() => (0, format!("unexpected argument '{extra}'")),
            None => (4, format!("unexpected argument '{extra}'")),
        };
        return Some(Mismatch { progress, text });
    }
    if let Some(long) = form.forbidden.iter().find(|long| has(long)) {
        let with = form.required.iter().find(|required| has(required));
        return Some(match with {
            Some(with) => {
                Mismatch { progress: 3, text: format!("--{with} cannot be combined with --{long}") }
            }
            None => Mismatch { progress: 0, text: format!("--{long} does not fit here") },
        });
    }
    let missing = form.required.iter().find(|long| !has(long))?;
    Some(Mismatch { progress: 2, text: format!("--{missing} is missing") })
}
