//! Writing the table: one batch, and what to do when the kernel refuses it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use margay_kernel::Errno;
use margay_kernel::nft::{Batch, CommitError, Detail, Element, Key, Nftables, Refusal, Value};
use margay_net::IfName;

use super::Dataplane;
use crate::actual::{Actual, Culprit, Plan, Presence};
use crate::desired::Dirty;
use crate::digest::Digest;
use crate::machine::Machine;
use crate::model::Model;
use crate::render::fixed::{self, FixedSet};
use crate::report::{Drift, Report};

/// How long the table is quiet before it is sealed.
const SEAL_PAUSE: Duration = Duration::from_millis(200);

/// A batch of more bytes than that is rare.
const LARGE: usize = 1 << 20;

/// More rounds than that make no sense: each leaves out at least one object.
const MOST_ROUNDS: usize = 256;

/// What a refused batch leads to.
enum Next {
    /// Another try, with something left out or read anew.
    Again,
    /// Later, as nothing can be left out.
    Later,
}

/// How far the isolation of an error has come.
#[derive(Default)]
struct Attempts {
    /// The table was read after a refusal.
    verified: bool,
    /// Everything was to be made anew.
    rebuilt: bool,
    /// Each element has a message of its own.
    one_by_one: bool,
}

impl<M: Machine> Dataplane<M> {
    /// Brings the table up to date.
    pub(super) fn write_table(&mut self, now: Instant, report: &mut Report) {
        let mut attempts = Attempts::default();
        if self.verify && self.actual.presence == Presence::Absent && self.adopt_sealed() {
            return;
        }
        for _ in 0..MOST_ROUNDS {
            if self.verify && !self.read_table(report) {
                return;
            }
            let desired = &self.model.desired;
            if desired.dirty.is_empty() && !self.model.sets.is_pending(desired) {
                return;
            }
            let world = self.model.world();
            let plan = Plan::of(&world, &self.actual, &desired.dirty);
            if plan.is_empty() {
                let digest = self.digest_after(&plan);
                self.settle_table(&plan, digest);
                return;
            }
            let digest = self.digest_after(&plan);
            self.batch.clear();
            let culprits = plan.write(&world, &mut self.batch, attempts.one_by_one);
            let messages = self.batch.len();
            match self.machine.tables().commit(&mut self.batch) {
                Ok(()) => {
                    report.wrote_table = true;
                    report.messages += messages;
                    self.generation = self.generation.map(next_generation);
                    self.settle_table(&plan, digest);
                    self.seal_due = Some(now + SEAL_PAUSE);
                    self.shrink_batch();
                    return;
                }
                Err(error) => match self.isolate(&error, &culprits, &mut attempts) {
                    Next::Again => {}
                    Next::Later => {
                        report.errors.push(in_words(&error));
                        return;
                    }
                },
            }
        }
        report
            .errors
            .push("the kernel refuses more objects of the table than can be left out at once".to_owned());
    }

    /// Takes the kernel's table for what it should be, when it carries the seal of just that, and nothing has changed in
    /// any table since: then the agent before this one left it so, and there is nothing to read and to write.
    fn adopt_sealed(&mut self) -> bool {
        let set = FixedSet::Seal.name();
        let tables = self.machine.tables();
        let Ok(generation) = tables.generation() else { return false };
        let Ok(Some(found)) = tables.elements(&fixed::table_id(), &set) else { return false };
        // Asked again: what was read in between may be of two moments.
        if found.is_empty() || tables.generation() != Ok(generation) {
            return false;
        }
        let wanted = Actual::of(&self.model.world());
        let sealed = seal(wanted.digest, generation);
        if found != [sealed.clone()] {
            return false;
        }
        self.actual = Actual { seals: vec![sealed], ..wanted };
        self.generation = Some(generation);
        self.verify = false;
        self.model.sets.settle_all(&self.model.desired);
        self.model.desired.dirty = Dirty::default();
        self.model.restate_all();
        true
    }

