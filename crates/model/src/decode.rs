//! From a tree to records: [`Decoder`] walks, remembers where it is, and collects every fault.
//!
//! Upstream stops at one fault and its choice is a contract (`spec/api-v1.md` 1.3 D2, D6): types with a decoder of
//! their own, and numbers where no number fits, end decoding at once and win over all others; the first other type
//! error wins over unknown fields. [`Class`] keeps that distinction, so the line for stdout can be told afterwards.

use margay_text::json::write_json_compact;
use margay_text::tree::{Node, NodeValue, Resolved, Scalar, Span, Style};
use margay_text::value::Value;

use crate::record::Record;

/// One step from a document's root to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A field of a record, under its document name.
    Field(&'static str),
    /// An element of a list, from 0.
    Index(usize),
    /// A key of a map, or of an unknown field.
    Key(String),
}

/// How a fault counts in upstream's one-line report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Ends decoding: wins over everything of its document.
    Hard(String),
    /// A type error: the first one wins over unknown fields.
    Soft(String),
    /// A key that is no field there.
    Unknown(String),
    /// A value that decodes but is refused (`spec/api-v1.md` 3.2).
    Invalid {
        /// The field name that upstream prints.
        name: String,
        /// The value in Go's `%v`.
        value: String,
        /// The reason in brackets, where upstream gives one.
        reason: Option<String>,
    },
}

/// A fault while decoding or validating one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where in the document.
    pub path: Vec<Segment>,
    /// Where in the source; validation learns it from the path.
    pub span: Option<Span>,
    /// How it counts upstream.
    pub class: Class,
    /// What is wrong, for people.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Walks a document's tree, collecting faults.
#[derive(Debug, Default)]
pub struct Decoder {
    path: Vec<Segment>,
    findings: Vec<Finding>,
    /// Go struct and field that upstream would name in a type error. Like upstream's decoder it is set by a member,
    /// cleared between members and left alone after the last: an element behind a nested map inherits its last field.
    context: Option<(&'static str, &'static str)>,
    /// The Go type of the text of the field being decoded, where that is a named one, or of its elements, where they
    /// are pointers.
    text_type: Option<&'static str>,
}

// === impl Decoder ===

impl Decoder {
    /// The faults found.
    #[must_use]
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Runs `f` one step further down.
    pub fn within<T>(&mut self, segment: Segment, f: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment);
        let result = f(self);
        self.path.pop();
        result
    }

    fn push(&mut self, span: Span, class: Class, message: String, hint: Option<String>) {
        self.findings.push(Finding { path: self.path.clone(), span: Some(span), class, message, hint });
    }

    /// A fault of a type with a decoder of its own: `text` is what upstream prints.
    pub fn refuse(&mut self, node: &Node, text: String, hint: Option<String>) {
        self.push(node.span, Class::Hard(text.clone()), text, hint);
    }

    /// A value of the wrong type where Go expects `go_type`; `wanted` is that type in people's words.
    pub fn mismatch(&mut self, node: &Node, go_type: &str, wanted: &str) {
        let (found, text) = describe(node);
        let place = match self.context {
            Some((owner, field)) => format!("field {owner}.{field}"),
            None => "value".to_owned(),
        };
        let bare = go_type.trim_start_matches("[]");
        let shown = match self.text_type {
            Some(name) if bare == "string" || name.strip_prefix('*') == Some(bare) => {
                go_type.replace(bare, name)
            }
            _ => go_type.to_owned(),
        };
        let upstream = format!("cannot parse {found} '{text}' into {place} of type {shown}");
        let class = if found == "number" && !matches!(go_type, "int" | "float64") {
            Class::Hard(upstream)
        } else {
            Class::Soft(upstream)
        };
        self.push(node.span, class, format!("expected {wanted}, found {}", with_article(found)), None);
    }

    /// Decodes the members of a map into `record`, in the order in which upstream meets them.
    pub fn members<R: Record>(&mut self, node: &Node, record: &mut R) {
        let NodeValue::Mapping(members) = &node.value else {
            self.mismatch(node, R::SCHEMA.go_type, "a map of fields");
            return;
        };
        let fields = R::SCHEMA.fields;
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by(|a, b| members[*a].key.as_bytes().cmp(members[*b].key.as_bytes()));
        let mut used: Vec<Option<usize>> = vec![None; fields.len()];
        for (count, position) in order.into_iter().enumerate() {
            if count > 0 {
                self.context = None;
            }
            let member = &members[position];
            let Some(index) = R::SCHEMA.find(&member.key) else {
                self.unknown(&member.key, member.key_span, R::SCHEMA.fields.iter().map(|f| f.json));
                continue;
            };
            if let Some(earlier) = used[index].replace(position) {
                let earlier = &members[earlier];
                let class = Class::Unknown(earlier.key.clone());
                let message = format!("'{}' and '{}' name the same field", earlier.key, member.key);
                self.within(Segment::Key(earlier.key.clone()), |d| {
                    d.push(earlier.key_span, class, message, None)
                });
            }
            let field = &fields[index];
            self.context = Some((R::SCHEMA.name, field.json));
            self.text_type = (field.text_type != "string").then_some(field.text_type);
            if is_null(&member.value) {
                continue;
            }
            self.within(Segment::Field(field.json), |d| record.decode_field(index, &member.value, d));
        }
    }

    /// Reports a key that is no field of this record.
    pub fn unknown(&mut self, key: &str, span: Span, known: impl Iterator<Item = &'static str>) {
        let hint = nearest(key, known).map(|name| format!("did you mean '{name}'?"));
        let (class, message) = (Class::Unknown(key.to_owned()), format!("unknown field '{key}'"));
        self.within(Segment::Key(key.to_owned()), |d| d.push(span, class, message, hint));
    }

    /// Sets the Go struct and field that the next type error names.
    pub(crate) fn set_context(&mut self, context: Option<(&'static str, &'static str)>) {
        self.context = context;
    }
}

