use super::IfName;

#[test]
fn a_name_reads_back_and_is_padded_for_the_kernel() {
    for text in ["c", "cali0", "eth0.100", "tap-0123456789a", "ünï"] {
        let name: IfName = text.parse().expect(text);
        assert_eq!(name.as_str(), text);
        assert_eq!(&name.padded()[..text.len()], text.as_bytes());
        assert!(name.padded()[text.len()..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn what_the_kernel_refuses_is_refused() {
    for text in ["", ".", "..", "a/b", "a b", "a\tb", "a:0", "a\0b", "sixteen-bytes-00", "üüüüüüüü"] {
        assert!(text.parse::<IfName>().is_err(), "{text:?}");
    }
}
