//! One suite for the kernel and its fake: what is taken, what is refused and with which number, and what stands then.

use margay_kernel::Errno;
use margay_kernel::nft::{
    AnonymousSet, Base, Batch, Chain, ChainKind, ChainPolicy, CommitError, Contents, Data, DataType, Detail,
    Dump, DumpError, Element, Fake, Fault, Faulty, Features, Field, Fields, Hook, IfPrefix, Key, Limit, Load,
    Name, Nat, NatKind, NatTarget, Nftables, Op, Owner, RuleHandle, Set, SetRef, Statement, Table, TableId,
    Touched, Unit, Value, Verdict, merge_ranges,
};
use margay_net::IpVersion;

use super::build::{
    accept, base, batch, goto, iface, ip, jump, name, named, net, open, point, protocol, ranges, regular,
    rule, set, table, table_batch, v4, verdicts,
};
use super::shapes;
use crate::isolated::in_isolation;

/// Makes two tests of a case, one on the fake and one on the kernel.
macro_rules! cases {
    ($($case:ident)*) => {
        mod fake {
            $(#[test] fn $case() { super::$case(&mut margay_kernel::nft::Fake::new(super::Features::all())); })*
        }
        mod kernel {
            $(#[test] fn $case() {
                let test = concat!("nft::suite::kernel::", stringify!($case));
                super::in_isolation(test, || super::$case(&mut super::open()));
            })*
        }
    };
}

cases! {
    all_or_nothing
    a_refusal_names_its_owner_and_what_was_asked
    every_refused_message_is_told
    a_table_is_added_once_and_deleted_with_all_it_holds
    a_note_is_kept
    a_chain_keeps_its_base
    chains_that_can_not_be_are_refused
    a_chain_in_use_is_not_deleted
    a_chain_is_deleted_with_its_rules
    rules_come_in_order
    a_rule_is_deleted_by_its_number
    what_a_rule_names_must_be_there
    packets_never_go_in_circles
    packets_go_sixteen_chains_deep
    a_map_sends_packets_in_circles_no_more_than_rules
    nobody_jumps_to_a_base_chain
    statements_stand_where_the_kernel_takes_them
    a_set_is_added_once
    a_set_in_use_is_not_deleted
    elements_are_added_and_deleted
    a_map_gives_one_thing_for_a_key
    a_key_is_repointed_in_one_batch
    ranges_do_not_overlap
    ranges_touch_and_end_at_the_last_address
    ranges_of_names_are_prefixes
    ranges_with_several_fields
    elements_that_do_not_fit_are_refused
    deleting_what_may_not_be_there
    many_elements_in_one_batch
    a_batch_for_an_older_generation_is_refused
    every_shape_is_taken_and_reads_back
    two_tables_in_one_batch
    only_the_first_of_those_in_a_circle_is_at_fault
    one_set_alone_is_read
}

/// Does a batch that must be done.
#[track_caller]
fn done(tables: &mut dyn Nftables, mut batch: Batch) {
    if let Err(error) = tables.commit(&mut batch) {
        let left = tables.dump(&table(), Detail::Full).expect("a dump").contents;
        panic!("{error}\n{}", left.map(|left| left.to_string()).unwrap_or_default());
    }
}

/// Does a batch that must be refused; says by which numbers.
#[track_caller]
fn refused(tables: &mut dyn Nftables, mut batch: Batch) -> Vec<Errno> {
    let before = tables.dump(&table(), Detail::Full).expect("a dump").contents;
    let Err(CommitError::Refused(refusals)) = tables.commit(&mut batch) else { panic!("it was not refused") };
    assert_eq!(tables.dump(&table(), Detail::Full).expect("a dump").contents, before, "all or nothing");
    refusals.iter().map(|refusal| refusal.errno).collect()
}

#[track_caller]
fn contents(tables: &mut dyn Nftables) -> Contents {
    tables.dump(&table(), Detail::Full).expect("a dump").contents.expect("the table is there")
}

/// The elements of a set, in order.
#[track_caller]
fn elements(tables: &mut dyn Nftables, set: &str) -> Vec<Element> {
    contents(tables).sets[&name(set)].elements().collect()
}

/// Changes in one batch.
fn with(change: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = batch();
    change(&mut batch);
    batch
}

/// A fresh table with these things in it.
fn start(tables: &mut dyn Nftables, change: impl FnOnce(&mut Batch)) {
    let mut batch = table_batch();
    change(&mut batch);
    done(tables, batch);
}

fn verdict(verdict: Verdict) -> margay_kernel::nft::Rule {
    rule([Statement::Verdict(verdict)])
}

fn all_or_nothing(tables: &mut dyn Nftables) {
    start(tables, |batch| batch.add_set(&set("s", Field::Ipv4Addr)));
    let numbers = refused(
        tables,
        with(|batch| {
            batch.add_elements(&name("s"), [point("10.0.0.1")]);
            batch.add_chain(&regular("c"));
            batch.delete_chain(&name("nothing"));
        }),
    );
    assert_eq!(numbers, [Errno::NOENT]);
    assert_eq!(elements(tables, "s"), []);
    let generation = tables.generation().expect("a generation");
    done(tables, with(|_| {}));
    assert_eq!(tables.generation(), Ok(generation), "an empty batch is nothing");
}

