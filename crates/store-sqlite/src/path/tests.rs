//! Keys and their stored form.

use super::*;

fn stored(key: &str) -> StoredPath {
    StoredPath::of(key).unwrap()
}

#[test]
fn order_is_component_by_component_for_every_character() {
    let names =
        ["\u{1}", "\u{1}\u{1}", "\u{1}\u{2}", "\u{2}", "\u{2}\u{1}", "\u{3}", " ", "-", "a", "a\u{1}", "a-"];
    let mut keys = vec![];
    for first in names {
        keys.push(vec![first]);
        keys.extend(names.map(|second| vec![first, second]));
    }
    let by_components = |a: &Vec<&str>, b: &Vec<&str>| a.cmp(b);
    let mut expected = keys.clone();
    expected.sort_by(by_components);
    keys.reverse();
    keys.sort_by_key(|key| stored(&format!("/{}", key.join("/"))).0);
    assert_eq!(keys, expected);
}

#[test]
fn a_stored_path_is_read_back_as_its_key() {
    for key in ["/a", "/a/b-c/d", "/\u{1}/\u{2}\u{1}/x\u{2}", "/名前/%2f"] {
        let mut text = vec![];
        decode(stored(key).bytes(), &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), key);
        let name = key.rsplit('/').next().unwrap();
        assert_eq!(String::from_utf8(name_of(stored(key).bytes())).unwrap(), name);
    }
}

#[test]
fn the_range_of_a_path_holds_what_is_at_or_below_it() {
    let directory = stored("/a/b");
    for key in ["/a/b", "/a/b/c", "/a/b/\u{1}", "/a/b/\u{10ffff}/d"] {
        let path = stored(key);
        assert!(directory.bytes() <= path.bytes() && path.bytes() < directory.end().as_slice(), "{key:?}");
        assert!(directory.holds(path.bytes()) && path.is_held_by(directory.bytes()), "{key:?}");
    }
    for key in ["/a", "/a/b\u{1}", "/a/b\u{2}/c", "/a/b-", "/a/bb", "/a/a", "/b"] {
        let path = stored(key);
        assert!(path.bytes() < directory.bytes() || directory.end().as_slice() <= path.bytes(), "{key:?}");
        assert!(!directory.holds(path.bytes()), "{key:?}");
    }
}

#[test]
fn ancestors_come_nearest_first() {
    let path = stored("/a/\u{1}b/c");
    let expected = [stored("/a/\u{1}b"), stored("/a")];
    assert_eq!(
        path.ancestors().collect::<Vec<_>>(),
        expected.iter().map(StoredPath::bytes).collect::<Vec<_>>()
    );
}
