//! Statements as the expressions of the kernel's register machine.
//!
//! Registers are chosen as the `nft` tool chooses them, so that it can read our rules back.

use margay_net::{Cidr, IpVersion};

use super::batch::put_verdict;
use super::key::nfproto;
use super::wire::{self, expr};
use super::{
    AddressKind, AnonymousSet, DataType, Direction, Fields, Key, Limit, Load, LogTarget, Nat, NatTarget,
};
use super::{Op, Reject, SetRef, Statement, Value, Verdict};
use crate::netlink::Buffer;

/// Where a rule's expressions go, and which anonymous sets it has.
struct Encoder<'a> {
    buffer: &'a mut Buffer,
    /// The numbers of the anonymous sets, in the order of the statements.
    anonymous: std::slice::Iter<'a, u32>,
}

/// The expressions of a rule; `anonymous` numbers its sets in order.
pub(super) fn statements(buffer: &mut Buffer, statements: &[Statement], anonymous: &[u32]) {
    let list = buffer.nest(wire::rule::EXPRESSIONS);
    let mut encoder = Encoder { buffer, anonymous: anonymous.iter() };
    for statement in statements {
        encoder.statement(statement);
    }
    encoder.buffer.end(list);
}

/// The anonymous set of a statement.
pub(super) fn anonymous(statement: &Statement) -> Option<&AnonymousSet> {
    let set = match statement {
        Statement::Lookup(_, _, set) | Statement::VerdictMap(_, set) => set,
        Statement::Nat(Nat { to: NatTarget::Map(_, set), .. }) => set,
        _ => return None,
    };
    set.anonymous().map(|set| &**set)
}

/// The name by which the kernel gives an anonymous set a number.
pub(super) fn anonymous_name(set: &AnonymousSet) -> &'static str {
    if set.data.is_some() { "__map%d" } else { "__set%d" }
}

/// A note in the form of the `nft` tool; cut off where the kernel would refuse it.
pub(super) fn comment(buffer: &mut Buffer, attribute: u16, kind: u8, text: &str) {
    let open = buffer.open(attribute);
    let end = buffer.comment(kind, text);
    buffer.end_exact(open, end);
}

/// What the `nft` tool wants to know of a set.
pub(super) fn set_userdata(buffer: &mut Buffer, key: Fields, data: Option<DataType>, comment: Option<&str>) {
    let order = |fields: Fields| match fields.as_slice() {
        [field] if field.is_host_order() => 1,
        [_] => 2,
        _ => 0_u32,
    };
    let open = buffer.open(wire::set::USERDATA);
    buffer.entry(wire::userdata::KEY_ORDER, &order(key).to_ne_bytes());
    if let Some(DataType::Values(fields)) = data {
        buffer.entry(wire::userdata::DATA_ORDER, &order(fields).to_ne_bytes());
    }
    let end = match comment {
        Some(text) => buffer.comment(wire::userdata::SET_COMMENT, text),
        None => buffer.len(),
    };
    buffer.end_exact(open, end);
}

// === impl Encoder ===

