//! From the bytes of a file to resources, or to every fault with its place (`spec/api-v1.md` 1, `spec/calicoctl.md` 5).
//!
//! Nothing is returned unless everything decoded and validated. A [`Refusal`] carries the one line that upstream would
//! print and all faults; the line follows upstream's order of steps within each document: kind, types, unknown fields,
//! validation of one resource after another.

mod apply;

use std::borrow::Cow;

use margay_text::tree::{Node, NodeValue, Span};

use crate::decode::{Class, Decoder, Finding, Segment, describe, is_null, locate, path_text};
use crate::kind::Kind;
use crate::resource::Resource;
use crate::validate::{Scope, upstream_text, validate};
pub(crate) use apply::decode_resource;

/// A resource and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The resource, defaults not yet filled in.
    pub resource: Resource,
    /// The document's number in the input, from 1.
    pub document: usize,
    /// Where it stands.
    pub span: Span,
}

/// Everything an input held.
pub type Loaded = Vec<Located>;

/// One fault of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The document's number, from 1.
    pub document: usize,
    /// Where it stands.
    pub span: Span,
    /// The field's path: `spec.ingress[2].source.nets[0]`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Why an input was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{upstream}")]
pub struct Refusal {
    /// What upstream prints of it.
    pub upstream: String,
    /// Every fault, in source order within each document.
    pub faults: Vec<Fault>,
}

/// Collects what the documents of one input hold and what is wrong with them.
#[derive(Default)]
struct Collector {
    document: usize,
    loaded: Loaded,
    faults: Vec<Fault>,
    upstream: Option<String>,
}

/// Reads all documents of `source`; [`Scope::Metadata`] leaves specs unvalidated, though unknown fields stay refused.
///
/// # Errors
/// [`Refusal`] with all faults of all documents.
pub fn load(source: &[u8], scope: Scope) -> Result<Loaded, Refusal> {
    let mut collector = Collector::default();
    for document in margay_text::read::documents(&separated(source)) {
        match document {
            Ok(document) => {
                collector.document = document.number;
                if let Some(root) = &document.root {
                    collector.root(root, scope);
                }
            }
            Err(error) => {
                let span = Span { line: error.line, column: error.column, ..Span::default() };
                collector.document += 1;
                collector
                    .fail(format!("error parsing document: yaml: line {}: {}", error.line, error.message));
                collector.fault(span, &[], error.message, None);
                break;
            }
        }
    }
    match collector.upstream {
        None => Ok(collector.loaded),
        Some(upstream) => {
            let mut faults = collector.faults;
            faults.sort_by_key(|fault| (fault.document, fault.span.line, fault.span.column));
            Err(Refusal { upstream, faults })
        }
    }
}

/// The input with what stands directly behind a `---` that starts a line blanked out; places stay what they were.
///
/// COMPAT(stream-splitting): upstream cuts at every such line, whatever follows (`---foo`), and no document of ours can hold
/// one. Behind a blank the document goes on, as YAML has it.
fn separated(source: &[u8]) -> Cow<'_, [u8]> {
    let glued = |bytes: &[u8]| bytes.starts_with(b"\n---") && !bytes[4].is_ascii_whitespace();
    let starts: Vec<usize> = (4..source.len()).filter(|at| glued(&source[at - 4..=*at])).collect();
    let mut source = Cow::Borrowed(source);
    for start in starts {
        let line = source.to_mut()[start..].iter_mut().take_while(|byte| **byte != b'\n');
        line.for_each(|byte| *byte = b' ');
    }
    source
}

// === impl Collector ===

impl Collector {
    /// Sets the line for stdout; the first one stays.
    fn fail(&mut self, upstream: String) {
        self.upstream.get_or_insert(upstream);
    }

    fn fault(&mut self, span: Span, path: &[Segment], message: String, hint: Option<String>) {
        self.faults.push(Fault { document: self.document, span, path: path_text(path), message, hint });
    }

    fn findings(&mut self, root: &Node, findings: Vec<Finding>) {
        for finding in findings {
            let span = finding.span.unwrap_or_else(|| locate(root, &finding.path));
            self.fault(span, &finding.path, finding.message, finding.hint);
        }
    }

