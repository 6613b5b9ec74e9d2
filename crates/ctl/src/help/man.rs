//! The man page, written from the command table.

use crate::grammar::{CommandSpec, Entry, GroupSpec, OptionSpec, Program, TOP, entries};
use crate::help;

/// The page `margay(1)` in roff.
pub(crate) fn man_page() -> String {
    let program = Program::Margay;
    let mut page = String::from(
        ".TH MARGAY 1 \"\" margay \"User Commands\"\n\
         .SH NAME\n\
         margay \\- network and security policy for containers and machines\n\
         .SH SYNOPSIS\n",
    );
    verbatim(&mut page, help::top_usage(program).lines().skip(1));
    page.push_str(".SH DESCRIPTION\n");
    text(&mut page, &TOP.description.replace("{program}", program.name()));
    page.push_str(
        ".PP\nCalled as\n.BR calicoctl ,\nit offers the commands of that program and nothing else.\n",
    );
    page.push_str(".SH OPTIONS\n");
    options(&mut page, program, TOP.options);
    page.push_str(".SH COMMANDS\n");
    members(&mut page, program, &TOP, &[]);
    page.push_str(&files());
    page
}

fn members(page: &mut String, program: Program, group: &'static GroupSpec, path: &[&str]) {
    for entry in entries(group, program).filter(|entry| program.shows(entry.audience())) {
        let path: Vec<&str> = path.iter().copied().chain([entry.name()]).collect();
        match entry {
            Entry::Command(spec) => command(page, program, spec, &path),
            Entry::Group(group) => members(page, program, group, &path),
        }
    }
}

fn command(page: &mut String, program: Program, spec: &CommandSpec, path: &[&str]) {
    page.push_str(&format!(".SS {}\n", escape(&path.join(" "))));
    let usage = help::usage(program, spec);
    verbatim(page, usage.lines().skip(1));
    text(page, &spec.description.replace("{program}", program.name()));
    options(page, program, spec.options);
}

fn options(page: &mut String, program: Program, options: &[OptionSpec]) {
    for option in options.iter().filter(|option| program.shows(option.audience)) {
        let short = option.short.map(|short| format!("\\fB\\-{short}\\fR, ")).unwrap_or_default();
        let value = option.value.map(|value| format!("=\\fI{}\\fR", escape(value))).unwrap_or_default();
        page.push_str(&format!(".TP\n{short}\\fB\\-\\-{}\\fR{value}\n", escape(option.long)));
        text(page, option.text);
        if let Some(default) = option.default {
            page.push_str(&format!("Default: {}.\n", escape(default)));
        }
    }
}

fn files() -> String {
    let path = escape(crate::grammar::ConfigPath::DEFAULT);
    format!(".SH FILES\n.TP\n.I {path}\nConnection settings, if \\fB\\-\\-config\\fR names no other file.\n")
}

/// Lines that keep their breaks and blanks.
fn verbatim<'a>(page: &mut String, lines: impl Iterator<Item = &'a str>) {
    page.push_str(".PP\n.nf\n");
    for line in lines {
        page.push_str(&line_of_text(line));
    }
    page.push_str(".fi\n");
}

/// Paragraphs; lines that start with blanks keep their breaks.
fn text(page: &mut String, text: &str) {
    let mut indented = false;
    for (index, line) in text.lines().enumerate() {
        let starts_with_blank = line.starts_with(' ');
        if starts_with_blank != indented && !line.is_empty() {
            page.push_str(if starts_with_blank { ".nf\n" } else { ".fi\n" });
            indented = starts_with_blank;
        }
        match line {
            "" if index > 0 => page.push_str(".PP\n"),
            "" => {}
            line => page.push_str(&line_of_text(line)),
        }
    }
    if indented {
        page.push_str(".fi\n");
    }
}

/// A line that roff cannot take for a request.
fn line_of_text(line: &str) -> String {
    let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{}\n", escape(line))
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests;