impl Encoder<'_> {
    /// One statement.
    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Compare(load, op, value) => {
                self.load(*load, 0);
                self.compare(0, compare_op(*op), Key::from(*value).as_bytes());
            }
            Statement::Range(load, op, first, last) => self.range(*load, *op, *first, *last),
            Statement::Bits(load, op, bits) => self.masked(*load, *bits, *op, 0),
            Statement::Masked { mask, op, value } => self.masked(Load::Mark, *mask, *op, *value),
            Statement::Net(load, op, net) => self.net(*load, *op, *net),
            Statement::IfPrefix(load, op, prefix) => {
                self.load(*load, 0);
                self.compare(0, compare_op(*op), prefix.as_str().as_bytes());
            }
            Statement::Icmp { op, kind, code, version: _ } => self.icmp(*op, *kind, *code),
            Statement::Lookup(loads, op, set) => {
                let flags = if *op == Op::Ne { expr::LOOKUP_INVERT } else { 0 };
                self.lookup(loads, set, None, flags);
            }
            Statement::VerdictMap(loads, map) => self.lookup(loads, map, Some(0), 0),
            Statement::AddressKind(direction, op, kind) => self.address_kind(*direction, *op, *kind),
            Statement::ReversePath(exists) => {
                let flags = expr::FIB_F_SADDR | expr::FIB_F_IIF | expr::FIB_F_PRESENT;
                self.fib(expr::FIB_RESULT_OIF, flags);
                self.compare(0, expr::CMP_EQ, &u32::from(*exists).to_ne_bytes());
            }
            Statement::Counter => self.expression("counter", |_| ()),
            Statement::Limit(limit) => self.limit(limit),
            Statement::Log(target, prefix) => self.log(*target, prefix),
            Statement::Notrack => self.expression("notrack", |_| ()),
            Statement::SetMark { and, xor } => self.set_mark(*and, *xor),
            Statement::Masquerade { random_fully, ports } => self.masquerade(*random_fully, *ports),
            Statement::Nat(nat) => self.nat(nat),
            Statement::Reject(reject) => self.reject(*reject),
            Statement::Verdict(verdict) => self.immediate_verdict(verdict),
        }
    }

    /// An expression of that name with those attributes.
    fn expression(&mut self, name: &str, attributes: impl FnOnce(&mut Buffer)) {
        let open = self.buffer.nest(wire::LIST_ELEMENT);
        self.buffer.text(expr::NAME, name);
        let data = self.buffer.nest(expr::DATA);
        attributes(self.buffer);
        self.buffer.end(data);
        self.buffer.end(open);
    }

    /// Loads something into the register that begins at that byte.
    fn load(&mut self, load: Load, at: usize) {
        let register = register(at);
        match load {
            Load::IifName => self.meta(expr::META_IIFNAME, register),
            Load::OifName => self.meta(expr::META_OIFNAME, register),
            Load::Mark => self.meta(expr::META_MARK, register),
            Load::NfProto => self.meta(expr::META_NFPROTO, register),
            Load::L4Proto => self.meta(expr::META_L4PROTO, register),
            Load::CtState => self.ct(expr::CT_STATE, register),
            Load::CtStatus => self.ct(expr::CT_STATUS, register),
            Load::Saddr4
            | Load::Daddr4
            | Load::Saddr6
            | Load::Daddr6
            | Load::Sport
            | Load::Dport
            | Load::IcmpType
            | Load::IcmpCode
            | Load::Icmp6Type
            | Load::Icmp6Code => {
                let (base, offset, length) = place(load).expect("these stand in the packet");
                self.payload(base, offset, length, register);
            }
        }
    }

    fn meta(&mut self, key: u32, register: u32) {
        self.expression("meta", |buffer| {
            buffer.be32(expr::META_KEY, key);
            buffer.be32(expr::META_DREG, register);
        });
    }

    fn ct(&mut self, key: u32, register: u32) {
        self.expression("ct", |buffer| {
            buffer.be32(expr::CT_KEY, key);
            buffer.be32(expr::CT_DREG, register);
        });
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) {
        self.expression("payload", |buffer| {
            buffer.be32(expr::PAYLOAD_DREG, register);
            buffer.be32(expr::PAYLOAD_BASE, base);
            buffer.be32(expr::PAYLOAD_OFFSET, offset);
            buffer.be32(expr::PAYLOAD_LENGTH, length);
        });
    }

    fn fib(&mut self, result: u32, flags: u32) {
        self.expression("fib", |buffer| {
            buffer.be32(expr::FIB_FLAGS, flags);
            buffer.be32(expr::FIB_RESULT, result);
            buffer.be32(expr::FIB_DREG, register(0));
        });
    }

    /// Compares the register that begins at that byte.
    fn compare(&mut self, at: usize, op: u32, value: &[u8]) {
        self.expression("cmp", |buffer| {
            buffer.be32(expr::CMP_SREG, register(at));
            buffer.be32(expr::CMP_OP, op);
            put_value(buffer, expr::CMP_DATA, value);
        });
    }

    fn bitwise(&mut self, mask: &[u8], xor: &[u8]) {
        self.expression("bitwise", |buffer| {
            buffer.be32(expr::BITWISE_SREG, register(0));
            buffer.be32(expr::BITWISE_DREG, register(0));
            buffer.be32(expr::BITWISE_LENGTH, u32::try_from(mask.len()).expect("at most 16"));
            put_value(buffer, expr::BITWISE_MASK, mask);
            put_value(buffer, expr::BITWISE_XOR, xor);
        });
    }

    fn range(&mut self, load: Load, op: Op, first: Value, last: Value) {
        let (first, last) = (Key::from(first), Key::from(last));
        self.load(load, 0);
        match op {
            // Two comparisons are cheaper for the kernel than its range, which is there for the other case.
            Op::Eq => {
                self.compare(0, expr::CMP_GE, first.as_bytes());
                self.compare(0, expr::CMP_LE, last.as_bytes());
            }
            Op::Ne => self.expression("range", |buffer| {
                buffer.be32(expr::RANGE_SREG, register(0));
                buffer.be32(expr::RANGE_OP, expr::RANGE_NE);
                put_value(buffer, expr::RANGE_FROM, first.as_bytes());
                put_value(buffer, expr::RANGE_TO, last.as_bytes());
            }),
        }
    }

    fn masked(&mut self, load: Load, mask: u32, op: Op, value: u32) {
        self.load(load, 0);
        self.bitwise(&mask.to_ne_bytes(), &[0; 4]);
        self.compare(0, compare_op(op), &value.to_ne_bytes());
    }

    fn net(&mut self, load: Load, op: Op, net: Cidr) {
        let (base, offset, length) = place(load).expect("checked: an address");
        let (net, prefix) = (net.masked(), usize::from(net.prefix()));
        let address = Key::from(Value::address(net.address().get()));
        let address = address.as_bytes();
        if prefix > 0 && prefix.is_multiple_of(8) {
            let bytes = prefix / 8;
            self.payload(base, offset, u32::try_from(bytes).expect("at most 16"), register(0));
            self.compare(0, compare_op(op), &address[..bytes]);
            return;
        }
        let mut mask = [0_u8; 16];
        mask[..prefix / 8].fill(0xff);
        mask[prefix / 8] = !(0xff_u8 >> (prefix % 8));
        self.payload(base, offset, length, register(0));
        self.bitwise(&mask[..address.len()], &[0; 16][..address.len()]);
        self.compare(0, compare_op(op), address);
    }

    fn icmp(&mut self, op: Op, kind: u8, code: Option<u8>) {
        let bytes = [kind, code.unwrap_or(0)];
        let length = if code.is_some() { 2 } else { 1 };
        self.payload(expr::TRANSPORT_HEADER, 0, length, register(0));
        self.compare(0, compare_op(op), &bytes[..if code.is_some() { 2 } else { 1 }]);
    }

    /// Loads the key and looks it up.
    fn lookup(&mut self, loads: &[Load], set: &SetRef, to: Option<u32>, flags: u32) {
        let mut at = 0;
        for load in loads {
            self.load(*load, at);
            at += load.field().map_or(4, |field| field.length().next_multiple_of(4));
        }
        let number = match set {
            SetRef::Named(_) => None,
            SetRef::Anonymous(_) => self.anonymous.next().copied(),
        };
        self.expression("lookup", |buffer| {
            match set {
                SetRef::Named(name) => buffer.text(expr::LOOKUP_SET, name.as_str()),
                SetRef::Anonymous(set) => buffer.text(expr::LOOKUP_SET, anonymous_name(set)),
            }
            buffer.be32(expr::LOOKUP_SREG, register(0));
            if let Some(to) = to {
                buffer.be32(expr::LOOKUP_DREG, to);
            }
            if let Some(number) = number {
                buffer.be32(expr::LOOKUP_SET_ID, number);
            }
            if flags != 0 {
                buffer.be32(expr::LOOKUP_FLAGS, flags);
            }
        });
    }

    fn address_kind(&mut self, direction: Direction, op: Op, kind: AddressKind) {
        let flags = match direction {
            Direction::Source => expr::FIB_F_SADDR,
            Direction::Destination => expr::FIB_F_DADDR,
        };
        self.fib(expr::FIB_RESULT_ADDRTYPE, flags);
        self.compare(0, compare_op(op), &kind.number().to_ne_bytes());
    }

    fn limit(&mut self, limit: &Limit) {
        self.expression("limit", |buffer| {
            buffer.be64(expr::LIMIT_RATE, limit.rate);
            buffer.be64(expr::LIMIT_UNIT, limit.per.seconds());
            // The kernel puts 5 for none and tells it so.
            buffer.be32(expr::LIMIT_BURST, if limit.burst == 0 { 5 } else { limit.burst });
            buffer.be32(expr::LIMIT_KIND, 0);
            buffer.be32(expr::LIMIT_FLAGS, u32::from(limit.over));
        });
    }

    fn log(&mut self, target: LogTarget, prefix: &str) {
        self.expression("log", |buffer| {
            if !prefix.is_empty() {
                buffer.text(expr::LOG_PREFIX, prefix);
            }
            match target {
                LogTarget::Kernel(level) => buffer.be32(expr::LOG_LEVEL, level.number()),
                LogTarget::Group { group, snaplen } => {
                    buffer.attribute(expr::LOG_GROUP, &group.to_be_bytes());
                    if snaplen != 0 {
                        buffer.be32(expr::LOG_SNAPLEN, snaplen);
                    }
                }
            }
        });
    }

    fn set_mark(&mut self, and: u32, xor: u32) {
        if and == 0 {
            self.immediate(0, &xor.to_ne_bytes());
        } else {
            self.load(Load::Mark, 0);
            self.bitwise(&and.to_ne_bytes(), &xor.to_ne_bytes());
        }
        self.expression("meta", |buffer| {
            buffer.be32(expr::META_KEY, expr::META_MARK);
            buffer.be32(expr::META_SREG, register(0));
        });
    }

    fn masquerade(&mut self, random_fully: bool, ports: Option<(u16, u16)>) {
        if let Some((first, last)) = ports {
            self.immediate(0, &first.to_be_bytes());
            self.immediate(16, &last.to_be_bytes());
        }
        let random = if random_fully { expr::NAT_F_RANDOM_FULLY } else { 0 };
        let flags = random | if ports.is_some() { expr::NAT_F_PROTO } else { 0 };
        self.expression("masq", |buffer| {
            if flags != 0 {
                buffer.be32(expr::MASQ_FLAGS, flags);
            }
            if ports.is_some() {
                buffer.be32(expr::MASQ_PROTO_MIN, register(0));
                buffer.be32(expr::MASQ_PROTO_MAX, register(16));
            }
        });
    }

    fn nat(&mut self, nat: &Nat) {
        let mut port = false;
        match &nat.to {
            NatTarget::Address(address, to_port) => {
                self.immediate(0, Key::from(Value::address(*address)).as_bytes());
                if let Some(to_port) = to_port {
                    self.immediate(16, &to_port.to_be_bytes());
                    port = true;
                }
            }
            NatTarget::Map(loads, map) => self.lookup(loads, map, Some(register(0)), 0),
        }
        self.expression("nat", |buffer| {
            buffer.be32(expr::NAT_KIND, nat.kind.number());
            buffer.be32(expr::NAT_FAMILY, u32::from(nfproto(nat.version)));
            buffer.be32(expr::NAT_ADDRESS, register(0));
            if port {
                buffer.be32(expr::NAT_PORT, register(16));
                buffer.be32(expr::NAT_FLAGS, expr::NAT_F_PROTO);
            }
        });
    }

    fn reject(&mut self, reject: Reject) {
        let (kind, code) = match reject {
            Reject::TcpReset => (expr::REJECT_TCP_RESET, 0),
            Reject::NoRoute => (expr::REJECT_ICMPX, 0),
            Reject::Port => (expr::REJECT_ICMPX, 1),
            Reject::Host => (expr::REJECT_ICMPX, 2),
            Reject::Prohibited => (expr::REJECT_ICMPX, 3_u8),
        };
        self.expression("reject", |buffer| {
            buffer.be32(expr::REJECT_KIND, kind);
            buffer.attribute(expr::REJECT_CODE, &[code]);
        });
    }

    /// Puts a value into the register that begins at that byte.
    fn immediate(&mut self, at: usize, value: &[u8]) {
        self.expression("immediate", |buffer| {
            buffer.be32(expr::IMMEDIATE_DREG, register(at));
            put_value(buffer, expr::IMMEDIATE_DATA, value);
        });
    }

    fn immediate_verdict(&mut self, verdict: &Verdict) {
        self.expression("immediate", |buffer| {
            buffer.be32(expr::IMMEDIATE_DREG, 0);
            let data = buffer.nest(expr::IMMEDIATE_DATA);
            put_verdict(buffer, verdict);
            buffer.end(data);
        });
    }
}

