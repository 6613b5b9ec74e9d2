//! Layouts checked against Go's text/tabwriter (minimum width 5, padding 3).

use std::fmt::Write as _;

use super::*;

/// Lays out rows given as in upstream's templates: every cell ended by a tab, every row by a newline.
fn layout(rows: &[&[&str]]) -> String {
    let mut table = Table::new();
    for row in rows {
        table.row(row.iter().copied());
    }
    let mut text = String::new();
    table.write_text(&mut text);
    let mut bytes = Vec::new();
    table.write_to(&mut bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
    text
}

#[test]
fn columns_are_at_least_five_wide_and_three_apart() {
    let rows: &[&[&str]] = &[&["A", "B", "C"], &["xx", "yyyyyyyy", "z"]];
    assert_eq!(layout(rows), "A    B          C    \nxx   yyyyyyyy   z    \n");
}

#[test]
fn width_counts_characters() {
    assert_eq!(layout(&[&["é漢", "x"], &["abcdef", "y"]]), "é漢       x    \nabcdef   y    \n");
}

#[test]
fn a_heading_alone_and_empty_cells_are_padded() {
    assert_eq!(layout(&[&["NAME", "TAGS"]]), "NAME   TAGS   \n");
    assert_eq!(layout(&[&["", ""]]), "          \n");
    assert_eq!(layout(&[]), "");
}

#[test]
fn rows_of_other_lengths_start_new_columns() {
    let rows: &[&[&str]] = &[&["A", "B"], &["a", "x", "y", "z"], &["b", "c"], &[], &["longlonglong", "q"]];
    assert_eq!(layout(rows), "A    B    \na    x    y    z    \nb    c    \n\nlonglonglong   q    \n",);
    let rows: &[&[&str]] = &[&["A", "B", "C"], &["1"], &["1", "22222222"], &["1", "2", "3", "4"]];
    assert_eq!(layout(rows), "A    B    C    \n1    \n1    22222222   \n1    2          3    4    \n");
}

#[test]
fn a_newline_in_a_cell_cuts_the_row_and_a_tab_the_cell() {
    let rows: &[&[&str]] = &[&["A", "B"], &["a\nb", "longer text"], &["c", "d"]];
    assert_eq!(layout(rows), "A    B    \na\nb    longer text   \nc    d             \n");
    assert_eq!(layout(&[&["A", "B"], &["x\ty", "z"]]), "A    B    \nx    y    z    \n");
}

#[test]
fn cells_can_be_built_piece_by_piece() {
    let mut table = Table::new();
    let (inside, outside) = ("10.0.0.1", "172.16.0.1");
    write!(table, "{inside}<>{outside}").unwrap();
    table.write_str(",").unwrap();
    table.end_cell();
    table.end_cell();
    table.end_row();
    let mut text = String::new();
    table.write_text(&mut text);
    assert_eq!(text, "10.0.0.1<>172.16.0.1,        \n");
    assert_eq!(table.rows(), 1);
}

#[test]
fn many_rows_are_written_whole() {
    let mut table = Table::new();
    for row in 0..20_000 {
        table.cell("name");
        table.cell(&row.to_string());
        table.end_row();
    }
    let mut bytes = Vec::new();
    table.write_to(&mut bytes).unwrap();
    let lines: Vec<_> = std::str::from_utf8(&bytes).unwrap().lines().collect();
    assert_eq!(lines.len(), 20_000);
    assert_eq!(lines[19_999], "name   19999   ");
    assert_eq!(lines[7], "name   7       ");
}
