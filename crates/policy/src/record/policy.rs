//! Policies and the three parts of a profile.

use margay_selector::Selector;
use serde_json::value::RawValue;

use super::endpoint::annotations;
use super::members::{FieldFault, Members, Text, TextMap, text};
use super::rule::{Verdict, rule};
use super::{Effect, Faults, Labels, List, Policy, ProfileRules, Rule, Tags};

/// A policy. One whose selector can be read governs whatever else is wrong; then it denies.
// COMPAT(invalid-policies): upstream takes one that it cannot read for deleted, and what it refused is allowed.
pub(super) fn policy(value: &str, faults: &mut Faults<'_>) -> Option<Policy> {
    let read = Members::read(value)
        .and_then(|members| members.ok_or_else(|| FieldFault("the value is null".to_owned())))
        .and_then(|members| Ok((selector(&members)?, members)));
    let (selector, members) = match read {
        Ok(read) => read,
        Err(fault) => {
            faults.add(Effect::Ignored, fault.0);
            return None;
        }
    };
    let mut broken = Vec::new();
    let mut keep = |fault: FieldFault| broken.push(fault.0);
    let order = order(&members).unwrap_or_else(|fault| {
        keep(fault);
        f64::NEG_INFINITY
    });
    let untracked = members.or_default("untracked").unwrap_or_else(|fault| {
        keep(fault);
        false
    });
    let pre_dnat = members.or_default("pre_dnat").unwrap_or_else(|fault| {
        keep(fault);
        false
    });
    let (governs_ingress, governs_egress) = types(&members).unwrap_or_else(|fault| {
        keep(fault);
        (true, true)
    });
    if let Err(fault) = annotations(&members) {
        keep(fault);
    }
    let mut notes = Vec::new();
    let mut both = [Box::default(), Box::default()];
    for (list, name) in both.iter_mut().zip(["inbound_rules", "outbound_rules"]) {
        match rules(&members, name, &mut notes) {
            Ok(rules) => *list = rules,
            Err(fault) => keep(fault),
        }
    }
    if broken.is_empty() {
        for (effect, message) in notes {
            faults.add(effect, message);
        }
    } else {
        both = [Box::new([Rule::deny_all()]), Box::new([Rule::deny_all()])];
        for message in broken {
            faults.add(Effect::DeniesAll, message);
        }
    }
    let list = match (untracked, pre_dnat) {
        (true, _) => List::Untracked,
        (false, true) => List::PreDnat,
        (false, false) => List::Normal,
    };
    let [ingress, egress] = both;
    let governs_egress = governs_egress && list != List::PreDnat;
    Some(Policy { order, selector, list, governs_ingress, governs_egress, ingress, egress })
}

fn selector(members: &Members<'_>) -> Result<Selector, FieldFault> {
    let text = text(members, "selector")?;
    Selector::parse(&text).map_err(|error| FieldFault(format!("selector: {error}")))
}

/// No order is the last place. One that cannot be read is the first: nothing that this policy may have been meant to
/// refuse gets past it.
fn order(members: &Members<'_>) -> Result<f64, FieldFault> {
    Ok(members.field::<f64>("order")?.unwrap_or(f64::INFINITY))
}

/// Which directions it governs: ingress, egress.
fn types(members: &Members<'_>) -> Result<(bool, bool), FieldFault> {
    let list: Vec<Option<Text<'_>>> = members.or_default("types")?;
    let has = |word: &str| list.iter().flatten().any(|Text(candidate)| candidate.eq_ignore_ascii_case(word));
    Ok(if list.is_empty() { (true, true) } else { (has("ingress"), has("egress")) })
}

/// The rules of a list; `notes` is what is odd about single ones.
fn rules(
    members: &Members<'_>,
    name: &str,
    notes: &mut Vec<(Effect, String)>,
) -> Result<Box<[Rule]>, FieldFault> {
    let list: Vec<&RawValue> = members.or_default(name)?;
    let mut rules = Vec::with_capacity(list.len());
    for (index, raw) in (0_u32..).zip(list) {
        let place = |fault: FieldFault| fault.within(&format!("{name}[{index}]"));
        match rule(raw.get(), index).map_err(|fault| FieldFault(format!(" {}", fault.0))).map_err(place)? {
            Verdict::Rule(rule) => rules.push(*rule),
            Verdict::Odd(rule, effect, message) => {
                notes.push((effect, format!("{name}[{index}]: {message}")));
                rules.extend(rule.map(|rule| *rule));
            }
        }
    }
    Ok(rules.into())
}

/// The rules of a profile; without them the profile denies.
pub(super) fn profile_rules(value: &str, faults: &mut Faults<'_>) -> Option<ProfileRules> {
    let mut notes = Vec::new();
    let read = Members::read(value).and_then(|members| {
        // As for upstream, `null` is a profile without rules.
        let members = members.unwrap_or_default();
        let ingress = rules(&members, "inbound_rules", &mut notes)?;
        let egress = rules(&members, "outbound_rules", &mut notes)?;
        Ok(ProfileRules { ingress, egress })
    });
    match read {
        Ok(rules) => {
            for (effect, message) in notes {
                faults.add(effect, message);
            }
            Some(rules)
        }
        Err(fault) => {
            faults.add(Effect::ProfileDenies, fault.0);
            None
        }
    }
}

/// The tags of a profile; the names are not checked, as upstream checks none.
pub(super) fn tags(value: &str, faults: &mut Faults<'_>) -> Option<Tags> {
    match serde_json::from_str::<Option<Vec<Option<Text<'_>>>>>(value) {
        Ok(list) => {
            let mut tags: Vec<std::sync::Arc<str>> = list
                .unwrap_or_default()
                .into_iter()
                .map(|tag| tag.map(|Text(tag)| tag).unwrap_or_default().into())
                .collect();
            tags.sort();
            tags.dedup();
            Some(tags.into())
        }
        Err(error) => {
            faults.add(Effect::Ignored, format!("no list of tags: {error}"));
            None
        }
    }
}

/// The labels of a profile; keys and values are not checked, as upstream checks none.
pub(super) fn labels(value: &str, faults: &mut Faults<'_>) -> Option<Labels> {
    match serde_json::from_str::<Option<TextMap<'_>>>(value) {
        Ok(map) => Some(map.unwrap_or_default().into_labels()),
        Err(error) => {
            faults.add(Effect::Ignored, format!("no map of labels: {error}"));
            None
        }
    }
}