// === helpers ===

/// The register that begins at that byte: `NFT_REG_n` of sixteen bytes where it can be, else `NFT_REG32_n`.
fn register(at: usize) -> u32 {
    let number = if at.is_multiple_of(16) { 1 + at / 16 } else { 8 + at / 4 };
    u32::try_from(number).expect("registers have 64 bytes")
}

/// `NFT_CMP_…`.
fn compare_op(op: Op) -> u32 {
    match op {
        Op::Eq => expr::CMP_EQ,
        Op::Ne => expr::CMP_NE,
    }
}

/// Where in a packet something stands: header, offset, length.
pub(super) fn place(load: Load) -> Option<(u32, u32, u32)> {
    let address = |version, direction| match (version, direction) {
        (IpVersion::V4, Direction::Source) => (expr::NETWORK_HEADER, 12, 4),
        (IpVersion::V4, Direction::Destination) => (expr::NETWORK_HEADER, 16, 4),
        (IpVersion::V6, Direction::Source) => (expr::NETWORK_HEADER, 8, 16),
        (IpVersion::V6, Direction::Destination) => (expr::NETWORK_HEADER, 24, 16),
    };
    Some(match load {
        Load::Saddr4 => address(IpVersion::V4, Direction::Source),
        Load::Daddr4 => address(IpVersion::V4, Direction::Destination),
        Load::Saddr6 => address(IpVersion::V6, Direction::Source),
        Load::Daddr6 => address(IpVersion::V6, Direction::Destination),
        Load::Sport => (expr::TRANSPORT_HEADER, 0, 2),
        Load::Dport => (expr::TRANSPORT_HEADER, 2, 2),
        Load::IcmpType | Load::Icmp6Type => (expr::TRANSPORT_HEADER, 0, 1),
        Load::IcmpCode | Load::Icmp6Code => (expr::TRANSPORT_HEADER, 1, 1),
        Load::IifName
        | Load::OifName
        | Load::Mark
        | Load::NfProto
        | Load::L4Proto
        | Load::CtState
        | Load::CtStatus => return None,
    })
}

/// A value in an attribute of that kind.
fn put_value(buffer: &mut Buffer, kind: u16, value: &[u8]) {
    let open = buffer.nest(kind);
    buffer.attribute(wire::data::VALUE, value);
    buffer.end(open);
}
