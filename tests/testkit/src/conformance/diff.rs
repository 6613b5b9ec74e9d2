//! Differences of two short texts, line by line, with the blanks at line ends made visible.

use std::fmt::Write as _;

/// Every line of both texts: `-` only expected, `+` only got, blank for both.
pub(super) fn lines(expected: &str, got: &str) -> String {
    let expected: Vec<&str> = expected.split('\n').collect();
    let got: Vec<&str> = got.split('\n').collect();
    let common = common_lengths(&expected, &got);
    let (mut row, mut column) = (0, 0);
    let mut out = String::new();
    while row < expected.len() || column < got.len() {
        if row < expected.len() && column < got.len() && expected[row] == got[column] {
            put(&mut out, ' ', expected[row]);
            row += 1;
            column += 1;
        } else if column == got.len()
            || (row < expected.len() && common[row + 1][column] >= common[row][column + 1])
        {
            put(&mut out, '-', expected[row]);
            row += 1;
        } else {
            put(&mut out, '+', got[column]);
            column += 1;
        }
    }
    out
}

/// The text, indented and marked off at the left.
pub(super) fn quoted(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        put(&mut out, '|', line);
        out
    })
}

fn put(out: &mut String, mark: char, line: &str) {
    let bare = line.trim_end_matches(' ');
    let blanks = "␠".repeat(line.len() - bare.len());
    let _ = writeln!(out, "    {mark} {bare}{blanks}");
}

/// `table[i][j]`: how many lines the longest common part of `a[i..]` and `b[j..]` has.
fn common_lengths(a: &[&str], b: &[&str]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] =
                if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}
