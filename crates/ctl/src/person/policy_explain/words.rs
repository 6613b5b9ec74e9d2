//! An answer in words for people, and in JSON for programs.

use std::fmt::Write as _;

use margay_intent::{Direction, HostName};
use margay_policy::evaluate::{Asked, Check, Miss, Outcome, Step};
use margay_policy::explain::direction;
use margay_text::json::write_json;
use margay_text::value::Value;

use super::Question;
use super::facts::{Facts, Owner};
use super::judge::{Answer, full_name};

/// How many rules that did not match are named.
const MISSES: usize = 8;

/// What is printed: an answer, and for which ports it holds when none was asked for.
pub(super) struct Told<'a> {
    pub(super) facts: &'a Facts,
    pub(super) question: &'a Question,
    pub(super) answer: &'a Answer,
    /// Ports that are allowed although the answer is a denial, in ranges.
    pub(super) allowed_ports: Option<Vec<String>>,
}

// === impl Told ===

impl Told<'_> {
    fn verdict(&self) -> &'static str {
        if self.answer.allowed { "allow" } else { "deny" }
    }

    /// The lines for people.
    pub(super) fn text(&self) -> String {
        let (question, answer) = (self.question, self.answer);
        let mut out = String::new();
        let named = |name: &str, address: std::net::IpAddr| {
            let address = address.to_string();
            if name == address { address } else { format!("{name} ({address})") }
        };
        let from = named(&question.from.name, answer.source);
        let to = named(&question.to.name, answer.destination);
        let _ = writeln!(out, "{}: {from} -> {to}, {}", self.verdict(), self.traffic());
        let mut section = None;
        for said in &answer.said {
            for step in &said.evaluation.steps {
                let of = (said.host.clone(), step.endpoint.clone(), step.direction);
                if section.as_ref() != Some(&of) {
                    let _ = writeln!(out, "\n{}:", heading(&said.host, step));
                    section = Some(of);
                }
                let _ = writeln!(out, "  {}", step_line(self.facts, step));
            }
            if let Some(endpoint) = &said.assumed {
                let _ = writeln!(out, "  (outside is taken to be behind {endpoint})");
            }
        }
        if answer.said.is_empty() {
            out.push_str("\na host that talks to itself is not policed\n");
        }
        out
    }

    fn traffic(&self) -> String {
        let traffic = self.question.traffic;
        let word = traffic.word();
        match (traffic.port, &self.allowed_ports) {
            (Some(port), _) if self.question.port_given => format!("{word} port {port}"),
            (Some(_), Some(ports)) if !ports.is_empty() => {
                format!("{word}, every port but {}", ports.join(", "))
            }
            (Some(_), _) => format!("{word}, every port"),
            (None, _) => word,
        }
    }

    /// One JSON object and a line end.
    pub(super) fn json(&self) -> String {
        let text = |text: &str| Value::Text(text.to_owned().into());
        let (question, answer) = (self.question, self.answer);
        let mut members = vec![
            ("verdict".into(), text(self.verdict())),
            ("from".into(), text(&question.from.name)),
            ("to".into(), text(&question.to.name)),
            ("source".into(), text(&answer.source.to_string())),
            ("destination".into(), text(&answer.destination.to_string())),
            ("protocol".into(), text(&question.traffic.word())),
        ];
        if let (Some(port), true) = (question.traffic.port, question.port_given) {
            members.push(("port".into(), Value::Int(port.into())));
        }
        if let Some(ports) = &self.allowed_ports {
            let ports = ports.iter().map(|port| text(port)).collect();
            members.push(("allowedPorts".into(), Value::List(ports)));
        }
        let steps = answer
            .said
            .iter()
            .flat_map(|said| said.evaluation.steps.iter().map(|step| self.step_json(&said.host, step)));
        members.push(("steps".into(), Value::List(steps.collect())));
        let mut out = String::new();
        write_json(&mut out, &Value::Map(members), 0);
        out.push('\n');
        out
    }

    fn step_json(&self, host: &HostName, step: &Step) -> Value<'static> {
        let text = |text: &str| Value::Text(text.to_owned().into());
        let or_null = |value: Option<Value<'static>>| value.unwrap_or(Value::Null);
        let endpoint = step.endpoint.as_ref().map(|id| text(&full_name(host, id)));
        let mut members = vec![
            ("host".into(), text(host.as_str())),
            ("hook".into(), text(step.hook.word())),
            ("endpoint".into(), or_null(endpoint)),
            ("direction".into(), or_null(step.direction.map(|way| text(direction(way))))),
        ];
        members.push(match &step.asked {
            Asked::Policy(id) => ("policy".into(), text(&id.to_string())),
            Asked::Profile(id) => ("profile".into(), text(id.as_str())),
            Asked::Check(check) => ("check".into(), text(check.words())),
        });
        members.push(("rule".into(), or_null(step.rule.map(|rule| Value::Int(rule.into())))));
        members.push(("outcome".into(), text(step.outcome.word())));
        if let Some(place) = position(self.facts, step) {
            members.push(("position".into(), text(place)));
        }
        if !step.misses.is_empty() {
            let miss = |miss: &Miss| {
                let rule = ("rule".into(), Value::Int(miss.rule.into()));
                Value::Map(vec![rule, ("criterion".into(), text(&miss.criterion.to_string()))])
            };
            members.push(("notMatched".into(), Value::List(step.misses.iter().map(miss).collect())));
        }
        Value::Map(members)
    }
}

