//! AS numbers: plain and dotted text.

use super::*;
use proptest::prelude::*;

#[test]
fn plain_and_dotted_text_give_the_number() {
    let cases = [
        ("0", 0),
        ("64512", 64512),
        ("007", 7),
        ("4294967295", u32::MAX),
        ("0.0", 0),
        ("1.10", 65546),
        ("65535.65535", u32::MAX),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse(), Ok(AsNumber(expected)), "{text}");
    }
}

#[test]
fn other_texts_are_refused_by_name() {
    for text in
        ["", "4294967296", "+1", "-1", " 1", "1.", ".1", "1.2.3", "70000.1", "1.65536", "1.+2", "AS64512"]
    {
        let error = text.parse::<AsNumber>().unwrap_err();
        assert_eq!(error.to_string(), format!("invalid AS Number format ({text})"));
    }
}

proptest! {
    #[test]
    fn printing_undoes_parsing(number: u32) {
        prop_assert_eq!(AsNumber(number).to_string().parse(), Ok(AsNumber(number)));
        let dotted = format!("{}.{}", number >> 16, number & 0xffff);
        prop_assert_eq!(dotted.parse(), Ok(AsNumber(number)));
    }
}