    /// One document: a resource, a list kind, or a list of both.
    fn root(&mut self, root: &Node, scope: Scope) {
        match &root.value {
            NodeValue::Mapping(_) => match heads_of(std::slice::from_ref(root)) {
                Ok(()) => self.items(root, std::slice::from_ref(root), false, scope),
                Err(_) => self.not_a_resource(root),
            },
            NodeValue::Sequence(items) => match heads_of(items) {
                Ok(()) => self.items(root, items, true, scope),
                Err((item, upstream)) => {
                    self.fail(format!("error parsing document: {upstream}"));
                    self.fault(
                        item.span,
                        &[],
                        "expected a resource: a map with kind, apiVersion, metadata, spec".into(),
                        None,
                    );
                }
            },
            NodeValue::Scalar(_) if is_null(root) => self.unknown_kind(root, "", "", &[]),
            NodeValue::Scalar(_) => self.not_a_resource(root),
        }
    }

    fn not_a_resource(&mut self, root: &Node) {
        let (found, text) = describe(root);
        let upstream = format!("cannot parse {found} '{text}' into value of type []unversioned.TypeMetadata");
        self.fail(format!("error parsing document: {upstream}"));
        let hint = "a resource is a map with kind, apiVersion, metadata and spec".to_owned();
        for (name, member) in [("kind", head(root, "kind")), ("apiVersion", head(root, "apiVersion"))] {
            if let Some(node) = member.filter(|node| !matches!(node.value, NodeValue::Scalar(_))) {
                self.fault(node.span, &[Segment::Field(name)], "expected text".to_owned(), None);
                return;
            }
        }
        self.fault(root.span, &[], format!("expected a resource, found the {found} '{text}'"), Some(hint));
    }

    fn unknown_kind(&mut self, node: &Node, kind: &str, version: &str, path: &[Segment]) {
        self.fail(format!("Unknown resource type ({kind}) and/or version ({version})"));
        let known_kind = Kind::from_word(kind).is_some() || Kind::from_list_word(kind).is_some();
        let (field, message, hint) = if known_kind {
            ("apiVersion", format!("unknown apiVersion '{version}'"), Some("write apiVersion: v1".to_owned()))
        } else if kind.is_empty() {
            ("kind", "kind is missing".to_owned(), Some("one of ".to_owned() + &kind_words().join(", ")))
        } else {
            let near = crate::decode::nearest(kind, kind_words().into_iter());
            ("kind", format!("unknown kind '{kind}'"), near.map(|near| format!("did you mean '{near}'?")))
        };
        let span = head(node, field).map_or(node.span, |node| node.span);
        let mut path = path.to_vec();
        path.push(Segment::Field(field));
        self.fault(span, &path, message, hint);
    }

    /// The resources of one document, `listed` when they stand in a plain list.
    fn items(&mut self, root: &Node, items: &[Node], listed: bool, scope: Scope) {
        let base = |index| if listed { vec![Segment::Index(index)] } else { Vec::new() };
        let mut decoder = Decoder::default();
        let mut groups = Vec::new();
        let mut known = true;
        for (index, item) in items.iter().enumerate() {
            let (kind, version) = (head_text(item, "kind"), head_text(item, "apiVersion"));
            let single = Kind::from_word(&kind).filter(|_| version == "v1");
            let list = Kind::from_list_word(&kind).filter(|_| version == "v1");
            match (single, list) {
                (Some(kind), _) => groups.push((index, kind, false)),
                (None, Some(kind)) => groups.push((index, kind, true)),
                (None, None) => {
                    known = false;
                    self.unknown_kind(item, &kind, &version, &base(index));
                }
            }
        }
        let mut resources: Vec<Vec<(Vec<Segment>, Resource)>> = Vec::new();
        let mut foreign = Vec::new();
        for (index, kind, is_list) in groups {
            let mut decode = |d: &mut Decoder| match is_list {
                true => apply::decode_list(kind, &items[index], d, &mut foreign),
                false => vec![(Vec::new(), decode_resource(kind, &items[index], d))],
            };
            let decoded = if listed {
                decoder.within(Segment::Index(index), &mut decode)
            } else {
                decode(&mut decoder)
            };
            let located =
                decoded.into_iter().map(|(path, resource)| ([base(index), path].concat(), resource));
            resources.push(located.collect());
        }
        let findings = decoder.into_findings();
        for (span, message) in foreign {
            self.fail(message.clone());
            self.fault(span, &[], message, Some("give every item the kind of its list".to_owned()));
        }
        if !findings.is_empty() || !known {
            if let Some(text) = decode_text(&findings) {
                self.fail(format!("error parsing document: {text}"));
            }
            self.findings(root, findings);
            return;
        }
        for group in resources {
            self.validated(root, group, scope);
        }
    }

