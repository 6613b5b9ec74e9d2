//! A table as text, roughly as `nft list table` writes it: what `margay plan` shows, and what a failing test prints.
//!
//! The kernel's contents, the fake's and declarations that are yet to be loaded print the same way. Order is by name
//! for chains and sets, so that two texts can be compared line by line.

use std::fmt;

use super::{
    AddressKind, AnonymousSet, Base, ChainContents, Contents, Data, Direction, Element, Elements, Limit,
};
use super::{CtState, CtStatus, SetRef, Statement, Unit, Value, Verdict};
use super::{
    Load, LogLevel, LogTarget, Nat, NatKind, NatTarget, Op, Reject, Rule, RuleContents, Set, SetContents,
};
use margay_net::IpVersion;

/// Longer lists of elements are broken into lines of their own.
const WIDE: usize = 8;

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table {} {{", self.id)?;
        if let Some(comment) = &self.comment {
            writeln!(f, "\tcomment \"{comment}\"")?;
        }
        if self.owned {
            writeln!(f, "\tflags owner,persist")?;
        }
        if self.dormant {
            writeln!(f, "\tflags dormant")?;
        }
        let mut between = "";
        for (name, set) in &self.sets {
            write!(f, "{between}")?;
            write_set(f, name.as_str(), set)?;
            between = "\n";
        }
        for (name, chain) in &self.chains {
            write!(f, "{between}")?;
            write_chain(f, name.as_str(), chain)?;
            between = "\n";
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, statement) in self.statements().iter().enumerate() {
            write!(f, "{}{statement}", if index > 0 { " " } else { "" })?;
        }
        match self.comment() {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RuleContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.rule, &self.comment) {
            (Some(rule), _) => rule.fmt(f),
            (None, Some(comment)) => write!(f, "… comment \"{comment}\""),
            (None, None) => f.write_str("…"),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Compare(load, op, value) => write!(f, "{}{op} {value}", load.as_str()),
            Statement::Range(load, op, first, last) => write!(f, "{}{op} {first}-{last}", load.as_str()),
            Statement::Bits(load, op, bits) => write_bits(f, *load, *op, *bits),
            Statement::Masked { mask, op, value } => {
                let op = if *op == Op::Eq { "==" } else { "!=" };
                write!(f, "meta mark & {mask:#010x} {op} {value:#010x}")
            }
            Statement::Net(load, op, net) if net.is_single() => {
                write!(f, "{}{op} {}", load.as_str(), net.address())
            }
            Statement::Net(load, op, net) => write!(f, "{}{op} {net}", load.as_str()),
            Statement::IfPrefix(load, op, prefix) => {
                write!(f, "{}{op} \"{}*\"", load.as_str(), prefix.as_str())
            }
            Statement::Icmp { version, op, kind, code } => {
                let name = if *version == IpVersion::V4 { "icmp" } else { "icmpv6" };
                match code {
                    None => write!(f, "{name} type{op} {kind}"),
                    Some(code) => write!(f, "{name} type . {name} code{op} {kind} . {code}"),
                }
            }
            Statement::Lookup(loads, op, set) => {
                write_loads(f, loads)?;
                write!(f, "{op} {set}")
            }
            Statement::VerdictMap(loads, map) => {
                write_loads(f, loads)?;
                write!(f, " vmap {map}")
            }
            Statement::AddressKind(direction, op, kind) => write!(f, "fib {direction} type{op} {kind}"),
            Statement::ReversePath(true) => f.write_str("fib saddr . iif oif exists"),
            Statement::ReversePath(false) => f.write_str("fib saddr . iif oif missing"),
            Statement::Counter => f.write_str("counter"),
            Statement::Limit(limit) => limit.fmt(f),
            Statement::Log(target, prefix) => write_log(f, *target, prefix),
            Statement::Notrack => f.write_str("notrack"),
            Statement::SetMark { and, xor } => write_mark(f, *and, *xor),
            Statement::Masquerade { random_fully, ports } => {
                f.write_str("masquerade")?;
                if let Some((first, last)) = ports {
                    write!(f, " to :{first}-{last}")?;
                }
                f.write_str(if *random_fully { " fully-random" } else { "" })
            }
            Statement::Nat(nat) => nat.fmt(f),
            Statement::Reject(reject) => reject.fmt(f),
            Statement::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

impl fmt::Display for Op {
    /// What stands between the two: nothing for "is".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Eq => "",
            Op::Ne => " !=",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Continue => f.write_str("continue"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl fmt::Display for SetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetRef::Named(name) => write!(f, "@{name}"),
            SetRef::Anonymous(set) => set.fmt(f),
        }
    }
}

impl fmt::Display for AnonymousSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ ")?;
        for (index, element) in self.elements.iter().enumerate() {
            write!(f, "{}{element}", if index > 0 { ", " } else { "" })?;
        }
        f.write_str(" }")
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)?;
        if let Some(last) = self.last.filter(|last| *last != self.key) {
            write!(f, "-{last}")?;
        }
        match &self.data {
            None => Ok(()),
            Some(Data::Verdict(verdict)) => write!(f, " : {verdict}"),
            Some(Data::Values(values)) => write!(f, " : {values}"),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Source => "saddr",
            Direction::Destination => "daddr",
        })
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressKind::Unicast => "unicast",
            AddressKind::Local => "local",
            AddressKind::Broadcast => "broadcast",
            AddressKind::Multicast => "multicast",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limit { rate, per, burst, over } = self;
        let per = match per {
            Unit::Second => "second",
            Unit::Minute => "minute",
            Unit::Hour => "hour",
            Unit::Day => "day",
        };
        write!(f, "limit rate {}{rate}/{per}", if *over { "over " } else { "" })?;
        // The tool leaves the default out.
        if matches!(burst, 0 | 5) { Ok(()) } else { write!(f, " burst {burst} packets") }
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NatKind::Source => "snat",
            NatKind::Destination => "dnat",
        };
        let version = if self.version == IpVersion::V4 { "ip" } else { "ip6" };
        write!(f, "{kind} {version} to ")?;
        match &self.to {
            NatTarget::Address(address, None) => address.fmt(f),
            NatTarget::Address(address, Some(port)) => std::net::SocketAddr::new(*address, *port).fmt(f),
            NatTarget::Map(loads, map) => {
                write_loads(f, loads)?;
                write!(f, " map {map}")
            }
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reject::TcpReset => "reject with tcp reset",
            Reject::NoRoute => "reject with icmpx no-route",
            Reject::Port => "reject with icmpx port-unreachable",
            Reject::Host => "reject with icmpx host-unreachable",
            Reject::Prohibited => "reject with icmpx admin-prohibited",
        })
    }
}

