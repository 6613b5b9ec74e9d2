//! What we load is what the tool would have loaded: it lists both alike, and we read both alike.

use margay_kernel::nft::{
    Chain, Contents, Data, DataType, Detail, Element, Field, Fields, Key, Nft, Nftables, RuleContents, Set,
    Statement, Value, Verdict,
};

use super::build::{ip, name, net, open, point, ranges, regular, rule, set, table, table_batch, verdicts};
use super::{shapes, tool};
use crate::isolated::in_isolation;

/// Loads all shapes by our own bytes.
fn load_ours(nft: &mut Nft) {
    let mut batch = table_batch();
    batch.add_set(&verdicts("m", Field::IfName));
    batch.add_set(&verdicts("cts", Field::CtState));
    let state = |state| Key::from(Value::CtState(state));
    use margay_kernel::nft::CtState;
    batch.add_elements(
        &name("cts"),
        [
            Element::verdict(state(CtState::ESTABLISHED), Verdict::Accept),
            Element::verdict(state(CtState::RELATED), Verdict::Accept),
            Element::verdict(state(CtState::INVALID), Verdict::Drop),
        ],
    );
    let pair = |first, second| Fields::new([first, second]);
    batch.add_set(&Set::of(name("fs"), pair(Field::InetProto, Field::InetService)));
    batch.add_elements(
        &name("fs"),
        [(6, 22), (17, 68)]
            .map(|(protocol, port)| Element::point(Key::new([Value::Protocol(protocol), Value::Port(port)]))),
    );
    batch.add_set(&Set::of(name("src4"), pair(Field::IfName, Field::Ipv4Addr)));
    batch.add_set(&Set::of(name("src6"), pair(Field::IfName, Field::Ipv6Addr)));
    batch.add_set(&ranges("nets4", Field::Ipv4Addr));
    batch.add_elements(&name("nets4"), [net("10.0.0.0/8"), net("192.168.0.1/32")]);
    batch.add_set(&set("s6", Field::Ipv6Addr));
    batch.add_elements(&name("s6"), [point("fd00::1")]);
    let values = |field: Field| DataType::Values(field.into());
    batch.add_set(&Set::map(name("fip"), Field::Ipv4Addr.into(), values(Field::Ipv4Addr)));
    batch.add_elements(&name("fip"), [Element::entry(ip("1.2.3.4"), Data::Values(ip("10.0.0.1")))]);
    let two = pair(Field::Ipv4Addr, Field::Ipv4Addr);
    batch.add_set(&Set::map(name("hair"), two, values(Field::Ipv4Addr)));
    batch.add_set(&Set::map(name("fip6"), Field::Ipv6Addr.into(), values(Field::Ipv6Addr)));
    batch.add_chain(&regular("x"));
    for place in shapes::all() {
        batch.add_chain(&Chain::base(name(place.name), place.kind, place.hook, place.priority));
        for (_, rule) in &place.rules {
            batch.add_rule(&name(place.name), rule);
        }
    }
    nft.commit(&mut batch).expect("the kernel takes every shape");
}

/// The same in the tool's words.
fn theirs() -> String {
    let mut text = format!("table inet t {{\n{}", shapes::SETS);
    for place in shapes::all() {
        text.push_str(
            &format!(
                "chain {} {{ type {:?} hook {:?} priority {}; policy accept;\n",
                place.name, place.kind, place.hook, place.priority_word
            )
            .to_lowercase(),
        );
        for (words, _) in &place.rules {
            text.push_str(words);
            text.push('\n');
        }
        text.push_str("}\n");
    }
    text.push_str("}\n");
    text
}

fn contents(nft: &mut Nft, detail: Detail) -> Contents {
    nft.dump(&table(), detail).expect("a dump").contents.expect("the table is there")
}

