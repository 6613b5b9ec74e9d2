//! [`Intake`]: sorts what the datastore says into parameters, the ready flag and records.
//!
//! Plain data, no waiting. While the ready flag is not `true` nothing goes on to the calculation: what comes is held,
//! the last word for each key, and goes on together when the flag returns (`spec/agent.md` 11).

use std::collections::{BTreeMap, BTreeSet};

use margay_model::Key;
use margay_model::key::{directory, unescape};
use margay_store::syncer::Update;

/// The key that locks the datastore.
const READY: &str = "/calico/v1/Ready";

/// Parameters as the datastore has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DatastoreTexts {
    /// Of this host.
    pub(crate) per_host: BTreeMap<String, String>,
    /// Of all hosts.
    pub(crate) global: BTreeMap<String, String>,
}

/// What goes on to the calculation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Batch {
    /// Keys with their values, or without when they are gone.
    Updates(Vec<(String, Option<String>)>),
    /// Everything that there is has been said.
    InSync,
}

/// Sorts updates.
#[derive(Debug)]
pub(crate) struct Intake {
    host: String,
    ready: Option<bool>,
    in_sync: bool,
    /// The calculation has been told that the picture is complete, and nothing was held since.
    told: bool,
    held: BTreeMap<String, Option<String>>,
    texts: DatastoreTexts,
    texts_changed: bool,
    hosts: BTreeSet<String>,
}

// === impl Intake ===

impl Intake {
    /// For the host of this name.
    pub(crate) fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            ready: None,
            in_sync: false,
            told: false,
            held: BTreeMap::new(),
            texts: DatastoreTexts::default(),
            texts_changed: false,
            hosts: BTreeSet::new(),
        }
    }

    /// Takes updates and says what goes on.
    pub(crate) fn updates(&mut self, updates: Vec<Update>) -> Vec<Batch> {
        let mut on = Vec::new();
        for Update { key, value, .. } in updates {
            if key == READY {
                self.ready = value.map(|value| value == "true");
            } else if !self.take_config(&key, value.as_ref()) {
                self.see_host(&key);
                on.push((key, value));
            }
        }
        if self.ready != Some(true) {
            self.told = false;
            self.held.extend(on);
            return Vec::new();
        }
        let mut batches = self.release();
        if !on.is_empty() {
            batches.push(Batch::Updates(on));
        }
        batches
    }

    /// The picture is complete.
    pub(crate) fn in_sync(&mut self) -> Vec<Batch> {
        self.in_sync = true;
        // What was read before may have gone meanwhile, without any change that we have seen.
        self.texts_changed = true;
        if self.ready != Some(true) {
            return Vec::new();
        }
        self.told = true;
        vec![Batch::InSync]
    }

    /// The ready flag: none = it is not there.
    pub(crate) fn ready(&self) -> Option<bool> {
        self.ready
    }

    /// The parameters, when they are others than at the last call.
    pub(crate) fn changed_texts(&mut self) -> Option<DatastoreTexts> {
        std::mem::take(&mut self.texts_changed).then(|| self.texts.clone())
    }

    /// A host that differs from ours only in letter case or domain, when nothing is known of ours.
    pub(crate) fn likely_host(&self) -> Option<&str> {
        if self.hosts.contains(&self.host) {
            return None;
        }
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_lowercase();
        self.hosts.iter().find(|name| short(name) == short(&self.host)).map(String::as_str)
    }

    /// What was held, and that the picture is complete if it is.
    fn release(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        if !self.held.is_empty() {
            batches.push(Batch::Updates(std::mem::take(&mut self.held).into_iter().collect()));
        }
        if self.in_sync && !std::mem::replace(&mut self.told, true) {
            batches.push(Batch::InSync);
        }
        batches
    }

    /// Takes a parameter; false when the key is none of one.
    fn take_config(&mut self, key: &str, value: Option<&String>) -> bool {
        if !key.contains("/config/") {
            return false;
        }
        let Some(Key::FelixConfig { node, name }) = Key::parse(key) else { return false };
        let texts = match node {
            None => &mut self.texts.global,
            Some(node) if node == self.host => &mut self.texts.per_host,
            Some(_) => return true,
        };
        let before = match value {
            Some(value) => texts.insert(name, value.clone()),
            None => texts.remove(&name),
        };
        self.texts_changed |= before.as_ref() != value;
        true
    }

    fn see_host(&mut self, key: &str) {
        let rest = key.strip_prefix(directory::HOSTS).and_then(|rest| rest.strip_prefix('/'));
        if let Some((host, _)) = rest.and_then(|rest| rest.split_once('/'))
            && !self.hosts.contains(host)
        {
            self.hosts.insert(unescape(host));
        }
    }
}

