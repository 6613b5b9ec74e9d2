//! Usage and help texts, laid out from the command table the way docopt programs print them.

pub(crate) mod completions;
pub(crate) mod man;

use std::fmt::Write as _;

use crate::grammar::{CommandSpec, GroupSpec, OptionSpec, Program, TOP, entries};

/// The width that our own texts are wrapped to.
const WIDTH: usize = 79;

/// An option whose label is longer has its text on the next line.
const LONGEST_LABEL: usize = 27;

/// The usage lines of the program.
pub(crate) fn top_usage(program: Program) -> String {
    group_usage(program, &TOP)
}

/// The help of the program.
pub(crate) fn top(program: Program) -> String {
    group(program, &TOP)
}

/// The usage lines of a group.
pub(crate) fn group_usage(program: Program, group: &GroupSpec) -> String {
    patterns(program, &[group.usage])
}

/// The usage lines of a command.
pub(crate) fn usage(program: Program, spec: &CommandSpec) -> String {
    patterns(program, spec.usage(program))
}

/// The help of a group.
pub(crate) fn group(program: Program, group: &'static GroupSpec) -> String {
    let mut text = String::new();
    if !group.preface.is_empty() {
        text.push_str(group.preface);
        text.push('\n');
    }
    text.push_str(&group_usage(program, group));
    text.push('\n');
    let shown: Vec<_> = entries(group, program).filter(|entry| program.shows(entry.audience())).collect();
    let longest = shown.iter().map(|entry| entry.name().len()).max().unwrap_or(0);
    let column = group.summary_column.max(longest + 6);
    for entry in shown {
        // Upstream's line breaks only suit upstream's column.
        let summary = entry.summary().replace("{program}", program.name());
        let summary = match program {
            Program::Calicoctl => lines(&summary, column),
            Program::Margay => wrap(&summary, column),
        };
        hang(&mut text, &format!("    {}", entry.name()), column, &summary);
    }
    text.push('\n');
    options(&mut text, program, group.options, group.option_column);
    describe(&mut text, program, group.description);
    text
}

/// The help of a command.
pub(crate) fn command(program: Program, spec: &CommandSpec) -> String {
    let mut text = usage(program, spec);
    text.push('\n');
    options(&mut text, program, spec.options, 0);
    describe(&mut text, program, spec.description);
    text
}

fn patterns(program: Program, patterns: &[&str]) -> String {
    let mut text = String::from("Usage:\n");
    let indent = " ".repeat(2 + program.name().len() + 1);
    for pattern in patterns {
        for (index, line) in pattern.lines().enumerate() {
            let written = if index == 0 {
                writeln!(text, "  {} {line}", program.name())
            } else {
                writeln!(text, "{indent}{line}")
            };
            written.expect("writing to a String cannot fail");
        }
    }
    text
}

fn options(text: &mut String, program: Program, options: &[OptionSpec], least: usize) {
    let shown: Vec<_> = options.iter().filter(|option| program.shows(option.audience)).collect();
    let longest = shown.iter().map(|option| label(option).len()).filter(|len| *len <= LONGEST_LABEL).max();
    let column = least.max(longest.unwrap_or(0) + 2);
    text.push_str("Options:\n");
    for option in shown {
        hang(text, &label(option), column, &option_lines(option, column));
    }
}

fn describe(text: &mut String, program: Program, description: &str) {
    text.push_str("\nDescription:\n");
    for line in description.replace("{program}", program.name()).lines() {
        text.push_str(if line.is_empty() { "" } else { "  " });
        text.push_str(line);
        text.push('\n');
    }
}

/// What an option says, its default kept in one piece.
fn option_lines(option: &OptionSpec, column: usize) -> Vec<String> {
    let mut lines = lines(option.text, column);
    if let Some(default) = option.default {
        let default = format!("[default: {default}]");
        match lines.last_mut() {
            Some(last) if column + last.len() + 1 + default.len() <= WIDTH => {
                last.push(' ');
                last.push_str(&default);
            }
            _ => lines.push(default),
        }
    }
    lines
}

/// `  -f --filename=<FILENAME>`, as docopt wants it.
fn label(option: &OptionSpec) -> String {
    let short = option.short.map_or_else(|| "  ".to_owned(), |short| format!("-{short}"));
    let value = option.value.map(|value| format!("={value}")).unwrap_or_default();
    format!("  {short} --{}{value}", option.long)
}

/// Writes `label`, then `lines` from `column` on.
fn hang(text: &mut String, label: &str, column: usize, lines: &[String]) {
    let mut label = label.to_owned();
    if label.len() + 2 > column {
        text.push_str(&label);
        text.push('\n');
        label.clear();
    }
    for line in lines {
        text.push_str(format!("{label:column$}{line}").trim_end());
        text.push('\n');
        label.clear();
    }
}

/// The lines of a text: its own breaks if it has some, else wrapped.
fn lines(text: &str, column: usize) -> Vec<String> {
    if text.contains('\n') { text.lines().map(str::to_owned).collect() } else { wrap(text, column) }
}

/// The text in lines that end before [`WIDTH`] when they start at `column`.
fn wrap(text: &str, column: usize) -> Vec<String> {
    let room = WIDTH.saturating_sub(column);
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a last line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests;
