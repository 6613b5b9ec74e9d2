//! What the kernel's table holds as far as we know, and the way from there to what it should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use margay_intent::{Members, SetId};
use margay_kernel::nft::{
    Batch, Chain, Contents, Element, Elements, Field, Fields, Key, Name, Owner, Set, SetContents, Value,
};
use margay_net::IpVersion;

use crate::desired::{Desired, Dirty, Intents};
use crate::digest::Digest;
use crate::names;
use crate::render::fixed::{self, FixedSet};
use crate::render::{Rendered, Stamp};

/// Which table stands in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Presence {
    /// None of our name.
    #[default]
    Absent,
    /// One that is not to be gone on with: the guard, another schema, another shape. It is replaced whole.
    Other,
    /// Ours.
    Ours,
}

/// What the kernel's table holds, but for the members of selectors' sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Actual {
    /// Which table it is.
    pub(crate) presence: Presence,
    /// The rules of each chain; none for a rule that is not ours.
    pub(crate) chains: BTreeMap<Name, Vec<Option<Stamp>>>,
    /// Elements of fixed sets; a set that is there has an entry.
    pub(crate) elements: BTreeMap<FixedSet, BTreeMap<Key, Element>>,
    /// All other sets that are there.
    pub(crate) sets: BTreeSet<Name>,
    /// What stands in the set of the seal.
    pub(crate) seals: Vec<Element>,
    /// The sum of all that is in the table; kept with every change, so that one number stands for the whole.
    pub(crate) digest: Digest,
}

/// Members of a selector's set that the kernel does not have yet, and such as it still has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    /// To be added.
    pub(crate) added: BTreeSet<IpAddr>,
    /// To be removed.
    pub(crate) removed: BTreeSet<IpAddr>,
}

/// Sets of selectors: their members, and what of these the kernel lacks.
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectorSets {
    members: BTreeMap<SetId, Members>,
    /// Changes of sets that the kernel has; one that it does not have is made with all members.
    pending: BTreeMap<SetId, Delta>,
    /// Sets of which the kernel has a half or both, with known members.
    known: BTreeSet<SetId>,
}

/// Everything that one batch does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The table is made anew.
    pub(crate) rebuild: bool,
    /// Fixed sets that are made.
    pub(crate) fixed_sets: Vec<FixedSet>,
    /// Halves of selectors' sets that are made, with all members.
    pub(crate) sets: BTreeSet<(SetId, IpVersion)>,
    /// Sets that change members.
    pub(crate) members: Vec<SetId>,
    /// Chains that are made.
    pub(crate) new_chains: Vec<Name>,
    /// Chains that get rules, new ones included.
    pub(crate) chains: Vec<Name>,
    /// Elements that go, also those that come back with another value.
    pub(crate) elements_gone: Vec<(FixedSet, Element)>,
    /// Elements that come.
    pub(crate) elements: Vec<(FixedSet, Element)>,
    /// Chains that go.
    pub(crate) chains_gone: Vec<Name>,
    /// Sets that go.
    pub(crate) sets_gone: Vec<Name>,
    /// Whose sets those are, as far as we made them, and which members the kernel has in them.
    pub(crate) members_gone: Vec<(SetId, BTreeSet<IpAddr>)>,
    /// Halves that are there with members that are not known: emptied and filled.
    pub(crate) refilled: BTreeSet<(SetId, IpVersion)>,
}

/// Whose fault it is when the kernel refuses a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Culprit {
    /// Nobody's that could be left out.
    Table,
    /// A chain's rules.
    Chain(Name),
    /// A selector's set.
    Set(SetId),
    /// Elements of a fixed set; with a key when the message has but one.
    Elements(FixedSet, Option<Key>),
}

/// What plans are made from and written with.
pub(crate) struct World<'a> {
    /// What should be.
    pub(crate) desired: &'a Desired,
    /// Members of selectors' sets.
    pub(crate) sets: &'a SelectorSets,
    /// What chains are rendered from.
    pub(crate) intents: Intents<'a>,
}

// === impl SelectorSets ===

impl SelectorSets {
    /// The members of a set; none when nobody spoke of it.
    pub(crate) fn members(&self, id: &SetId) -> Option<&Members> {
        self.members.get(id)
    }