/// One step in words: what was asked, what came of it, and why other rules did not match.
fn step_line(facts: &Facts, step: &Step) -> String {
    format!("{}{}", decision(facts, step), misses(step))
}

/// What one step decided: `policy web, ingress[0]: allow (web.yaml:7)`.
pub(crate) fn decision(facts: &Facts, step: &Step) -> String {
    let outcome = step.outcome.word();
    match (&step.asked, step.rule) {
        (Asked::Policy(_) | Asked::Profile(_), Some(rule)) => {
            let way = step.direction.map_or("", direction);
            let place = position(facts, step).map(|place| format!(" ({place})")).unwrap_or_default();
            format!("{}, {way}[{rule}]: {outcome}{place}", step.asked)
        }
        (Asked::Profile(_), None) if step.outcome == Outcome::Deny => {
            format!("{}: deny, it has no rules", step.asked)
        }
        (Asked::Policy(_) | Asked::Profile(_), None) => format!("{}: no rule decides", step.asked),
        (Asked::Check(check), _) => match (check, step.outcome) {
            (Check::NoHostEndpoint, _) => "no host endpoint: the host's own rules decide".to_owned(),
            (Check::HostToWorkload, _) => "a host reaches its own workloads".to_owned(),
            (Check::EndpointToHost, Outcome::None) => {
                "DefaultEndpointToHostAction: the host's own rules decide".to_owned()
            }
            (check, Outcome::None) => check.words().to_owned(),
            (check, _) => format!("{}: {outcome}", check.words()),
        },
    }
}

/// Where the deciding rule stands.
fn position<'f>(facts: &'f Facts, step: &Step) -> Option<&'f str> {
    let (owner, name) = match &step.asked {
        Asked::Policy(id) => (Owner::Policy, &id.name),
        Asked::Profile(id) => (Owner::Profile, &id.0),
        Asked::Check(_) => return None,
    };
    facts.position(owner, name, step.direction?, step.rule?)
}

fn heading(host: &HostName, step: &Step) -> String {
    match (&step.endpoint, step.direction) {
        (Some(id), Some(Direction::Egress)) => format!("egress of {}", full_name(host, id)),
        (Some(id), Some(Direction::Ingress)) => format!("ingress of {}", full_name(host, id)),
        (Some(id), None) => full_name(host, id),
        (None, _) => format!("host {host}"),
    }
}

/// The rules that did not match, each with the first criterion that did not hold.
fn misses(step: &Step) -> String {
    let shown = step.misses.iter().take(MISSES);
    let mut words: Vec<String> = shown.map(|miss| format!("[{}] {}", miss.rule, miss.criterion)).collect();
    if step.misses.len() > MISSES {
        words.push(format!("{} more", step.misses.len() - MISSES));
    }
    if words.is_empty() { String::new() } else { format!("; not {}", words.join(", ")) }
}
