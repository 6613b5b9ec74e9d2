//! Where packets can go: how deep, whether in circles, and whether what a rule does is allowed where they come from.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::Held;
use crate::nft::{
    Base, ChainKind, Contents, Data, Hook, Name, Nat, NatKind, Rule, SetRef, Statement, TableId, Verdict,
};

/// The most chains on one way (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;

/// What was found out about a chain: the chains on the longest way from it, or that it is being looked at.
type Depths<'a> = BTreeMap<&'a Name, Option<usize>>;

/// All tables.
pub(super) fn tables(tables: &BTreeMap<TableId, Held>) -> Result<(), Errno> {
    tables.values().try_for_each(|held| table(&held.contents))
}

/// One table: every base chain, and what can be reached from it.
fn table(contents: &Contents) -> Result<(), Errno> {
    let mut depths = Depths::new();
    for (name, chain) in &contents.chains {
        let Some(base) = &chain.base else { continue };
        if depth(contents, name, 1, &mut depths)? > DEEPEST {
            return Err(Errno::MLINK);
        }
        allowed(contents, name, base, &mut Vec::new())?;
    }
    Ok(())
}

/// The number of chains on the longest way from this one, itself included; it is the `nth` on the way to here.
fn depth<'a>(
    contents: &'a Contents,
    name: &'a Name,
    nth: usize,
    depths: &mut Depths<'a>,
) -> Result<usize, Errno> {
    match depths.get(name) {
        Some(Some(depth)) => return Ok(*depth),
        Some(None) => return Err(Errno::MLINK),
        None if nth > DEEPEST => return Err(Errno::MLINK),
        None => {}
    }
    depths.insert(name, None);
    let mut deepest = 0;
    for target in targets(contents, name) {
        deepest = deepest.max(depth(contents, target, nth + 1, depths)?);
    }
    depths.insert(name, Some(deepest + 1));
    Ok(deepest + 1)
}

/// Where the rules of a chain can send a packet.
fn targets<'a>(contents: &'a Contents, name: &Name) -> Vec<&'a Name> {
    let mut targets = Vec::new();
    let rules = contents.chains.get(name).into_iter().flat_map(|chain| &chain.rules);
    for rule in rules.filter_map(|rule| rule.rule.as_ref()) {
        rule_targets(contents, rule, &mut targets);
    }
    targets
}

/// Where a rule can send a packet.
fn rule_targets<'a>(contents: &'a Contents, rule: &'a Rule, targets: &mut Vec<&'a Name>) {
    for statement in rule.statements() {
        match statement {
            Statement::Verdict(verdict) => targets.extend(target(verdict)),
            Statement::VerdictMap(_, SetRef::Named(name)) => {
                let elements = contents.sets.get(name).into_iter().flat_map(|set| set.elements.values());
                targets.extend(elements.filter_map(|(_, data)| data_target(data.as_ref()?)));
            }
            Statement::VerdictMap(_, SetRef::Anonymous(set)) => {
                targets.extend(set.elements.iter().filter_map(|element| data_target(element.data.as_ref()?)));
            }
            _ => {}
        }
    }
}

/// The chain that a verdict names.
pub(super) fn target(verdict: &Verdict) -> Option<&Name> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        Verdict::Accept | Verdict::Drop | Verdict::Continue | Verdict::Return => None,
    }
}

/// The chain that an element names.
pub(super) fn data_target(data: &Data) -> Option<&Name> {
    match data {
        Data::Verdict(verdict) => target(verdict),
        Data::Values(_) => None,
    }
}

/// Whether all that can be reached from a base chain may be done there.
fn allowed<'a>(
    contents: &'a Contents,
    name: &'a Name,
    base: &Base,
    seen: &mut Vec<&'a Name>,
) -> Result<(), Errno> {
    if seen.contains(&name) {
        return Ok(());
    }
    seen.push(name);
    let rules = contents.chains.get(name).into_iter().flat_map(|chain| &chain.rules);
    for statement in rules.filter_map(|rule| rule.rule.as_ref()).flat_map(Rule::statements) {
        if !may(statement, base) {
            return Err(Errno::OPNOTSUPP);
        }
    }
    targets(contents, name).into_iter().try_for_each(|target| allowed(contents, target, base, seen))
}

/// Whether a statement may stand where packets come from that base.
fn may(statement: &Statement, base: &Base) -> bool {
    let nat = base.kind == ChainKind::Nat;
    match statement {
        Statement::Masquerade { .. } => nat && base.hook == Hook::Postrouting,
        Statement::Nat(Nat { kind: NatKind::Source, .. }) => {
            nat && matches!(base.hook, Hook::Postrouting | Hook::Input)
        }
        Statement::Nat(Nat { kind: NatKind::Destination, .. }) => {
            nat && matches!(base.hook, Hook::Prerouting | Hook::Output)
        }
        Statement::Reject(_) => base.hook != Hook::Postrouting,
        Statement::ReversePath(_) => matches!(base.hook, Hook::Prerouting | Hook::Input | Hook::Forward),
        _ => true,
    }
}