#[cfg(test)]
mod tests {
    use margay_store::kv::Revision;
    use margay_store::syncer::{Update, UpdateKind};

    use super::{Batch, Intake};

    fn update(key: &str, value: Option<&str>) -> Update {
        let kind = if value.is_some() { UpdateKind::Updated } else { UpdateKind::Deleted };
        let revision = Revision::new(1).unwrap();
        Update { key: key.to_owned(), value: value.map(str::to_owned), revision, kind }
    }

    fn on(updates: &[(&str, Option<&str>)]) -> Batch {
        let owned = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
        Batch::Updates(updates.iter().map(owned).collect())
    }

    const READY: &str = "/calico/v1/Ready";
    const POOL: &str = "/calico/v1/ipam/v4/pool/10.0.0.0-8";

    #[test]
    fn records_go_on_while_the_flag_is_true() {
        let mut intake = Intake::new("node1");
        let first = vec![update(READY, Some("true")), update(POOL, Some("{}"))];
        assert_eq!(intake.updates(first), [on(&[(POOL, Some("{}"))])]);
        assert_eq!(intake.in_sync(), [Batch::InSync]);
        assert_eq!(intake.updates(vec![update(POOL, None)]), [on(&[(POOL, None)])]);
    }

    #[test]
    fn nothing_goes_on_before_the_flag_and_while_it_is_false_or_gone() {
        for flag in [None, Some("false")] {
            let mut intake = Intake::new("node1");
            assert_eq!(intake.updates(vec![update(POOL, Some("1"))]), []);
            assert_eq!(intake.in_sync(), []);
            let held = [on(&[(POOL, Some("1"))]), Batch::InSync];
            assert_eq!(intake.updates(vec![update(READY, Some("true"))]), held);
            assert_eq!(intake.updates(vec![update(READY, flag), update(POOL, None)]), []);
            assert_eq!(intake.ready(), flag.map(|_| false));
            assert_eq!(intake.updates(vec![update(POOL, Some("2"))]), []);
            let held = [on(&[(POOL, Some("2"))]), Batch::InSync];
            assert_eq!(intake.updates(vec![update(READY, Some("true"))]), held);
        }
    }

    #[test]
    fn a_flag_that_comes_last_with_nothing_held_still_says_in_sync() {
        let mut intake = Intake::new("node1");
        assert_eq!(intake.in_sync(), []);
        assert_eq!(intake.updates(vec![update(READY, Some("true"))]), [Batch::InSync]);
        assert_eq!(intake.updates(vec![update(READY, Some("true"))]), []);
    }

    #[test]
    fn parameters_of_all_hosts_and_of_this_one_are_kept_apart() {
        let mut intake = Intake::new("node1");
        assert_eq!(intake.changed_texts(), None);
        intake.updates(vec![
            update("/calico/v1/config/LogPrefix", Some("a")),
            update("/calico/v1/host/node1/config/LogPrefix", Some("b")),
            update("/calico/v1/host/node2/config/LogPrefix", Some("c")),
        ]);
        let texts = intake.changed_texts().unwrap();
        assert_eq!(texts.global.get("LogPrefix").map(String::as_str), Some("a"));
        assert_eq!(texts.per_host.get("LogPrefix").map(String::as_str), Some("b"));
        intake.updates(vec![update("/calico/v1/host/node2/config/LogPrefix", None)]);
        assert_eq!(intake.changed_texts(), None);
        intake.updates(vec![update("/calico/v1/config/LogPrefix", Some("a"))]);
        assert_eq!(intake.changed_texts(), None, "the same value is no change");
        intake.updates(vec![update("/calico/v1/config/LogPrefix", None)]);
        assert_eq!(intake.changed_texts().unwrap().global.len(), 0);
        intake.in_sync();
        assert!(intake.changed_texts().is_some(), "a complete picture is told in any case");
    }

    #[test]
    fn a_host_that_is_ours_but_for_case_or_domain_is_found_only_when_ours_is_unknown() {
        let host = |name: &str| update(&format!("/calico/v1/host/{name}/bird_ip"), Some("10.0.0.1"));
        for (ours, seen, likely) in [
            ("Node1", "node1", Some("node1")),
            ("node1.example.org", "node1", Some("node1")),
            ("node1", "node1.example.org", Some("node1.example.org")),
            ("node1", "node2", None),
        ] {
            let mut intake = Intake::new(ours);
            intake.updates(vec![host(seen)]);
            assert_eq!(intake.likely_host(), likely, "{ours} {seen}");
            intake.updates(vec![host(ours)]);
            assert_eq!(intake.likely_host(), None);
        }
    }
}
