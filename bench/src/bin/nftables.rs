//! nftables changes beside 2,000 sets, 2,000 chains and 20,000 rules: ours, the bare netlink transaction, and the
//! `nft` tool on equal content.
//!
//! Usage: nftables [ROUNDS], by default 5000. As root everything is loaded in one batch; in a user namespace, where
//! nobody may enlarge a socket's buffer, in several.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use margay_kernel::nft::{
    Batch, Chain, ChainKind, DataType, Detail, Element, Field, Hook, Key, Load, Name, Nft, Nftables, Op,
    Rule, Set, Statement, Table, TableId, Value, Verdict,
};
use margay_kernel::{Isolation, Namespace, isolated};
use margay_net::IpVersion;

const SETS: u32 = 2_000;
const CHAINS: u32 = 2_000;
const RULES: u32 = 10;
const MEMBERS: u32 = 10;
const INTERFACES: u32 = 1_000;
const PROGRAMS: u32 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.first().map_or(5_000, |word| word.parse().expect("a number of rounds"));
    match Namespace::create() {
        Ok(namespace) => namespace.run(move || measure(rounds, usize::MAX)).expect("a visit"),
        Err(_) => match isolated("nftables-bench", &arguments).expect("user namespaces are allowed here") {
            Isolation::Inside => measure(rounds, 100_000),
            Isolation::Done(status) => std::process::exit(status.code().unwrap_or(1)),
        },
    }
}

fn measure(rounds: usize, most: usize) {
    println!(
        "{SETS} sets of {MEMBERS}, {CHAINS} chains of {RULES} rules, {INTERFACES} interfaces, {PROGRAMS} programs"
    );
    let mut nft = Nft::open(Duration::from_secs(30)).expect("nftables");
    println!("{:?}", nft.features());
    cold(&mut nft, most);
    let started = Instant::now();
    let names = nft.dump(&table(), Detail::Names).expect("a dump").contents.expect("a table");
    println!("dump of names and notes: {:?} ({} chains)", started.elapsed(), names.chains.len());
    let started = Instant::now();
    nft.dump(&table(), Detail::Elements).expect("a dump");
    println!("dump with elements: {:?}", started.elapsed());
    let started = Instant::now();
    nft.dump(&table(), Detail::Full).expect("a dump");
    println!("dump of everything: {:?}", started.elapsed());
    println!();
    elements(&mut nft, rounds);
    rules(&mut nft, rounds / 2);
    repoint(&mut nft, rounds / 2);
    thousand(&mut nft, rounds / 20);
    tool();
}

/// Everything from nothing: ours, and the tool's.
fn cold(nft: &mut Nft, most: usize) {
    for _ in 0..3 {
        let started = Instant::now();
        let mut batches = vec![Batch::new(table(), nft.features())];
        let last = |batches: &mut Vec<Batch>, nft: &Nft| {
            if batches.last().expect("one").byte_len() > most {
                batches.push(Batch::new(table(), nft.features()));
            }
        };
        content(&mut batches, |batches| last(batches, nft));
        let encoded = started.elapsed();
        let bytes: usize = batches.iter().map(Batch::byte_len).sum();
        let sent = Instant::now();
        for batch in &mut batches {
            nft.commit(batch).expect("loaded");
        }
        println!("cold load, ours: {encoded:?} to encode {bytes} bytes, {:?} in the kernel", sent.elapsed());
        let mut gone = Batch::new(table(), nft.features());
        gone.delete_table();
        nft.commit(&mut gone).expect("deleted");
    }
    let text = text();
    for round in 0..3 {
        let started = Instant::now();
        feed(&text);
        println!("cold load, nft -f: {:?}", started.elapsed());
        if round < 2 {
            feed("delete table inet bench");
        }
    }
    let started = Instant::now();
    feed("delete table inet bench");
    println!("deleting all: {:?}", started.elapsed());
    // The measurements beside it want our own.
    let mut batches = vec![Batch::new(table(), nft.features())];
    content(&mut batches, |batches| {
        if batches.last().expect("one").byte_len() > most {
            batches.push(Batch::new(table(), margay_kernel::nft::Features::all()));
        }
    });
    for batch in &mut batches {
        nft.commit(batch).expect("loaded");
    }
}

