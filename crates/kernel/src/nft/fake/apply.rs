//! One message after another on a copy of the tables, with the kernel's answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::io::Errno;

use super::check::{data_target, target};
use super::{Held, Outcome, elements};
use crate::netlink::{EXCL, Message};
use crate::nft::read::{ChainMessage, ElementsMessage, RuleMessage, SetMessage, TableMessage};
use crate::nft::wire::{self, msg};
use crate::nft::{
    AnonymousSet, Base, ChainContents, ChainKind, ChainPolicy, Contents, Data, DataType, Element, Elements,
    Family, Features, Fields, Hook, Load, Name, Nat, NatTarget, Rule, RuleContents, RuleHandle, Set,
    SetContents, SetRef, Statement, TableId, Touched, decode,
};

/// The flag of `NLM_F_APPEND`: behind, not before.
const APPEND: u16 = crate::netlink::APPEND;

/// The copy that is worked on.
#[derive(Debug)]
pub(super) struct Applying {
    pub(super) tables: BTreeMap<TableId, Held>,
    pub(super) rule: RuleHandle,
    features: Features,
    /// The anonymous sets of this batch that wait for their rule, by number.
    anonymous: BTreeMap<u32, (SetMessage, Elements)>,
}

impl Applying {
    pub(super) fn new(tables: BTreeMap<TableId, Held>, features: Features, rule: RuleHandle) -> Self {
        Self { tables, rule, features, anonymous: BTreeMap::new() }
    }

    /// Does one message, or says why not.
    pub(super) fn message(&mut self, message: &Message<'_>, outcome: &mut Outcome) -> Result<(), Errno> {
        let [subsystem, kind] = message.kind.to_be_bytes();
        let family = message.body.first().and_then(|number| Family::from_number(*number));
        let family = family.filter(|_| subsystem == wire::SUBSYSTEM).ok_or(Errno::OPNOTSUPP)?;
        let destroy =
            matches!(kind, msg::DESTROY_TABLE | msg::DESTROY_CHAIN | msg::DESTROY_SET | msg::DESTROY_ELEMENT);
        if destroy && !self.features.destroy {
            return Err(Errno::INVAL);
        }
        let exclusive = message.flags & EXCL != 0;
        let touched = match kind {
            msg::NEW_TABLE => self.new_table(family, TableMessage::read(message), exclusive)?,
            msg::DEL_TABLE | msg::DESTROY_TABLE => {
                self.delete_table(family, TableMessage::read(message), destroy)?
            }
            msg::NEW_CHAIN => self.new_chain(family, ChainMessage::read(message), exclusive)?,
            msg::DEL_CHAIN | msg::DESTROY_CHAIN => {
                self.delete_chain(family, ChainMessage::read(message), destroy)?
            }
            msg::NEW_RULE => {
                outcome.verdicts = true;
                self.new_rule(family, &RuleMessage::read(message), message.flags & APPEND != 0)?
            }
            msg::DEL_RULE => self.delete_rule(family, &RuleMessage::read(message))?,
            msg::NEW_SET => self.new_set(family, SetMessage::read(message), exclusive)?,
            msg::DEL_SET | msg::DESTROY_SET => self.delete_set(family, SetMessage::read(message), destroy)?,
            msg::NEW_ELEMENT => {
                let (touched, verdicts) =
                    self.new_elements(family, &ElementsMessage::read(message), exclusive)?;
                outcome.verdicts |= verdicts;
                touched
            }
            msg::DEL_ELEMENT | msg::DESTROY_ELEMENT => {
                self.delete_elements(family, &ElementsMessage::read(message), destroy)?
            }
            _ => return Err(Errno::INVAL),
        };
        if let Some((table, touched)) = touched {
            outcome.touched.entry(table).or_default().insert(touched);
        }
        Ok(())
    }

    /// The table of a message.
    fn table(&mut self, family: Family, name: Option<&Name>) -> Result<(TableId, &mut Held), Errno> {
        let id = TableId { family, name: name.cloned().ok_or(Errno::INVAL)? };
        let held = self.tables.get_mut(&id).ok_or(Errno::NOENT)?;
        Ok((id, held))
    }