    /// The set has exactly these members.
    pub(crate) fn replace(&mut self, id: SetId, members: Members) {
        if !self.known.contains(&id) {
            self.members.insert(id, members);
            return;
        }
        let old = self.members.get(&id).cloned().unwrap_or_default();
        let added = members.difference(&old).copied().collect();
        let removed: BTreeSet<IpAddr> = old.difference(&members).copied().collect();
        self.update(id, added, removed);
    }

    /// Members that may be new, and members that may have gone.
    pub(crate) fn update(&mut self, id: SetId, added: BTreeSet<IpAddr>, removed: BTreeSet<IpAddr>) {
        let members = self.members.entry(id.clone()).or_default();
        if !self.known.contains(&id) {
            for address in &removed {
                members.remove(address);
            }
            return members.extend(added);
        }
        let mut delta = self.pending.remove(&id).unwrap_or_default();
        for address in removed {
            if members.remove(&address) && !delta.added.remove(&address) {
                delta.removed.insert(address);
            }
        }
        for address in added {
            if members.insert(address) && !delta.removed.remove(&address) {
                delta.added.insert(address);
            }
        }
        if !delta.is_empty() {
            self.pending.insert(id, delta);
        }
    }

    /// No rule uses the set any more; it is empty for a rule that does all the same.
    pub(crate) fn remove(&mut self, id: &SetId) {
        self.replace(id.clone(), Members::new());
        self.members.remove(id);
    }

    /// How many members of sets in use the kernel has against our belief, or lacks.
    pub(crate) fn strangers(&self, desired: &Desired, found: &BTreeMap<Name, BTreeSet<IpAddr>>) -> usize {
        let mut count = 0;
        for id in desired.sets().filter(|id| self.known.contains(*id)) {
            for version in VERSIONS {
                let believed = self.in_kernel(id, version);
                let none = BTreeSet::new();
                let found = found.get(&names::of_set(id, version)).unwrap_or(&none);
                count += believed.symmetric_difference(found).count();
            }
        }
        count
    }

    /// The members that the kernel has in one half of a set, as far as we know.
    fn in_kernel(&self, id: &SetId, version: IpVersion) -> BTreeSet<IpAddr> {
        let nothing = Delta::default();
        let Delta { added, removed } = self.pending.get(id).unwrap_or(&nothing);
        let members = self.members.get(id).into_iter().flatten().filter(|address| !added.contains(address));
        of_version(members.chain(removed), version).copied().collect()
    }

    /// True when the kernel lacks a change of members of a set in use.
    pub(crate) fn is_pending(&self, desired: &Desired) -> bool {
        self.pending.keys().any(|id| desired.has_set(id))
    }

    /// The number of members of all sets.
    pub(crate) fn len(&self) -> usize {
        self.members.values().map(BTreeSet::len).sum()
    }
}

// === impl Delta ===

impl Delta {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// The addresses of one family.
fn of_version<'a>(
    addresses: impl Iterator<Item = &'a IpAddr> + 'a,
    version: IpVersion,
) -> impl Iterator<Item = &'a IpAddr> + 'a {
    addresses.filter(move |address| address.is_ipv4() == (version == IpVersion::V4))
}

/// The addresses of one family as elements.
fn elements_of<'a>(
    addresses: impl Iterator<Item = &'a IpAddr> + 'a,
    version: IpVersion,
) -> impl Iterator<Item = Element> + 'a {
    of_version(addresses, version).map(|address| Element::point(Value::address(*address).into()))
}

/// The declaration of one family's half of a selector's set.
pub(crate) fn declaration(id: &SetId, version: IpVersion) -> Set {
    let field = match version {
        IpVersion::V4 => Field::Ipv4Addr,
        IpVersion::V6 => Field::Ipv6Addr,
    };
    Set::of(names::of_set(id, version), Fields::from(field))
}

// === impl Plan ===

