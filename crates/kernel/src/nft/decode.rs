//! The expressions of the kernel's register machine as statements again.
//!
//! Only what [`super::encode`] writes is understood; another program's rule reads as none. Two statements that mean
//! the same to the kernel read as one: that is what makes [`Rule::canonical`] comparable with what was dumped.

use margay_net::{Cidr, IpVersion};

use super::read::{self, RawData};
use super::wire::{self, expr};
use super::{AddressKind, Direction, Field, IfPrefix, Limit, Load, LogLevel, LogTarget, Nat, NatKind};
use super::{NatTarget, Op, Reject, Rule, SetRef, Statement, Unit, Value};
use crate::netlink::{Attributes, Buffer, be32, be64, text};

/// Finds the set of a lookup by its name and, in a batch, its number.
pub(super) type FindSet<'a> = dyn Fn(&str, Option<u32>) -> Option<SetRef> + 'a;

/// What a register holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    /// What was loaded.
    Load(Load),
    /// The first bytes of an address.
    Start(Load, usize),
    /// The type and the code of an ICMP message.
    Message,
    /// What was loaded, under a mask.
    Masked(Load, Vec<u8>, Vec<u8>),
    /// What an address is to this host.
    Kind(Direction),
    /// Whether there is a way back.
    Path,
    /// A constant.
    Constant(Vec<u8>),
    /// What a map has.
    Found(Vec<Load>, SetRef),
}

/// The registers in use, and what has been understood so far.
struct Decoder<'a> {
    /// The byte where each register begins.
    registers: Vec<(usize, Held)>,
    /// The lower end of a range that waits for the upper.
    from: Option<(Load, Value)>,
    /// The protocol of the packet, which tells ports from ICMP.
    protocol: Option<u8>,
    statements: Vec<Statement>,
    find: &'a FindSet<'a>,
}

/// The attributes of an expression, by kind.
struct Fields<'a>([Option<&'a [u8]>; 8]);

impl Rule {
    /// The rule as it reads when it comes back from the kernel.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let sets: Vec<_> = self.statements().iter().filter_map(super::encode::anonymous).collect();
        let numbers: Vec<u32> = (0..).take(sets.len()).collect();
        let mut buffer = Buffer::default();
        super::encode::statements(&mut buffer, self.statements(), &numbers);
        let find = |name: &str, number: Option<u32>| match number {
            Some(number) => {
                let set = sets.get(usize::try_from(number).ok()?)?;
                Some(SetRef::from((*set).clone()))
            }
            None => Some(SetRef::Named(super::Name::read(name))),
        };
        let expressions = Attributes(buffer.bytes()).next().map_or(&[][..], |(_, value)| value);
        // An IPv4 address in the clothes of IPv6 is the one thing that we write and do not read.
        let read = statements(expressions, &find);
        Self::trusted(read.unwrap_or_else(|| self.statements().to_vec()), self.comment().map(Into::into))
    }
}

/// The statements of those expressions; none when another program wrote them.
pub(super) fn statements(expressions: &[u8], find: &FindSet<'_>) -> Option<Vec<Statement>> {
    let mut decoder =
        Decoder { registers: Vec::new(), from: None, protocol: None, statements: Vec::new(), find };
    for (index, (kind, expression)) in Attributes(expressions).enumerate() {
        if kind != wire::LIST_ELEMENT || index == super::rule::MOST {
            return None;
        }
        let (mut name, mut data) = (None, &[][..]);
        for (kind, value) in Attributes(expression) {
            match kind {
                expr::NAME => name = text(value),
                expr::DATA => data = value,
                _ => {}
            }
        }
        decoder.expression(name?, &Fields::read(data))?;
    }
    let done = decoder.registers.is_empty() && decoder.from.is_none();
    done.then_some(decoder.statements)
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn read(data: &'a [u8]) -> Self {
        let mut fields = [None; 8];
        for (kind, value) in Attributes(data) {
            if let Some(field) = fields.get_mut(usize::from(kind)) {
                *field = Some(value);
            }
        }
        Self(fields)
    }

    fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    fn number(&self, kind: u16) -> Option<u32> {
        self.get(kind).and_then(be32)
    }

    fn value(&self, kind: u16) -> Option<&'a [u8]> {
        self.get(kind).and_then(read::plain)
    }
}

// === impl Decoder ===