fn a_refusal_names_its_owner_and_what_was_asked(tables: &mut dyn Nftables) {
    start(tables, |_| {});
    let mut batch = with(|batch| {
        batch.set_owner(Owner(7));
        batch.add_chain(&regular("good"));
        batch.set_owner(Owner(8));
        batch.add_rule(&name("good"), &verdict(jump("bad")));
        batch.set_owner(Owner(9));
        batch.add_rule(&name("good"), &verdict(Verdict::Drop));
    });
    let error = tables.commit(&mut batch).expect_err("refused");
    assert_eq!(error.owners(), [Owner(8)]);
    assert!(error.to_string().contains("adding a rule to chain good"), "{error}");
    let CommitError::Refused(refusals) = error else { panic!("{error}") };
    assert_eq!((refusals.len(), refusals[0].errno), (1, Errno::NOENT));
}

fn every_refused_message_is_told(tables: &mut dyn Nftables) {
    start(tables, |batch| batch.add_chain(&regular("c")));
    let numbers = refused(
        tables,
        with(|batch| {
            for _ in 0..300 {
                batch.delete_set(&name("nothing"));
            }
            batch.add_rule(&name("c"), &verdict(goto("nothing")));
        }),
    );
    assert_eq!(numbers, [Errno::NOENT; 301]);
}

fn a_table_is_added_once_and_deleted_with_all_it_holds(tables: &mut dyn Nftables) {
    assert_eq!(refused(tables, with(Batch::delete_table)), [Errno::NOENT]);
    start(tables, |batch| {
        batch.add_table(&Table::new(table()));
        batch.add_chain(&regular("c"));
        batch.add_chain(&regular("d"));
        batch.add_rule(&name("c"), &verdict(jump("d")));
        batch.add_set(&verdicts("m", Field::IfName));
        batch.add_elements(&name("m"), [Element::verdict(iface("eth0").into(), goto("c"))]);
    });
    // The older content goes and the new one comes at one moment.
    done(
        tables,
        with(|batch| {
            batch.delete_table();
            batch.add_table(&Table::new(table()));
            batch.add_chain(&regular("e"));
        }),
    );
    let now = contents(tables);
    assert_eq!((now.chains.len(), now.sets.len()), (1, 0));
    done(tables, with(Batch::delete_table));
    assert_eq!(tables.dump(&table(), Detail::Full).expect("a dump").contents, None);
}

fn a_note_is_kept(tables: &mut dyn Nftables) {
    let noted = Table { comment: Some("schema=1 gen=42 host=node1".into()), ..Table::new(table()) };
    done(
        tables,
        with(|batch| {
            batch.add_table(&noted);
            batch.add_chain(&Chain { comment: Some("a chain".into()), ..regular("c") });
            batch.add_rule(&name("c"), &verdict(Verdict::Drop).with_comment("end of tier"));
            batch.add_set(&Set { comment: Some("a set".into()), ..set("s", Field::Mark) });
        }),
    );
    for detail in [Detail::Names, Detail::Elements, Detail::Full] {
        let now = tables.dump(&table(), detail).expect("a dump").contents.expect("a table");
        assert_eq!(now.comment, noted.comment);
        let chain = &now.chains[&name("c")];
        assert_eq!(chain.comment.as_deref(), Some("a chain"));
        assert_eq!(chain.rules[0].comment.as_deref(), Some("end of tier"));
        let set = now.sets[&name("s")].set.clone().expect("a set");
        assert_eq!(set.comment.as_deref(), Some("a set"));
    }
}

fn a_chain_keeps_its_base(tables: &mut dyn Nftables) {
    let chain = base("in", Hook::Input);
    start(tables, |batch| {
        batch.add_chain(&chain);
        batch.add_chain(&regular("c"));
    });
    let drop =
        Chain { base: chain.base.map(|base| Base { policy: ChainPolicy::Drop, ..base }), ..chain.clone() };
    done(tables, with(|batch| batch.add_chain(&drop)));
    assert_eq!(contents(tables).chains[&name("in")].base, drop.base);
    let elsewhere = base("in", Hook::Forward);
    assert_eq!(refused(tables, with(|batch| batch.add_chain(&elsewhere))), [Errno::OPNOTSUPP]);
    let earlier = Chain::base(name("in"), ChainKind::Filter, Hook::Input, -5);
    assert_eq!(refused(tables, with(|batch| batch.add_chain(&earlier))), [Errno::OPNOTSUPP]);
    assert_eq!(refused(tables, with(|batch| batch.add_chain(&base("c", Hook::Input)))), [Errno::OPNOTSUPP]);
    done(tables, with(|batch| batch.add_chain(&regular("c"))));
}

