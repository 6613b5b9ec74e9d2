//! Guesses what was meant by a word that nothing is called by.

use super::Program;
use super::table::{GroupSpec, OptionSpec, entries};

/// A `hint:` line naming the command that looks most like `name`, or nothing.
pub(crate) fn command_hint(group: &'static GroupSpec, program: Program, name: &str) -> String {
    let shown = entries(group, program).filter(|entry| program.shows(entry.audience()));
    match closest(name, shown.map(|entry| entry.name())) {
        Some(close) => format!("hint: did you mean '{close}'?\n"),
        None => String::new(),
    }
}

/// What to say about an unknown option.
pub(crate) fn unknown_option(name: &str, specs: &[&'static OptionSpec]) -> String {
    let bare = name.trim_start_matches('-');
    let close = if name.starts_with("--") { closest(bare, specs.iter().map(|spec| spec.long)) } else { None };
    match close {
        Some(close) => format!("unknown option {name}; did you mean --{close}?"),
        None => format!("unknown option {name}"),
    }
}

/// The candidate with the fewest changes from `word`, if those are few.
pub(crate) fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words, in any letter case.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.to_lowercase().chars().collect();
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, left) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, right) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(left != right);
            let mut best = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && *left == to[column - 1] && from[row - 1] == *right {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[to.len()]
}