/// One member added to a set, and removed: acknowledged by the kernel.
fn elements(nft: &mut Nft, rounds: usize) {
    let (mut add, mut delete) = (Vec::new(), Vec::new());
    let (mut encode, mut bare) = (Vec::new(), Vec::new());
    let mut batch = Batch::new(table(), nft.features());
    for round in 0..rounds {
        let set = set_name(u32::try_from(round).expect("few") % SETS);
        let member = Element::point(Value::V4([172, 16, 0, 1].into()).into());
        timed(&mut add, || {
            timed(&mut encode, || {
                batch.clear();
                batch.add_elements(&set, [&member]);
            });
            nft.commit(&mut batch).expect("added");
        });
        timed(&mut delete, || {
            batch.clear();
            batch.delete_elements(&set, [&member]);
            nft.commit(&mut batch).expect("deleted");
        });
        // The same bytes again: what the transaction costs by itself.
        batch.clear();
        batch.add_elements(&set, [&member]);
        timed(&mut bare, || nft.commit(&mut batch).expect("added"));
        batch.clear();
        batch.delete_elements(&set, [&member]);
        nft.commit(&mut batch).expect("deleted");
    }
    report("one member added", &mut add);
    report("one member removed", &mut delete);
    report("  of it: encoding", &mut encode);
    report("  of it: the kernel's transaction", &mut bare);
}

/// A policy's rules replaced, and one rule added.
fn rules(nft: &mut Nft, rounds: usize) {
    let (mut replace, mut add) = (Vec::new(), Vec::new());
    let mut batch = Batch::new(table(), nft.features());
    for round in 0..rounds {
        let number = u32::try_from(round).expect("few") % (CHAINS - PROGRAMS);
        let chain = chain_name(number);
        timed(&mut replace, || {
            batch.clear();
            batch.flush_chain(&chain);
            for index in 0..RULES {
                batch.add_rule(&chain, &policy_rule(number, index));
            }
            nft.commit(&mut batch).expect("replaced");
        });
        timed(&mut add, || {
            batch.clear();
            batch.add_rule(&chain, &policy_rule(number, 99));
            nft.commit(&mut batch).expect("added");
        });
    }
    report("one rule added", &mut add);
    report("a policy of 10 rules replaced", &mut replace);
}

/// An endpoint runs another programme.
fn repoint(nft: &mut Nft, rounds: usize) {
    let mut times = Vec::new();
    let mut batch = Batch::new(table(), nft.features());
    for round in 0..rounds {
        let number = u32::try_from(round).expect("few");
        let interface = number % INTERFACES;
        let turn = number / INTERFACES;
        let old = (interface + turn) % PROGRAMS;
        timed(&mut times, || {
            batch.clear();
            batch.delete_elements(&name("wl_to"), [entry(interface, old)]);
            batch.add_elements(&name("wl_to"), [entry(interface, (old + 1) % PROGRAMS)]);
            nft.commit(&mut batch).expect("repointed");
        });
    }
    report("one map element repointed", &mut times);
}

/// A thousand members in one batch.
fn thousand(nft: &mut Nft, rounds: usize) {
    let mut times = Vec::new();
    let members: Vec<_> =
        (0..1_000_u32).map(|i| Element::point(Value::V4((0xac10_0000 + i).into()).into())).collect();
    let mut batch = Batch::new(table(), nft.features());
    for round in 0..rounds {
        let set = set_name(u32::try_from(round).expect("few") % SETS);
        timed(&mut times, || {
            batch.clear();
            batch.add_elements(&set, &members);
            nft.commit(&mut batch).expect("added");
        });
        batch.clear();
        batch.delete_elements(&set, &members);
        nft.commit(&mut batch).expect("deleted");
    }
    report("1000 members added", &mut times);
}

/// The same changes by the tool.
fn tool() {
    let (mut member, mut rule) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        timed(&mut member, || feed("add element inet bench s7 { 172.16.0.1 }"));
        feed("delete element inet bench s7 { 172.16.0.1 }");
        timed(&mut rule, || feed("add rule inet bench c7 ip saddr @s7 tcp dport 99 accept"));
    }
    report("nft: one member added", &mut member);
    report("nft: one rule added", &mut rule);
}

