//! What the table should hold, kept up to date with every change.
//!
//! Chains live as long as something refers to them; references are counted. What differs from the last look at it is
//! noted in [`Dirty`], so that whoever writes the kernel walks the changes alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use margay_intent::{Direction, Policy, PolicyId, Profile, ProfileId, SetId};
use margay_kernel::nft::{Element, Features, Key, Name, Set};

use crate::actual::{VERSIONS, declaration};
use crate::config::Config;
use crate::names::ChainKey;
use crate::render::fixed::{self, FixedChain, FixedSet};
use crate::render::program::{Source, passes};
use crate::render::{Rendered, Stamp, Uses};

/// A chain made from intents.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ChainNode {
    key: ChainKey,
    references: usize,
    uses: Uses,
    stamps: Vec<Stamp>,
}

/// What may differ from the kernel since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dirty {
    /// Everything may: compare all.
    pub(crate) everything: bool,
    /// Chains.
    pub(crate) chains: BTreeSet<Name>,
    /// Sets of selectors that came or went.
    pub(crate) sets: BTreeSet<SetId>,
    /// Elements of fixed sets.
    pub(crate) elements: BTreeSet<(FixedSet, Key)>,
}

/// What the table should hold, but for the members of selectors' sets.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    fixed: BTreeMap<Name, FixedChain>,
    chains: BTreeMap<Name, ChainNode>,
    /// Chains that name a policy: its own, and programmes that run it.
    users: BTreeMap<PolicyId, BTreeSet<Name>>,
    sets: BTreeMap<SetId, usize>,
    elements: BTreeMap<FixedSet, BTreeMap<Key, Element>>,
    /// Chains that the kernel refused: they drop.
    refused: BTreeSet<Name>,
    /// Kept with every change: whoever asks does so after each.
    counts: Counts,
    features: Features,
    /// What changed.
    pub(crate) dirty: Dirty,
}

/// How many there are of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Programmes, rests included.
    pub programs: usize,
    /// Policies' chains.
    pub policies: usize,
    /// Profiles' chains.
    pub profiles: usize,
    /// All chains.
    pub chains: usize,
    /// All rules.
    pub rules: usize,
    /// Selectors' sets, each of two halves in the kernel.
    pub sets: usize,
    /// Elements of verdict maps, source sets and the like, without members of selectors' sets.
    pub elements: usize,
}

/// The policies and profiles that chains are made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intents<'a> {
    /// By id.
    pub(crate) policies: &'a BTreeMap<PolicyId, Arc<Policy>>,
    /// By id.
    pub(crate) profiles: &'a BTreeMap<ProfileId, Arc<Profile>>,
    /// The parameters.
    pub(crate) config: &'a Config,
}

// === impl Dirty ===

impl Dirty {
    /// True when nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { everything, chains, sets, elements } = self;
        !everything && chains.is_empty() && sets.is_empty() && elements.is_empty()
    }
}

// === impl Intents ===

impl Intents<'_> {
    fn source(&self) -> Source<'_> {
        Source { policies: self.policies, profiles: self.profiles, config: self.config }
    }
}

// === impl Desired ===

impl Desired {
    /// The table of a host without endpoints.
    pub(crate) fn new(config: &Config, features: Features) -> Self {
        let mut desired = Self {
            features,
            fixed: BTreeMap::new(),
            chains: BTreeMap::new(),
            users: BTreeMap::new(),
            sets: BTreeMap::new(),
            elements: BTreeMap::new(),
            refused: BTreeSet::new(),
            counts: Counts::default(),
            dirty: Dirty { everything: true, ..Dirty::default() },
        };
        desired.set_fixed(config);
        desired
    }

    /// Renders what depends on the configuration alone.
    fn set_fixed(&mut self, config: &Config) {
        let chains = fixed::chains(config, self.features);
        self.counts.rules -= self.fixed.values().map(|chain| chain.rendered.rules.len()).sum::<usize>();
        self.counts.rules += chains.iter().map(|chain| chain.rendered.rules.len()).sum::<usize>();
        self.fixed = chains.into_iter().map(|chain| (chain.chain.name.clone(), chain)).collect();
        for set in [FixedSet::FailsafeIn, FixedSet::FailsafeOut] {
            self.elements.remove(&set);
        }
        for (set, element) in fixed::failsafe_elements(config) {
            self.elements.entry(set).or_default().insert(element.key, element);
        }
    }

    /// Renders everything anew for another configuration.
    pub(crate) fn reconfigure(&mut self, intents: Intents<'_>) {
        self.set_fixed(intents.config);
        self.refused.clear();
        let names: Vec<Name> = self.chains.keys().cloned().collect();
        for name in names {
            self.render_again(&name, intents);
        }
        self.dirty.everything = true;
    }

    // --- chains ---

