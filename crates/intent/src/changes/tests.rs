use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{Changes, Members, SetChange, State};
use crate::{HostName, SetId};

fn members() -> impl Strategy<Value = Members> {
    prop::collection::btree_set((0_u8..6).prop_map(|n| IpAddr::from(Ipv4Addr::new(10, 0, 0, n))), 0..4)
}

fn set_change() -> impl Strategy<Value = SetChange> {
    prop_oneof![
        members().prop_map(SetChange::Replace),
        (members(), members()).prop_map(|(added, removed)| {
            let removed = removed.difference(&added).copied().collect();
            SetChange::Update { added, removed }
        }),
        Just(SetChange::Remove),
    ]
}

prop_compose! {
    fn changes()(
        sets in prop::collection::btree_map((0_u8..3).prop_map(|n| SetId::from(&*format!("s:{n}"))), set_change(), 0..3),
        hosts in prop::collection::btree_map(
            (0_u8..3).prop_map(|n| HostName::from(&*format!("h{n}"))),
            prop::option::of((0_u8..3).prop_map(|n| Ipv4Addr::new(172, 17, 0, n))),
            0..3,
        ),
    ) -> Changes {
        Changes { sets, hosts, ..Changes::default() }
    }
}

proptest! {
    #[test]
    fn merged_changes_do_what_they_did_one_by_one(before in changes(), all in prop::collection::vec(changes(), 0..6)) {
        let mut start = State::default();
        start.apply(before);
        let mut one_by_one = start.clone();
        let mut merged = Changes::default();
        for changes in all {
            one_by_one.apply(changes.clone());
            merged.merge(changes);
        }
        start.apply(merged);
        prop_assert_eq!(start, one_by_one);
    }

    #[test]
    fn applying_twice_is_applying_once(before in changes(), changes in changes()) {
        let mut once = State::default();
        once.apply(before);
        once.apply(changes.clone());
        let mut twice = once.clone();
        twice.apply(changes);
        prop_assert_eq!(once, twice);
    }
}