    fn new_table(&mut self, family: Family, read: TableMessage, exclusive: bool) -> Result<Done, Errno> {
        let owned = read.flags & wire::table::F_OWNER != 0;
        let dormant = read.flags & wire::table::F_DORMANT != 0;
        if read.flags & wire::table::F_PERSIST != 0 && !self.features.persist {
            return Err(Errno::OPNOTSUPP);
        }
        let id = TableId { family, name: read.name.ok_or(Errno::INVAL)? };
        if let Some(held) = self.tables.get(&id) {
            return match (exclusive, held.contents.owned == owned) {
                (true, _) => Err(Errno::EXIST),
                (false, false) => Err(Errno::OPNOTSUPP),
                (false, true) => Ok(None),
            };
        }
        let contents = Contents {
            id: id.clone(),
            comment: read.comment,
            owned,
            dormant,
            chains: BTreeMap::new(),
            sets: BTreeMap::new(),
        };
        let held = Held { contents, chains_used: BTreeMap::new(), sets_used: BTreeMap::new() };
        self.tables.insert(id.clone(), held);
        Ok(Some((id, Touched::Table)))
    }

    fn delete_table(&mut self, family: Family, read: TableMessage, destroy: bool) -> Result<Done, Errno> {
        let id = TableId { family, name: read.name.ok_or(Errno::INVAL)? };
        match self.tables.remove(&id) {
            Some(_) => Ok(Some((id, Touched::Table))),
            None if destroy => Ok(None),
            None => Err(Errno::NOENT),
        }
    }

    fn new_chain(&mut self, family: Family, read: ChainMessage, exclusive: bool) -> Result<Done, Errno> {
        let (id, held) = self.table(family, read.table.as_ref())?;
        let name = read.name.ok_or(Errno::INVAL)?;
        if read.hooked && read.base.is_none() {
            return Err(Errno::INVAL);
        }
        if let Some(chain) = held.contents.chains.get_mut(&name) {
            if exclusive {
                return Err(Errno::EXIST);
            }
            let Some(base) = read.base else { return Ok(None) };
            let old = chain.base.ok_or(Errno::OPNOTSUPP)?;
            if (Base { policy: old.policy, ..base }) != old {
                return Err(Errno::OPNOTSUPP);
            }
            Arc::make_mut(chain).base = Some(base);
            return Ok(Some((id, Touched::Chain(name))));
        }
        if let Some(base) = &read.base
            && !can_be(base)
        {
            return Err(Errno::OPNOTSUPP);
        }
        let chain = ChainContents { base: read.base, comment: read.comment, rules: Vec::new() };
        held.contents.chains.insert(name.clone(), Arc::new(chain));
        Ok(Some((id, Touched::Chain(name))))
    }

    fn delete_chain(&mut self, family: Family, read: ChainMessage, destroy: bool) -> Result<Done, Errno> {
        let (id, held) = self.table(family, read.table.as_ref())?;
        let name = read.name.ok_or(Errno::INVAL)?;
        let Some(chain) = held.contents.chains.get(&name).map(Arc::clone) else {
            return if destroy { Ok(None) } else { Err(Errno::NOENT) };
        };
        // The rules go first, also where the chain can not go: what they named is free for the rest of the batch, which
        // will not be done.
        // A chain that names itself counts as named.
        let used = held.chains_used.get(&name).is_some_and(|uses| *uses > 0);
        for rule in &chain.rules {
            held.count_rule(rule.rule.as_ref(), false);
        }
        if let Some(entry) = held.contents.chains.get_mut(&name) {
            Arc::make_mut(entry).rules.clear();
        }
        if used {
            return Err(Errno::BUSY);
        }
        held.contents.chains.remove(&name);
        Ok(Some((id, Touched::Chain(name))))
    }

