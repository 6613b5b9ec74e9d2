//! A plan in words for people, and in JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use margay_policy::evaluate::Step;
use margay_text::json::write_json;
use margay_text::value::Value;

use super::{Changed, Plan};
use crate::person::policy_explain::{Answer, Facts, Traffic, decision};

/// How many changes are printed for people.
const MOST_ENTRIES: usize = 500;

/// The changes for people, each with the decision before and after. Those that the same rules make are one.
pub(super) fn text(plan: &Plan, before: &Facts, after: &Facts) -> String {
    let mut groups: Vec<(&Changed, usize)> = Vec::new();
    let mut known: BTreeMap<(Traffic, String), usize> = BTreeMap::new();
    let mut rules = Vec::new();
    for changed in &plan.changed {
        let lines =
            [(&changed.before, before, '-'), (&changed.after, after, '+')].map(|(answer, facts, sign)| {
                let line = |step| format!("  {sign} {}\n", decision(facts, step));
                decisions(answer).into_iter().map(line).collect::<String>()
            });
        let lines = lines.concat();
        match known.get(&(changed.traffic, lines.clone())) {
            Some(group) => groups[*group].1 += changed.pairs,
            None => {
                known.insert((changed.traffic, lines.clone()), groups.len());
                groups.push((changed, changed.pairs));
                rules.push(lines);
            }
        }
    }
    let mut out = String::new();
    for ((changed, pairs), rules) in groups.iter().zip(&rules).take(MOST_ENTRIES) {
        let port = changed.traffic.port.map(|port| format!(" port {port}")).unwrap_or_default();
        let (old, new) = (word(&changed.before), word(&changed.after));
        let more = match pairs - 1 {
            0 => String::new(),
            1 => ", and 1 more pair by the same rules".to_owned(),
            more => format!(", and {more} more pairs by the same rules"),
        };
        let (from, to, protocol) = (&changed.from.name, &changed.to.name, changed.traffic.word());
        let _ = writeln!(out, "{from} -> {to}, {protocol}{port}: {old} -> {new}{more}\n{}", rules.trim_end());
    }
    if groups.len() > MOST_ENTRIES {
        let _ = writeln!(out, "and {} more changes", groups.len() - MOST_ENTRIES);
    }
    out
}

/// The steps that decided: the last one of a denial, the last one of each endpoint and direction otherwise.
fn decisions(answer: &Answer) -> Vec<&Step> {
    let steps: Vec<&Step> = answer.said.iter().flat_map(|said| &said.evaluation.steps).collect();
    if !answer.allowed {
        return steps.last().copied().into_iter().collect();
    }
    let of = |step: &Step| (step.hook, step.endpoint.clone(), step.direction);
    let is_last =
        |(number, step): &(usize, &&Step)| steps.get(number + 1).is_none_or(|next| of(next) != of(step));
    steps.iter().enumerate().filter(is_last).map(|(_, step)| *step).collect()
}

fn word(answer: &Answer) -> &'static str {
    if answer.allowed { "allow" } else { "deny" }
}

/// One JSON object and a line end.
pub(super) fn json(plan: &Plan) -> String {
    let number = |value: usize| Value::Int(value as i128);
    let changes = plan.changed.iter().map(change).collect();
    let members = vec![
        ("changes".into(), Value::List(changes)),
        ("flows".into(), number(plan.looked_at)),
        ("cut".into(), Value::Bool(plan.looked_at < plan.all)),
    ];
    let mut out = String::new();
    write_json(&mut out, &Value::Map(members), 0);
    out.push('\n');
    out
}

fn change(changed: &Changed) -> Value<'static> {
    let text = |text: &str| Value::Text(text.to_owned().into());
    let side = |answer: &Answer| {
        let steps = decisions(answer).into_iter().map(|step| {
            let rule = step.rule.map_or(Value::Null, |rule| Value::Int(rule.into()));
            Value::Map(vec![
                ("asked".into(), text(&step.asked.to_string())),
                ("rule".into(), rule),
                ("outcome".into(), text(step.outcome.word())),
            ])
        });
        Value::Map(vec![
            ("verdict".into(), text(word(answer))),
            ("decisions".into(), Value::List(steps.collect())),
        ])
    };
    Value::Map(vec![
        ("from".into(), text(&changed.from.name)),
        ("to".into(), text(&changed.to.name)),
        ("protocol".into(), text(&changed.traffic.word())),
        ("port".into(), changed.traffic.port.map_or(Value::Null, |port| Value::Int(port.into()))),
        ("pairs".into(), Value::Int(changed.pairs as i128)),
        ("before".into(), side(&changed.before)),
        ("after".into(), side(&changed.after)),
    ])
}