    /// Validates the resources of one item together, as upstream does with the items of a list kind.
    fn validated(&mut self, root: &Node, group: Vec<(Vec<Segment>, Resource)>, scope: Scope) {
        let mut all = Vec::new();
        for (path, resource) in group {
            for mut finding in validate(&resource, scope) {
                finding.path.splice(0..0, path.iter().cloned());
                all.push(finding);
            }
            let span = locate(root, &path);
            self.loaded.push(Located { resource, document: self.document, span });
        }
        if let Some(text) = upstream_text(&all) {
            self.fail(text);
        }
        self.findings(root, all);
    }
}

/// The line for the decoding faults of one document: a hard one, else the first soft one, else the unknown fields.
pub(crate) fn decode_text(findings: &[Finding]) -> Option<String> {
    let hard = findings.iter().find_map(|f| if let Class::Hard(text) = &f.class { Some(text) } else { None });
    let soft = findings.iter().find_map(|f| if let Class::Soft(text) = &f.class { Some(text) } else { None });
    if let Some(text) = hard.or(soft) {
        return Some(text.clone());
    }
    let keys: Vec<&str> = findings
        .iter()
        .filter_map(|f| if let Class::Unknown(key) = &f.class { Some(key.as_str()) } else { None })
        .collect();
    match keys.len() {
        0 => None,
        1 => Some(format!("field in document is not recognized or is in the wrong location: {}", keys[0])),
        2..=5 => Some(format!(
            "fields in document are not recognized or are in the wrong location: {}",
            keys.join(", ")
        )),
        n => Some(format!(
            "fields in document are not recognized or are in the wrong location: {} (+ {} more)",
            keys[..4].join(", "),
            n - 4
        )),
    }
}

fn kind_words() -> Vec<&'static str> {
    Kind::ALL.iter().flat_map(|kind| [kind.word(), kind.list_word()]).collect()
}

/// The value of a head field; names count in any letter case, the exact one first.
fn head<'n>(node: &'n Node, name: &'static str) -> Option<&'n Node> {
    let NodeValue::Mapping(members) = &node.value else { return None };
    members
        .iter()
        .rev()
        .find(|m| m.key == name)
        .or_else(|| members.iter().find(|m| crate::record::fold_eq(&m.key, name)))
        .map(|m| &m.value)
}

/// The text of a head field, empty when absent.
fn head_text(node: &Node, name: &'static str) -> String {
    match head(node, name).map(|node| (&node.value, is_null(node))) {
        Some((NodeValue::Scalar(scalar), false)) => scalar.text.clone(),
        _ => String::new(),
    }
}

/// Checks that every item can be a resource: a map (or null) whose kind and apiVersion are scalars. The error names
/// the item and is upstream's text.
fn heads_of(items: &[Node]) -> Result<(), (&Node, String)> {
    let mut soft = None;
    for item in items {
        if is_null(item) {
            continue;
        }
        let (found, text) = describe_shallow(item);
        if !matches!(item.value, NodeValue::Mapping(_)) {
            let text = format!("cannot parse {found} '{text}' into value of type unversioned.TypeMetadata");
            if found == "number" {
                return Err((item, text));
            }
            soft.get_or_insert((item, text));
            continue;
        }
        for name in ["apiVersion", "kind"] {
            if let Some(node) = head(item, name).filter(|node| !matches!(node.value, NodeValue::Scalar(_))) {
                let (found, text) = describe(node);
                let text =
                    format!("cannot parse {found} '{text}' into field TypeMetadata.{name} of type string");
                soft.get_or_insert((item, text));
            }
        }
    }
    soft.map_or(Ok(()), Err)
}

/// Like [`describe`], without the text of a map, which is not needed and may be large.
fn describe_shallow(node: &Node) -> (&'static str, String) {
    match &node.value {
        NodeValue::Mapping(_) => ("object", String::new()),
        NodeValue::Scalar(_) | NodeValue::Sequence(_) => describe(node),
    }
}