impl Decoder<'_> {
    fn expression(&mut self, name: &str, fields: &Fields<'_>) -> Option<()> {
        match name {
            "meta" => self.meta(fields),
            "ct" => {
                let load = match fields.number(expr::CT_KEY)? {
                    expr::CT_STATE => Load::CtState,
                    expr::CT_STATUS => Load::CtStatus,
                    _ => return None,
                };
                self.hold(fields.number(expr::CT_DREG)?, Held::Load(load))
            }
            "payload" => self.payload(fields),
            "fib" => self.fib(fields),
            "bitwise" => self.bitwise(fields),
            "cmp" => self.compare(fields),
            "range" => self.range(fields),
            "lookup" => self.lookup(fields),
            "immediate" => match read::data(fields.get(expr::IMMEDIATE_DATA)?)? {
                RawData::Verdict(verdict) => self.push(Statement::Verdict(verdict)),
                RawData::Value(value) => {
                    self.hold(fields.number(expr::IMMEDIATE_DREG)?, Held::Constant(value.to_vec()))
                }
            },
            "counter" => self.push(Statement::Counter),
            "notrack" => self.push(Statement::Notrack),
            "limit" => self.limit(fields),
            "log" => self.log(fields),
            "masq" => self.masquerade(fields),
            "nat" => self.nat(fields),
            "reject" => self.reject(fields),
            _ => None,
        }
    }

    fn push(&mut self, statement: Statement) -> Option<()> {
        self.statements.push(statement);
        Some(())
    }

    fn hold(&mut self, register: u32, held: Held) -> Option<()> {
        let at = begins(register)?;
        self.registers.retain(|(other, _)| *other != at);
        self.registers.push((at, held));
        Some(())
    }

    fn take(&mut self, register: u32) -> Option<Held> {
        let at = begins(register)?;
        let index = self.registers.iter().position(|(other, _)| *other == at)?;
        Some(self.registers.swap_remove(index).1)
    }

    fn constant(&mut self, register: u32) -> Option<Vec<u8>> {
        match self.take(register)? {
            Held::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn meta(&mut self, fields: &Fields<'_>) -> Option<()> {
        let key = fields.number(expr::META_KEY)?;
        if let Some(source) = fields.number(expr::META_SREG) {
            if key != expr::META_MARK {
                return None;
            }
            let (and, xor) = match self.take(source)? {
                Held::Constant(value) => (0, host(&value)?),
                Held::Masked(Load::Mark, and, xor) => (host(&and)?, host(&xor)?),
                _ => return None,
            };
            return self.push(Statement::SetMark { and, xor });
        }
        let load = match key {
            expr::META_MARK => Load::Mark,
            expr::META_IIFNAME => Load::IifName,
            expr::META_OIFNAME => Load::OifName,
            expr::META_NFPROTO => Load::NfProto,
            expr::META_L4PROTO => Load::L4Proto,
            _ => return None,
        };
        self.hold(fields.number(expr::META_DREG)?, Held::Load(load))
    }

    fn payload(&mut self, fields: &Fields<'_>) -> Option<()> {
        let base = fields.number(expr::PAYLOAD_BASE)?;
        let offset = fields.number(expr::PAYLOAD_OFFSET)?;
        let length = fields.number(expr::PAYLOAD_LENGTH)?;
        let message = matches!(self.protocol, Some(1 | 58));
        let held = match (base, offset, length) {
            (expr::NETWORK_HEADER, 12, 1..=4) => address(Load::Saddr4, 4, length),
            (expr::NETWORK_HEADER, 16, 1..=4) => address(Load::Daddr4, 4, length),
            (expr::NETWORK_HEADER, 8, 1..=16) => address(Load::Saddr6, 16, length),
            (expr::NETWORK_HEADER, 24, 1..=16) => address(Load::Daddr6, 16, length),
            (expr::TRANSPORT_HEADER, 0, 2) if message => Held::Message,
            (expr::TRANSPORT_HEADER, 0, 2) => Held::Load(Load::Sport),
            (expr::TRANSPORT_HEADER, 2, 2) => Held::Load(Load::Dport),
            (expr::TRANSPORT_HEADER, 0, 1) if self.protocol == Some(58) => Held::Load(Load::Icmp6Type),
            (expr::TRANSPORT_HEADER, 0, 1) => Held::Load(Load::IcmpType),
            (expr::TRANSPORT_HEADER, 1, 1) if self.protocol == Some(58) => Held::Load(Load::Icmp6Code),
            (expr::TRANSPORT_HEADER, 1, 1) => Held::Load(Load::IcmpCode),
            _ => return None,
        };
        self.hold(fields.number(expr::PAYLOAD_DREG)?, held)
    }

    fn fib(&mut self, fields: &Fields<'_>) -> Option<()> {
        const WAY_BACK: u32 = expr::FIB_F_SADDR | expr::FIB_F_IIF | expr::FIB_F_PRESENT;
        let held = match (fields.number(expr::FIB_RESULT)?, fields.number(expr::FIB_FLAGS)?) {
            (expr::FIB_RESULT_ADDRTYPE, expr::FIB_F_SADDR) => Held::Kind(Direction::Source),
            (expr::FIB_RESULT_ADDRTYPE, expr::FIB_F_DADDR) => Held::Kind(Direction::Destination),
            (expr::FIB_RESULT_OIF, WAY_BACK) => Held::Path,
            _ => return None,
        };
        self.hold(fields.number(expr::FIB_DREG)?, held)
    }

    fn bitwise(&mut self, fields: &Fields<'_>) -> Option<()> {
        let Held::Load(load) = self.take(fields.number(expr::BITWISE_SREG)?)? else { return None };
        let mask = fields.value(expr::BITWISE_MASK)?.to_vec();
        let xor = fields.value(expr::BITWISE_XOR)?.to_vec();
        self.hold(fields.number(expr::BITWISE_DREG)?, Held::Masked(load, mask, xor))
    }

    fn compare(&mut self, fields: &Fields<'_>) -> Option<()> {
        let register = fields.number(expr::CMP_SREG)?;
        let value = fields.value(expr::CMP_DATA)?;
        let held = self.take(register)?;
        let op = match fields.number(expr::CMP_OP)? {
            expr::CMP_EQ => Op::Eq,
            expr::CMP_NE => Op::Ne,
            expr::CMP_GE => {
                let Held::Load(load) = held else { return None };
                self.from = Some((load, exact(load.field()?, value)?));
                return self.hold(register, Held::Load(load));
            }
            expr::CMP_LE => {
                let (load, first) = self.from.take()?;
                if held != Held::Load(load) {
                    return None;
                }
                return self.push(Statement::Range(load, Op::Eq, first, exact(load.field()?, value)?));
            }
            _ => return None,
        };
        let statement = match held {
            Held::Load(load) => self.compared(load, op, value)?,
            Held::Start(load, length) if value.len() == length => net(load, op, value, length * 8)?,
            Held::Message => match value {
                [kind, code] => self.message(op, *kind, Some(*code)),
                _ => return None,
            },
            Held::Masked(load, mask, xor) if xor.iter().all(|byte| *byte == 0) => {
                masked(load, op, &mask, value)?
            }
            Held::Kind(direction) => {
                let number = host(value)?;
                let kinds = [
                    AddressKind::Unicast,
                    AddressKind::Local,
                    AddressKind::Broadcast,
                    AddressKind::Multicast,
                ];
                let kind = kinds.into_iter().find(|kind| kind.number() == number)?;
                Statement::AddressKind(direction, op, kind)
            }
            Held::Path => match (op, host(value)?) {
                (Op::Eq, exists @ (0 | 1)) => Statement::ReversePath(exists == 1),
                _ => return None,
            },
            _ => return None,
        };
        self.push(statement)
    }

    /// A value compared with what was loaded.
    fn compared(&mut self, load: Load, op: Op, value: &[u8]) -> Option<Statement> {
        let field = load.field()?;
        if field == Field::IfName && value.len() < 16 {
            let prefix: IfPrefix = std::str::from_utf8(value).ok()?.parse().ok()?;
            return Some(Statement::IfPrefix(load, op, prefix));
        }
        let typed = exact(field, value)?;
        if load.version().is_some() {
            return net(load, op, value, value.len() * 8);
        }
        if matches!(load, Load::IcmpType | Load::Icmp6Type) {
            let [kind] = value else { return None };
            return Some(self.message(op, *kind, None));
        }
        if let (Load::L4Proto, Op::Eq, Value::Protocol(protocol)) = (load, op, typed) {
            self.protocol = Some(protocol);
        }
        Some(Statement::Compare(load, op, typed))
    }

    fn message(&self, op: Op, kind: u8, code: Option<u8>) -> Statement {
        let version = if self.protocol == Some(58) { IpVersion::V6 } else { IpVersion::V4 };
        Statement::Icmp { version, op, kind, code }
    }

    fn range(&mut self, fields: &Fields<'_>) -> Option<()> {
        let Held::Load(load) = self.take(fields.number(expr::RANGE_SREG)?)? else { return None };
        let op = match fields.number(expr::RANGE_OP)? {
            0 => Op::Eq,
            expr::RANGE_NE => Op::Ne,
            _ => return None,
        };
        let field = load.field()?;
        let first = exact(field, fields.value(expr::RANGE_FROM)?)?;
        let last = exact(field, fields.value(expr::RANGE_TO)?)?;
        self.push(Statement::Range(load, op, first, last))
    }

    fn lookup(&mut self, fields: &Fields<'_>) -> Option<()> {
        let name = text(fields.get(expr::LOOKUP_SET)?)?;
        let set = (self.find)(name, fields.number(expr::LOOKUP_SET_ID))?;
        let mut at = begins(fields.number(expr::LOOKUP_SREG)?)?;
        let mut loads = Vec::new();
        while let Some(index) = self.registers.iter().position(|(other, _)| *other == at) {
            let Held::Load(load) = self.registers.swap_remove(index).1 else { return None };
            at += load.field()?.length().next_multiple_of(4);
            loads.push(load);
        }
        if loads.is_empty() {
            return None;
        }
        let inverted = fields.number(expr::LOOKUP_FLAGS).unwrap_or(0) & expr::LOOKUP_INVERT != 0;
        match fields.number(expr::LOOKUP_DREG) {
            None => self.push(Statement::Lookup(loads, if inverted { Op::Ne } else { Op::Eq }, set)),
            Some(0) => self.push(Statement::VerdictMap(loads, set)),
            Some(register) => self.hold(register, Held::Found(loads, set)),
        }
    }

    fn limit(&mut self, fields: &Fields<'_>) -> Option<()> {
        let seconds = be64(fields.get(expr::LIMIT_UNIT)?)?;
        let units = [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day];
        if fields.number(expr::LIMIT_KIND).unwrap_or(0) != 0 {
            return None;
        }
        self.push(Statement::Limit(Limit {
            rate: be64(fields.get(expr::LIMIT_RATE)?)?,
            per: units.into_iter().find(|unit| unit.seconds() == seconds)?,
            burst: fields.number(expr::LIMIT_BURST)?,
            over: fields.number(expr::LIMIT_FLAGS).unwrap_or(0) & 1 != 0,
        }))
    }

    fn log(&mut self, fields: &Fields<'_>) -> Option<()> {
        let prefix = fields.get(expr::LOG_PREFIX).map_or(Some(""), text)?;
        if prefix.len() > super::rule::LONGEST_PREFIX {
            return None;
        }
        let target = match fields.get(expr::LOG_GROUP) {
            Some(group) => LogTarget::Group {
                group: u16::from_be_bytes(*group.first_chunk()?),
                snaplen: fields.number(expr::LOG_SNAPLEN).unwrap_or(0),
            },
            None => {
                let number = fields.number(expr::LOG_LEVEL)?;
                LogTarget::Kernel(LogLevel::ALL.into_iter().find(|level| level.number() == number)?)
            }
        };
        self.push(Statement::Log(target, prefix.into()))
    }

    fn masquerade(&mut self, fields: &Fields<'_>) -> Option<()> {
        let flags = fields.number(expr::MASQ_FLAGS).unwrap_or(0);
        let ports = match fields.number(expr::MASQ_PROTO_MIN) {
            None => None,
            Some(first) => {
                let first = port(&self.constant(first)?)?;
                Some((first, port(&self.constant(fields.number(expr::MASQ_PROTO_MAX)?)?)?))
            }
        };
        if flags & !(expr::NAT_F_RANDOM_FULLY | expr::NAT_F_PROTO) != 0 {
            return None;
        }
        self.push(Statement::Masquerade { random_fully: flags & expr::NAT_F_RANDOM_FULLY != 0, ports })
    }

    fn nat(&mut self, fields: &Fields<'_>) -> Option<()> {
        let kind = match fields.number(expr::NAT_KIND)? {
            0 => NatKind::Source,
            1 => NatKind::Destination,
            _ => return None,
        };
        let version = match fields.number(expr::NAT_FAMILY)? {
            2 => IpVersion::V4,
            10 => IpVersion::V6,
            _ => return None,
        };
        if fields.number(expr::NAT_FLAGS).unwrap_or(0) & !(expr::NAT_F_ADDRESS | expr::NAT_F_PROTO) != 0 {
            return None;
        }
        let held = self.take(fields.number(expr::NAT_ADDRESS)?)?;
        let to_port = match fields.number(expr::NAT_PORT) {
            None => None,
            Some(register) => Some(port(&self.constant(register)?)?),
        };
        let to = match (held, version) {
            (Held::Constant(bytes), IpVersion::V4) => {
                NatTarget::Address(<[u8; 4]>::try_from(bytes).ok()?.into(), to_port)
            }
            (Held::Constant(bytes), IpVersion::V6) => {
                NatTarget::Address(<[u8; 16]>::try_from(bytes).ok()?.into(), to_port)
            }
            (Held::Found(loads, map), _) if to_port.is_none() => NatTarget::Map(loads, map),
            _ => return None,
        };
        self.push(Statement::Nat(Nat { kind, version, to }))
    }

    fn reject(&mut self, fields: &Fields<'_>) -> Option<()> {
        let code = fields.get(expr::REJECT_CODE).and_then(|code| code.first().copied()).unwrap_or(0);
        let reject = match (fields.number(expr::REJECT_KIND)?, code) {
            (expr::REJECT_TCP_RESET, _) => Reject::TcpReset,
            (expr::REJECT_ICMPX, 0) => Reject::NoRoute,
            (expr::REJECT_ICMPX, 1) => Reject::Port,
            (expr::REJECT_ICMPX, 2) => Reject::Host,
            (expr::REJECT_ICMPX, 3) => Reject::Prohibited,
            _ => return None,
        };
        self.push(Statement::Reject(reject))
    }
}

// === helpers ===

/// The byte where a register begins.
fn begins(register: u32) -> Option<usize> {
    let register = usize::try_from(register).ok()?;
    match register {
        1..=4 => Some((register - 1) * 16),
        8..=23 => Some((register - 8) * 4),
        _ => None,
    }
}

/// An address, or its first bytes.
fn address(load: Load, whole: u32, length: u32) -> Held {
    if length == whole { Held::Load(load) } else { Held::Start(load, usize::try_from(length).unwrap_or(0)) }
}

/// A number in the host's order.
fn host(bytes: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(bytes).ok().map(u32::from_ne_bytes)
}

/// A value that has the length of its type.
fn exact(field: Field, bytes: &[u8]) -> Option<Value> {
    Value::read(field, bytes).filter(|_| bytes.len() == field.length())
}

/// A port.
fn port(bytes: &[u8]) -> Option<u16> {
    <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes)
}