    fn new_rule(&mut self, family: Family, read: &RuleMessage<'_>, behind: bool) -> Result<Done, Errno> {
        let mut waiting = std::mem::take(&mut self.anonymous);
        let handle = RuleHandle(self.rule.0 + 1);
        let (id, held) = self.table(family, read.table.as_ref())?;
        let chain = read.chain.clone().ok_or(Errno::INVAL)?;
        if !held.contents.chains.contains_key(&chain) {
            return Err(Errno::NOENT);
        }
        let find = |name: &str, number: Option<u32>| match number.and_then(|number| waiting.get(&number)) {
            Some((message, elements)) => Some(AnonymousSet::read(message, elements.clone())?.into()),
            None => Some(SetRef::Named(Name::read(name))),
        };
        let statements = decode::statements(read.expressions, &find).ok_or(Errno::INVAL)?;
        waiting.clear();
        let rule = Rule::trusted(statements, read.comment.clone());
        held.check_rule(&rule)?;
        let rules = &held.contents.chains.get(&chain).ok_or(Errno::NOENT)?.rules;
        let at = match read.position {
            Some(position) => {
                let at = rules.iter().position(|rule| rule.handle == position).ok_or(Errno::NOENT)?;
                at + usize::from(behind)
            }
            None if behind => rules.len(),
            None => 0,
        };
        held.count_rule(Some(&rule), true);
        let entry = held.contents.chains.get_mut(&chain).ok_or(Errno::NOENT)?;
        let comment = read.comment.clone();
        Arc::make_mut(entry).rules.insert(at, RuleContents { handle, comment, rule: Some(rule) });
        self.rule = handle;
        Ok(Some((id, Touched::Rules(chain))))
    }

    fn delete_rule(&mut self, family: Family, read: &RuleMessage<'_>) -> Result<Done, Errno> {
        let (id, held) = self.table(family, read.table.as_ref())?;
        let chain = read.chain.clone().ok_or(Errno::INVAL)?;
        let entry = held.contents.chains.get_mut(&chain).ok_or(Errno::NOENT)?;
        let gone = match read.handle {
            None => std::mem::take(&mut Arc::make_mut(entry).rules),
            Some(handle) => {
                let at = entry.rules.iter().position(|rule| rule.handle == handle).ok_or(Errno::NOENT)?;
                vec![Arc::make_mut(entry).rules.remove(at)]
            }
        };
        for rule in &gone {
            held.count_rule(rule.rule.as_ref(), false);
        }
        Ok(Some((id, Touched::Rules(chain))))
    }

    fn new_set(&mut self, family: Family, read: SetMessage, exclusive: bool) -> Result<Done, Errno> {
        let features = self.features;
        let (id, held) = self.table(family, read.table.as_ref())?;
        let name = read.name.clone().ok_or(Errno::INVAL)?;
        let number = read.id.ok_or(Errno::INVAL)?;
        let several = read.key.is_some_and(|key| key.is_concatenation());
        if read.is_interval() && several && read.flags & wire::set::F_CONCAT == 0 {
            return Err(Errno::OPNOTSUPP);
        }
        if read.flags & wire::set::F_CONCAT != 0 {
            let told: Vec<usize> =
                read.fields.iter().filter_map(|length| usize::try_from(*length).ok()).collect();
            let fields = read.key.ok_or(Errno::INVAL)?;
            let real: Vec<usize> = fields.as_slice().iter().map(|field| field.length()).collect();
            if !features.concatenated_ranges {
                return Err(Errno::OPNOTSUPP);
            }
            if told != real {
                return Err(Errno::INVAL);
            }
        }
        if read.is_anonymous() {
            self.anonymous.insert(number, (read, BTreeMap::new()));
            return Ok(None);
        }
        let set = Set::read(&read).ok_or(Errno::INVAL)?;
        if let Some(old) = held.contents.sets.get(&name) {
            let same = old
                .set
                .as_ref()
                .is_some_and(|old| (old.key, old.data, old.interval) == (set.key, set.data, set.interval));
            return if exclusive || !same { Err(Errno::EXIST) } else { Ok(None) };
        }
        let contents = SetContents { set: Some(set), elements: BTreeMap::new() };
        held.contents.sets.insert(name.clone(), Arc::new(contents));
        Ok(Some((id, Touched::Set(name))))
    }