impl Plan {
    /// True when there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            rebuild,
            fixed_sets,
            sets,
            members,
            new_chains,
            chains,
            elements_gone,
            elements,
            chains_gone,
            sets_gone,
            members_gone: _,
            refilled,
        } = self;
        !rebuild
            && fixed_sets.is_empty()
            && sets.is_empty()
            && members.is_empty()
            && new_chains.is_empty()
            && chains.is_empty()
            && elements_gone.is_empty()
            && elements.is_empty()
            && chains_gone.is_empty()
            && sets_gone.is_empty()
            && refilled.is_empty()
    }

    /// What differs between what is and what should be, as far as `dirty` says.
    pub(crate) fn of(world: &World<'_>, actual: &Actual, dirty: &Dirty) -> Self {
        if actual.presence != Presence::Ours {
            return Self::rebuild(world);
        }
        let mut plan = Self::default();
        if dirty.everything {
            plan.compare_all(world, actual);
        } else {
            for name in &dirty.chains {
                plan.compare_chain(world, actual, name);
            }
            for id in &dirty.sets {
                plan.compare_set(world, actual, id);
            }
            for (set, key) in &dirty.elements {
                plan.compare_element(world, actual, *set, key);
            }
        }
        plan.pending_members(world);
        plan
    }

    fn rebuild(world: &World<'_>) -> Self {
        let mut plan = Self { rebuild: true, ..Self::default() };
        plan.compare_all(world, &Actual::default());
        plan
    }

    fn compare_all(&mut self, world: &World<'_>, actual: &Actual) {
        let desired = world.desired;
        for set in desired.fixed_sets() {
            let none = BTreeMap::new();
            let there = actual.elements.get(&set);
            if there.is_none() {
                self.fixed_sets.push(set);
            }
            for key in there.unwrap_or(&none).keys() {
                if desired.element(set, key).is_none() {
                    self.compare_element(world, actual, set, key);
                }
            }
            for (key, _) in desired.elements(set) {
                self.compare_element(world, actual, set, key);
            }
        }
        let wanted: BTreeSet<Name> =
            desired.sets().flat_map(|id| VERSIONS.map(|version| names::of_set(id, version))).collect();
        for id in desired.sets() {
            self.compare_set(world, actual, id);
        }
        self.sets_gone.extend(actual.sets.iter().filter(|name| !wanted.contains(name)).cloned());
        for name in desired.chain_names() {
            self.compare_chain(world, actual, name);
        }
        for name in actual.chains.keys().filter(|name| desired.stamps(name).is_none()) {
            self.compare_chain(world, actual, name);
        }
    }

    fn compare_chain(&mut self, world: &World<'_>, actual: &Actual, name: &Name) {
        match (world.desired.stamps(name), actual.chains.get(name)) {
            (Some(wanted), Some(there)) => {
                if !wanted.iter().map(|stamp| Some(*stamp)).eq(there.iter().copied()) {
                    self.chains.push(name.clone());
                }
            }
            (Some(_), None) => {
                self.new_chains.push(name.clone());
                self.chains.push(name.clone());
            }
            (None, Some(_)) => self.chains_gone.push(name.clone()),
            (None, None) => {}
        }
    }

    fn compare_set(&mut self, world: &World<'_>, actual: &Actual, id: &SetId) {
        for version in VERSIONS {
            let name = names::of_set(id, version);
            match (world.desired.has_set(id), actual.sets.contains(&name)) {
                (true, false) => {
                    self.sets.insert((id.clone(), version));
                }
                (false, true) => {
                    self.members_gone.push((id.clone(), world.sets.in_kernel(id, version)));
                    self.sets_gone.push(name);
                }
                (true, true) if !world.sets.known.contains(id) => {
                    self.refilled.insert((id.clone(), version));
                }
                (true, true) | (false, false) => {}
            }
        }
    }

    fn compare_element(&mut self, world: &World<'_>, actual: &Actual, set: FixedSet, key: &Key) {
        let wanted = world.desired.element(set, key);
        let there = actual.elements.get(&set).and_then(|elements| elements.get(key));
        if wanted == there {
            return;
        }
        self.elements_gone.extend(there.map(|element| (set, element.clone())));
        self.elements.extend(wanted.map(|element| (set, element.clone())));
    }

    fn pending_members(&mut self, world: &World<'_>) {
        let in_use = world.sets.pending.keys().filter(|id| world.desired.has_set(id));
        self.members =
            in_use.filter(|id| VERSIONS.iter().any(|version| !self.makes(id, *version))).cloned().collect();
    }

    /// True when that half of the set is made by the plan.
    fn makes(&self, id: &SetId, version: IpVersion) -> bool {
        self.sets.contains(&(id.clone(), version))
    }

    /// Writes the plan into a batch, in the order of `docs/design/dataplane.md`. The answer says whose each owner is.
    ///
    /// With `one_by_one` each element has its own message, so that an error names it.
    pub(crate) fn write(&self, world: &World<'_>, batch: &mut Batch, one_by_one: bool) -> Vec<Culprit> {
        let mut writer = Writer { batch, culprits: Vec::new(), one_by_one };
        writer.owner(Culprit::Table);
        if self.rebuild {
            writer.batch.destroy_table();
            writer.batch.add_table(&fixed::table());
        }
        for set in &self.fixed_sets {
            writer.batch.add_set(&set.declaration());
        }
        self.write_sets(world, &mut writer);
        self.write_chains(world, &mut writer);
        self.write_elements(&mut writer);
        writer.owner(Culprit::Table);
        for name in &self.chains_gone {
            writer.batch.flush_chain(name);
        }
        for name in &self.chains_gone {
            writer.batch.delete_chain(name);
        }
        for name in &self.sets_gone {
            writer.batch.delete_set(name);
        }
        writer.culprits
    }

    fn write_sets(&self, world: &World<'_>, writer: &mut Writer<'_>) {
        for (id, version) in &self.sets {
            writer.owner(Culprit::Set(id.clone()));
            let set = declaration(id, *version);
            writer.batch.add_set(&set);
            writer
                .batch
                .add_elements(&set.name, elements_of(world.sets.members(id).into_iter().flatten(), *version));
        }
        for (id, version) in &self.refilled {
            writer.owner(Culprit::Set(id.clone()));
            let name = names::of_set(id, *version);
            writer.batch.flush_set(&name);
            writer
                .batch
                .add_elements(&name, elements_of(world.sets.members(id).into_iter().flatten(), *version));
        }
        for id in &self.members {
            let Some(delta) = world.sets.pending.get(id) else { continue };
            writer.owner(Culprit::Set(id.clone()));
            for version in VERSIONS.into_iter().filter(|version| !self.makes(id, *version)) {
                let name = names::of_set(id, version);
                writer.batch.delete_elements(&name, elements_of(delta.removed.iter(), version));
                writer.batch.add_elements(&name, elements_of(delta.added.iter(), version));
            }
        }
    }

    fn write_chains(&self, world: &World<'_>, writer: &mut Writer<'_>) {
        let new: BTreeSet<&Name> = self.new_chains.iter().collect();
        for name in &self.new_chains {
            match world.desired.fixed_chain(name) {
                Some(fixed) => {
                    writer.owner(Culprit::Table);
                    writer.batch.add_chain(&fixed.chain);
                }
                None => {
                    writer.owner(Culprit::Chain(name.clone()));
                    writer.batch.add_chain(&Chain::regular(name.clone()));
                }
            }
        }
        for name in &self.chains {
            let fixed = world.desired.fixed_chain(name).is_some();
            writer.owner(if fixed { Culprit::Table } else { Culprit::Chain(name.clone()) });
            if !new.contains(name) {
                writer.batch.flush_chain(name);
            }
            let Rendered { rules, .. } = world.desired.rules(name, world.intents);
            for rule in &rules {
                writer.batch.add_rule(name, rule);
            }
        }
    }

    fn write_elements(&self, writer: &mut Writer<'_>) {
        writer.elements(&self.elements_gone, |batch, set, elements| batch.delete_elements(set, elements));
        writer.elements(&self.elements, |batch, set, elements| batch.add_elements(set, elements));
    }
}

