use super::*;

fn policy(name: &str) -> PolicyId {
    PolicyId { name: name.into(), tier: "default".into() }
}

fn chain(name: &str) -> String {
    let key = ChainKey::Policy {
        id: policy(name),
        direction: Direction::Ingress,
        flavour: Flavour::Normal,
        rest: None,
    };
    key.name().to_string()
}

#[test]
fn names_are_readable_short_and_tell_keys_apart() {
    assert!(chain("allow-web").starts_with("pi-allow-web-"));
    assert!(chain("a b;{drop}").starts_with("pi-a_b__drop_-"));
    assert_ne!(chain("a b"), chain("a_b"));
    assert_ne!(chain(&"x".repeat(100)), chain(&"x".repeat(101)));
    assert!(chain(&"x".repeat(100)).len() <= 64);
}

#[test]
fn a_set_is_named_by_its_id_where_that_is_plain() {
    let v4 = |id: &str| of_set(&SetId::from(id), IpVersion::V4).to_string();
    assert_eq!(v4("s:qMt7iLlGDhvLnCjM0l9nzxbabcdefghijklmn-_"), "s4-qMt7iLlGDhvLnCjM0l9nzxbabcdefghijklmn-_");
    assert!(v4("s:a b").starts_with("sx4-s_a_b-"));
    assert_ne!(v4("s:a b"), v4("s:a_b"));
}

#[test]
fn the_tiers_end_is_part_of_a_programme() {
    use margay_intent::TierEnd;
    let program = |end| Program {
        tiers: vec![Tier { name: "default".into(), policies: vec![policy("p")], end }],
        profiles: Vec::new(),
    };
    let name = |end| {
        ChainKey::Program(Arc::new(ProgramKey::entry(ProgramKind::WorkloadIn, &program(end))))
            .name()
            .to_string()
    };
    assert_ne!(name(TierEnd::Deny), name(TierEnd::Pass));
}
