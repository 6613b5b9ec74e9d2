//! The checks behind decoding (`spec/api-v1.md` 3 to 5): field checks in declaration order, then struct checks.
//!
//! Names, values and reasons are what upstream prints. Two faults with the same path and name collapse to the later
//! one. What upstream leaves out, the place and what would be right, goes into message and hint.

mod endpoint;
mod network;
mod rule;

use std::collections::BTreeMap;
use std::fmt::Display;

use margay_selector::Selector;

use crate::decode::{Class, Finding, Segment};
use crate::pattern::Pattern;
use crate::resource::{Filter, Resource};
pub use endpoint::nat_text;

/// How much of a document is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// The metadata alone: enough to name a resource.
    Metadata,
}

/// Checks one resource.
#[must_use]
pub fn validate(resource: &Resource, scope: Scope) -> Vec<Finding> {
    let mut checker = Checker::default();
    match resource {
        Resource::WorkloadEndpoint(d) => endpoint::workload(&mut checker, d, scope),
        Resource::HostEndpoint(d) => endpoint::host(&mut checker, d, scope),
        Resource::Profile(d) => rule::profile(&mut checker, d, scope),
        Resource::Policy(d) => rule::policy(&mut checker, d, scope),
        Resource::IpPool(d) => network::pool(&mut checker, d, scope),
        Resource::Node(d) => network::node(&mut checker, d, scope),
        Resource::BgpPeer(d) => network::peer(&mut checker, &d.metadata),
    }
    checker.findings
}

/// Checks the identifiers of a list's filter as the fields of the kind's metadata are checked.
#[must_use]
pub fn validate_filter(kind: crate::kind::Kind, filter: &Filter) -> Vec<Finding> {
    validate(&filter.skeleton(kind), Scope::Metadata)
}

/// Upstream's text for the faults of one resource (`spec/api-v1.md` 3.2); none when there is none.
#[must_use]
pub fn upstream_text(findings: &[Finding]) -> Option<String> {
    let lines: Vec<String> = findings
        .iter()
        .filter_map(|finding| match &finding.class {
            Class::Invalid { name, value, reason } => {
                let reason = reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
                Some(format!("{name} = '{value}'{reason}"))
            }
            Class::Hard(_) | Class::Soft(_) | Class::Unknown(_) => None,
        })
        .collect();
    match lines.as_slice() {
        [] => None,
        [one] => Some(format!("error with field {one}")),
        many => {
            let lines: String = many.iter().map(|line| format!("-  {line}\n")).collect();
            Some(format!("error with the following fields:\n{lines}"))
        }
    }
}

/// Walks a resource and collects what is refused.
#[derive(Debug, Default)]
struct Checker {
    path: Vec<Segment>,
    findings: Vec<Finding>,
}

/// A fault about to be reported.
struct Fault<'a> {
    /// The name upstream prints.
    name: &'a str,
    /// The value in Go's `%v`.
    value: String,
    /// Upstream's reason.
    reason: Option<&'a str>,
    /// What is wrong, for people.
    message: String,
    /// What to do next.
    hint: Option<String>,
}

// === impl Checker ===

impl Checker {
    fn within(&mut self, segment: Segment, f: impl FnOnce(&mut Self)) {
        self.path.push(segment);
        f(self);
        self.path.pop();
    }

    /// Reports a fault at the current path; one with the same path and name is replaced where it stands.
    fn report(&mut self, fault: Fault<'_>) {
        let class = Class::Invalid {
            name: fault.name.to_owned(),
            value: fault.value,
            reason: fault.reason.map(str::to_owned),
        };
        let same = |f: &&mut Finding| {
            f.path == self.path && matches!(&f.class, Class::Invalid { name, .. } if name == fault.name)
        };
        let finding =
            Finding { path: self.path.clone(), span: None, class, message: fault.message, hint: fault.hint };
        match self.findings.iter_mut().find(same) {
            Some(earlier) => *earlier = finding,
            None => self.findings.push(finding),
        }
    }

    /// A field that must keep a pattern when it is set.
    fn pattern(&mut self, field: &'static str, text: &str, pattern: Pattern) {
        if !text.is_empty() {
            self.required_pattern(field, field, text, pattern);
        }
    }

    /// A field that must keep a pattern, `name` being its printed name.
    fn required_pattern(&mut self, field: &'static str, name: &str, text: &str, pattern: Pattern) {
        if pattern.matches(text) {
            return;
        }
        let message = if text.is_empty() {
            format!("{field} is required")
        } else {
            format!("'{text}' is not allowed here: {}", pattern.allows())
        };
        self.within(Segment::Field(field), |c| {
            c.report(Fault { name, value: text.to_owned(), reason: None, message, hint: None });
        });
    }

    /// A list whose elements must keep a pattern.
    fn patterns(&mut self, field: &'static str, list: &[String], pattern: Pattern) {
        self.within(Segment::Field(field), |c| {
            for (index, text) in list.iter().enumerate().filter(|(_, text)| !pattern.matches(text)) {
                let name = format!("{field}[{index}]");
                let message = format!("'{text}' is not allowed here: {}", pattern.allows());
                c.within(Segment::Index(index), |c| {
                    c.report(Fault { name: &name, value: text.clone(), reason: None, message, hint: None });
                });
            }
        });
    }

    /// A field that must be one of some words.
    fn one_of(&mut self, field: &'static str, name: &str, text: &str, words: &[&str]) {
        if words.contains(&text) {
            return;
        }
        let message = if text.is_empty() {
            format!("{field} is required: one of {}", words.join(", "))
        } else {
            format!("'{text}' is not one of {}", words.join(", "))
        };
        let hint = crate::decode::nearest(text, words.iter().copied().filter(|w| !w.is_empty()))
            .map(|word| format!("did you mean '{word}'?"));
        self.within(Segment::Field(field), |c| {
            c.report(Fault { name, value: text.to_owned(), reason: None, message, hint });
        });
    }

    /// The keys and values of labels.
    fn labels(&mut self, labels: &BTreeMap<String, String>) {
        for (key, value) in labels {
            let message = if !Pattern::LabelKey.matches(key) {
                format!("label key '{key}' is not allowed: {}", Pattern::LabelKey.allows())
            } else if !Pattern::LabelValue.matches(value) {
                format!("value '{value}' of label '{key}' is not allowed: {}", Pattern::LabelValue.allows())
            } else {
                continue;
            };
            let whole = go_map(labels);
            self.within(Segment::Field("labels"), |c| {
                let finding = Fault { name: "labels", value: whole, reason: None, message, hint: None };
                c.within(Segment::Key(key.clone()), |c| c.report(finding));
            });
            // Upstream has one fault for the whole map.
            return;
        }
    }

    /// A selector, if set.
    fn selector(&mut self, field: &'static str, text: &str) {
        if let Err(error) = Selector::parse(text) {
            let (message, hint) = (error.to_string(), error.hint());
            self.within(Segment::Field(field), |c| {
                c.report(Fault { name: field, value: text.to_owned(), reason: None, message, hint });
            });
        }
    }
}

/// Go's `%v` of a map of text.
fn go_map(map: &BTreeMap<String, String>) -> String {
    let members: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{v}")).collect();
    format!("map[{}]", members.join(" "))
}

/// Go's `%v` of a list.
fn go_list<T: Display>(list: &[T]) -> String {
    let items: Vec<String> = list.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(" "))
}

/// Go's `%v` of a pointer.
fn go_pointer<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "<nil>".to_owned(), ToString::to_string)
}
