//! Random batches on the fake and on the kernel: both take or refuse the same, and hold the same afterwards.

use std::fmt;

use margay_kernel::nft::{
    AnonymousSet, Batch, ChainPolicy, CommitError, Contents, Detail, Element, Fake, Features, Field, Hook,
    Load, Nft, Nftables, Op, Statement, Value, Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::build::{
    base, batch, iface, name, named, net, open, point, protocol, ranges, regular, rule, set, table,
    table_batch, v4, verdicts,
};
use crate::isolated::in_isolation;

/// One change; names are few, so that changes meet.
#[derive(Debug, Clone)]
enum Change {
    AddChain(u8),
    AddBase(u8, bool),
    DeleteChain(u8),
    DestroyChain(u8),
    FlushChain(u8),
    Jump(u8, u8, bool),
    Dispatch(u8),
    Within(u8, u8),
    Ports(u8, u16),
    AddSet(u8),
    AddRanges(u8),
    AddMap,
    DeleteSet(u8),
    DestroySet(u8),
    AddPoint(u8, u8, bool),
    DeletePoint(u8, u8),
    DestroyPoint(u8, u8),
    AddNet(u8, u8, bool),
    DeleteNet(u8, u8),
    Point(u8, u8),
    Unpoint(u8),
    FlushSet(u8),
    DeleteTable,
    AddTable,
}

fn change() -> impl Strategy<Value = Change> {
    let chain = 0_u8..4;
    let set = 0_u8..3;
    prop_oneof![
        3 => chain.clone().prop_map(Change::AddChain),
        2 => (4_u8..6, any::<bool>()).prop_map(|(chain, policy)| Change::AddBase(chain, policy)),
        2 => (0_u8..6).prop_map(Change::DeleteChain),
        1 => (0_u8..6).prop_map(Change::DestroyChain),
        2 => (0_u8..6).prop_map(Change::FlushChain),
        6 => (0_u8..6, chain.clone(), any::<bool>()).prop_map(|(from, to, goto)| Change::Jump(from, to, goto)),
        2 => (0_u8..6).prop_map(Change::Dispatch),
        3 => (0_u8..6, set.clone()).prop_map(|(chain, set)| Change::Within(chain, set)),
        2 => (0_u8..6, any::<u16>()).prop_map(|(chain, port)| Change::Ports(chain, port)),
        2 => set.clone().prop_map(Change::AddSet),
        1 => set.clone().prop_map(Change::AddRanges),
        2 => Just(Change::AddMap),
        2 => set.clone().prop_map(Change::DeleteSet),
        1 => set.clone().prop_map(Change::DestroySet),
        4 => (set.clone(), 0_u8..4, any::<bool>()).prop_map(|(set, at, new)| Change::AddPoint(set, at, new)),
        2 => (set.clone(), 0_u8..4).prop_map(|(set, at)| Change::DeletePoint(set, at)),
        1 => (set.clone(), 0_u8..4).prop_map(|(set, at)| Change::DestroyPoint(set, at)),
        3 => (set.clone(), 0_u8..4, any::<bool>()).prop_map(|(set, at, new)| Change::AddNet(set, at, new)),
        2 => (set.clone(), 0_u8..4).prop_map(|(set, at)| Change::DeleteNet(set, at)),
        4 => (0_u8..3, chain).prop_map(|(interface, chain)| Change::Point(interface, chain)),
        2 => (0_u8..3).prop_map(Change::Unpoint),
        1 => set.prop_map(Change::FlushSet),
        1 => Just(Change::DeleteTable),
        1 => Just(Change::AddTable),
    ]
}

/// Writes a change; the element that an interface has in the map is looked up in what stands.
fn write(batch: &mut Batch, change: &Change, now: Option<&Contents>) {
    let chain = |number: u8| name(&format!("c{number}"));
    let set_name = |number: u8| name(&format!("s{number}"));
    let address = |at: u8| point(&format!("10.0.0.{at}"));
    // Apart or equal: some that overlap the kernel lets pass, leaving it to its callers to merge them.
    let network = |at: u8| net(&format!("10.0.0.{}/30", at * 4));
    let entry = |interface: u8, chain: u8| {
        let key = iface(&format!("cali{interface}")).into();
        Element::verdict(key, Verdict::Goto(name(&format!("c{chain}"))))
    };
    match change {
        Change::AddChain(number) => batch.add_chain(&regular(&format!("c{number}"))),
        Change::AddBase(number, drop) => {
            let mut chain = base(&format!("c{number}"), Hook::Forward);
            if let (Some(base), true) = (&mut chain.base, drop) {
                base.policy = ChainPolicy::Drop;
            }
            batch.add_chain(&chain);
        }
        Change::DeleteChain(number) => batch.delete_chain(&chain(*number)),
        Change::DestroyChain(number) => batch.destroy_chain(&regular(&format!("c{number}"))),
        Change::FlushChain(number) => batch.flush_chain(&chain(*number)),
        Change::Jump(from, to, goto) => {
            let to = chain(*to);
            let verdict = if *goto { Verdict::Goto(to) } else { Verdict::Jump(to) };
            batch.add_rule(&chain(*from), &rule([Statement::Verdict(verdict)]));
        }
        Change::Dispatch(number) => {
            let dispatch = rule([Statement::VerdictMap(vec![Load::IifName], named("m"))]);
            batch.add_rule(&chain(*number), &dispatch);
        }
        Change::Within(number, set) => {
            let within = Statement::Lookup(vec![Load::Saddr4], Op::Eq, named(&format!("s{set}")));
            batch.insert_rule(&chain(*number), &rule([v4(), within]));
        }
        Change::Ports(number, port) => {
            let ports = AnonymousSet::of_ports([(*port, port.saturating_add(3)), (7, 9)]);
            let within = Statement::Lookup(vec![Load::Dport], Op::Ne, ports.into());
            batch.add_rule(&chain(*number), &rule([protocol(17), within, Statement::Counter]));
        }
        Change::AddSet(number) => batch.add_set(&set(&format!("s{number}"), Field::Ipv4Addr)),
        Change::AddRanges(number) => batch.add_set(&ranges(&format!("s{number}"), Field::Ipv4Addr)),
        Change::AddMap => batch.add_set(&verdicts("m", Field::IfName)),
        Change::DeleteSet(number) => batch.delete_set(&set_name(*number)),
        Change::DestroySet(number) => batch.destroy_set(&set(&format!("s{number}"), Field::Ipv4Addr)),
        Change::AddPoint(number, at, false) => points(batch, now, *number, |batch, name| {
            batch.add_elements(name, [address(*at)]);
        }),
        Change::AddPoint(number, at, true) => points(batch, now, *number, |batch, name| {
            batch.create_elements(name, [address(*at)]);
        }),
        Change::DeletePoint(number, at) => points(batch, now, *number, |batch, name| {
            batch.delete_elements(name, [address(*at)]);
        }),
        Change::DestroyPoint(number, at) => points(batch, now, *number, |batch, name| {
            batch.destroy_elements(name, [address(*at)]);
        }),
        Change::AddNet(number, at, new) => nets(batch, now, *number, |batch, name| {
            if *new {
                batch.create_elements(name, [network(*at)]);
            } else {
                batch.add_elements(name, [network(*at)]);
            }
        }),
        Change::DeleteNet(number, at) => nets(batch, now, *number, |batch, name| {
            batch.delete_elements(name, [network(*at)]);
        }),
        Change::Point(interface, chain) => batch.add_elements(&name("m"), [entry(*interface, *chain)]),
        Change::Unpoint(interface) => {
            let key = Value::IfName(format!("cali{interface}").parse().expect("a name")).into();
            let old = now.and_then(|now| now.sets.get(&name("m"))?.elements.get(&key).cloned());
            let data = old.and_then(|(_, data)| data);
            batch.delete_elements(&name("m"), [Element { key, last: None, data }]);
        }
        Change::FlushSet(number) => batch.flush_set(&set_name(*number)),
        Change::DeleteTable => batch.delete_table(),
        Change::AddTable => batch.add_table(&margay_kernel::nft::Table::new(table())),
    }
}

/// Only where the set that stands has single values: elements say what kind of set they are for.
fn points(
    batch: &mut Batch,
    now: Option<&Contents>,
    number: u8,
    write: impl FnOnce(&mut Batch, &margay_kernel::nft::Name),
) {
    if kind(now, number) == Some(false) {
        write(batch, &name(&format!("s{number}")));
    }
}

/// Only where the set that stands has ranges.
fn nets(
    batch: &mut Batch,
    now: Option<&Contents>,
    number: u8,
    write: impl FnOnce(&mut Batch, &margay_kernel::nft::Name),
) {
    if kind(now, number) == Some(true) {
        write(batch, &name(&format!("s{number}")));
    }
}

/// Whether the set has ranges.
fn kind(now: Option<&Contents>, number: u8) -> Option<bool> {
    Some(now?.sets.get(&name(&format!("s{number}")))?.set.as_ref()?.interval)
}

/// A table that has most of what changes can speak of: what is all missing is all refused, and shows nothing.
fn start() -> Batch {
    let mut batch = table_batch();
    for number in 0..4 {
        batch.add_chain(&regular(&format!("c{number}")));
    }
    for number in 4..6 {
        batch.add_chain(&base(&format!("c{number}"), Hook::Forward));
    }
    batch.add_set(&set("s0", Field::Ipv4Addr));
    batch.add_set(&ranges("s1", Field::Ipv4Addr));
    batch.add_set(&verdicts("m", Field::IfName));
    batch
}

/// What can be compared: not the numbers of rules.
fn shown(contents: Option<&Contents>) -> String {
    contents.map(ToString::to_string).unwrap_or_default()
}

/// Which messages were refused, for what.
fn outcome(result: Result<(), CommitError>) -> Result<(), Vec<impl fmt::Debug + PartialEq>> {
    match result {
        Ok(()) => Ok(()),
        Err(CommitError::Refused(refusals)) => {
            Err(refusals.into_iter().map(|refusal| (refusal.request, refusal.errno)).collect())
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn the_fake_and_the_kernel_agree_on_random_batches() {
    agree("nft::random::the_fake_and_the_kernel_agree_on_random_batches", 60, 7);
}

#[test]
#[ignore = "minutes; part of test-full"]
fn the_fake_and_the_kernel_agree_on_many_random_batches() {
    let test = "nft::random::the_fake_and_the_kernel_agree_on_many_random_batches";
    agree(test, 1_000, 11);
}

/// So many histories, from that seed.
fn agree(test: &str, cases: u32, seed: u8) {
    in_isolation(test, || {
        let config = Config { failure_persistence: None, ..Config::with_cases(cases) };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let histories = prop::collection::vec(prop::collection::vec(change(), 1..4), 1..30);
        let kernel = std::cell::RefCell::new(open());
        if let Err(error) =
            runner.run(&histories, |history| lives_through(&mut kernel.borrow_mut(), &history))
        {
            panic!("{error}");
        }
    });
}

/// Both from a fresh table through one batch after another.
fn lives_through(kernel: &mut Nft, history: &[Vec<Change>]) -> Result<(), TestCaseError> {
    let mut fake = Fake::new(Features::all());
    let mut gone = batch();
    gone.destroy_table();
    kernel.commit(&mut gone).expect("gone");
    kernel.commit(&mut start()).expect("a table");
    fake.commit(&mut start()).expect("a table");
    for changes in history {
        let now = fake.contents(&table()).cloned();
        let mut next = batch();
        for change in changes {
            write(&mut next, change, now.as_ref());
        }
        let by_kernel = outcome(kernel.commit(&mut next));
        let by_fake = outcome(fake.commit(&mut next));
        prop_assert_eq!(by_kernel, by_fake, "{:?} on\n{}", changes, shown(now.as_ref()));
        let dumped = kernel.dump(&table(), Detail::Full).expect("a dump").contents;
        prop_assert_eq!(shown(dumped.as_ref()), shown(fake.contents(&table())), "{:?}", changes);
    }
    Ok(())
}
