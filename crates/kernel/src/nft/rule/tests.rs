use super::*;
use crate::nft::{CtState, Nat, NatKind};

fn port(port: u16) -> Value {
    Value::Port(port)
}

fn dport_is(value: u16) -> Statement {
    Statement::Compare(Load::Dport, Op::Eq, port(value))
}

fn check(statements: Vec<Statement>) -> Result<(), RuleError> {
    Rule::new(statements).map(drop)
}

#[test]
fn an_address_needs_the_version_before() {
    let net = |text: &str| Statement::Net(Load::Saddr4, Op::Eq, text.parse().expect("a network"));
    assert_eq!(check(vec![net("10.0.0.0/8")]), Err(RuleError::Version(0)));
    assert_eq!(check(vec![Statement::version(IpVersion::V6), net("10.0.0.0/8")]), Err(RuleError::Version(1)));
    assert_eq!(check(vec![Statement::version(IpVersion::V4), net("10.0.0.0/8")]), Ok(()));
    assert_eq!(check(vec![Statement::version(IpVersion::V4), net("fd00::/8")]), Err(RuleError::Types(1)));
}

#[test]
fn a_port_needs_a_protocol_that_has_ports() {
    assert_eq!(check(vec![dport_is(80)]), Err(RuleError::Protocol(0)));
    assert_eq!(check(vec![Statement::protocol(Op::Ne, 6), dport_is(80)]), Err(RuleError::Protocol(1)));
    assert_eq!(check(vec![Statement::protocol(Op::Eq, 1), dport_is(80)]), Err(RuleError::Protocol(1)));
    assert_eq!(check(vec![Statement::protocol(Op::Eq, 132), dport_is(80)]), Ok(()));
    let set: SetRef = (&"fs_in".parse::<Name>().expect("a name")).into();
    assert_eq!(check(vec![Statement::within([Load::L4Proto, Load::Dport], set.clone())]), Ok(()));
    assert_eq!(check(vec![Statement::within([Load::Dport], set)]), Err(RuleError::Protocol(0)));
}

#[test]
fn an_icmp_message_needs_its_protocol_before() {
    let ping = Statement::Icmp { version: IpVersion::V6, op: Op::Eq, kind: 128, code: None };
    assert_eq!(check(vec![Statement::protocol(Op::Eq, 1), ping.clone()]), Err(RuleError::Protocol(1)));
    assert_eq!(check(vec![Statement::protocol(Op::Eq, 58), ping]), Ok(()));
}

#[test]
fn nothing_stands_behind_a_verdict() {
    let accept = Statement::Verdict(Verdict::Accept);
    assert_eq!(check(vec![accept.clone(), Statement::Counter]), Err(RuleError::BehindVerdict(1)));
    assert_eq!(check(vec![Statement::Counter, accept]), Ok(()));
}

#[test]
fn a_rule_has_no_more_expressions_than_the_kernel_takes() {
    let marks = |count| check(vec![Statement::mark_set(1); count]);
    assert_eq!((marks(42), marks(43)), (Ok(()), Err(RuleError::TooLong(129))));
}

#[test]
fn types_and_ranges_must_fit() {
    let mark = Statement::Compare(Load::Mark, Op::Eq, port(80));
    assert_eq!(check(vec![mark]), Err(RuleError::Types(0)));
    let tcp = Statement::protocol(Op::Eq, 6);
    let range = |first, last| Statement::Range(Load::Dport, Op::Eq, port(first), port(last));
    assert_eq!(check(vec![tcp.clone(), range(9, 8)]), Err(RuleError::Range(1)));
    assert_eq!(check(vec![tcp, range(8, 8)]), Ok(()));
    let marks = Statement::Range(Load::Mark, Op::Eq, Value::Mark(1), Value::Mark(2));
    assert_eq!(check(vec![marks]), Err(RuleError::Range(0)));
    assert_eq!(check(vec![Statement::Bits(Load::Dport, Op::Ne, 1)]), Err(RuleError::Types(0)));
}

#[test]
fn a_map_is_no_set() {
    let verdicts = AnonymousSet::verdicts(
        Field::CtState.into(),
        [(Value::CtState(CtState::INVALID).into(), Verdict::Drop)],
    );
    let verdicts = SetRef::from(verdicts);
    assert_eq!(check(vec![Statement::within([Load::CtState], verdicts.clone())]), Err(RuleError::Map(0)));
    assert_eq!(check(vec![Statement::VerdictMap(vec![Load::CtState], verdicts)]), Ok(()));
}

#[test]
fn an_address_is_translated_within_its_version() {
    let nat = |to: &str, port| {
        Statement::Nat(Nat {
            kind: NatKind::Destination,
            version: IpVersion::V4,
            to: NatTarget::Address(to.parse().expect("an address"), port),
        })
    };
    assert_eq!(check(vec![nat("10.0.0.1", None)]), Ok(()));
    assert_eq!(check(vec![nat("fd00::1", None)]), Err(RuleError::Version(0)));
    assert_eq!(check(vec![nat("10.0.0.1", Some(80))]), Err(RuleError::Protocol(0)));
}

#[test]
fn a_log_prefix_must_fit_the_kernel() {
    let log = |text: &str| Statement::Log(crate::nft::LogTarget::Group { group: 1, snaplen: 0 }, text.into());
    assert_eq!(check(vec![log(&"x".repeat(127))]), Ok(()));
    assert_eq!(check(vec![log(&"x".repeat(128))]), Err(RuleError::Text(128)));
    assert_eq!(check(vec![log("a\"b")]), Err(RuleError::Text(3)));
}

#[test]
fn a_note_is_cut_to_fit() {
    let rule = Rule::new(vec![Statement::Counter]).expect("a rule").with_comment(&"ä\"".repeat(100));
    let comment = rule.comment().expect("a note");
    assert!(comment.len() <= 127 && comment.starts_with("ä'"), "{comment}");
}

#[test]
fn ranges_that_touch_become_one() {
    let ports = AnonymousSet::of_ports([(80, 80), (443, 443), (81, 90), (85, 100), (9, 7), (65535, 65535)]);
    let range = |first, last| Element::range(port(first).into(), port(last).into());
    assert_eq!(ports.elements, [range(80, 100), range(443, 443), range(65535, 65535)]);
    let nets =
        ["10.0.0.0/9", "10.128.0.0/9", "fd00::/8", "1.2.3.4/32"].map(|net| net.parse().expect("a network"));
    let nets = AnonymousSet::of_nets(IpVersion::V4, nets);
    let text: Vec<_> = nets.elements.iter().map(|each| each.key.to_string()).collect();
    assert_eq!(text, ["1.2.3.4", "10.0.0.0"]);
}
