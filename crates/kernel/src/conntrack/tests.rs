use super::*;

#[test]
fn the_fake_forgets_by_either_source_with_one_listing() {
    let flow = |original: &str, reply: &str| Flow {
        original_source: original.parse().unwrap(),
        reply_source: reply.parse().unwrap(),
    };
    let mut fake = FakeFlows::default();
    fake.flows.insert("from".into(), flow("10.0.0.1", "10.0.0.9"));
    fake.flows.insert("to".into(), flow("10.0.0.9", "10.0.0.2"));
    fake.flows.insert("other".into(), flow("10.0.0.8", "10.0.0.9"));
    assert_eq!(fake.forget(&BTreeSet::new()).unwrap(), 0);
    assert_eq!(fake.listings, 0);
    let gone = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
    assert_eq!(fake.forget(&BTreeSet::from(gone)).unwrap(), 2);
    assert_eq!((fake.listings, fake.flows.into_keys().collect::<Vec<_>>()), (1, vec!["other".to_owned()]));
}
