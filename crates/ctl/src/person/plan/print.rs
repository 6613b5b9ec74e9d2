//! A plan in words for people, and in JSON for programs.

use std::fmt::Write as _;

use margay_policy::evaluate::Step;
use margay_text::json::write_json;
use margay_text::value::Value;

use super::{Changed, Plan};
use crate::person::policy_explain::{Answer, Facts, decision};

/// How many changes are printed for people.
const MOST_LINES: usize = 500;

/// The changes for people, each with the decision before and after.
pub(super) fn text(plan: &Plan, before: &Facts, after: &Facts) -> String {
    let mut out = String::new();
    for changed in plan.changed.iter().take(MOST_LINES) {
        let port = changed.traffic.port.map(|port| format!(" port {port}")).unwrap_or_default();
        let (old, new) = (word(&changed.before), word(&changed.after));
        let more = match changed.pairs {
            0 | 1 => String::new(),
            pairs => format!(", and {} pairs like these", pairs - 1),
        };
        let (from, to, protocol) = (&changed.from.name, &changed.to.name, changed.traffic.word());
        let _ = writeln!(out, "{from} -> {to}, {protocol}{port}: {old} -> {new}{more}");
        for line in decisions(&changed.before) {
            let _ = writeln!(out, "  - {}", decision(before, line));
        }
        for line in decisions(&changed.after) {
            let _ = writeln!(out, "  + {}", decision(after, line));
        }
    }
    if plan.changed.len() > MOST_LINES {
        let _ = writeln!(out, "and {} more changes", plan.changed.len() - MOST_LINES);
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
