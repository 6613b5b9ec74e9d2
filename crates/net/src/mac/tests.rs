//! Hardware addresses: three spellings in, one out.

use super::*;
use proptest::prelude::*;

const INFINIBAND: &str = "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01";

#[test]
fn all_spellings_print_with_lower_case_and_colons() {
    let cases = [
        ("02:00:5E:10:00:00", "02:00:5e:10:00:00"),
        ("02-00-5e-10-00-00", "02:00:5e:10:00:00"),
        ("0200.5E10.0000", "02:00:5e:10:00:00"),
        ("02:00:5e:10:00:00:00:01", "02:00:5e:10:00:00:00:01"),
        ("0200.5e10.0000.0001", "02:00:5e:10:00:00:00:01"),
        (INFINIBAND, INFINIBAND),
        ("0000.0000.fe80.0000.0000.0000.0200.5e10.0000.0001", INFINIBAND),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Mac>().unwrap().to_string(), expected);
    }
}

#[test]
fn other_texts_are_refused_by_name() {
    let cases = [
        "",
        "02:00:5E:10:00",
        "02:00:5e:10:00:00:00",
        "02:00:5e:10:00-00",
        "02:00:5e:10:0:00",
        "2:0:5e:10:0:0",
        "02:00:5e:10:00:000",
        "02:00:5e:10:00:0g",
        "02:00:5e:10:00:+1",
        "02:00:5e:10:00:00:",
        "02005e100000",
        "0200.5e10.00",
        "0200.5e10:0000",
        "02:00:5e:10:00:é",
        " 02:00:5e:10:00:00",
    ];
    for text in cases {
        let error = text.parse::<Mac>().unwrap_err();
        assert_eq!(error.to_string(), format!("address {text}: invalid MAC address"));
    }
}

#[test]
fn other_lengths_cannot_be_built() {
    for len in (0..32).filter(|len| ![6, 8, 20].contains(len)) {
        assert_eq!(Mac::new(&vec![0; len]), None, "{len} octets");
    }
}

fn any_mac() -> impl Strategy<Value = Mac> {
    (any::<[u8; 20]>(), prop::sample::select(vec![6, 8, 20]))
        .prop_map(|(octets, len)| Mac::new(&octets[..len]).unwrap())
}

proptest! {
    #[test]
    fn printing_undoes_parsing(mac in any_mac()) {
        let text = mac.to_string();
        prop_assert_eq!(text.parse::<Mac>(), Ok(mac));
        prop_assert_eq!(text.to_uppercase().replace(':', "-").parse::<Mac>(), Ok(mac));
    }

    #[test]
    fn any_text_parses_or_is_named(text in "[0-9a-fA-F.:é-]{0,20}") {
        if let Err(error) = text.parse::<Mac>() {
            prop_assert_eq!(error.to_string(), format!("address {text}: invalid MAC address"));
        }
    }
}
