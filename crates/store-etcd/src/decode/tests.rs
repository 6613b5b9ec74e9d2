//! The decoder against hand-written answers, broken ones, and serde_json on random trees in random pieces.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    key: String,
    value: Option<String>,
    directory: bool,
    modified: u64,
}

fn decode(pieces: &[&[u8]]) -> Result<(Vec<Seen>, String), Malformed> {
    let mut decoder = Decoder::new();
    let mut seen = Vec::new();
    let mut visit = |node: Node<'_>| {
        seen.push(Seen {
            key: node.key.to_owned(),
            value: node.value.map(str::to_owned),
            directory: node.directory,
            modified: node.modified,
        });
    };
    for piece in pieces {
        decoder.feed(piece, &mut visit)?;
    }
    decoder.finish()?;
    let action = String::from_utf8_lossy(decoder.action()).into_owned();
    assert_eq!(decoder.nodes(), seen.len() as u64);
    Ok((seen, action))
}

/// Decodes whole, and in pieces of every size up to 7, and wants the same.
fn decode_all_ways(body: &str) -> Result<(Vec<Seen>, String), Malformed> {
    let whole = decode(&[body.as_bytes()]);
    for size in 1..8 {
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
        assert_eq!(decode(&pieces), whole, "in pieces of {size}");
    }
    whole
}

fn leaf(key: &str, value: &str, modified: u64) -> Seen {
    Seen { key: key.to_owned(), value: Some(value.to_owned()), directory: false, modified }
}

fn directory(key: &str, modified: u64) -> Seen {
    Seen { key: key.to_owned(), value: None, directory: true, modified }
}

fn values(body: &str) -> Vec<String> {
    decode_all_ways(body).unwrap().0.into_iter().filter_map(|seen| seen.value).collect()
}

fn with_value(value: &str) -> String {
    format!("{{\"action\":\"get\",\"node\":{{\"key\":\"/a\",\"value\":{value},\"modifiedIndex\":1}}}}")
}

#[test]
fn a_recursive_list_visits_leaves_in_order_and_directories_behind_them() {
    let body = r#"{"action":"get","node":{"key":"/c","dir":true,"nodes":[
        {"key":"/c/a","dir":true,"nodes":[{"key":"/c/a/x","value":"1","modifiedIndex":7,"createdIndex":7}],"modifiedIndex":7,"createdIndex":7},
        {"key":"/c/b","value":"{\"a\":\"\\u003c\"}","modifiedIndex":18446744073709551615,"createdIndex":8}],
        "modifiedIndex":4,"createdIndex":4}}
"#;
    let expected = [
        leaf("/c/a/x", "1", 7),
        directory("/c/a", 7),
        leaf("/c/b", r#"{"a":"\u003c"}"#, u64::MAX),
        directory("/c", 4),
    ];
    assert_eq!(decode_all_ways(body).unwrap(), (expected.to_vec(), "get".to_owned()));
}

#[test]
fn members_come_in_any_order_and_unknown_ones_are_skipped() {
    let body = r#" { "x" : [ ] , "node" : { "modifiedIndex" : 9 , "nodes" : [ { "modifiedIndex" : 3 , "more" : { "key" : "/no" ,
        "nodes" : [ { "value" : "no" } , [ 1.5e-3 , -2 , null , true , false , "a\"]}" ] ] } , "value" : "v" , "key" : "/d/k" } ] ,
        "key" : "/d" } , "prevNode" : { "key" : "/old" , "value" : "old" , "modifiedIndex" : 1 } , "action" : "get" } "#;
    let expected = [leaf("/d/k", "v", 3), directory("/d", 9)];
    assert_eq!(decode_all_ways(body).unwrap(), (expected.to_vec(), "get".to_owned()));
}