fn chains_that_can_not_be_are_refused(tables: &mut dyn Nftables) {
    let chain = |kind, hook, priority| Chain::base(name("c"), kind, hook, priority);
    assert_eq!(refused(tables, with(|batch| batch.add_chain(&regular("c")))), [Errno::NOENT]);
    start(tables, |_| {});
    for bad in [
        chain(ChainKind::Nat, Hook::Forward, 0),
        chain(ChainKind::Nat, Hook::Prerouting, -200),
        chain(ChainKind::Route, Hook::Input, 0),
    ] {
        assert_eq!(refused(tables, with(|batch| batch.add_chain(&bad))), [Errno::OPNOTSUPP], "{bad:?}");
    }
}

fn a_chain_in_use_is_not_deleted(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        for chain in ["a", "b", "c"] {
            batch.add_chain(&regular(chain));
        }
        batch.add_rule(&name("a"), &verdict(jump("b")));
        batch.add_set(&verdicts("m", Field::IfName));
        batch.add_elements(&name("m"), [Element::verdict(iface("eth0").into(), goto("c"))]);
    });
    assert_eq!(refused(tables, with(|batch| batch.delete_chain(&name("b")))), [Errno::BUSY]);
    assert_eq!(refused(tables, with(|batch| batch.delete_chain(&name("c")))), [Errno::BUSY]);
    done(
        tables,
        with(|batch| {
            batch.flush_chain(&name("a"));
            batch.delete_chain(&name("b"));
            batch.delete_elements(&name("m"), [Element::verdict(iface("eth0").into(), goto("c"))]);
            batch.delete_chain(&name("c"));
        }),
    );
    assert_eq!(contents(tables).chains.len(), 1);
}

fn a_chain_is_deleted_with_its_rules(tables: &mut dyn Nftables) {
    let states = AnonymousSet::of_ports([(1, 2), (5, 9)]);
    start(tables, |batch| {
        batch.add_chain(&regular("a"));
        batch.add_chain(&regular("b"));
        batch.add_rule(&name("a"), &verdict(jump("b")));
        batch.add_rule(&name("a"), &rule([protocol(6), Statement::within([Load::Dport], states.into())]));
    });
    done(
        tables,
        with(|batch| {
            batch.delete_chain(&name("a"));
            batch.delete_chain(&name("b"));
        }),
    );
    let now = contents(tables);
    assert!(now.chains.is_empty() && now.sets.is_empty(), "{now}");
}

fn rules_come_in_order(tables: &mut dyn Nftables) {
    let mark = |mark| rule([Statement::SetMark { and: 0, xor: mark }]);
    start(tables, |batch| {
        batch.add_chain(&regular("c"));
        batch.add_rule(&name("c"), &mark(2));
        batch.add_rule(&name("c"), &mark(4));
        batch.insert_rule(&name("c"), &mark(1));
    });
    let second = contents(tables).chains[&name("c")].rules[1].handle;
    done(tables, with(|batch| batch.add_rule_behind(&name("c"), &mark(3), second)));
    let now = contents(tables);
    let rules: Vec<_> = now.chains[&name("c")].rules.iter().map(|rule| rule.rule.clone()).collect();
    assert_eq!(rules, [1, 2, 3, 4].map(|number| Some(mark(number))), "{now}");
    let nowhere = with(|batch| batch.add_rule_behind(&name("c"), &mark(3), RuleHandle(9999)));
    assert_eq!(refused(tables, nowhere), [Errno::NOENT]);
}

fn a_rule_is_deleted_by_its_number(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_chain(&regular("c"));
        batch.add_rule(&name("c"), &verdict(Verdict::Accept));
        batch.add_rule(&name("c"), &verdict(Verdict::Drop));
    });
    let first = contents(tables).chains[&name("c")].rules[0].handle;
    done(tables, with(|batch| batch.delete_rule(&name("c"), first)));
    assert_eq!(contents(tables).chains[&name("c")].rules[0].rule, Some(verdict(Verdict::Drop)));
    assert_eq!(refused(tables, with(|batch| batch.delete_rule(&name("c"), first))), [Errno::NOENT]);
    assert_eq!(refused(tables, with(|batch| batch.flush_chain(&name("d")))), [Errno::NOENT]);
}

fn what_a_rule_names_must_be_there(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_chain(&regular("c"));
        batch.add_set(&set("s", Field::Ipv4Addr));
        batch.add_set(&verdicts("m", Field::IfName));
    });
    let refuse = |tables: &mut dyn Nftables, statements: Vec<Statement>| {
        refused(tables, with(|batch| batch.add_rule(&name("c"), &rule(statements))))
    };
    let within = |loads: &[Load], set: &str| Statement::Lookup(loads.to_vec(), Op::Eq, named(set));
    assert_eq!(refuse(tables, vec![v4(), within(&[Load::Saddr4], "nothing")]), [Errno::NOENT]);
    assert_eq!(
        refuse(tables, vec![v4(), Statement::VerdictMap(vec![Load::Saddr4], named("s"))]),
        [Errno::INVAL]
    );
    assert_eq!(refuse(tables, vec![Statement::Verdict(goto("nothing"))]), [Errno::NOENT]);
    let nowhere = with(|batch| batch.add_rule(&name("d"), &verdict(Verdict::Drop)));
    assert_eq!(refused(tables, nowhere), [Errno::NOENT]);
    // What comes earlier in the batch is there.
    done(
        tables,
        with(|batch| {
            batch.add_set(&set("s2", Field::Ipv4Addr));
            batch.add_chain(&regular("d"));
            batch.add_rule(
                &name("c"),
                &rule([v4(), within(&[Load::Saddr4], "s2"), Statement::Verdict(jump("d"))]),
            );
        }),
    );
}

