//! Intents from datastore records, by the real calculation.

use std::collections::BTreeMap;

use margay_intent::{Changes, HostName};
use margay_policy::evaluate::Records;
use margay_policy::{Calculator, Options};
use margay_testkit::policy_world::{self, Choices, HOST, Spice};

/// A datastore and the calculation that follows it.
pub(crate) struct World {
    records: BTreeMap<String, String>,
    calculator: Calculator,
}

// === impl World ===

impl World {
    /// An empty datastore, in sync.
    pub(crate) fn new() -> Self {
        Self { records: BTreeMap::new(), calculator: calculator() }
    }

    /// Puts or removes a record.
    pub(crate) fn put(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.records.insert(key.to_owned(), value.to_owned()),
            None => self.records.remove(key),
        };
        self.calculator.update(key, value);
    }

    /// Changes up to so many random records.
    pub(crate) fn stir(&mut self, choices: &mut Choices, most: usize) {
        for _ in 0..=choices.below(most) {
            let (key, value) = policy_world::change(choices, Spice::Broken);
            self.put(&key, value.as_deref());
        }
    }

    /// What changed since the last call.
    pub(crate) fn changes(&mut self) -> Changes {
        self.calculator.take_changes()
    }

    /// The records as the evaluator takes them.
    pub(crate) fn records(&self) -> Records {
        let mut records = Records::default();
        for (key, value) in &self.records {
            records.put(key, Some(value));
        }
        records
    }

    /// Everything, as an agent that starts now gets it.
    pub(crate) fn everything(&self) -> Changes {
        let mut calculator = calculator();
        for (key, value) in &self.records {
            calculator.update(key, Some(value));
        }
        calculator.take_changes()
    }
}

fn calculator() -> Calculator {
    let mut calculator = Calculator::new(HostName::from(HOST), Options::default());
    calculator.in_sync();
    calculator
}
