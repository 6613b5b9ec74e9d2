//! The sets that rules of this node use, and who is in them.
//!
//! A set is calculated only while a rule uses it. Membership is counted by looking, not by counters: an address is in
//! a set while some endpoint that has it matches (`Cluster::another_has`). What has changed since the last report is
//! held as addresses that are the other way round now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use margay_intent::{self as intent, Members, SetChange, SetId};
use margay_selector::Expr;

use super::cluster::{Cluster, EndpointIndex};
use super::few::Few;
use super::program::Program;
use super::slab::{IntMap, Slab};
use super::wants::{WantIndex, Wants};
use crate::compile;

/// A set in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetIndex(u32);

/// All sets in use.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: Slab<Set>,
    by_id: HashMap<SetId, SetIndex>,
    index: WantIndex<SetIndex>,
    /// Sets whose users have changed.
    touched: BTreeSet<SetIndex>,
    /// Addresses whose membership differs from what was reported.
    turned: IntMap<SetIndex, BTreeSet<IpAddr>>,
}

#[derive(Debug)]
struct Set {
    id: SetId,
    program: Program,
    wants: Wants,
    /// It is `has(label)`, the form of tags.
    is_tag: bool,
    /// How many policies and profiles use it.
    users: u32,
    /// It has been reported; until then it is not calculated.
    active: bool,
}

// === impl Sets ===

impl Sets {
    /// How many sets are in use, and how many of them are `has(label)`, the form of tags.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.sets.len(), self.sets.iter().filter(|(_, set)| set.is_tag).count())
    }

    /// Adds a user to each of some sets.
    pub(super) fn acquire(&mut self, cluster: &mut Cluster, sets: compile::Sets) -> Box<[SetIndex]> {
        let acquired = sets.into_iter().map(|(id, selector)| {
            let index = self.by_id.get(&id).copied().unwrap_or_else(|| {
                let wants = Wants::new(&selector, cluster);
                let program = Program::new(&selector, &mut cluster.vocabulary);
                let is_tag = matches!(selector.expr(), Expr::Has(_));
                let set = Set { id: id.clone(), program, wants, is_tag, users: 0, active: false };
                let index = SetIndex(self.sets.insert(set));
                self.by_id.insert(id, index);
                index
            });
            self.sets[index.0].users += 1;
            self.touched.insert(index);
            index
        });
        acquired.collect()
    }

    /// Lets rules share the names of sets that are in use.
    pub(super) fn share_names(&self, rules: &mut [intent::Rule]) {
        for rule in rules {
            for peer in [&mut rule.source, &mut rule.destination] {
                for id in peer.sets.iter_mut().chain(&mut peer.not_sets) {
                    if let Some(index) = self.by_id.get(id) {
                        *id = self.sets[index.0].id.clone();
                    }
                }
            }
        }
    }

    /// Takes a user from each of some sets.
    pub(super) fn release(&mut self, sets: &[SetIndex]) {
        for index in sets {
            self.sets[index.0].users -= 1;
            self.touched.insert(*index);
        }
    }

    /// Works out anew which sets an endpoint matches.
    pub(super) fn refresh(&mut self, cluster: &mut Cluster, endpoint: EndpointIndex) {
        if self.sets.len() == 0 {
            return;
        }
        let mut matches = self.index.candidates(cluster, endpoint);
        matches.retain(|index| cluster.satisfies(endpoint, &self.sets[index.0].program));
        self.set_matches(cluster, endpoint, Few::from_sorted(&matches));
    }

    /// Undoes every match of an endpoint, before its addresses change or it goes.
    pub(super) fn clear(&mut self, cluster: &mut Cluster, endpoint: EndpointIndex) {
        if !cluster.endpoint(endpoint).matches.is_empty() {
            self.set_matches(cluster, endpoint, Few::default());
        }
    }

    fn set_matches(&mut self, cluster: &mut Cluster, endpoint: EndpointIndex, new: Few<SetIndex>) {
        let old = std::mem::replace(&mut cluster.endpoint_mut(endpoint).matches, new);
        let entry = cluster.endpoint(endpoint);
        let differs = old
            .iter()
            .filter(|index| entry.matches.binary_search(index).is_err())
            .chain(entry.matches.iter().filter(|index| old.binary_search(index).is_err()));
        for index in differs {
            for address in entry.addresses() {
                if !cluster.another_has(Some(endpoint), *address, *index) {
                    let turned = self.turned.entry(*index).or_default();
                    if !turned.remove(address) {
                        turned.insert(*address);
                    }
                }
            }
        }
    }

    /// What has become of the sets since the last time.
    pub(super) fn take_changes(&mut self, cluster: &mut Cluster) -> BTreeMap<SetId, SetChange> {
        let mut changes = BTreeMap::new();
        let (mut added, mut unused) = (Vec::new(), Vec::new());
        for index in std::mem::take(&mut self.touched) {
            match &self.sets[index.0] {
                Set { users: 0, .. } => unused.push(index),
                Set { active: false, .. } => added.push(index),
                Set { .. } => {}
            }
        }
        for index in unused {
            self.remove(cluster, index, &mut changes);
        }
        for (index, turned) in std::mem::take(&mut self.turned) {
            let is_member = |address: &IpAddr| cluster.another_has(None, *address, index);
            let (added, removed): (Members, Members) = turned.into_iter().partition(is_member);
            if !added.is_empty() || !removed.is_empty() {
                changes.insert(self.sets[index.0].id.clone(), SetChange::Update { added, removed });
            }
        }
        for index in added {
            let set = &mut self.sets[index.0];
            set.active = true;
            self.index.insert(index, &set.wants);
            let mut members = Members::new();
            for endpoint in cluster.wanted(&set.wants) {
                if !cluster.satisfies(endpoint, &set.program) {
                    continue;
                }
                let entry = cluster.endpoint_mut(endpoint);
                entry.matches = entry.matches.with(index);
                members.extend(entry.addresses());
            }
            changes.insert(set.id.clone(), SetChange::Replace(members));
        }
        changes
    }

    fn remove(&mut self, cluster: &mut Cluster, index: SetIndex, changes: &mut BTreeMap<SetId, SetChange>) {
        let set = self.sets.remove(index.0);
        self.by_id.remove(&set.id);
        if set.active {
            self.index.remove(index, &set.wants);
            self.turned.remove(&index);
            for endpoint in cluster.wanted(&set.wants) {
                let entry = cluster.endpoint_mut(endpoint);
                if entry.matches.binary_search(&index).is_ok() {
                    entry.matches = entry.matches.without(index);
                }
            }
            changes.insert(set.id, SetChange::Remove);
        }
        set.wants.drop_from(&mut cluster.vocabulary);
        set.program.drop_from(&mut cluster.vocabulary);
    }
}