fn packets_never_go_in_circles(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_chain(&base("in", Hook::Input));
        for chain in ["a", "b", "c"] {
            batch.add_chain(&regular(chain));
        }
        batch.add_rule(&name("in"), &verdict(jump("a")));
        batch.add_rule(&name("a"), &verdict(jump("b")));
        batch.add_rule(&name("b"), &verdict(goto("c")));
    });
    let closing = with(|batch| {
        batch.set_owner(Owner(3));
        batch.add_rule(&name("c"), &verdict(jump("a")));
    });
    assert_eq!(refused(tables, closing), [Errno::MLINK]);
    let own = with(|batch| batch.add_rule(&name("c"), &verdict(jump("c"))));
    assert_eq!(refused(tables, own), [Errno::MLINK]);
}

/// A way of so many chains, the base chain included.
fn way(tables: &mut dyn Nftables, length: usize) -> Batch {
    start(tables, |batch| {
        batch.add_chain(&base("c0", Hook::Input));
        for number in 1..length {
            batch.add_chain(&regular(&format!("c{number}")));
        }
    });
    with(|batch| {
        for number in 1..length {
            batch.add_rule(&name(&format!("c{}", number - 1)), &verdict(jump(&format!("c{number}"))));
        }
    })
}

fn packets_go_sixteen_chains_deep(tables: &mut dyn Nftables) {
    let sixteen = way(tables, 16);
    done(tables, sixteen);
    done(tables, with(Batch::delete_table));
    let seventeen = way(tables, 17);
    assert_eq!(refused(tables, seventeen), [Errno::MLINK]);
}

fn a_map_sends_packets_in_circles_no_more_than_rules(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_chain(&base("in", Hook::Input));
        batch.add_chain(&regular("a"));
        batch.add_set(&verdicts("m", Field::IfName));
        batch.add_rule(&name("in"), &rule([Statement::VerdictMap(vec![Load::IifName], named("m"))]));
        batch.add_rule(&name("a"), &rule([Statement::VerdictMap(vec![Load::IifName], named("m"))]));
    });
    let closing = with(|batch| {
        batch.add_elements(&name("m"), [Element::verdict(iface("eth0").into(), jump("a"))]);
    });
    assert_eq!(refused(tables, closing), [Errno::MLINK]);
    let nowhere = with(|batch| {
        batch.add_elements(&name("m"), [Element::verdict(iface("eth0").into(), jump("nothing"))]);
    });
    assert_eq!(refused(tables, nowhere), [Errno::NOENT]);
}

fn nobody_jumps_to_a_base_chain(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_chain(&base("in", Hook::Input));
        batch.add_chain(&regular("a"));
    });
    let jumping = with(|batch| batch.add_rule(&name("a"), &verdict(jump("in"))));
    assert_eq!(refused(tables, jumping), [Errno::OPNOTSUPP]);
}

fn statements_stand_where_the_kernel_takes_them(tables: &mut dyn Nftables) {
    let snat = Nat {
        kind: NatKind::Source,
        version: IpVersion::V4,
        to: NatTarget::Address("10.0.0.1".parse().expect("an address"), None),
    };
    let masquerade = Statement::Masquerade { random_fully: false, ports: None };
    start(tables, |batch| {
        batch.add_chain(&base("filter", Hook::Input));
        batch.add_chain(&base("post", Hook::Postrouting));
        batch.add_chain(&Chain::base(name("nat"), ChainKind::Nat, Hook::Prerouting, 0));
        batch.add_chain(&regular("far"));
    });
    let refuse = |tables: &mut dyn Nftables, chain: &str, statement: &Statement| {
        refused(tables, with(|batch| batch.add_rule(&name(chain), &rule([statement.clone()]))))
    };
    assert_eq!(refuse(tables, "filter", &masquerade), [Errno::OPNOTSUPP]);
    assert_eq!(refuse(tables, "nat", &masquerade), [Errno::OPNOTSUPP]);
    assert_eq!(refuse(tables, "nat", &Statement::Nat(snat)), [Errno::OPNOTSUPP]);
    assert_eq!(refuse(tables, "post", &Statement::ReversePath(true)), [Errno::OPNOTSUPP]);
    // A chain that nobody jumps to may hold it.
    done(tables, with(|batch| batch.add_rule(&name("far"), &rule([masquerade.clone()]))));
    assert_eq!(refuse(tables, "filter", &Statement::Verdict(jump("far"))), [Errno::OPNOTSUPP]);
}

fn a_set_is_added_once(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_set(&set("s", Field::Ipv4Addr));
        batch.add_set(&set("s", Field::Ipv4Addr));
    });
    for other in [set("s", Field::Ipv6Addr), ranges("s", Field::Ipv4Addr), verdicts("s", Field::Ipv4Addr)] {
        assert_eq!(refused(tables, with(|batch| batch.add_set(&other))), [Errno::EXIST], "{other:?}");
    }
    assert_eq!(refused(tables, with(|batch| batch.delete_set(&name("t")))), [Errno::NOENT]);
    done(tables, with(|batch| batch.delete_set(&name("s"))));
}