    /// Takes a reference to a chain, which is made if it is not there.
    pub(crate) fn acquire(&mut self, key: &ChainKey, intents: Intents<'_>) -> Name {
        let name = key.name();
        if let Some(node) = self.chains.get_mut(&name) {
            node.references += 1;
            return name;
        }
        let rendered = self.render(key, &name, intents);
        self.acquire_uses(&rendered.uses, intents);
        self.note_user(key, &name);
        *self.counts.of_kind(key) += 1;
        self.counts.rules += rendered.stamps.len();
        let node =
            ChainNode { key: key.clone(), references: 1, uses: rendered.uses, stamps: rendered.stamps };
        self.chains.insert(name.clone(), node);
        self.dirty.chains.insert(name.clone());
        name
    }

    /// Gives a reference back; the last one takes the chain along.
    pub(crate) fn release(&mut self, name: &Name) {
        let node = self.chains.get_mut(name).expect("released once for each time it was acquired");
        node.references -= 1;
        if node.references > 0 {
            return;
        }
        let node = self.chains.remove(name).expect("it was just there");
        self.counts.rules -= node.stamps.len();
        self.forget_user(&node.key, name);
        *self.counts.of_kind(&node.key) -= 1;
        self.refused.remove(name);
        self.dirty.chains.insert(name.clone());
        self.release_uses(&node.uses);
    }

    fn acquire_uses(&mut self, uses: &Uses, intents: Intents<'_>) {
        for key in &uses.chains {
            self.acquire(key, intents);
        }
        for id in &uses.sets {
            let references = self.sets.entry(id.clone()).or_default();
            *references += 1;
            if *references == 1 {
                self.dirty.sets.insert(id.clone());
            }
        }
    }

    fn release_uses(&mut self, uses: &Uses) {
        for key in &uses.chains {
            self.release(&key.name());
        }
        for id in &uses.sets {
            let references = self.sets.get_mut(id).expect("released once for each time it was acquired");
            *references -= 1;
            if *references == 0 {
                self.sets.remove(id);
                self.dirty.sets.insert(id.clone());
            }
        }
    }

    fn render(&self, key: &ChainKey, name: &Name, intents: Intents<'_>) -> Rendered {
        if self.refused.contains(name) { Source::refused(name) } else { intents.source().render(key, name) }
    }

    /// Renders a chain that is there again.
    fn render_again(&mut self, name: &Name, intents: Intents<'_>) {
        let Some(node) = self.chains.get(name) else { return };
        let rendered = self.render(&node.key, name, intents);
        if rendered.stamps == node.stamps && rendered.uses == node.uses {
            return;
        }
        // The new ones first, so that nothing that stays is let go in between.
        self.acquire_uses(&rendered.uses, intents);
        let node = self.chains.get_mut(name).expect("acquiring removes nothing");
        self.counts.rules = self.counts.rules + rendered.stamps.len() - node.stamps.len();
        node.stamps = rendered.stamps;
        let before = std::mem::replace(&mut node.uses, rendered.uses);
        self.release_uses(&before);
        self.dirty.chains.insert(name.clone());
    }

    /// A policy is another, or gone, or there.
    pub(crate) fn policy_changed(
        &mut self,
        id: &PolicyId,
        before: Option<&Arc<Policy>>,
        intents: Intents<'_>,
    ) {
        let Some(users) = self.users.get(id) else { return };
        let users: Vec<Name> = users.iter().cloned().collect();
        let now = intents.policies.get(id);
        let passing = |policy: Option<&Arc<Policy>>| {
            [Direction::Ingress, Direction::Egress]
                .map(|direction| policy.is_some_and(|policy| passes(policy, direction)))
        };
        let reroute = passing(before) != passing(now);
        // Programmes first: a policy that begins to pass has another chain for each rest.
        for programs in [true, false] {
            for name in &users {
                let Some(node) = self.chains.get(name) else { continue };
                if matches!(node.key, ChainKey::Program(_)) != programs || (programs && !reroute) {
                    continue;
                }
                self.refused.remove(name);
                self.render_again(name, intents);
            }
        }
    }