/// A network from the first bytes of its address.
fn net(load: Load, op: Op, bytes: &[u8], prefix: usize) -> Option<Statement> {
    let mut whole = [0_u8; 16];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let field = load.field()?;
    let net = match Value::read(field, whole.get(..field.length())?)? {
        Value::V4(address) => Cidr::new(address, u8::try_from(prefix).ok()?)?,
        Value::V6(address) => Cidr::new(address, u8::try_from(prefix).ok()?)?,
        _ => return None,
    };
    // An IPv4 address in the clothes of IPv6 counts as IPv4 elsewhere, and would never match here.
    (load.version() == Some(net.version())).then_some(Statement::Net(load, op, net))
}

/// What was loaded, under a mask, compared.
fn masked(load: Load, op: Op, mask: &[u8], value: &[u8]) -> Option<Statement> {
    if load.version().is_some() {
        let ones = mask.iter().map(|byte| byte.leading_ones()).sum::<u32>();
        let contiguous = mask.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0));
        let whole = load.field().map(Field::length);
        if !contiguous.is_sorted_by_key(|one| !one) || whole != Some(mask.len()) || mask.len() != value.len()
        {
            return None;
        }
        return net(load, op, value, usize::try_from(ones).ok()?);
    }
    let (mask, value) = (host(mask)?, host(value)?);
    match (load, value) {
        (Load::Mark | Load::CtState | Load::CtStatus, 0) => Some(Statement::Bits(load, op, mask)),
        (Load::Mark, value) => Some(Statement::Masked { mask, op, value }),
        _ => None,
    }
}