fn a_set_in_use_is_not_deleted(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_set(&set("s", Field::Ipv4Addr));
        batch.add_chain(&regular("c"));
        batch.add_rule(&name("c"), &rule([v4(), Statement::within([Load::Saddr4], named("s")), accept()]));
    });
    assert_eq!(refused(tables, with(|batch| batch.delete_set(&name("s")))), [Errno::BUSY]);
    done(
        tables,
        with(|batch| {
            batch.flush_chain(&name("c"));
            batch.delete_set(&name("s"));
        }),
    );
}

fn elements_are_added_and_deleted(tables: &mut dyn Nftables) {
    start(tables, |batch| batch.add_set(&set("s", Field::Ipv4Addr)));
    let (one, two) = (point("10.0.0.1"), point("10.0.0.2"));
    done(tables, with(|batch| batch.add_elements(&name("s"), [&one, &two])));
    done(tables, with(|batch| batch.add_elements(&name("s"), [&one])));
    assert_eq!(elements(tables, "s"), [one.clone(), two.clone()]);
    assert_eq!(refused(tables, with(|batch| batch.create_elements(&name("s"), [&one]))), [Errno::EXIST]);
    done(tables, with(|batch| batch.delete_elements(&name("s"), [&one])));
    assert_eq!(elements(tables, "s"), [two]);
    assert_eq!(refused(tables, with(|batch| batch.delete_elements(&name("s"), [&one]))), [Errno::NOENT]);
    done(tables, with(|batch| batch.flush_set(&name("s"))));
    assert_eq!(elements(tables, "s"), []);
    assert_eq!(refused(tables, with(|batch| batch.add_elements(&name("x"), [&one]))), [Errno::NOENT]);
}

fn a_map_gives_one_thing_for_a_key(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        let data = DataType::Values(Field::Ipv4Addr.into());
        batch.add_set(&Set::map(name("m"), Field::Ipv4Addr.into(), data));
    });
    let entry = |to: &str| Element::entry(ip("1.2.3.4"), Data::Values(ip(to)));
    done(tables, with(|batch| batch.add_elements(&name("m"), [entry("10.0.0.1")])));
    done(tables, with(|batch| batch.add_elements(&name("m"), [entry("10.0.0.1")])));
    let other = with(|batch| batch.add_elements(&name("m"), [entry("10.0.0.2")]));
    assert_eq!(refused(tables, other), [Errno::EXIST]);
    assert_eq!(elements(tables, "m"), [entry("10.0.0.1")]);
}

fn a_key_is_repointed_in_one_batch(tables: &mut dyn Nftables) {
    let entry = |chain: &str| Element::verdict(iface("cali1").into(), goto(chain));
    start(tables, |batch| {
        batch.add_set(&verdicts("m", Field::IfName));
        batch.add_chain(&regular("a"));
        batch.add_elements(&name("m"), [entry("a")]);
    });
    done(
        tables,
        with(|batch| {
            batch.add_chain(&regular("b"));
            batch.delete_elements(&name("m"), [entry("a")]);
            batch.add_elements(&name("m"), [entry("b")]);
            batch.delete_chain(&name("a"));
        }),
    );
    assert_eq!(elements(tables, "m"), [entry("b")]);
}

fn ranges_do_not_overlap(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_set(&ranges("s", Field::Ipv4Addr));
        batch.add_elements(&name("s"), [net("10.0.0.0/8"), net("172.16.0.0/12")]);
    });
    for inside in ["10.1.0.0/16", "10.0.0.0/16", "10.255.0.0/16", "8.0.0.0/5"] {
        let adding = with(|batch| batch.add_elements(&name("s"), [net(inside)]));
        assert_eq!(refused(tables, adding), [Errno::EXIST], "{inside}");
    }
    done(tables, with(|batch| batch.add_elements(&name("s"), [net("10.0.0.0/8")])));
    assert_eq!(
        refused(tables, with(|batch| batch.create_elements(&name("s"), [net("10.0.0.0/8")]))),
        [Errno::EXIST]
    );
    done(tables, with(|batch| batch.delete_elements(&name("s"), [net("10.0.0.0/8")])));
    assert_eq!(elements(tables, "s"), [net("172.16.0.0/12")]);
}

fn ranges_touch_and_end_at_the_last_address(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_set(&ranges("s", Field::Ipv4Addr));
        batch.add_elements(&name("s"), [net("10.0.0.0/9"), net("10.128.0.0/9"), net("240.0.0.0/4")]);
        batch.add_set(&ranges("all", Field::Ipv6Addr));
        batch.add_elements(&name("all"), [net("::/0")]);
    });
    assert_eq!(elements(tables, "s"), [net("10.0.0.0/9"), net("10.128.0.0/9"), net("240.0.0.0/4")]);
    assert_eq!(elements(tables, "all"), [net("::/0")]);
    done(tables, with(|batch| batch.delete_elements(&name("s"), [net("10.128.0.0/9"), net("240.0.0.0/4")])));
    assert_eq!(elements(tables, "s"), [net("10.0.0.0/9")]);
    done(tables, with(|batch| batch.add_elements(&name("s"), [net("10.128.0.0/16")])));
    assert_eq!(elements(tables, "s"), [net("10.0.0.0/9"), net("10.128.0.0/16")]);
}

