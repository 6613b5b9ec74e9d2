//! The framed table of `node status`, cell for cell as the tablewriter library of Go lays it out.

/// A cell is wrapped when it is longer, unless its column is wide already.
const MOST: usize = 30;

/// What a line costs that is too long.
const TOO_LONG: usize = 100_000;

/// Lays out a heading and rows.
pub(super) fn render<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(|title| title.chars().count());
    // A column only grows, and a cell is wrapped to what it has grown to so far.
    let rows: Vec<[Vec<String>; N]> = rows
        .iter()
        .map(|row| {
            std::array::from_fn(|column| {
                let width = &mut widths[column];
                *width = (*width).max(row[column].chars().count().min(MOST));
                let lines = wrap(&row[column], *width);
                let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
                *width = (*width).max(longest);
                lines
            })
        })
        .collect();
    let rule = format!("+{}\n", widths.map(|width| "-".repeat(width + 2) + "+").concat());
    let mut text = rule.clone();
    for (title, width) in heading.iter().zip(widths) {
        // An odd blank goes to the right.
        text.push_str(&format!("| {:^width$} ", title.to_uppercase()));
    }
    text.push_str("|\n");
    text.push_str(&rule);
    for row in rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            for (cell, width) in row.iter().zip(widths) {
                text.push_str(&format!("| {:width$} ", cell.get(line).map_or("", String::as_str)));
            }
            text.push_str("|\n");
        }
    }
    text.push_str(&rule);
    text
}

/// Cuts a text at blanks into lines of at most `limit`, as even as possible.
fn wrap(text: &str, limit: usize) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let lengths: Vec<usize> = words.iter().map(|word| word.chars().count()).collect();
    let limit = lengths.iter().copied().chain([limit]).max().unwrap_or(limit);
    let count = words.len();
    // For each word: the least cost of the lines from it on, and where its line ends.
    let mut best: Vec<(usize, usize)> = vec![(usize::MAX, count); count];
    for first in (0..count).rev() {
        let length = |end: usize| lengths[first..end].iter().sum::<usize>() + (end - first - 1);
        if length(count) <= limit {
            best[first] = (0, count);
            continue;
        }
        for end in first + 1..count {
            let spare = limit.abs_diff(length(end));
            let penalty = if length(end) > limit { TOO_LONG } else { 0 };
            let cost = (spare * spare).saturating_add(penalty).saturating_add(best[end].0);
            if cost < best[first].0 {
                best[first] = (cost, end);
            }
        }
    }
    let mut lines = Vec::new();
    let mut first = 0;
    while first < count {
        let end = best[first].1;
        lines.push(words[first..end].join(" "));
        first = end;
    }
    lines
}

#[cfg(test)]
mod tests;