/// Both versions.
pub(crate) const VERSIONS: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

/// A batch in the making.
struct Writer<'a> {
    batch: &'a mut Batch,
    culprits: Vec<Culprit>,
    one_by_one: bool,
}

// === impl Writer ===

impl Writer<'_> {
    /// Whose the following messages are.
    fn owner(&mut self, culprit: Culprit) {
        if self.culprits.last() != Some(&culprit) {
            self.culprits.push(culprit);
        }
        let number = u32::try_from(self.culprits.len() - 1).expect("fewer owners than messages");
        self.batch.set_owner(Owner(number));
    }

    /// Elements of fixed sets, those of one set together.
    fn elements(
        &mut self,
        elements: &[(FixedSet, Element)],
        mut put: impl FnMut(&mut Batch, &Name, &mut dyn Iterator<Item = Element>),
    ) {
        let mut by_set: BTreeMap<FixedSet, Vec<&Element>> = BTreeMap::new();
        for (set, element) in elements {
            by_set.entry(*set).or_default().push(element);
        }
        for (set, elements) in by_set {
            let name = set.name();
            if self.one_by_one {
                for element in elements {
                    self.owner(Culprit::Elements(set, Some(element.key)));
                    put(self.batch, &name, &mut std::iter::once(element.clone()));
                }
            } else {
                self.owner(Culprit::Elements(set, None));
                put(self.batch, &name, &mut elements.into_iter().cloned());
            }
        }
    }
}