    /// A profile is another, or gone, or there.
    pub(crate) fn profile_changed(&mut self, id: &ProfileId, intents: Intents<'_>) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let name = ChainKey::Profile { id: id.clone(), direction }.name();
            self.refused.remove(&name);
            self.render_again(&name, intents);
        }
    }

    /// The kernel refuses the chain's rules: from now on it drops, until what it is made from changes.
    ///
    /// False when that has been done already, or there is no such chain.
    pub(crate) fn refuse(&mut self, name: &Name, intents: Intents<'_>) -> bool {
        if !self.chains.contains_key(name) || !self.refused.insert(name.clone()) {
            return false;
        }
        self.render_again(name, intents);
        true
    }

    /// The chains that name a set.
    pub(crate) fn users_of_set(&self, id: &SetId) -> Vec<Name> {
        self.chains
            .iter()
            .filter(|(_, node)| node.uses.sets.contains(id))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn note_user(&mut self, key: &ChainKey, name: &Name) {
        for id in policies_of(key) {
            self.users.entry(id.clone()).or_default().insert(name.clone());
        }
    }

    fn forget_user(&mut self, key: &ChainKey, name: &Name) {
        for id in policies_of(key) {
            if let Some(users) = self.users.get_mut(id) {
                users.remove(name);
                if users.is_empty() {
                    self.users.remove(id);
                }
            }
        }
    }

    // --- elements ---

    /// Puts an element into a fixed set, or takes it away.
    pub(crate) fn set_element(&mut self, set: FixedSet, key: Key, element: Option<Element>) {
        let elements = self.elements.entry(set).or_default();
        let changed = match element {
            Some(element) => elements.insert(key, element.clone()).as_ref() != Some(&element),
            None => elements.remove(&key).is_some(),
        };
        if changed {
            self.dirty.elements.insert((set, key));
        }
    }

    /// Makes a fixed set hold exactly these.
    pub(crate) fn set_elements(&mut self, set: FixedSet, elements: Vec<Element>) {
        let new: BTreeMap<Key, Element> =
            elements.into_iter().map(|element| (element.key, element)).collect();
        let old = self.elements.remove(&set).unwrap_or_default();
        for (key, element) in &new {
            if old.get(key) != Some(element) {
                self.dirty.elements.insert((set, *key));
            }
        }
        for key in old.keys().filter(|key| !new.contains_key(key)) {
            self.dirty.elements.insert((set, *key));
        }
        self.elements.insert(set, new);
    }

    // --- reading ---

    /// The element under a key.
    pub(crate) fn element(&self, set: FixedSet, key: &Key) -> Option<&Element> {
        self.elements.get(&set)?.get(key)
    }

    /// The elements of a fixed set.
    pub(crate) fn elements(&self, set: FixedSet) -> impl Iterator<Item = (&Key, &Element)> {
        self.elements.get(&set).into_iter().flatten()
    }

    /// The fixed chain of that name.
    pub(crate) fn fixed_chain(&self, name: &Name) -> Option<&FixedChain> {
        self.fixed.get(name)
    }

    /// The stamps of a chain, fixed or not; none when there should be no such chain.
    pub(crate) fn stamps(&self, name: &Name) -> Option<&[Stamp]> {
        self.chains
            .get(name)
            .map(|node| node.stamps.as_slice())
            .or_else(|| self.fixed.get(name).map(|chain| chain.rendered.stamps.as_slice()))
    }

    /// The rules of a chain made from intents.
    pub(crate) fn rules(&self, name: &Name, intents: Intents<'_>) -> Rendered {
        match (self.chains.get(name), self.fixed.get(name)) {
            (Some(node), _) => self.render(&node.key, name, intents),
            (None, Some(chain)) => chain.rendered.clone(),
            (None, None) => Rendered::default(),
        }
    }

    /// What a chain is made from; none for fixed ones.
    pub(crate) fn key(&self, name: &Name) -> Option<&ChainKey> {
        self.chains.get(name).map(|node| &node.key)
    }

    /// The names of all chains.
    pub(crate) fn chain_names(&self) -> impl Iterator<Item = &Name> {
        self.fixed.keys().chain(self.chains.keys())
    }

    /// The fixed sets.
    pub(crate) fn fixed_sets(&self) -> impl Iterator<Item = FixedSet> + use<> {
        let ranges = self.features.concatenated_ranges;
        FixedSet::ALL.into_iter().filter(move |set| ranges || !set.needs_concatenated_ranges())
    }

    /// The halves of selectors' sets in use, by name.
    pub(crate) fn set_halves(&self) -> BTreeMap<Name, Set> {
        let halves = |id| VERSIONS.map(|version| declaration(id, version));
        self.sets.keys().flat_map(halves).map(|set| (set.name.clone(), set)).collect()
    }

    /// The selectors' sets in use.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &SetId> {
        self.sets.keys()
    }

    /// True when a rule looks into the set.
    pub(crate) fn has_set(&self, id: &SetId) -> bool {
        self.sets.contains_key(id)
    }

    /// The chains that the kernel refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&Name, Option<&ChainKey>)> {
        self.refused.iter().map(|name| (name, self.key(name)))
    }

    /// How many there are of each.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            chains: self.fixed.len() + self.chains.len(),
            sets: self.sets.len(),
            elements: self.elements.values().map(BTreeMap::len).sum(),
            ..self.counts
        }
    }
}

impl Counts {
    /// The count that a chain is part of.
    fn of_kind(&mut self, key: &ChainKey) -> &mut usize {
        match key {
            ChainKey::Program(_) => &mut self.programs,
            ChainKey::Policy { .. } => &mut self.policies,
            ChainKey::Profile { .. } => &mut self.profiles,
        }
    }
}

/// The policies whose change may change that chain.
fn policies_of(key: &ChainKey) -> impl Iterator<Item = &PolicyId> {
    let (program, own) = match key {
        ChainKey::Program(program) => (Some(program), None),
        ChainKey::Policy { id, .. } => (None, Some(id)),
        ChainKey::Profile { .. } => (None, None),
    };
    program.into_iter().flat_map(|program| &program.tiers).flat_map(|tier| &tier.policies).chain(own)
}