    fn delete_set(&mut self, family: Family, read: SetMessage, destroy: bool) -> Result<Done, Errno> {
        let (id, held) = self.table(family, read.table.as_ref())?;
        let name = read.name.ok_or(Errno::INVAL)?;
        let Some(set) = held.contents.sets.get(&name).map(Arc::clone) else {
            return if destroy { Ok(None) } else { Err(Errno::NOENT) };
        };
        if held.sets_used.get(&name).is_some_and(|uses| *uses > 0) {
            return Err(Errno::BUSY);
        }
        for (_, data) in set.elements.values() {
            held.count_data(data.as_ref(), false);
        }
        held.contents.sets.remove(&name);
        Ok(Some((id, Touched::Set(name))))
    }

    /// Adds elements; says also whether one sends packets elsewhere.
    fn new_elements(
        &mut self,
        family: Family,
        read: &ElementsMessage<'_>,
        exclusive: bool,
    ) -> Result<(Done, bool), Errno> {
        if let Some((set, waiting)) = read.set_id.and_then(|number| self.anonymous.get_mut(&number)) {
            let fields = set.key.ok_or(Errno::INVAL)?;
            let new = elements::read(read, fields, set.is_interval(), set.data, true)?;
            waiting.extend(new.into_iter().map(|element| (element.key, (element.last, element.data))));
            return Ok((None, false));
        }
        let (id, held) = self.table(family, read.table.as_ref())?;
        let name = read.set.clone().ok_or(Errno::INVAL)?;
        let (set, new) = held.read_elements(read, &name, true)?;
        let mut verdicts = false;
        for element in &new {
            if let Some(chain) = element.data.as_ref().and_then(data_target) {
                held.check_target(chain)?;
                verdicts = true;
            }
            let contents = held.contents.sets.get_mut(&name).ok_or(Errno::NOENT)?;
            if elements::add(&set, &mut Arc::make_mut(contents).elements, element, exclusive)? {
                held.count_data(element.data.as_ref(), true);
            }
        }
        Ok((Some((id, Touched::Elements(name))), verdicts))
    }

    fn delete_elements(
        &mut self,
        family: Family,
        read: &ElementsMessage<'_>,
        destroy: bool,
    ) -> Result<Done, Errno> {
        let (id, held) = self.table(family, read.table.as_ref())?;
        let name = read.set.clone().ok_or(Errno::INVAL)?;
        if read.elements.is_none() {
            let contents = held.contents.sets.get_mut(&name).ok_or(Errno::NOENT)?;
            let gone = std::mem::take(&mut Arc::make_mut(contents).elements);
            for (_, data) in gone.values() {
                held.count_data(data.as_ref(), false);
            }
            return Ok(Some((id, Touched::Elements(name))));
        }
        let (_, old) = held.read_elements(read, &name, false)?;
        for element in &old {
            let contents = held.contents.sets.get_mut(&name).ok_or(Errno::NOENT)?;
            match elements::remove(&mut Arc::make_mut(contents).elements, element) {
                Ok(data) => held.count_data(data.as_ref(), false),
                Err(Errno::NOENT) if destroy => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Some((id, Touched::Elements(name))))
    }
}

/// What a message changed.
type Done = Option<(TableId, Touched)>;

// === impl Held ===

impl Held {
    /// A rule, or an element, names the chain of that data, or no longer does.
    fn count_data(&mut self, data: Option<&Data>, more: bool) {
        if let Some(chain) = data.and_then(data_target) {
            count(&mut self.chains_used, chain, more);
        }
    }

