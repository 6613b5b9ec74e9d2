//! Block arithmetic against the rules of `spec/ipam.md` 4.

use std::collections::BTreeSet;

use margay_net::{Cidr, Ip};
use proptest::prelude::*;

use super::{AssignError, Attribute, Block};

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn ip(text: &str) -> Ip {
    text.parse().unwrap()
}

fn of(handle: &str) -> Attribute {
    Attribute::new(Some(handle.to_owned()), None)
}

#[test]
fn addresses_come_back_behind_all_other_free_ones() {
    let mut block = Block::new(cidr("10.0.0.0/30"), None, false).unwrap();
    let first: Vec<String> = block.auto_assign(2, &of("a")).iter().map(ToString::to_string).collect();
    assert_eq!(first, ["10.0.0.0", "10.0.0.1"]);
    block.release(&[ip("10.0.0.0")]);
    let next: Vec<String> = block.auto_assign(9, &of("b")).iter().map(ToString::to_string).collect();
    assert_eq!(next, ["10.0.0.2", "10.0.0.3", "10.0.0.0"]);
}

#[test]
fn the_recorded_form_is_written() {
    let mut block = Block::new(cidr("fd80::1234:0/126"), Some("host:n<1".into()), true).unwrap();
    block.assign(ip("fd80::1234:2"), &of("h")).unwrap();
    let text = r#"{"cidr":"fd80::1234:0/126","affinity":"host:n\u003c1","strictAffinity":true,"allocations":[null,null,0,null],"unallocated":[0,1,3],"attributes":[{"handle_id":"h","secondary":null}]}"#;
    assert_eq!(block.encode(), text);
    assert_eq!(Block::decode(text).unwrap(), block);
}

