//! What the kernel answers about links, routes, flows and tables, and what others send it about tables.

use margay_kernel::nft::{
    Batch, Chain, ChainContents, ChainKind, Contents, DataType, Detail, Element, Fake, Features, Field,
    Fields, Hook, Nftables, Rule, RuleContents, Set, Statement, Table, TableId, Value, Verdict,
    read_anything,
};

/// Messages, one after another: read as the kernel's answers, then sent to the fake as a batch.
///
/// Nothing panics. A batch is done or changes nothing; what stands then can be printed, and its rules and elements
/// are taken by an empty table and read there the same.
pub fn netlink(input: &[u8]) {
    let _ = (read_anything(input), margay_kernel::understand(input));
    let mut fake = start();
    let before = full(&mut fake);
    if !fake.commit_bytes(input) {
        assert_eq!(full(&mut fake), before, "refused, and yet something changed");
        return;
    }
    if let Some(after) = full(&mut fake) {
        assert!(!after.to_string().is_empty());
        assert_eq!(again(&after), after.chains.values().map(|chain| rules(chain)).collect::<Vec<_>>());
    }
}

/// The table that input may speak of.
fn start() -> Fake {
    let mut fake = Fake::new(Features::all());
    let mut batch = Batch::new(table(), Features::all());
    batch.add_table(&Table::new(table()));
    batch.add_set(&Set::of(name("s"), Field::Ipv4Addr.into()));
    batch.add_set(&Set::of_ranges(name("r"), Field::Ipv4Addr.into()));
    batch.add_set(&Set::of_ranges(name("p"), Fields::new([Field::IfName, Field::Ipv4Addr])));
    batch.add_set(&Set::map(name("m"), Field::IfName.into(), DataType::Verdict));
    batch.add_set(&Set::map(name("f"), Field::Ipv4Addr.into(), DataType::Values(Field::Ipv4Addr.into())));
    batch.add_chain(&Chain::base(name("in"), ChainKind::Filter, Hook::Input, 0));
    batch.add_chain(&Chain::regular(name("c")));
    batch.add_chain(&Chain::regular(name("d")));
    let jump = Rule::new(vec![Statement::Verdict(Verdict::Jump(name("c")))]).expect("a rule");
    batch.add_rule(&name("in"), &jump);
    batch.add_elements(&name("s"), [Element::point(Value::V4([10, 0, 0, 1].into()).into())]);
    fake.commit(&mut batch).expect("a good batch");
    fake
}

/// The rules of all chains when the rules, chains and sets that were read are loaded elsewhere.
fn again(contents: &Contents) -> Vec<Vec<Option<Vec<Statement>>>> {
    let mut fake = Fake::new(Features::all());
    let mut batch = Batch::new(contents.id.clone(), Features::all());
    batch.add_table(&Table::new(contents.id.clone()));
    for set in contents.sets.values().filter_map(|set| set.set.as_ref()) {
        batch.add_set(set);
    }
    for (name, chain) in &contents.chains {
        batch.add_chain(&Chain { name: name.clone(), base: chain.base, comment: chain.comment.clone() });
    }
    for (name, set) in &contents.sets {
        batch.add_elements(name, set.elements());
    }
    for (name, chain) in &contents.chains {
        for rule in chain.rules.iter().filter_map(|rule| rule.rule.as_ref()) {
            batch.add_rule(name, rule);
        }
    }
    fake.commit(&mut batch).expect("what stood in one table can stand in another");
    let copy = full(&mut fake).expect("a table");
    copy.chains.values().map(|chain| rules(chain)).collect()
}

/// What the rules of a chain say; long notes are cut off when they are written.
fn rules(chain: &ChainContents) -> Vec<Option<Vec<Statement>>> {
    let said = |rule: &RuleContents| rule.rule.as_ref().map(|rule| rule.canonical().statements().to_vec());
    chain.rules.iter().map(said).collect()
}

fn full(fake: &mut Fake) -> Option<Contents> {
    fake.dump(&table(), Detail::Full).expect("no fault was asked for").contents
}

fn table() -> TableId {
    TableId::inet(name("t"))
}

fn name(text: &str) -> margay_kernel::nft::Name {
    text.parse().expect("a name")
}