// === impl Actual ===

impl Actual {
    /// What a listing of our table shows, and the members of all sets that are not fixed.
    ///
    /// What is declared otherwise than we would declare it can not be changed in place: then the table is another.
    pub(crate) fn read(
        contents: Option<&Contents>,
        desired: &Desired,
    ) -> (Self, BTreeMap<Name, BTreeSet<IpAddr>>) {
        let Some(contents) = contents else { return (Self::default(), BTreeMap::new()) };
        let other = (Self { presence: Presence::Other, ..Self::default() }, BTreeMap::new());
        // One that sleeps lets everything pass.
        if contents.dormant || !fixed::is_current(contents.comment.as_deref()) {
            return other;
        }
        let mut actual = Self { presence: Presence::Ours, ..Self::default() };
        for (name, chain) in &contents.chains {
            let base = desired.fixed_chain(name).and_then(|fixed| fixed.chain.base);
            if desired.stamps(name).is_some() && base != chain.base {
                return other;
            }
            let stamps = chain.rules.iter().map(|rule| Stamp::read(rule.comment.as_deref())).collect();
            actual.chains.insert(name.clone(), stamps);
        }
        let halves = desired.set_halves();
        let mut members = BTreeMap::new();
        for (name, set) in &contents.sets {
            let fixed = FixedSet::of_name(name.as_str());
            let wanted = fixed.map(FixedSet::declaration).or_else(|| halves.get(name).cloned());
            if wanted.is_some() && !same_shape(wanted.as_ref(), set) {
                return other;
            }
            match fixed {
                Some(FixedSet::Seal) => {
                    actual.elements.insert(FixedSet::Seal, BTreeMap::new());
                    actual.seals = set.elements().collect();
                }
                Some(fixed) => {
                    let elements = set.elements().map(|element| (element.key, element)).collect();
                    actual.elements.insert(fixed, elements);
                }
                None => {
                    actual.sets.insert(name.clone());
                    members.insert(name.clone(), addresses(&set.elements));
                }
            }
        }
        (actual, members)
    }

    /// The digest of the table once the kernel took the plan.
    pub(crate) fn digest_after(&self, plan: &Plan, desired: &Desired, sets: &SelectorSets) -> Digest {
        let mut digest = self.digest;
        for (id, version) in &plan.sets {
            let tag = tag_of(id);
            for address in of_version(sets.members(id).into_iter().flatten(), *version) {
                digest.add(&(tag, address));
            }
        }
        for id in &plan.members {
            let Some(delta) = sets.pending.get(id) else { continue };
            let tag = tag_of(id);
            for version in VERSIONS.into_iter().filter(|version| !plan.makes(id, *version)) {
                for address in of_version(delta.removed.iter(), version) {
                    digest.remove(&(tag, address));
                }
                for address in of_version(delta.added.iter(), version) {
                    digest.add(&(tag, address));
                }
            }
        }
        for (id, members) in &plan.members_gone {
            let tag = tag_of(id);
            for address in members {
                digest.remove(&(tag, address));
            }
        }
        for name in plan.chains.iter().chain(&plan.chains_gone) {
            if let Some(before) = self.chains.get(name) {
                digest.remove(&(name.as_str(), before));
            }
        }
        for name in &plan.chains {
            digest.add(&(name.as_str(), stamps_of(desired, name)));
        }
        for (set, element) in &plan.elements_gone {
            digest.remove(&(set, element));
        }
        for (set, element) in &plan.elements {
            digest.add(&(set, element));
        }
        digest
    }