#[test]
fn blocks_of_other_writers_are_read_and_their_fields_kept() {
    let text = r#"{"cidr":"10.0.0.0/30","affinity":"","strict_affinity":true,"hostAffinity":"n1","allocations":[0,null,null,7],"unallocated":[2,2,0,9],"attributes":[{"handle_id":"h","secondary":{"n":"x"},"releasedAt":"t"}],"sequenceNumber":5}"#;
    let block = Block::decode(text).unwrap();
    assert_eq!(block.affinity(), Some("host:n1"));
    assert_eq!(block.attribute(ip("10.0.0.3")), Some(&Attribute::default()));
    let written = block.encode();
    assert!(written.contains(r#""unallocated":[2,1]"#), "{written}");
    assert!(
        written.contains(r#""releasedAt":"t""#) && written.ends_with(r#""sequenceNumber":5}"#),
        "{written}"
    );
}

#[test]
fn nonsense_is_an_error() {
    for text in [
        "",
        "[]",
        r#"{"cidr":"x"}"#,
        r#"{"cidr":"10.0.0.0/8","allocations":[],"unallocated":[]}"#,
        r#"{"cidr":"10.0.0.0/30","allocations":[null],"unallocated":[]}"#,
        r#"{"cidr":"10.0.0.0/31","allocations":[null,null],"unallocated":[0,1],"attributes":[7]}"#,
    ] {
        assert!(Block::decode(text).is_err(), "{text}");
    }
    let mut block = Block::new(cidr("10.0.0.0/30"), None, false).unwrap();
    assert_eq!(block.assign(ip("10.0.1.0"), &of("a")), Err(AssignError::Outside(ip("10.0.1.0"))));
    block.assign(ip("10.0.0.1"), &of("a")).unwrap();
    assert_eq!(block.assign(ip("10.0.0.1"), &of("b")), Err(AssignError::Taken));
    assert!(block.release(&[ip("fd00::1"), ip("10.0.0.2")]).is_empty());
}

#[test]
fn a_block_never_used_has_null_for_attributes_and_an_emptied_one_a_list() {
    let mut block = Block::new(cidr("10.0.0.0/31"), Some("host:n".into()), false).unwrap();
    let empty = r#"{"cidr":"10.0.0.0/31","affinity":"host:n","strictAffinity":false,"allocations":[null,null],"unallocated":[0,1],"attributes":null}"#;
    assert_eq!(block.encode(), empty);
    assert_eq!(Block::decode(empty).unwrap().encode(), empty);
    block.assign(ip("10.0.0.0"), &of("a")).unwrap();
    block.release(&[ip("10.0.0.0")]);
    assert!(block.is_empty());
    let emptied = empty.replace("[0,1]", "[1,0]").replace(r#""attributes":null"#, r#""attributes":[]"#);
    assert_eq!(block.encode(), emptied);
    assert_eq!(Block::decode(&emptied).unwrap(), block);
}

#[test]
fn texts_are_escaped_as_go_does() {
    let notes = [("k".to_owned(), "<>&\u{8}\u{c}\n\t\r\\b\"\u{1}\u{7f}\u{2028}\u{2029}é".to_owned())].into();
    let mut block = Block::new(cidr("10.0.0.0/32"), None, false).unwrap();
    block.assign(ip("10.0.0.0"), &Attribute::new(None, Some(notes))).unwrap();
    let secondary =
        "{\"k\":\"\\u003c\\u003e\\u0026\\u0008\\u000c\\n\\t\\r\\\\b\\\"\\u0001\u{7f}\\u2028\\u2029é\"}";
    assert!(block.encode().contains(secondary), "{}", block.encode());
    assert_eq!(Block::decode(&block.encode()).unwrap(), block);
}

#[test]
fn attributes_are_shared_and_renumbered_when_one_goes() {
    let mut block = Block::new(cidr("10.0.0.0/29"), None, false).unwrap();
    let empty_notes = Attribute::new(Some("b".to_owned()), Some(std::collections::BTreeMap::new()));
    block.auto_assign(2, &of("a"));
    block.auto_assign(1, &of("b"));
    block.auto_assign(1, &empty_notes);
    block.auto_assign(1, &of("b"));
    assert!(block.encode().contains(r#""allocations":[0,0,1,2,1,null,null,null]"#), "{}", block.encode());
    let released = block.release(&[ip("10.0.0.1"), ip("10.0.0.0"), ip("10.0.0.1"), ip("10.0.0.7")]);
    let held = |text| (ip(text), Some("a".to_owned()));
    assert_eq!(released, [held("10.0.0.1"), held("10.0.0.0")]);
    let rest = r#""allocations":[null,null,0,1,0,null,null,null],"unallocated":[5,6,7,1,0],"attributes":[{"handle_id":"b","secondary":null},{"handle_id":"b","secondary":{}}]}"#;
    assert!(block.encode().ends_with(rest), "{}", block.encode());
    assert_eq!(block.held_by("b"), 3);
    assert_eq!(block.release_handle("b"), ["10.0.0.2", "10.0.0.3", "10.0.0.4"].map(ip));
    assert!(block.is_empty() && block.release_handle("b").is_empty());
}

#[test]
fn a_queue_that_contradicts_the_allocations_is_rebuilt() {
    let with = |unallocated: &str| {
        format!(
            r#"{{"cidr":"10.0.0.0/29","affinity":null,"strictAffinity":false,"allocations":[null,0,null,null,9,-1,null,null],{unallocated}"attributes":[{{"handle_id":"h","secondary":null}}]}}"#
        )
    };
    for (stored, repaired) in [
        (r#""unallocated":[7,1,7,3,99,-2,"0",null],"#, "[7,3,0,2,6]"),
        (r#""unallocated":null,"#, "[0,2,3,6,7]"),
        ("", "[0,2,3,6,7]"),
    ] {
        let written = Block::decode(&with(stored)).unwrap().encode();
        let expected = format!(
            r#""allocations":[null,0,null,null,1,1,null,null],"unallocated":{repaired},"attributes":[{{"handle_id":"h","secondary":null}},{{"handle_id":null,"secondary":null}}]}}"#
        );
        assert!(written.ends_with(&expected), "{written}");
    }
}

#[test]
fn the_older_spelling_counts_only_where_the_newer_is_absent() {
    let block = |members: &str| {
        let text = format!(r#"{{"cidr":"10.0.0.0/32","allocations":[null],"unallocated":[0],{members}}}"#);
        Block::decode(&text).unwrap()
    };
    let strict = |members: &str| block(members).encode().contains(r#""strictAffinity":true"#);
    assert!(strict(r#""strict_affinity":true"#));
    assert!(strict(r#""strictAffinity":true,"strict_affinity":false"#));
    assert!(!strict(r#""strictAffinity":false,"strict_affinity":true"#));
    let written = block(r#""affinity":"host:a","hostAffinity":"b","strict_affinity":true"#).encode();
    assert!(!written.contains("hostAffinity") && !written.contains("strict_affinity"), "{written}");
    assert!(written.contains(r#""affinity":"host:a""#), "{written}");
}

#[test]
fn who_may_assign_is_told_in_upstreams_words() {
    let mut block = Block::new(cidr("10.0.0.0/30"), Some("host:a".into()), true).unwrap();
    assert_eq!((block.check_owner("a"), block.check_strict("a")), (Ok(()), Ok(())));
    let text = |checked: Result<(), AssignError>| checked.unwrap_err().to_string();
    assert_eq!(text(block.check_owner("b")), "Block affinity (host:a) does not match provided (b)");
    assert_eq!(text(block.check_strict("b")), "Block host affinity does not match");
    block.clear_affinity();
    assert_eq!(text(block.check_owner("a")), "Block affinity () does not match provided (a)");
    assert_eq!(block.check_strict("a"), Ok(()));
    let lax = Block::new(cidr("10.0.0.0/30"), Some("host:a".into()), false).unwrap();
    assert_eq!(lax.check_strict("b"), Ok(()));
    assert!(lax.check_owner("b").is_err());
}

#[test]
fn blocks_at_the_ends_of_the_address_space_are_counted_right() {
    for (range, first, last) in [
        ("0.0.0.0/26", "0.0.0.0", "0.0.0.63"),
        ("255.255.255.192/26", "255.255.255.192", "255.255.255.255"),
        ("::/122", "::", "::3f"),
        ("0:1::ffc0/122", "0:1::ffc0", "0:1::ffff"),
        (
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0/122",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ),
    ] {
        let mut block = Block::new(cidr(range), None, false).unwrap();
        let given = block.auto_assign(usize::MAX, &of("h"));
        assert_eq!((given.len(), given[0], given[63]), (64, ip(first), ip(last)));
        assert_eq!(Block::decode(&block.encode()).unwrap(), block);
        assert_eq!(block.release(&given).len(), 64);
    }
}

#[test]
fn members_of_a_wrong_type_are_errors_that_name_them() {
    let good = r#"{"cidr":"10.0.0.0/32","affinity":null,"strictAffinity":false,"allocations":[0],"unallocated":[],"attributes":[{"handle_id":"h","secondary":{"a":null}}]}"#;
    let block = Block::decode(good).unwrap();
    let notes = block.attribute(ip("10.0.0.0")).unwrap().secondary.clone().unwrap();
    assert_eq!(notes, [("a".to_owned(), String::new())].into());
    for (member, from, to) in [
        ("cidr", r#""10.0.0.0/32""#, "7"),
        ("affinity", "null", "7"),
        ("strictAffinity", "false", r#""no""#),
        ("allocations", "[0]", "null"),
        ("unallocated", "[]", "{}"),
        ("handle_id", r#""h""#, "7"),
        ("secondary", r#"{"a":null}"#, "[]"),
    ] {
        let error = Block::decode(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(error, format!("{member} is missing or not of its type"));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Auto(usize, u8),
    Assign(u8, u8),
    Release(Vec<u8>),
    ReleaseHandle(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..5_usize, 0..4_u8).prop_map(|(count, handle)| Step::Auto(count, handle)),
        (0..16_u8, 0..4_u8).prop_map(|(address, handle)| Step::Assign(address, handle)),
        proptest::collection::vec(0..16_u8, 0..5).prop_map(Step::Release),
        (0..4_u8).prop_map(Step::ReleaseHandle),
    ]
}

proptest! {
    #[test]
    fn no_address_is_held_twice_and_each_by_whom_it_was_given(steps in proptest::collection::vec(step(), 0..40)) {
        let mut block = Block::new(cidr("10.0.0.0/28"), None, false).unwrap();
        let mut model: std::collections::BTreeMap<Ip, u8> = std::collections::BTreeMap::new();
        let address = |n: u8| ip(&format!("10.0.0.{n}"));
        for step in steps {
            match step {
                Step::Auto(count, handle) => {
                    for ip in block.auto_assign(count, &of(&handle.to_string())) {
                        prop_assert!(model.insert(ip, handle).is_none());
                    }
                }
                Step::Assign(n, handle) => {
                    let given = block.assign(address(n), &of(&handle.to_string())).is_ok();
                    prop_assert_eq!(given, !model.contains_key(&address(n)));
                    model.entry(address(n)).or_insert(handle);
                }
                Step::Release(list) => {
                    let list: Vec<Ip> = list.into_iter().map(address).collect();
                    let released: BTreeSet<Ip> = block.release(&list).into_iter().map(|(ip, _)| ip).collect();
                    let held: BTreeSet<Ip> = list.into_iter().filter(|ip| model.remove(ip).is_some()).collect();
                    prop_assert_eq!(released, held);
                }
                Step::ReleaseHandle(handle) => {
                    let released: BTreeSet<Ip> = block.release_handle(&handle.to_string()).into_iter().collect();
                    let held: BTreeSet<Ip> = model.iter().filter(|(_, h)| **h == handle).map(|(ip, _)| *ip).collect();
                    model.retain(|_, h| *h != handle);
                    prop_assert_eq!(released, held);
                }
            }
            for n in 0..16 {
                let handle = block.attribute(address(n)).and_then(|attribute| attribute.handle.clone());
                prop_assert_eq!(handle, model.get(&address(n)).map(ToString::to_string));
            }
            let read = Block::decode(&block.encode()).expect("our own form");
            prop_assert_eq!(&read, &block);
        }
    }

    #[test]
    fn releasing_what_was_assigned_restores_who_held_what(
        taken in proptest::collection::btree_set(0..64_u8, 0..64),
        count in 0..70_usize,
        six in any::<bool>(),
    ) {
        let range = cidr(if six { "fd80::ff40/122" } else { "10.0.0.64/26" });
        let address = |n: u8| match six {
            true => ip(&format!("fd80::ff{:02x}", 64 + n)),
            false => ip(&format!("10.0.0.{}", 64 + n)),
        };
        let mut block = Block::new(range, Some("host:n".into()), true).unwrap();
        for n in &taken {
            block.assign(address(*n), &of(&(n % 3).to_string())).unwrap();
        }
        let before: Vec<Option<Attribute>> = (0..64).map(|n| block.attribute(address(n)).cloned()).collect();
        let given = block.auto_assign(count, &of("1"));
        prop_assert_eq!(given.len(), count.min(64 - taken.len()));
        prop_assert!(given.iter().all(|ip| range.contains_ip(*ip)));
        block.release(&given);
        let after: Vec<Option<Attribute>> = (0..64).map(|n| block.attribute(address(n)).cloned()).collect();
        prop_assert_eq!(before, after);
        let text = block.encode();
        prop_assert_eq!(Block::decode(&text).unwrap().encode(), text);
    }
}

#[test]
fn foreign_members_keep_their_order_over_rewrites() {
    let text = r#"{"zz":1,"cidr":"10.0.0.0/31","affinity":null,"yy":2,"strictAffinity":false,"allocations":[null,null],"unallocated":[0,1],"xx":3,"attributes":[],"ww":4}"#;
    let once = Block::decode(text).unwrap().encode();
    assert!(once.ends_with(r#""zz":1,"yy":2,"xx":3,"ww":4}"#), "{once}");
    assert_eq!(Block::decode(&once).unwrap().encode(), once);
}
