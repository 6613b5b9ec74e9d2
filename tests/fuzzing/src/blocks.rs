//! Stored blocks and handles of the IPAM.

use std::collections::BTreeSet;

use margay_ipam::block::{Attribute, Block};
use margay_ipam::handle::Handle;
use margay_net::Ip;
use serde_json::{Map, Value as Json};

/// A stored block and a stored handle, with NUL between.
///
/// A block that can be read is written the same from then on, gives each free address once and nobody's twice, and
/// releasing what it gave restores who held what. Fields of others stay.
pub fn blocks(input: &[u8]) {
    let Some(text) = crate::text(input) else { return };
    let (block, handle) = text.split_once('\0').unwrap_or((text, ""));
    if let Ok(read) = Block::decode(block) {
        settles(&read);
        accounts(&read);
        assigns(&read);
        keeps_foreign(block, &read);
    }
    if let Ok(read) = Handle::decode(handle) {
        counts(read);
    }
}

fn settles(block: &Block) {
    let written = block.encode();
    match Block::decode(&written) {
        Ok(again) => {
            assert_eq!(again, *block, "written as {written}");
            // The order of members that we do not know is nobody's promise.
            let meaning = |text: &str| serde_json::from_str::<Json>(text).expect("JSON");
            assert_eq!(meaning(&again.encode()), meaning(&written));
        }
        Err(error) => panic!("{block:?} was written as {written}: {error}"),
    }
}

/// Every address is either free or assigned, and each handle holds what is said of it.
fn accounts(block: &Block) {
    assert_eq!(block.assigned().count() + block.free(), block.size(), "{block:?}");
    for (ip, attribute) in block.assigned() {
        assert_eq!(block.attribute(ip), Some(attribute));
        if let Some(handle) = &attribute.handle {
            assert_eq!(block.held(handle, |_| true).len(), block.held_by(handle), "{handle:?} in {block:?}");
        }
        if let Some(moment) = attribute.note(margay_ipam::TIMESTAMP).and_then(margay_ipam::parse_timestamp) {
            let again = margay_ipam::parse_timestamp(&margay_ipam::timestamp(moment));
            assert_eq!(again, Some(moment));
        }
    }
}

fn assigns(block: &Block) {
    let attribute = Attribute::new(Some("of the test".to_owned()), None);
    let before = block.held_by("of the test");
    let mut full = block.clone();
    let given = full.auto_assign(usize::MAX, &attribute);
    assert_eq!(
        given.iter().collect::<BTreeSet<&Ip>>().len(),
        given.len(),
        "an address was given twice: {block:?}"
    );
    for ip in &given {
        assert!(
            block.cidr().contains_ip(*ip) && block.attribute(*ip).is_none(),
            "{ip} was not free: {block:?}"
        );
        assert_eq!(full.attribute(*ip), Some(&attribute));
    }
    assert_eq!(full.held_by("of the test"), before + given.len());
    assert!(full.auto_assign(1, &attribute).is_empty() && (given.is_empty() || !full.is_empty()));
    settles(&full);
    let released = full.release(&given);
    assert_eq!(released.len(), given.len());
    assert_eq!(full.is_empty(), block.is_empty());
    assert_eq!(full.release_handle("of the test").len(), before);
    settles(&full);
}

/// What others add stays when we write.
fn keeps_foreign(text: &str, block: &Block) {
    let Ok(Json::Object(mut object)) = serde_json::from_str::<Json>(text) else { return };
    object.insert("x-foreign-field".to_owned(), serde_json::json!({"a": [1, null]}));
    let with = Json::Object(object).to_string();
    match Block::decode(&with) {
        Ok(again) => {
            let written: Map<String, Json> = serde_json::from_str(&again.encode()).expect("an object");
            assert!(written.contains_key("x-foreign-field"), "{with} loses what others wrote");
            assert_eq!((again.cidr(), again.affinity()), (block.cidr(), block.affinity()));
        }
        Err(error) => panic!("a foreign field makes {with} unreadable: {error}"),
    }
}

fn counts(mut handle: Handle) {
    let written = handle.encode();
    assert_eq!(Handle::decode(&written).expect("what was written").encode(), written);
    let block = "203.0.113.64/26".parse().expect("a network");
    handle.set(block, 3);
    assert!(!handle.set(block, 3) && !handle.is_empty(), "{written}");
    assert!(handle.set(block, 0) && !handle.set(block, 0), "{written}");
}
