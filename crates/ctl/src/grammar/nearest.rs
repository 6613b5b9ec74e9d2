//! Guesses what was meant by a word that nothing is called by.

use margay_model::decode::nearest;

use super::Program;
use super::table::{GroupSpec, OptionSpec, entries};

/// A `hint:` line naming the command that looks most like `name`, or nothing.
pub(crate) fn command_hint(group: &'static GroupSpec, program: Program, name: &str) -> String {
    let shown = entries(group, program).filter(|entry| program.shows(entry.audience()));
    match nearest(name, shown.map(|entry| entry.name())) {
        Some(close) => format!("hint: did you mean '{close}'?\n"),
        None => String::new(),
    }
}

/// What to say about an unknown option.
pub(crate) fn unknown_option(name: &str, specs: &[&'static OptionSpec]) -> String {
    let bare = name.trim_start_matches('-');
    let close = if name.starts_with("--") { nearest(bare, specs.iter().map(|spec| spec.long)) } else { None };
    match close {
        Some(close) => format!("unknown option {name}; did you mean --{close}?"),
        None => format!("unknown option {name}"),
    }
}