fn ranges_of_names_are_prefixes(tables: &mut dyn Nftables) {
    let prefixes = ["cali", "tap"].map(|text| text.parse::<IfPrefix>().expect("a prefix").range());
    start(tables, |batch| {
        batch.add_set(&ranges("p", Field::IfName));
        batch.add_elements(&name("p"), &prefixes);
    });
    assert_eq!(elements(tables, "p"), prefixes);
}

fn ranges_with_several_fields(tables: &mut dyn Nftables) {
    let fields = Fields::new([Field::IfName, Field::Ipv4Addr]);
    let range = |interface: &str, first: [u8; 4], last: [u8; 4]| {
        let key = |address: [u8; 4]| Key::new([iface(interface), Value::V4(address.into())]);
        Element::range(key(first), key(last))
    };
    let one = range("cali1", [10, 0, 0, 0], [10, 0, 0, 255]);
    let two = range("cali2", [10, 0, 0, 1], [10, 0, 0, 7]);
    start(tables, |batch| {
        batch.add_set(&Set::of_ranges(name("s"), fields));
        batch.add_elements(&name("s"), [&one, &two]);
    });
    assert_eq!(elements(tables, "s"), [one.clone(), two.clone()]);
    let inside = range("cali1", [10, 0, 0, 4], [10, 0, 0, 4]);
    assert_eq!(refused(tables, with(|batch| batch.add_elements(&name("s"), [&inside]))), [Errno::EXIST]);
    done(tables, with(|batch| batch.add_elements(&name("s"), [&one])));
    done(tables, with(|batch| batch.delete_elements(&name("s"), [&one])));
    assert_eq!(elements(tables, "s"), [two]);
}

fn elements_that_do_not_fit_are_refused(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_set(&set("s", Field::Ipv4Addr));
        batch.add_set(&verdicts("m", Field::Ipv4Addr));
    });
    let refuse = |tables: &mut dyn Nftables, set: &str, element: Element| {
        refused(tables, with(|batch| batch.add_elements(&name(set), [element])))
    };
    assert_eq!(refuse(tables, "s", point("fd00::1")), [Errno::INVAL]);
    assert_eq!(refuse(tables, "s", Element::verdict(ip("1.2.3.4"), Verdict::Drop)), [Errno::INVAL]);
    assert_eq!(refuse(tables, "m", point("1.2.3.4")), [Errno::INVAL]);
}

fn deleting_what_may_not_be_there(tables: &mut dyn Nftables) {
    for features in [tables.features(), Features { destroy: false, ..tables.features() }] {
        let with = |change: &dyn Fn(&mut Batch)| {
            let mut batch = Batch::new(table(), features);
            change(&mut batch);
            batch
        };
        done(tables, with(&Batch::destroy_table));
        done(tables, with(&|batch| batch.add_table(&Table::new(table()))));
        let all = |batch: &mut Batch| {
            batch.destroy_elements(&name("keep"), [point("10.0.0.1")]);
            batch.destroy_chain(&base("in", Hook::Input));
            batch.destroy_set(&set("s", Field::Ipv4Addr));
        };
        done(tables, with(&|batch| batch.add_set(&set("keep", Field::Ipv4Addr))));
        done(tables, with(&all));
        done(
            tables,
            with(&|batch| {
                batch.add_elements(&name("keep"), [point("10.0.0.1")]);
                batch.add_chain(&base("in", Hook::Input));
                batch.add_rule(&name("in"), &verdict(Verdict::Accept));
                batch.add_set(&set("s", Field::Ipv4Addr));
            }),
        );
        done(tables, with(&all));
        let now = contents(tables);
        assert_eq!((now.chains.len(), now.sets.len()), (0, 1), "{now}");
        done(tables, with(&Batch::destroy_table));
    }
}

fn many_elements_in_one_batch(tables: &mut dyn Nftables) {
    let points: Vec<_> =
        (0..4_000_u32).map(|number| Element::point(Value::V4(number.into()).into())).collect();
    let keys = points.iter().step_by(2).map(|element| (element.key, element.key));
    start(tables, |batch| {
        batch.add_set(&set("s", Field::Ipv4Addr));
        batch.add_elements(&name("s"), &points);
        batch.add_set(&ranges("r", Field::Ipv4Addr));
        batch.add_elements(&name("r"), merge_ranges(keys));
        assert!(batch.len() > 4, "more than one message each");
    });
    assert_eq!(elements(tables, "s"), points);
    assert_eq!(elements(tables, "r").len(), 2_000);
}

