//! Ports: numbers, ranges and the four ways to be wrong.

use super::*;
use proptest::prelude::*;

#[test]
fn numbers_and_ranges_print_shortest() {
    let cases = [
        ("80", "80"),
        ("0", "0"),
        ("0080", "80"),
        ("65535", "65535"),
        ("1:2", "1:2"),
        ("01:002", "1:2"),
        ("80:80", "80"),
        ("0:65535", "0:65535"),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Port>().unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn each_fault_has_its_text() {
    let cases = [
        ("", "invalid port format ()"),
        ("http", "invalid port format (http)"),
        ("65536", "invalid port format (65536)"),
        ("+80", "invalid port format (+80)"),
        (" 80", "invalid port format ( 80)"),
        ("80-90", "invalid port format (80-90)"),
        ("1:2:3", "invalid port format (1:2:3)"),
        (":", "invalid minimum port number in range (:)"),
        (":90", "invalid minimum port number in range (:90)"),
        ("a:b", "invalid minimum port number in range (a:b)"),
        ("65536:1", "invalid minimum port number in range (65536:1)"),
        ("80:", "invalid maximum port number in range (80:)"),
        ("80: 90", "invalid maximum port number in range (80: 90)"),
        ("80:65536", "invalid maximum port number in range (80:65536)"),
        ("90:80", "minimum port number (90) is greater than maximum port number (80) in port range"),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Port>().unwrap_err().to_string(), expected);
    }
}

#[test]
fn only_one_number_is_single() {
    assert_eq!(Port::single(80).as_single(), Some(80));
    assert_eq!(Port::range(80, 80), Ok(Port::single(80)));
    assert_eq!(Port::range(80, 81).unwrap().as_single(), None);
    assert_eq!(Port::range(2, 1), Err(ParsePortError::Reversed { min: 2, max: 1 }));
}

proptest! {
    #[test]
    fn printing_undoes_parsing(a: u16, b: u16) {
        let port = Port::range(a.min(b), a.max(b)).unwrap();
        prop_assert_eq!(port.to_string().parse(), Ok(port));
        prop_assert!(port.contains(a) && port.contains(b));
        prop_assert_eq!((port.min(), port.max()), (a.min(b), a.max(b)));
        prop_assert!(a.max(b) == u16::MAX || !port.contains(a.max(b) + 1));
    }
}
