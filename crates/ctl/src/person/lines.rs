//! The difference of two short texts, line by line.

/// One line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// In both.
    Same(&'a str),
    /// Only in the first.
    Removed(&'a str),
    /// Only in the second.
    Added(&'a str),
}

/// Texts beyond this many lines are compared as a whole: the table below grows with their product.
const LIMIT: usize = 2000;

/// The lines of `old` and `new` along a longest common subsequence.
pub(crate) fn difference<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LIMIT || new.len() > LIMIT {
        let removed = old.into_iter().map(Line::Removed);
        return removed.chain(new.into_iter().map(Line::Added)).collect();
    }
    let mut longest = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i][j] = if old[i] == new[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push(Line::Removed(old[i]));
            i += 1;
        } else {
            lines.push(Line::Added(new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Line, difference};

    #[test]
    fn a_changed_line_is_removed_and_added_in_place() {
        let lines = difference("a\nb\nc\n", "a\nx\nc\nd\n");
        let expected =
            [Line::Same("a"), Line::Removed("b"), Line::Added("x"), Line::Same("c"), Line::Added("d")];
        assert_eq!(lines, expected);
    }

    proptest! {
        #[test]
        fn applying_a_difference_gives_the_new_text(old in "([abc]\n){0,9}", new in "([abc]\n){0,9}") {
            let lines = difference(&old, &new);
            let side = |keep: fn(&Line<'_>) -> bool| {
                lines.iter().filter(|line| keep(line)).map(|line| match line {
                    Line::Same(text) | Line::Removed(text) | Line::Added(text) => format!("{text}\n"),
                }).collect::<String>()
            };
            prop_assert_eq!(side(|line| !matches!(line, Line::Added(_))), old.clone());
            prop_assert_eq!(side(|line| !matches!(line, Line::Removed(_))), new.clone());
        }
    }
}
