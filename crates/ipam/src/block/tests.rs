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
}
