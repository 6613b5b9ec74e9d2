//! Streams of datastore events into the calculation.

use std::collections::BTreeMap;

use margay_intent::{Changes, SetChange, State};
use margay_policy::{Calculator, Options, Statistics};

/// The value that stands for a deletion.
const GONE: &str = "gone";
/// The key that stands for "report what has changed"; the first one also says that the datastore is read whole.
const REPORT: &str = "report";

/// Keys and values in turn, with NUL between.
///
/// The sum of all reports is what a fresh start on the same content reports, no report says what was said before, and
/// an emptied datastore leaves nothing behind.
pub fn events(input: &[u8]) {
    let Some(text) = crate::text(input) else { return };
    let mut parts = text.split('\0');
    let mut store = BTreeMap::new();
    let (mut calculator, mut state) = (start(), State::default());
    while let Some(key) = parts.next() {
        if key == REPORT {
            calculator.in_sync();
            report(&mut calculator, &mut state);
            continue;
        }
        let Some(value) = parts.next() else { break };
        let value = Some(value).filter(|value| *value != GONE);
        calculator.update(key, value);
        match value {
            Some(value) => drop(store.insert(key, value)),
            None => drop(store.remove(key)),
        }
    }
    calculator.in_sync();
    report(&mut calculator, &mut state);
    let (mut fresh, mut anew) = (start(), State::default());
    fresh.in_sync();
    for (key, value) in store.iter().rev() {
        fresh.update(key, Some(value));
    }
    report(&mut fresh, &mut anew);
    assert_eq!(state, anew, "history counts");
    assert!(calculator.invalid().eq(fresh.invalid()), "what is wrong depends on history");
    assert_eq!(calculator.statistics(), fresh.statistics());
    for fault in calculator.invalid() {
        assert!(!fault.message.is_empty() && fault.to_string().contains(&*fault.key));
    }
    for key in store.keys() {
        calculator.update(key, None);
    }
    report(&mut calculator, &mut state);
    assert_eq!(state, State::default(), "something is left of nothing");
    assert_eq!(calculator.statistics(), Statistics::default());
}

fn start() -> Calculator {
    Calculator::new("h1".into(), Options::default())
}

fn report(calculator: &mut Calculator, state: &mut State) {
    let changes = calculator.take_changes();
    new_in_all_parts(state, &changes);
    state.apply(changes);
    assert!(calculator.take_changes().is_empty(), "the same is said twice");
}

/// Panics when some part of the changes says what the state says already.
fn new_in_all_parts(state: &State, changes: &Changes) {
    for (id, change) in &changes.sets {
        let before = state.sets.get(id);
        match change {
            SetChange::Replace(_) => assert_eq!(before, None, "{id} is there already"),
            SetChange::Remove => assert!(before.is_some(), "{id} was not there"),
            SetChange::Update { added, removed } => {
                let before = before.expect("only what is there is updated");
                assert!(added.is_disjoint(before) && removed.is_subset(before), "{id}: {change:?}");
                assert!(added.len() + removed.len() > 0, "{id}: nothing changes");
            }
        }
    }
    fn differ<K: Ord, V: PartialEq>(state: &BTreeMap<K, V>, changes: &BTreeMap<K, Option<V>>) -> bool {
        changes.iter().all(|(key, value)| state.get(key) != value.as_ref())
    }
    assert!(differ(&state.policies, &changes.policies), "{changes:?}");
    assert!(differ(&state.profiles, &changes.profiles), "{changes:?}");
    assert!(differ(&state.workloads, &changes.workloads), "{changes:?}");
    assert!(differ(&state.host_endpoints, &changes.host_endpoints), "{changes:?}");
    assert!(differ(&state.hosts, &changes.hosts), "{changes:?}");
    assert!(differ(&state.pools, &changes.pools), "{changes:?}");
}