/// The Go word for a node's type and its text as upstream prints them.
#[must_use]
pub(crate) fn describe(node: &Node) -> (&'static str, String) {
    match &node.value {
        NodeValue::Scalar(scalar) => describe_scalar(scalar),
        NodeValue::Sequence(_) => ("array", sorted_json(node)),
        NodeValue::Mapping(_) => ("object", sorted_json(node)),
    }
}

fn describe_scalar(scalar: &Scalar) -> (&'static str, String) {
    match scalar.resolve() {
        Resolved::Null => ("null", "null".to_owned()),
        Resolved::Bool(value) => ("bool", value.to_string()),
        Resolved::Int(value) => ("number", value.to_string()),
        Resolved::Float(value) => {
            let mut text = String::new();
            write_json_compact(&mut text, &Value::Float(value));
            ("number", text)
        }
        Resolved::Text(text) => ("string", text.to_owned()),
    }
}

/// The compact JSON of a node with sorted keys, as upstream's decoder saw it.
fn sorted_json(node: &Node) -> String {
    let mut out = String::new();
    write_json_compact(&mut out, &untyped(node));
    out
}

fn untyped(node: &Node) -> Value<'_> {
    match &node.value {
        NodeValue::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            Resolved::Int(value) => {
                i64::try_from(value).map_or(Value::Float(float(value)), |value| Value::Int(value.into()))
            }
            Resolved::Float(value) => Value::Float(value),
            Resolved::Text(text) => Value::Text(text.into()),
        },
        NodeValue::Sequence(items) => Value::List(items.iter().map(untyped).collect()),
        NodeValue::Mapping(members) => {
            let mut sorted: Vec<_> = members
                .iter()
                .map(|m| (std::borrow::Cow::Borrowed(m.key.as_str()), untyped(&m.value)))
                .collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Map(sorted)
        }
    }
}

/// The nearest double, as Go converts an integer too wide for 64 bits.
#[expect(clippy::cast_precision_loss, reason = "Go rounds the same way")]
pub(crate) fn float(value: i128) -> f64 {
    value as f64
}

/// True for a plain `null`, `~` or nothing.
#[must_use]
pub fn is_null(node: &Node) -> bool {
    matches!(&node.value, NodeValue::Scalar(s) if s.style == Style::Plain && s.resolve() == Resolved::Null)
}

fn with_article(word: &str) -> String {
    let article = if matches!(word, "array" | "object") { "an" } else { "a" };
    format!("{article} {word}")
}

/// The known word nearest to `word`, if near enough to be a slip of the finger.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance with swaps of neighbours, cut off for words far longer than any of ours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(row[j - 1] + 1).min(rows[i - 1][j] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// The text of a path: `spec.ingress[2].source.nets[0]`.
#[must_use]
pub fn path_text(path: &[Segment]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Index(index) => write!(text, "[{index}]").expect("a String takes all text"),
            Segment::Field(name) => dotted(&mut text, name),
            Segment::Key(key) if key.chars().all(|c| c.is_ascii_alphanumeric() || "_-/".contains(c)) => {
                dotted(&mut text, key)
            }
            Segment::Key(key) => write!(text, "[{key:?}]").expect("a String takes all text"),
        }
    }
    text
}

fn dotted(text: &mut String, name: &str) {
    if !text.is_empty() {
        text.push('.');
    }
    text.push_str(name);
}

/// The place of a path in a tree: of the node itself, or of the nearest one above it that exists.
#[must_use]
pub fn locate(root: &Node, path: &[Segment]) -> Span {
    let mut node = root;
    for segment in path {
        let next = match (&node.value, segment) {
            (NodeValue::Mapping(members), Segment::Field(name)) => members
                .iter()
                .rev()
                .find(|m| m.key == *name)
                .or_else(|| members.iter().find(|m| crate::record::fold_eq(&m.key, name)))
                .map(|m| &m.value),
            (NodeValue::Mapping(members), Segment::Key(key)) => {
                members.iter().rev().find(|m| m.key == *key).map(|m| &m.value)
            }
            (NodeValue::Sequence(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    node.span
}