    /// Seals the table, once it has been quiet for a while.
    ///
    /// A seal of an earlier generation means nothing, so that changes need not care for it. The kernel takes the new one
    /// only when nobody changed any table since the generation that is known.
    pub(super) fn renew_seal(&mut self, now: Instant) {
        if self.seal_due.is_none_or(|due| due > now) {
            return;
        }
        self.seal_due = None;
        let desired = &self.model.desired;
        let settled = self.actual.presence == Presence::Ours
            && !(self.verify || self.suspicion)
            && desired.dirty.is_empty()
            && !self.model.sets.is_pending(desired);
        let Some(generation) = self.generation.filter(|_| settled) else { return };
        let name = FixedSet::Seal.name();
        let seal = seal(self.actual.digest, next_generation(generation));
        self.batch.clear();
        self.batch.delete_elements(&name, &self.actual.seals);
        self.batch.add_elements(&name, [&seal]);
        match self.machine.tables().commit_at(&mut self.batch, generation) {
            Ok(()) => {
                self.generation = Some(next_generation(generation));
                self.actual.seals = vec![seal];
            }
            // It is a shortcut, not a duty. What stands there is read with the table.
            Err(CommitError::Stale) => self.generation = None,
            Err(CommitError::Refused(_) | CommitError::Socket { .. }) => self.table_changed(),
        }
    }

    /// The digest of the table once the kernel took the plan.
    fn digest_after(&self, plan: &Plan) -> Digest {
        let Model { desired, sets, .. } = &self.model;
        if plan.rebuild || desired.dirty.everything || !plan.refilled.is_empty() {
            Actual::of(&self.model.world()).digest
        } else {
            self.actual.digest_after(plan, desired, sets)
        }
    }

    /// The memory of a large batch is given back.
    fn shrink_batch(&mut self) {
        if self.batch.byte_len() > LARGE {
            self.batch = Batch::new(fixed::table_id(), self.features);
        }
    }

    /// The kernel holds what the plan says.
    fn settle_table(&mut self, plan: &Plan, digest: Digest) {
        self.actual.settle(plan, &self.model.desired);
        self.actual.digest = digest;
        self.model.sets.settle(plan);
        debug_assert_eq!(digest, Actual::of(&self.model.world()).digest, "the digest was kept");
        let dirty = std::mem::take(&mut self.model.desired.dirty);
        // What is programmed now may be up now.
        for interface in dirty.elements.iter().filter_map(|(_, key)| interface_of(key)) {
            self.model.restate_interface(&interface);
        }
        if dirty.everything {
            self.model.restate_all();
        }
    }

    /// Decides what to do about a refused batch.
    fn isolate(&mut self, error: &CommitError, culprits: &[Culprit], attempts: &mut Attempts) -> Next {
        let CommitError::Refused(refusals) = error else {
            self.generation = None;
            return match error {
                CommitError::Stale => Next::Again,
                CommitError::Socket { .. } | CommitError::Refused(_) => {
                    // It may have been done or not.
                    self.verify = true;
                    Next::Later
                }
            };
        };
        if refusals.iter().any(|refusal| is_passing(refusal.errno)) {
            return Next::Later;
        }
        if !attempts.verified {
            // Perhaps the table is not what we take it for.
            attempts.verified = true;
            self.verify = true;
            return Next::Again;
        }
        if !attempts.rebuilt && refusals.iter().all(|refusal| is_of_structure(refusal.errno)) {
            // What stands there is tied together as no picture of names shows: chains renamed, strangers that use ours.
            attempts.rebuilt = true;
            self.forget_table();
            return Next::Again;
        }
        let blamed = blamed(refusals, culprits);
        if blamed.iter().any(|culprit| matches!(culprit, Culprit::Table)) {
            return Next::Later;
        }
        let mut progress = false;
        for culprit in blamed.iter().filter(|culprit| matches!(culprit, Culprit::Chain(_) | Culprit::Set(_)))
        {
            progress |= self.leave_out(culprit);
        }
        if !progress {
            // Elements often fail only because of the chain that they lead to; alone they are looked at in the end.
            let elements = blamed.iter().filter(|culprit| matches!(culprit, Culprit::Elements(..)));
            for culprit in elements {
                match culprit {
                    Culprit::Elements(_, None) if !attempts.one_by_one => {
                        attempts.one_by_one = true;
                        progress = true;
                    }
                    other => progress |= self.leave_out(other),
                }
            }
        }
        self.quarantine_changed |= progress;
        if progress { Next::Again } else { Next::Later }
    }

