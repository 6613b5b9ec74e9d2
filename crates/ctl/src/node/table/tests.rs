//! The table of `spec/calicoctl.md` 10.2, and how long cells are cut.

use super::*;

fn row(cells: [&str; 2]) -> [String; 2] {
    cells.map(str::to_owned)
}

#[test]
fn headings_are_centred_and_cells_stand_on_the_left() {
    let rows = [
        ["172.17.8.102", "node-to-node mesh", "up", "2016-11-21", "Established"].map(str::to_owned),
        ["172.17.8.104", "node specific", "down", "2016-11-21", "Failed Socket: error"].map(str::to_owned),
    ];
    assert_eq!(
        render(["Peer address", "Peer type", "State", "Since", "Info"], &rows),
        "\
+--------------+-------------------+-------+------------+----------------------+
| PEER ADDRESS |     PEER TYPE     | STATE |   SINCE    |         INFO         |
+--------------+-------------------+-------+------------+----------------------+
| 172.17.8.102 | node-to-node mesh | up    | 2016-11-21 | Established          |
| 172.17.8.104 | node specific     | down  | 2016-11-21 | Failed Socket: error |
+--------------+-------------------+-------+------------+----------------------+
"
    );
}

#[test]
fn a_long_cell_is_cut_at_blanks_into_even_lines() {
    let rows = [row(["a", "Active Socket: Connection reset by peer"]), row(["b", "up"])];
    assert_eq!(
        render(["N", "Info"], &rows),
        "\
+---+--------------------------------+
| N |              INFO              |
+---+--------------------------------+
| a | Active Socket: Connection      |
|   | reset by peer                  |
| b | up                             |
+---+--------------------------------+
"
    );
}

#[test]
fn a_word_that_is_too_long_widens_its_column() {
    let address = "fd80:24e2:f998:72d7:fd80:24e2:f998:72d7";
    let rows = [row([address, "up"])];
    let text = render(["Peer", "State"], &rows);
    assert!(text.contains(&format!("\n| {address} | up    |\n")), "{text}");
}

#[test]
fn wrapping_prefers_even_lines_to_full_ones() {
    assert_eq!(wrap("aaa bb cc ddddd", 6), ["aaa", "bb cc", "ddddd"]);
    assert_eq!(wrap("short", 30), ["short"]);
    assert_eq!(wrap("", 30), [""]);
}