/// All that is loaded.
fn content(batches: &mut Vec<Batch>, next: impl Fn(&mut Vec<Batch>)) {
    last(batches).add_table(&Table::new(table()));
    for set in 0..SETS {
        next(batches);
        let batch = last(batches);
        batch.add_set(&Set::of(set_name(set), Field::Ipv4Addr.into()));
        let members = (0..MEMBERS)
            .map(|member| Element::point(Value::V4((0x0a00_0000 + set * 256 + member).into()).into()));
        batch.add_elements(&set_name(set), members);
    }
    for chain in 0..CHAINS - PROGRAMS {
        next(batches);
        let batch = last(batches);
        batch.add_chain(&Chain::regular(chain_name(chain)));
        for index in 0..RULES {
            batch.add_rule(&chain_name(chain), &policy_rule(chain, index));
        }
    }
    for program in 0..PROGRAMS {
        next(batches);
        let batch = last(batches);
        batch.add_chain(&Chain::regular(program_name(program)));
        for index in 0..RULES {
            let policy = chain_name((program * 97 + index * 13) % (CHAINS - PROGRAMS));
            batch.add_rule(&program_name(program), &rule([Statement::Verdict(Verdict::Jump(policy))]));
        }
    }
    next(batches);
    let batch = last(batches);
    batch.add_set(&Set::map(name("wl_to"), Field::IfName.into(), DataType::Verdict));
    batch.add_elements(
        &name("wl_to"),
        (0..INTERFACES).map(|interface| entry(interface, interface % PROGRAMS)),
    );
    batch.add_chain(&Chain::base(name("forwarding"), ChainKind::Filter, Hook::Forward, 0));
    let dispatch = rule([Statement::VerdictMap(vec![Load::OifName], (&name("wl_to")).into())]);
    batch.add_rule(&name("forwarding"), &dispatch);
}

/// The same in the tool's words.
fn text() -> String {
    let mut text = String::from("table inet bench {\n");
    for set in 0..SETS {
        let members: Vec<_> = (0..MEMBERS).map(|member| address(0x0a00_0000 + set * 256 + member)).collect();
        text.push_str(&format!(
            "set s{set} {{ type ipv4_addr; elements = {{ {} }}; }}\n",
            members.join(", ")
        ));
    }
    for chain in 0..CHAINS - PROGRAMS {
        text.push_str(&format!("chain c{chain} {{\n"));
        for index in 0..RULES {
            text.push_str(&format!("ip saddr @s{} tcp dport {} accept\n", chain % SETS, 8_000 + index));
        }
        text.push_str("}\n");
    }
    for program in 0..PROGRAMS {
        text.push_str(&format!("chain g{program} {{\n"));
        for index in 0..RULES {
            text.push_str(&format!("jump c{}\n", (program * 97 + index * 13) % (CHAINS - PROGRAMS)));
        }
        text.push_str("}\n");
    }
    let entries: Vec<_> =
        (0..INTERFACES).map(|number| format!("\"cali{number}\" : goto g{}", number % PROGRAMS)).collect();
    text.push_str(&format!(
        "map wl_to {{ type ifname : verdict; elements = {{ {} }}; }}\n\
         chain forwarding {{ type filter hook forward priority 0; policy accept; oifname vmap @wl_to\n}}\n}}\n",
        entries.join(", ")
    ));
    text
}

fn policy_rule(chain: u32, index: u32) -> Rule {
    let port = Value::Port(u16::try_from(8_000 + index).expect("a port"));
    rule([
        Statement::version(IpVersion::V4),
        Statement::within([Load::Saddr4], (&set_name(chain % SETS)).into()),
        Statement::protocol(Op::Eq, 6),
        Statement::Compare(Load::Dport, Op::Eq, port),
        Statement::Verdict(Verdict::Accept),
    ])
}

fn rule(statements: impl IntoIterator<Item = Statement>) -> Rule {
    Rule::new(statements.into_iter().collect()).expect("a rule")
}

fn entry(interface: u32, program: u32) -> Element {
    let interface = format!("cali{interface}").parse().expect("a name of an interface");
    Element::verdict(Key::from(Value::IfName(interface)), Verdict::Goto(program_name(program)))
}

fn table() -> TableId {
    TableId::inet(name("bench"))
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn set_name(number: u32) -> Name {
    name(&format!("s{number}"))
}

fn chain_name(number: u32) -> Name {
    name(&format!("c{number}"))
}

fn program_name(number: u32) -> Name {
    name(&format!("g{number}"))
}

fn address(number: u32) -> String {
    std::net::Ipv4Addr::from_bits(number).to_string()
}

fn last(batches: &mut [Batch]) -> &mut Batch {
    batches.last_mut().expect("one at least")
}

fn feed(commands: &str) {
    let mut child =
        Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("the nft tool");
    child.stdin.take().expect("piped").write_all(commands.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    times.push(started.elapsed());
    result
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |per_mille: usize| times[times.len() * per_mille / 1_000].as_secs_f64() * 1e6;
    println!("{what:<36} {:>9.1} us p50 {:>9.1} us p99 {:>9.1} us worst", at(500), at(990), at(999));
}