fn a_batch_for_an_older_generation_is_refused(tables: &mut dyn Nftables) {
    start(tables, |_| {});
    let generation = tables.dump(&table(), Detail::Names).expect("a dump").generation;
    let mut add = with(|batch| batch.add_chain(&regular("c")));
    assert_eq!(tables.commit_at(&mut add, generation), Ok(()));
    assert_eq!(tables.commit_at(&mut add, generation), Err(CommitError::Stale));
    let generation = tables.generation().expect("a generation");
    let mut wrong = with(|batch| batch.delete_chain(&name("nothing")));
    assert!(matches!(tables.commit_at(&mut wrong, generation), Err(CommitError::Refused(_))));
    assert_eq!(tables.commit_at(&mut add, generation), Ok(()), "a refused batch is no new generation");
}

fn every_shape_is_taken_and_reads_back(tables: &mut dyn Nftables) {
    let pair = |first, second| Fields::new([first, second]);
    let values = |field: Field| DataType::Values(field.into());
    start(tables, |batch| {
        batch.add_set(&verdicts("m", Field::IfName));
        batch.add_set(&verdicts("cts", Field::CtState));
        batch.add_set(&Set::of(name("fs"), pair(Field::InetProto, Field::InetService)));
        batch.add_set(&Set::of(name("src4"), pair(Field::IfName, Field::Ipv4Addr)));
        batch.add_set(&Set::of(name("src6"), pair(Field::IfName, Field::Ipv6Addr)));
        batch.add_set(&ranges("nets4", Field::Ipv4Addr));
        batch.add_set(&set("s6", Field::Ipv6Addr));
        batch.add_set(&Set::map(name("fip"), Field::Ipv4Addr.into(), values(Field::Ipv4Addr)));
        batch.add_set(&Set::map(
            name("hair"),
            pair(Field::Ipv4Addr, Field::Ipv4Addr),
            values(Field::Ipv4Addr),
        ));
        batch.add_set(&Set::map(name("fip6"), Field::Ipv6Addr.into(), values(Field::Ipv6Addr)));
        batch.add_chain(&regular("x"));
        for place in shapes::all() {
            batch.add_chain(&Chain::base(name(place.name), place.kind, place.hook, place.priority));
            for (_, rule) in &place.rules {
                batch.add_rule(&name(place.name), rule);
            }
        }
    });
    let now = contents(tables);
    for place in shapes::all() {
        let read = &now.chains[&name(place.name)].rules;
        for ((words, wrote), read) in place.rules.iter().zip(read) {
            assert_eq!(read.rule.as_ref(), Some(&wrote.canonical()), "{words}");
        }
    }
}

fn two_tables_in_one_batch(tables: &mut dyn Nftables) {
    let other = TableId { family: margay_kernel::nft::Family::Ip6, name: name("other") };
    start(tables, |batch| {
        batch.set_table(other.clone());
        batch.add_table(&Table::new(other.clone()));
        batch.add_chain(&regular("c"));
        batch.set_table(table());
        batch.add_chain(&regular("d"));
    });
    let chains = |tables: &mut dyn Nftables, id: &TableId| {
        let contents = tables.dump(id, Detail::Names).expect("a dump").contents.expect("a table");
        contents.chains.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(chains(tables, &other), [name("c")]);
    assert_eq!(chains(tables, &table()), [name("d")]);
}

fn only_the_first_of_those_in_a_circle_is_at_fault(tables: &mut dyn Nftables) {
    start(tables, |batch| {
        batch.add_chain(&base("in", Hook::Input));
        batch.add_chain(&regular("a"));
        batch.add_rule(&name("in"), &verdict(jump("a")));
    });
    let mut circle = with(|batch| {
        for (owner, target) in [(1, Verdict::Drop), (2, jump("a")), (3, Verdict::Drop)] {
            batch.set_owner(Owner(owner));
            batch.add_rule(&name("a"), &verdict(target));
        }
    });
    assert_eq!(tables.commit(&mut circle).expect_err("a circle").owners(), [Owner(2)]);
}

fn one_set_alone_is_read(tables: &mut dyn Nftables) {
    assert_eq!(tables.elements(&table(), &name("s")), Ok(None));
    start(tables, |batch| {
        batch.add_set(&ranges("s", Field::Ipv4Addr));
        batch.add_elements(&name("s"), [net("10.0.0.0/8")]);
    });
    assert_eq!(tables.elements(&table(), &name("s")), Ok(Some(vec![net("10.0.0.0/8")])));
    assert_eq!(tables.elements(&table(), &name("x")), Ok(None));
}

/// What each fault does, on tables that have them.
fn faults(tables: &mut dyn Nftables, fail: &mut dyn FnMut(&mut dyn Nftables, Fault)) {
    let add = |chain: &str| with(|batch| batch.add_chain(&regular(chain)));
    start(tables, |_| {});
    fail(tables, Fault::LoseRequest);
    assert!(matches!(tables.commit(&mut add("a")), Err(CommitError::Socket { .. })));
    assert!(contents(tables).chains.is_empty(), "it was not done");
    fail(tables, Fault::LoseAnswer);
    assert!(matches!(tables.commit(&mut add("a")), Err(CommitError::Socket { .. })));
    assert_eq!(contents(tables).chains.len(), 1, "it was done");
    fail(tables, Fault::Refuse { message: 2, errno: Errno::NOMEM });
    let mut two = add("b");
    two.set_owner(Owner(5));
    two.add_chain(&regular("c"));
    assert_eq!(tables.commit(&mut two).expect_err("refused").owners(), [Owner(5)]);
    fail(tables, Fault::Refuse { message: 3, errno: Errno::NOMEM });
    assert_eq!(tables.commit(&mut two).expect_err("refused").owners(), []);
    assert_eq!(contents(tables).chains.len(), 1);
    fail(tables, Fault::Dump(DumpError::Unsettled));
    assert_eq!(tables.dump(&table(), Detail::Names), Err(DumpError::Unsettled));
    done(tables, two);
    assert_eq!(contents(tables).chains.len(), 3);
}

#[test]
fn faults_on_the_fake_are_as_asked_for() {
    let fake = std::cell::RefCell::new(Fake::new(Features::all()));
    let mut shared = Shared(&fake);
    faults(&mut shared, &mut |_, fault| fake.borrow_mut().fail(fault));
}

#[test]
fn faults_before_the_kernel_are_as_asked_for() {
    in_isolation("nft::suite::faults_before_the_kernel_are_as_asked_for", || {
        let faulty = std::cell::RefCell::new(Faulty::new(open()));
        let mut shared = Shared(&faulty);
        faults(&mut shared, &mut |_, fault| faulty.borrow_mut().fail(fault));
    });
}

/// Tables that somebody else holds too.
struct Shared<'a, T>(&'a std::cell::RefCell<T>);