    /// Takes the table for one of somebody else: the next plan deletes it and makes ours, in one batch.
    fn forget_table(&mut self) {
        self.actual = Actual { presence: Presence::Other, ..Actual::default() };
        self.model.sets.compare(&self.model.desired, &BTreeMap::new());
        self.model.desired.dirty.everything = true;
    }

    /// Puts something closed in the place of what the kernel refuses; true when that was possible.
    fn leave_out(&mut self, culprit: &Culprit) -> bool {
        match culprit {
            Culprit::Chain(name) => self.model.refuse_chain(name),
            Culprit::Set(id) => {
                let users = self.model.desired.users_of_set(id);
                // All of them, not only the first.
                users.iter().filter(|name| self.model.refuse_chain(name)).count() > 0
            }
            Culprit::Elements(_, Some(key)) => {
                interface_of(key).is_some_and(|interface| self.model.refuse_interface(&interface))
            }
            Culprit::Elements(_, None) | Culprit::Table => false,
        }
    }

    /// Reads the table; false when that is not possible.
    fn read_table(&mut self, report: &mut Report) -> bool {
        let dump = match self.machine.tables().dump(&fixed::table_id(), Detail::Elements) {
            Ok(dump) => dump,
            Err(error) => {
                report.errors.push(chain_of(&error));
                return false;
            }
        };
        let (found, members) = Actual::read(dump.contents.as_ref(), &self.model.desired);
        if self.actual.presence == Presence::Ours {
            let strangers = self.model.sets.strangers(&self.model.desired, &members);
            let drift = difference(&self.actual, &found, strangers);
            super::add(&mut report.drift, &drift);
        }
        self.model.sets.compare(&self.model.desired, &members);
        self.actual = found;
        self.generation = Some(dump.generation);
        self.verify = false;
        self.model.desired.dirty.everything = true;
        true
    }
}

/// The owners of the refused messages; a refusal of the whole batch has none but the table.
fn blamed(refusals: &[Refusal], culprits: &[Culprit]) -> BTreeSet<Culprit> {
    refusals
        .iter()
        .map(|refusal| {
            let owner = refusal.owner.and_then(|owner| usize::try_from(owner.0).ok());
            owner.and_then(|owner| culprits.get(owner)).cloned().unwrap_or(Culprit::Table)
        })
        .collect()
}

/// True for refusals that are nobody's fault.
fn is_passing(errno: Errno) -> bool {
    [Errno::NOMEM, Errno::NOBUFS, Errno::PERM, Errno::AGAIN, Errno::INTR].contains(&errno)
}

/// True for refusals because of what is there, or is not.
fn is_of_structure(errno: Errno) -> bool {
    [Errno::BUSY, Errno::EXIST, Errno::NOENT].contains(&errno)
}

/// The interface whose element it is.
fn interface_of(key: &Key) -> Option<IfName> {
    match key.values().next()?? {
        Value::IfName(name) => Some(name),
        _ => None,
    }
}

/// What others changed between two looks at the table.
fn difference(before: &Actual, after: &Actual, strangers: usize) -> Drift {
    if after.presence != Presence::Ours {
        return Drift { table: 1, ..Drift::default() };
    }
    let names: BTreeSet<_> = before.chains.keys().chain(after.chains.keys()).collect();
    let chains = names.into_iter().filter(|name| before.chains.get(*name) != after.chains.get(*name)).count();
    let fixed: BTreeSet<_> = before.elements.keys().chain(after.elements.keys()).collect();
    let mut drift = Drift { chains, elements: strangers, ..Drift::default() };
    drift.sets = before.sets.symmetric_difference(&after.sets).count();
    for set in fixed {
        match (before.elements.get(set), after.elements.get(set)) {
            (Some(before), Some(after)) => {
                let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
                drift.elements += keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).count();
            }
            _ => drift.sets += 1,
        }
    }
    drift
}

/// The element that says: as of that generation the table has this digest.
fn seal(digest: Digest, generation: u32) -> Element {
    let [a, b, c] = digest.words();
    Element::point(Key::new([generation, a, b, c].map(Value::Mark)))
}

/// What the kernel counts to; it leaves 0 out.
pub(super) fn next_generation(generation: u32) -> u32 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

/// An error and its causes on one line.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn in_words(error: &CommitError) -> String {
    chain_of(error)
}