impl fmt::Display for Set {
    /// Its declaration, of several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\t\ttype {}", self.key)?;
        if let Some(data) = self.data {
            write!(f, " : {data}")?;
        }
        writeln!(f)?;
        if self.interval {
            writeln!(f, "\t\tflags interval")?;
        }
        match &self.comment {
            Some(comment) => writeln!(f, "\t\tcomment \"{comment}\""),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Base { kind, hook, priority, policy } = self;
        write!(f, "type {kind} hook {hook} priority {priority}; policy {policy};")
    }
}

// === helpers ===

fn write_set(f: &mut fmt::Formatter<'_>, name: &str, contents: &SetContents) -> fmt::Result {
    let Some(set) = &contents.set else { return writeln!(f, "\tset {name} {{ … }}") };
    let kind = if set.data.is_some() { "map" } else { "set" };
    write!(f, "\t{kind} {name} {{\n{set}")?;
    write_elements(f, &contents.elements)?;
    writeln!(f, "\t}}")
}

fn write_elements(f: &mut fmt::Formatter<'_>, elements: &Elements) -> fmt::Result {
    if elements.is_empty() {
        return Ok(());
    }
    let (before, between, behind) =
        if elements.len() > WIDE { ("\n\t\t\t", ",\n\t\t\t", "\n\t\t") } else { (" ", ", ", " ") };
    write!(f, "\t\telements = {{{before}")?;
    for (index, (key, (last, data))) in elements.iter().enumerate() {
        let element = Element { key: *key, last: *last, data: data.clone() };
        write!(f, "{}{element}", if index > 0 { between } else { "" })?;
    }
    writeln!(f, "{behind}}}")
}

fn write_chain(f: &mut fmt::Formatter<'_>, name: &str, chain: &ChainContents) -> fmt::Result {
    writeln!(f, "\tchain {name} {{")?;
    if let Some(comment) = &chain.comment {
        writeln!(f, "\t\tcomment \"{comment}\"")?;
    }
    if let Some(base) = &chain.base {
        writeln!(f, "\t\t{base}")?;
    }
    for rule in &chain.rules {
        writeln!(f, "\t\t{rule}")?;
    }
    writeln!(f, "\t}}")
}

/// What is loaded, as one key.
fn write_loads(f: &mut fmt::Formatter<'_>, loads: &[Load]) -> fmt::Result {
    for (index, load) in loads.iter().enumerate() {
        write!(f, "{}{}", if index > 0 { " . " } else { "" }, load.as_str())?;
    }
    Ok(())
}

/// Bits that are set, or none of them.
fn write_bits(f: &mut fmt::Formatter<'_>, load: Load, op: Op, bits: u32) -> fmt::Result {
    let name = load.as_str();
    match (load, op) {
        (Load::CtState, Op::Ne) => write!(f, "{name} {}", CtState(bits)),
        (Load::CtStatus, Op::Ne) => write!(f, "{name} {}", CtStatus(bits)),
        (Load::CtState, Op::Eq) => write!(f, "{name} & ({}) == 0", CtState(bits)),
        (Load::CtStatus, Op::Eq) => write!(f, "{name} & ({}) == 0", CtStatus(bits)),
        (_, op) => write!(f, "{name} & {} {} 0", Value::Mark(bits), if op == Op::Eq { "==" } else { "!=" }),
    }
}

/// A change of the mark in the shortest words.
fn write_mark(f: &mut fmt::Formatter<'_>, and: u32, xor: u32) -> fmt::Result {
    f.write_str("meta mark set ")?;
    match (and, xor) {
        (0, xor) => write!(f, "{xor:#010x}"),
        (and, 0) => write!(f, "meta mark & {and:#010x}"),
        (u32::MAX, xor) => write!(f, "meta mark ^ {xor:#010x}"),
        (and, xor) if and == !xor => write!(f, "meta mark | {xor:#010x}"),
        (and, xor) => write!(f, "meta mark & {and:#010x} ^ {xor:#010x}"),
    }
}

fn write_log(f: &mut fmt::Formatter<'_>, target: LogTarget, prefix: &str) -> fmt::Result {
    f.write_str("log")?;
    if !prefix.is_empty() {
        write!(f, " prefix \"{prefix}\"")?;
    }
    match target {
        LogTarget::Group { group, snaplen: 0 } => write!(f, " group {group}"),
        LogTarget::Group { group, snaplen } => write!(f, " group {group} snaplen {snaplen}"),
        // The tool leaves the default out.
        LogTarget::Kernel(LogLevel::Warning) => Ok(()),
        LogTarget::Kernel(level) => write!(f, " level {}", LEVELS[level.number() as usize]),
    }
}

/// The tool's words for levels, by number.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