#[test]
fn the_root_of_the_keyspace_and_empty_directories_have_no_leaves() {
    let root = decode_all_ways(r#"{"action":"get","node":{"dir":true}}"#).unwrap().0;
    assert_eq!(root, [directory("", 0)]);
    let empty = r#"{"action":"get","node":{"key":"/a","dir":true,"nodes":[],"modifiedIndex":2}}"#;
    assert_eq!(decode_all_ways(empty).unwrap().0, [directory("/a", 2)]);
}

#[test]
fn a_deleted_node_has_no_value() {
    let body = r#"{"action":"delete","node":{"key":"/a","modifiedIndex":5,"createdIndex":4},"prevNode":{"key":"/a","value":"x","modifiedIndex":4,"createdIndex":4}}"#;
    let gone = Seen { key: "/a".to_owned(), value: None, directory: false, modified: 5 };
    assert_eq!(decode_all_ways(body).unwrap(), (vec![gone], "delete".to_owned()));
}

#[test]
fn every_escape_is_undone() {
    assert_eq!(values(&with_value(r#""\"\\\/\b\f\n\r\t""#)), ["\"\\/\u{8}\u{c}\n\r\t"]);
    assert_eq!(values(&with_value(r#""\u003c\u00e9\u540d\uD83D\uDC08""#)), ["<é名🐈"]);
}

#[test]
fn a_lone_surrogate_becomes_the_replacement_character() {
    let lone = [
        (r#""a\ud83db""#, "a\u{FFFD}b"),
        (r#""\udc08""#, "\u{FFFD}"),
        (r#""\ud83d\n""#, "\u{FFFD}\n"),
        (r#""\ud83d\ud83d\udc08""#, "\u{FFFD}🐈"),
        (r#""\ud83d\u0041""#, "\u{FFFD}A"),
        (r#""\ud83d""#, "\u{FFFD}"),
    ];
    for (text, expected) in lone {
        assert_eq!(values(&with_value(text)), [expected], "{text}");
    }
}

#[test]
fn what_is_not_an_answer_is_refused_with_its_place() {
    let refused = [
        ("", 0, "more: the answer ends too early"),
        ("404 page not found\n", 0, "an answer of etcd in JSON"),
        ("<html>", 0, "an answer of etcd in JSON"),
        ("[]", 0, "an answer of etcd in JSON"),
        ("{}", 2, "a node somewhere before the end"),
        (r#"{"node":null}"#, 8, "a node object"),
        (r#"{"node":{"key":7}}"#, 15, "a key as text"),
        (r#"{"node":{"value":7}}"#, 17, "a value as text"),
        (r#"{"node":{"dir":"yes"}}"#, 15, "true or false"),
        (r#"{"node":{"dir":trve}}"#, 17, "true, false or null"),
        (r#"{"node":{"nodes":{}}}"#, 17, "an array of nodes"),
        (r#"{"node":{"nodes":[7]}}"#, 18, "a node object"),
        (r#"{"node":{"modifiedIndex":-1}}"#, 25, "an index"),
        (r#"{"node":{"modifiedIndex":99999999999999999999}}"#, 44, "a smaller index"),
        (r#"{"node":{"modifiedIndex":1.5}}"#, 26, "a comma or a closing brace"),
        (r#"{"node":{"key":"/a","modifiedIndex":1"#, 37, "more: the answer ends too early"),
        (r#"{"node":{"value":"x","modifiedIndex":1}}"#, 38, "a node with a key before this"),
        (r#"{"node":{"key":"/a","value":"x"}}"#, 31, "a node with a modifiedIndex before this"),
        (r#"{"node":{"key":"/a" "value"}}"#, 20, "a comma or a closing brace"),
        (r#"{"node":{"key","value"}}"#, 14, "a colon"),
        (r#"{"node":{"key":"\x"}}"#, 17, "an escape"),
        (r#"{"node":{"key":"\u00g0"}}"#, 20, "a hexadecimal digit"),
        (r#"{"node":{,}}"#, 9, "the name of a member"),
        (r#"{"node":{"dir":true,}}"#, 20, "the name of a member"),
        (r#"{"node":{"dir":true]}"#, 19, "a comma or a closing brace"),
        (r#"{"node":{"dir":true,"nodes":[}"#, 29, "a node object"),
        (r#"{"node":{"dir":true}} {"#, 22, "nothing behind the answer"),
    ];
    for (body, at, expected) in refused {
        assert_eq!(decode_all_ways(body).unwrap_err(), Malformed { at, expected }, "{body}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let body = b"{\"node\":{\"key\":\"/a\",\"value\":\"\xff\",\"modifiedIndex\":1}}";
    assert_eq!(decode(&[body]).unwrap_err(), Malformed { at: 49, expected: "a value in UTF-8 before this" });
    let body = b"{\"node\":{\"key\":\"/\xff\",\"modifiedIndex\":1}}";
    assert_eq!(decode(&[body]).unwrap_err(), Malformed { at: 37, expected: "a key in UTF-8 before this" });
}

#[test]
fn endless_nesting_is_refused() {
    let body = format!("{{\"node\":{}", "{\"nodes\":[".repeat(10_000));
    assert_eq!(decode(&[body.as_bytes()]).unwrap_err().expected, "fewer nested directories");
    let body = format!("{{\"x\":{}", "[".repeat(10_000));
    assert_eq!(decode(&[body.as_bytes()]).unwrap_err().expected, "fewer nested directories");
}

// === random trees ===

/// A tree of nodes: values, or directories of more.
#[derive(Debug, Clone)]
enum Tree {
    Value(String, u64),
    Directory(Vec<(String, Tree)>, u64),
}

/// How one tree is written: member orders and extra members, drawn from a list that is used round and round.
struct Dice<'a> {
    throws: &'a [u8],
    next: usize,
}

impl Dice<'_> {
    fn throw(&mut self, sides: usize) -> usize {
        let throw = self.throws[self.next % self.throws.len()];
        self.next += 1;
        usize::from(throw) % sides
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let index = || prop_oneof![1..1000_u64, any::<u64>().prop_map(|index| index.max(1))];
    let text = prop_oneof![".*", "[\"\\\\{}:,a]{0,40}", "[\\x00-\\x1f🐈é<>&\u{2028}]{0,10}"];
    let value = (text, index()).prop_map(|(value, index)| Tree::Value(value, index));
    value.prop_recursive(4, 40, 6, move |inner| {
        (prop::collection::vec(("[a-z%\"\\\\é]{1,6}", inner), 0..6), index())
            .prop_map(|(children, index)| Tree::Directory(children, index))
    })
}

fn node(key: &str, tree: &Tree, dice: &mut Dice<'_>) -> Value {
    let mut members: Vec<(&str, Value)> = vec![("key", json!(key))];
    match tree {
        Tree::Value(value, index) => {
            members.extend([("value", json!(value)), ("modifiedIndex", json!(index))]);
            if dice.throw(4) == 0 {
                members.push(("dir", json!(false)));
            }
        }
        Tree::Directory(children, index) => {
            let nodes: Vec<Value> =
                children.iter().map(|(name, child)| node(&format!("{key}/{name}"), child, dice)).collect();
            members.extend([("dir", json!(true)), ("modifiedIndex", json!(index))]);
            if !nodes.is_empty() || dice.throw(2) == 0 {
                members.push(("nodes", json!(nodes)));
            }
        }
    }
    if dice.throw(3) == 0 {
        members.push(("expiration", json!({ "key": [1, -2.5e7, null, { "nodes": "\\\"" }], "value": "]" })));
    }
    let mut object = Map::new();
    while !members.is_empty() {
        let (name, value) = members.swap_remove(dice.throw(members.len()));
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// What serde_json finds in the same text.
fn reference(node: &Value, seen: &mut Vec<Seen>) {
    for child in node["nodes"].as_array().into_iter().flatten() {
        reference(child, seen);
    }
    seen.push(Seen {
        key: node["key"].as_str().unwrap().to_owned(),
        value: node["value"].as_str().map(str::to_owned),
        directory: node["dir"] == true,
        modified: node["modifiedIndex"].as_u64().unwrap(),
    });
}

/// Writes every character of every text as an escape where the dice say so.
fn escaped(body: &str, dice: &mut Dice<'_>) -> String {
    let mut out = String::new();
    for c in body.chars() {
        let plain = c.is_ascii() && !c.is_ascii_lowercase();
        if plain || c == 'u' || dice.throw(5) != 0 || out.ends_with('\\') {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_in_random_pieces_decode_as_serde_json_has_them(
        tree in tree(),
        throws in prop::collection::vec(any::<u8>(), 1..64),
        sizes in prop::collection::vec(1..30_usize, 1..20),
        pretty in any::<bool>(),
        escape in any::<bool>(),
    ) {
        let mut dice = Dice { throws: &throws, next: 0 };
        let answer = json!({ "action": "get", "node": node("/root", &tree, &mut dice) });
        let mut body =
            if pretty { serde_json::to_string_pretty(&answer) } else { serde_json::to_string(&answer) }.unwrap();
        if escape {
            let changed = escaped(&body, &mut dice);
            // An escape outside a text, as in `true`, spoils the answer: then the body stays as it was.
            if serde_json::from_str::<Value>(&changed).is_ok() {
                body = changed;
            }
        }
        let mut expected = Vec::new();
        reference(&serde_json::from_str::<Value>(&body).unwrap()["node"], &mut expected);

        let mut pieces = Vec::new();
        let mut rest = body.as_bytes();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        prop_assert_eq!(decode(&pieces).unwrap().0, expected);
    }

    #[test]
    fn a_body_cut_short_never_passes(tree in tree(), cut in any::<prop::sample::Index>()) {
        let mut dice = Dice { throws: &[1], next: 0 };
        let body = json!({ "action": "get", "node": node("/root", &tree, &mut dice) }).to_string();
        let cut = cut.index(body.len());
        prop_assert_eq!(decode(&[&body.as_bytes()[..cut]]).unwrap_err().at, cut as u64);
    }

    #[test]
    fn rubbish_is_refused_and_never_panics(
        body in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\u01tfn ".to_vec())], 0..200),
    ) {
        let decoded = decode(&[&body]);
        if serde_json::from_slice::<Value>(&body).is_err() {
            prop_assert!(decoded.is_err());
        }
    }
}