    /// A rule names chains and sets, or no longer does.
    fn count_rule(&mut self, rule: Option<&Rule>, more: bool) {
        for statement in rule.into_iter().flat_map(Rule::statements) {
            if let Statement::Verdict(verdict) = statement
                && let Some(chain) = target(verdict)
            {
                count(&mut self.chains_used, chain, more);
            }
            match set_of(statement) {
                None => {}
                Some(SetRef::Named(name)) => count(&mut self.sets_used, name, more),
                Some(SetRef::Anonymous(set)) => {
                    for element in &set.elements {
                        self.count_data(element.data.as_ref(), more);
                    }
                }
            }
        }
    }

    /// Whether a rule names what there is, of the right lengths. The kernel reads as many bytes as the set's key has,
    /// and lets a longer one pass; for us that is a mistake.
    fn check_rule(&self, rule: &Rule) -> Result<(), Errno> {
        for statement in rule.statements() {
            if let Statement::Verdict(verdict) = statement
                && let Some(chain) = target(verdict)
            {
                self.check_target(chain)?;
            }
            let Some(set) = set_of(statement) else { continue };
            let (key, data) = match set {
                SetRef::Named(name) => {
                    let set = self.contents.sets.get(name).ok_or(Errno::NOENT)?;
                    let set = set.set.as_ref().ok_or(Errno::INVAL)?;
                    (set.key, set.data)
                }
                SetRef::Anonymous(set) => {
                    for chain in set.elements.iter().filter_map(|element| data_target(element.data.as_ref()?))
                    {
                        self.check_target(chain)?;
                    }
                    (set.key, set.data)
                }
            };
            let fits = match statement {
                Statement::Lookup(loads, _, _) => data.is_none() && wide(loads) == key.length(),
                Statement::VerdictMap(loads, _) => {
                    data == Some(DataType::Verdict) && wide(loads) == key.length()
                }
                Statement::Nat(Nat { to: NatTarget::Map(loads, _), .. }) => {
                    matches!(data, Some(DataType::Values(_))) && wide(loads) == key.length()
                }
                _ => true,
            };
            if !fits {
                return Err(Errno::INVAL);
            }
        }
        Ok(())
    }

    /// Whether packets can be sent to that chain.
    fn check_target(&self, chain: &Name) -> Result<(), Errno> {
        let chain = self.contents.chains.get(chain).ok_or(Errno::NOENT)?;
        if chain.base.is_some() { Err(Errno::OPNOTSUPP) } else { Ok(()) }
    }

    /// The elements of a message, and the set that they are for.
    fn read_elements(
        &self,
        read: &ElementsMessage<'_>,
        name: &Name,
        adding: bool,
    ) -> Result<(Set, Vec<Element>), Errno> {
        let contents = self.contents.sets.get(name).ok_or(Errno::NOENT)?;
        let set = contents.set.clone().ok_or(Errno::INVAL)?;
        let elements = elements::read(read, set.key, set.interval, set.data, adding)?;
        Ok((set, elements))
    }
}

// === helpers ===

/// One more or one less.
fn count(uses: &mut BTreeMap<Name, usize>, name: &Name, more: bool) {
    let uses = uses.entry(name.clone()).or_default();
    *uses = if more { *uses + 1 } else { uses.saturating_sub(1) };
}

/// The set or map of a statement.
fn set_of(statement: &Statement) -> Option<&SetRef> {
    match statement {
        Statement::Lookup(_, _, set) | Statement::VerdictMap(_, set) => Some(set),
        Statement::Nat(Nat { to: NatTarget::Map(_, set), .. }) => Some(set),
        _ => None,
    }
}

/// The length of the key that these make.
fn wide(loads: &[Load]) -> usize {
    let fields: Vec<_> = loads.iter().filter_map(|load| load.field()).collect();
    Fields::from_slice(&fields).map_or(0, |fields| fields.length())
}

/// Whether there can be a chain at that place.
fn can_be(base: &Base) -> bool {
    let Base { kind, hook, priority, policy: ChainPolicy::Accept | ChainPolicy::Drop } = base;
    match kind {
        ChainKind::Filter => true,
        ChainKind::Route => *hook == Hook::Output,
        // Addresses are translated behind connection tracking, and never on the way through.
        ChainKind::Nat => *hook != Hook::Forward && *priority > -200,
    }
}