#[test]
fn the_tool_lists_ours_as_its_own() {
    let test = "nft::listing::the_tool_lists_ours_as_its_own";
    if tool::is_missing(test) {
        return;
    }
    in_isolation(test, || {
        let mut nft = open();
        load_ours(&mut nft);
        let ours = tool::list();
        let mut batch = super::build::batch();
        batch.delete_table();
        nft.commit(&mut batch).expect("deleted");
        tool::load(&theirs());
        let theirs = tool::list();
        let differ = |(ours, theirs): &(&str, &str)| ours != theirs;
        let differences: Vec<_> = ours.lines().zip(theirs.lines()).filter(differ).collect();
        assert_eq!(differences, [], "ours:\n{ours}\ntheirs:\n{theirs}");
        assert_eq!(ours.lines().count(), theirs.lines().count());
    });
}

#[test]
fn every_shape_reads_back_as_it_was_written() {
    let test = "nft::listing::every_shape_reads_back_as_it_was_written";
    in_isolation(test, || {
        let mut nft = open();
        load_ours(&mut nft);
        let contents = contents(&mut nft, Detail::Full);
        for place in shapes::all() {
            let read = &contents.chains[&name(place.name)].rules;
            assert_eq!(read.len(), place.rules.len(), "{contents}");
            for ((words, wrote), RuleContents { rule: read, comment, .. }) in place.rules.iter().zip(read) {
                assert_eq!(read.as_ref(), Some(&wrote.canonical()), "{words}");
                assert_eq!(comment.as_deref(), wrote.comment());
            }
        }
        let elements = |set: &str| contents.sets[&name(set)].elements().collect::<Vec<_>>();
        assert_eq!(elements("nets4"), [net("10.0.0.0/8"), net("192.168.0.1/32")]);
        assert_eq!(elements("s6"), [point("fd00::1")]);
        assert_eq!(elements("fip"), [Element::entry(ip("1.2.3.4"), Data::Values(ip("10.0.0.1")))]);
        assert_eq!(elements("cts").len(), 3);
        assert_eq!(contents.sets[&name("m")].set, Some(verdicts("m", Field::IfName)));
        assert_eq!(contents.sets[&name("nets4")].set, Some(ranges("nets4", Field::Ipv4Addr)));
    });
}

#[test]
fn what_the_tool_loads_is_read_too() {
    let test = "nft::listing::what_the_tool_loads_is_read_too";
    if tool::is_missing(test) {
        return;
    }
    in_isolation(test, || {
        let mut nft = open();
        tool::load(&theirs());
        let contents = contents(&mut nft, Detail::Full);
        for place in shapes::all() {
            let rules = &contents.chains[&name(place.name)].rules;
            for ((words, rule), read) in place.rules.iter().zip(rules) {
                // The tool adds what it thinks is missing: compare what comes behind.
                let Some(read) = &read.rule else {
                    assert!(words.contains("tcp") || words.contains("icmp"), "{words} was not understood");
                    continue;
                };
                let last = |rule: &margay_kernel::nft::Rule| rule.canonical().statements().last().cloned();
                assert_eq!(last(read), last(rule), "{words}");
            }
        }
        let drop: Vec<Statement> = vec![Statement::Verdict(Verdict::Drop)];
        let told = &contents.chains[&name("in_from")].rules;
        let noted = told.iter().find(|rule| rule.comment.is_some()).expect("one has a note");
        assert_eq!(noted.rule, Some(rule(drop).with_comment("end of tier")));
    });
}

#[test]
fn a_name_only_dump_has_notes_and_no_content() {
    in_isolation("nft::listing::a_name_only_dump_has_notes_and_no_content", || {
        let mut nft = open();
        load_ours(&mut nft);
        let names = contents(&mut nft, Detail::Names);
        assert!(names.sets.values().all(|set| set.elements.is_empty() && set.set.is_some()));
        assert!(names.chains.values().flat_map(|chain| &chain.rules).all(|rule| rule.rule.is_none()));
        let full = contents(&mut nft, Detail::Full);
        assert_eq!(names.chains.keys().collect::<Vec<_>>(), full.chains.keys().collect::<Vec<_>>());
        assert_eq!(names.sets.keys().collect::<Vec<_>>(), full.sets.keys().collect::<Vec<_>>());
    });
}