impl<T: Nftables> Nftables for Shared<'_, T> {
    fn features(&self) -> Features {
        self.0.borrow().features()
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), CommitError> {
        self.0.borrow_mut().commit(batch)
    }

    fn commit_at(&mut self, batch: &mut Batch, generation: u32) -> Result<(), CommitError> {
        self.0.borrow_mut().commit_at(batch, generation)
    }

    fn generation(&mut self) -> Result<u32, DumpError> {
        self.0.borrow_mut().generation()
    }

    fn dump(&mut self, table: &TableId, detail: Detail) -> Result<Dump, DumpError> {
        self.0.borrow_mut().dump(table, detail)
    }

    fn elements(&mut self, table: &TableId, set: &Name) -> Result<Option<Vec<Element>>, DumpError> {
        self.0.borrow_mut().elements(table, set)
    }
}

#[test]
fn a_poisoned_owner_is_refused_until_healed() {
    let mut fake = Fake::new(Features::all());
    start(&mut fake, |_| {});
    fake.poison(Owner(4), Errno::INVAL);
    let mut both = with(|batch| {
        batch.add_chain(&regular("good"));
        batch.set_owner(Owner(4));
        batch.add_chain(&regular("bad"));
    });
    for _ in 0..2 {
        assert_eq!(fake.commit(&mut both).expect_err("poison").owners(), [Owner(4)]);
    }
    let mut clone = fake.clone();
    fake.heal();
    assert_eq!(fake.commit(&mut both), Ok(()));
    assert!(clone.commit(&mut both).is_err(), "a clone is another fake");
    assert!(clone.contents(&table()).expect("a table").chains.is_empty());
}

#[test]
fn others_on_the_fake_are_told() {
    let mut fake = Fake::new(Features::all());
    start(&mut fake, |batch| batch.add_chain(&regular("c")));
    assert_eq!(fake.take_foreign(), []);
    fake.commit_foreign(&mut with(|batch| batch.flush_chain(&name("c")))).expect("done");
    let told = fake.take_foreign();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].table, Ok(told[0].generation)), (&table(), fake.generation()));
    assert_eq!(told[0].touched.iter().collect::<Vec<_>>(), [&Touched::Rules(name("c"))]);
}

#[test]
fn the_fake_lacks_what_its_kernel_lacks() {
    let mut old = Fake::new(Features::oldest());
    start(&mut old, |_| {});
    let several = Fields::new([Field::IfName, Field::Ipv4Addr]);
    let lacking = with(|batch| batch.add_set(&Set::of_ranges(name("s"), several)));
    assert_eq!(refused(&mut old, lacking), [Errno::OPNOTSUPP]);
    assert_eq!(refused(&mut old, with(Batch::destroy_table)), [Errno::INVAL]);
}

#[test]
fn the_fake_refuses_a_key_of_another_length_than_the_set_has() {
    let mut fake = Fake::new(Features::all());
    start(&mut fake, |batch| {
        batch.add_chain(&regular("c"));
        batch.add_set(&set("s", Field::Ipv4Addr));
    });
    let longer = rule([Statement::within([Load::IifName], named("s")), accept()]);
    assert_eq!(refused(&mut fake, with(|batch| batch.add_rule(&name("c"), &longer))), [Errno::INVAL]);
}

#[test]
fn a_limit_without_a_burst_is_what_the_kernel_makes_of_it() {
    let limit = |burst| rule([Statement::Limit(Limit { rate: 1, per: Unit::Day, burst, over: false })]);
    assert_eq!(limit(0).canonical(), limit(5));
    let set: SetRef = AnonymousSet::of_ports([]).into();
    let never = rule([protocol(6), Statement::within([Load::Dport], set)]);
    assert_eq!(never.canonical(), never);
}
