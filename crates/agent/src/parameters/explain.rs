//! The table for people: `agent config --explain`, and the reference page.

use std::fmt::Write as _;

use super::{Effect, Parameter, Parameters, TABLE};

/// Every parameter with its value, its source and what a change would do; the unknown names behind them.
#[must_use]
pub fn explain(parameters: &Parameters) -> String {
    let mut rows: Vec<[String; 4]> =
        vec![["PARAMETER", "VALUE", "SOURCE", "WHEN CHANGED"].map(str::to_owned)];
    for row in TABLE {
        let shown = parameters.value(row.name).to_string();
        let value = if shown.is_empty() { "-".to_owned() } else { shown };
        let source = parameters.source(row.name).to_string();
        rows.push([row.text.to_owned(), value, source, row.effect.in_words()]);
    }
    for (name, text, source) in parameters.unknown() {
        rows.push([
            name.to_owned(),
            text.to_owned(),
            source.to_string(),
            "nothing: not a parameter".to_owned(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1).min(40), width(2)];
    let mut text = String::new();
    for [name, value, source, effect] in &rows {
        let [first, second, third] = widths;
        let _ = writeln!(text, "{name:first$}  {value:second$}  {source:third$}  {effect}");
    }
    text
}

/// The reference page's table, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "| parameter | value | default | rules | when changed while running | meaning |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in TABLE {
        let default = if row.default.is_empty() { "–".to_owned() } else { format!("`{}`", row.default) };
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | {} | {} | {} |",
            row.text,
            row.kind,
            row.rules(),
            row.effect.in_words(),
            row.about
        );
    }
    text
}

// === impl Parameter ===

impl Parameter {
    /// The flags in words.
    fn rules(&self) -> String {
        let flags = self.flags;
        let words = [
            (flags.non_zero, "`none` refused"),
            (flags.die, "must be good"),
            (flags.local, "not from the datastore"),
        ];
        let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        if words.is_empty() { "–".to_owned() } else { words.join(", ") }
    }
}

// === impl Effect ===

impl Effect {
    fn in_words(self) -> String {
        match self {
            Self::Meaningless(why) => format!("nothing: {why}"),
            Self::Kept => "nothing: kept for others".to_owned(),
            Self::Start => "counts from the next start".to_owned(),
            Self::Logs => "logs follow at once".to_owned(),
            Self::Health => "the health page is opened again".to_owned(),
            Self::Metrics => "the metrics page is opened again".to_owned(),
            Self::Reports => "reports follow at once".to_owned(),
            Self::Dataplane => "rules, routes and devices follow at once".to_owned(),
        }
    }
}