    /// The kernel took the plan.
    pub(crate) fn settle(&mut self, plan: &Plan, desired: &Desired) {
        if plan.rebuild {
            *self = Self { presence: Presence::Ours, ..Self::default() };
        }
        for set in &plan.fixed_sets {
            self.elements.insert(*set, BTreeMap::new());
        }
        self.sets.extend(plan.sets.iter().map(|(id, version)| names::of_set(id, *version)));
        for name in &plan.sets_gone {
            self.sets.remove(name);
        }
        for name in &plan.chains {
            self.chains.insert(name.clone(), stamps_of(desired, name));
        }
        for name in &plan.chains_gone {
            self.chains.remove(name);
        }
        for (set, element) in &plan.elements_gone {
            self.elements.entry(*set).or_default().remove(&element.key);
        }
        for (set, element) in &plan.elements {
            self.elements.entry(*set).or_default().insert(element.key, element.clone());
        }
    }

    /// What the kernel holds when it holds all that it should.
    pub(crate) fn of(world: &World<'_>) -> Self {
        let mut actual = Self { presence: Presence::Ours, ..Self::default() };
        let desired = world.desired;
        for name in desired.chain_names() {
            let stamps = stamps_of(desired, name);
            actual.digest.add(&(name.as_str(), &stamps));
            actual.chains.insert(name.clone(), stamps);
        }
        for set in desired.fixed_sets() {
            let elements: BTreeMap<Key, Element> =
                desired.elements(set).map(|(key, element)| (*key, element.clone())).collect();
            for element in elements.values() {
                actual.digest.add(&(set, element));
            }
            actual.elements.insert(set, elements);
        }
        for id in desired.sets() {
            let tag = tag_of(id);
            for address in world.sets.members(id).into_iter().flatten() {
                actual.digest.add(&(tag, address));
            }
            actual.sets.extend(VERSIONS.map(|version| names::of_set(id, version)));
        }
        actual
    }
}

/// A number that stands for a set where its members are hashed.
fn tag_of(id: &SetId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// The rules of a chain as they should be.
fn stamps_of(desired: &Desired, name: &Name) -> Vec<Option<Stamp>> {
    desired.stamps(name).unwrap_or_default().iter().map(|stamp| Some(*stamp)).collect()
}

/// True when the set is declared as we would declare it, notes aside.
fn same_shape(wanted: Option<&Set>, there: &SetContents) -> bool {
    let shape = |set: &Set| (set.key, set.data, set.interval);
    wanted.map(shape) == there.set.as_ref().map(shape)
}

/// The addresses of a set of addresses.
fn addresses(elements: &Elements) -> BTreeSet<IpAddr> {
    elements
        .keys()
        .filter_map(|key| match key.values().next()?? {
            Value::V4(address) => Some(IpAddr::V4(address)),
            Value::V6(address) => Some(IpAddr::V6(address)),
            _ => None,
        })
        .collect()
}

impl SelectorSets {
    /// The kernel has these members, by the names of sets.
    pub(crate) fn compare(&mut self, desired: &Desired, found: &BTreeMap<Name, BTreeSet<IpAddr>>) {
        self.pending.clear();
        self.known.clear();
        let none = Members::new();
        for id in desired.sets() {
            let halves = VERSIONS.map(|version| found.get(&names::of_set(id, version)));
            if halves == [None, None] {
                continue;
            }
            let found: BTreeSet<IpAddr> = halves.into_iter().flatten().flatten().copied().collect();
            let members = self.members.get(id).unwrap_or(&none);
            let delta = Delta {
                added: members.difference(&found).copied().collect(),
                removed: found.difference(members).copied().collect(),
            };
            self.known.insert(id.clone());
            if !delta.is_empty() {
                self.pending.insert(id.clone(), delta);
            }
        }
    }

    /// The kernel has all sets that it should have, with all their members.
    pub(crate) fn settle_all(&mut self, desired: &Desired) {
        self.pending.clear();
        self.known = desired.sets().cloned().collect();
    }

    /// The kernel took the plan.
    pub(crate) fn settle(&mut self, plan: &Plan) {
        for id in plan.sets.iter().chain(&plan.refilled).map(|(id, _)| id).chain(&plan.members) {
            self.pending.remove(id);
            self.known.insert(id.clone());
        }
        for (id, _) in &plan.members_gone {
            self.pending.remove(id);
            self.known.remove(id);
        }
    }
}
