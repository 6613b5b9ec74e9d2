//! Builds trees from the parser's events: aliases, merge keys, tags, and the limits on them.

use std::collections::HashMap;
use std::fmt;

use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::tree::{Member, Node, NodeValue, Resolved, Scalar, Span, Style, SyntaxError};

use super::{DEPTH_LIMIT, Place, keep_last_of_repeated, too_deep};

/// How many bytes of tree anchors and aliases may copy, however small the input.
const EXPANSION_LIMIT: usize = 64 << 20;

/// Reads the documents of one YAML stream.
pub(super) struct YamlReader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    /// Where the stream starts in the whole input.
    base: Place,
    /// Bytes of tree that copies may still take in this document.
    budget: usize,
    /// What one document may copy: a constant and a share of the input's size.
    full_budget: usize,
    anchors: HashMap<usize, Node>,
    open: Vec<Open>,
}

/// A list or map whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        members: Vec<Member>,
        /// What `<<` names, in source order.
        merged: Vec<Node>,
        key: Option<Key>,
    },
}

/// A key whose value has not come yet.
struct Key {
    text: String,
    span: Span,
    /// Whether it is an unquoted `<<`.
    merges: bool,
}

type Read<T> = Result<T, SyntaxError>;

// === impl YamlReader ===

impl<'a> YamlReader<'a> {
    /// Reads `text`, which starts at `base` and reaches to the end of the input.
    pub(super) fn new(text: &'a str, base: Place) -> Self {
        let full_budget = EXPANSION_LIMIT.saturating_add(text.len().saturating_mul(4));
        Self {
            parser: Parser::new_from_str_with_options(text, options()),
            text,
            base,
            budget: full_budget,
            full_budget,
            anchors: HashMap::new(),
            open: Vec::new(),
        }
    }

    /// Reads up to the end of the next document; `None` behind the last.
    pub(super) fn next_document(&mut self) -> Option<Read<Option<Node>>> {
        let mut root = None;
        loop {
            let (event, span) = match self.parser.next_event()? {
                Ok(next) => next,
                Err(error) => return Some(Err(self.scan_error(&error))),
            };
            match event {
                Event::StreamStart => {}
                Event::StreamEnd => return None,
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    self.budget = self.full_budget;
                }
                Event::DocumentEnd => return Some(Ok(root)),
                event => match self.node_event(event, self.span(&span)) {
                    Ok(None) => {}
                    Ok(Some(node)) => root = not_blank(node),
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }

    /// Takes in one event inside a document; gives the root when that is complete.
    fn node_event(&mut self, event: Event<'a>, span: Span) -> Read<Option<Node>> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let key_wanted = self.key_wanted();
                // The parser puts `~` where nothing is written.
                let absent = style == ScalarStyle::Plain && span.start == span.end;
                let written = if absent { String::new() } else { text.into_owned() };
                let merges = key_wanted && written == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let node = self.scalar(written, style, tag.as_deref(), span)?;
                if anchor != 0 {
                    self.remember(anchor, &node)?;
                }
                self.attach(node, merges)
            }
            Event::SequenceStart(_, anchor, _) => {
                let span = self.at_first_dash(span);
                self.start(span, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                self.start(span, anchor, Content::Map { members: Vec::new(), merged: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => {
                let node = self.recall(anchor, span)?;
                self.attach(node, false)
            }
            _ => Ok(None),
        }
    }

    fn scalar(&self, text: String, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Read<Node> {
        let plain = Scalar { text, style: Style::Plain };
        let tag = tag.map(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:").unwrap_or_default());
        let style = match tag.as_deref() {
            None if style == ScalarStyle::Plain => Style::Plain,
            Some(tag @ ("int" | "float" | "bool" | "null")) => {
                let resolved = plain.resolve();
                let fits = match tag {
                    "int" => matches!(resolved, Resolved::Int(_)),
                    "float" => matches!(resolved, Resolved::Int(_) | Resolved::Float(_)),
                    "bool" => matches!(resolved, Resolved::Bool(_)),
                    _ => matches!(resolved, Resolved::Null),
                };
                if !fits {
                    return Err(error_at(span, format!("'{}' is no value of type !!{tag}", plain.text)));
                }
                Style::Plain
            }
            Some("binary") => return Err(error_at(span, "values of type !!binary are not supported")),
            _ => Style::Text,
        };
        Ok(Node { span, value: NodeValue::Scalar(Scalar { style, ..plain }) })
    }

    fn start(&mut self, span: Span, anchor: usize, content: Content) -> Read<Option<Node>> {
        if self.key_wanted() {
            return Err(error_at(span, "a list or map cannot be a key"));
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err(error_at(span, too_deep()));
        }
        self.open.push(Open { span, anchor, content });
        Ok(None)
    }

    fn end(&mut self, end: Span) -> Read<Option<Node>> {
        let Open { mut span, anchor, content } = self.open.pop().expect("the parser closes what it opened");
        // A block collection ends where its last node does; the event stands where the next token does.
        let flow = end.end > end.start;
        span.end = if flow { end.end } else { content.end().unwrap_or(span.end).max(span.end) };
        let value = match content {
            Content::List(items) => NodeValue::Sequence(items),
            Content::Map { mut members, merged, .. } => {
                keep_last_of_repeated(&mut members);
                if !merged.is_empty() {
                    merge(&mut members, merged)?;
                }
                NodeValue::Mapping(members)
            }
        };
        let node = Node { span, value };
        if anchor != 0 {
            self.remember(anchor, &node)?;
        }
        self.attach(node, false)
    }

    /// Puts a complete node where it belongs; gives it back if it is the root.
    fn attach(&mut self, node: Node, merges: bool) -> Read<Option<Node>> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => return Ok(Some(node)),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { members, merged, key }) => match key.take() {
                Some(key) if key.merges => merged.push(node),
                Some(Key { text, span, .. }) => {
                    members.push(Member { key: text, key_span: span, value: node })
                }
                None => match node.value {
                    NodeValue::Scalar(scalar) => {
                        *key = Some(Key { text: scalar.text, span: node.span, merges })
                    }
                    _ => return Err(error_at(node.span, "a list or map cannot be a key")),
                },
            },
        }
        Ok(None)
    }

    fn key_wanted(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn remember(&mut self, anchor: usize, node: &Node) -> Read<()> {
        self.spend(node, node.span)?;
        self.anchors.insert(anchor, node.clone());
        Ok(())
    }

    fn recall(&mut self, anchor: usize, span: Span) -> Read<Node> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(error_at(span, "the alias stands inside the value that it names"));
        };
        let node = node.clone();
        self.spend(&node, span)?;
        Ok(node)
    }

    /// Counts a copy of `node`, made at `span`, against the limits on size and depth.
    fn spend(&mut self, node: &Node, span: Span) -> Read<()> {
        let (size, depth) = measure(node);
        if self.open.len() + depth > DEPTH_LIMIT {
            return Err(error_at(span, too_deep()));
        }
        match self.budget.checked_sub(size) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(error_at(span, "the aliases of the document expand to too much text")),
        }
    }

    /// Moves the start of a list that is not indented more than its key, which the parser puts behind the `-`.
    fn at_first_dash(&self, mut span: Span) -> Span {
        let before = &self.text[..span.start - self.base.offset];
        let to_dash = before.trim_end_matches([' ', '\t']).strip_suffix('-');
        let is_value =
            matches!(self.open.last(), Some(Open { content: Content::Map { key: Some(_), .. }, .. }));
        if let Some(to_dash) = to_dash.filter(|to_dash| is_value && to_dash.ends_with([' ', '\n', '\r'])) {
            let moved = before.len() - to_dash.len();
            span.start -= moved;
            span.column = span.column.saturating_sub(u32::try_from(moved).unwrap_or(0)).max(1);
        }
        span
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let place = self.place(&span.start);
        let end = self.base.offset + span.end.byte_offset().expect("text in memory has byte offsets");
        place.span_to(end.max(place.offset))
    }

    fn place(&self, marker: &Marker) -> Place {
        let (line, column) = self.line_and_column(marker);
        let offset = marker.byte_offset().expect("text in memory has byte offsets");
        Place { offset: self.base.offset + offset, line, column }
    }

    fn line_and_column(&self, marker: &Marker) -> (u32, u32) {
        let lines = u32::try_from(marker.line()).unwrap_or(u32::MAX).saturating_sub(1);
        let columns = u32::try_from(marker.col()).unwrap_or(u32::MAX);
        let first = if lines == 0 { self.base.column } else { 1 };
        (self.base.line.saturating_add(lines), first.saturating_add(columns))
    }

    fn scan_error(&self, error: &ScanError) -> SyntaxError {
        let message = match error.kind() {
            ErrorKind::RecursionLimitExceeded => too_deep(),
            ErrorKind::UnknownAnchor => "the alias names no anchor of this document".to_owned(),
            ErrorKind::UnexpectedEof => "the input ends too early".to_owned(),
            ErrorKind::SimpleKeyExpected => "expected ':' behind the key".to_owned(),
            ErrorKind::ExpectedDocumentStart => "expected the end of the document or '---'".to_owned(),
            ErrorKind::UnexpectedCharacter { character: character @ ('@' | '`' | '%') } => {
                format!("text that starts with '{character}' needs quotes")
            }
            kind => kind.to_string(),
        };
        let (line, column) = self.line_and_column(error.marker());
        SyntaxError { line, column, message }
    }
}

impl fmt::Debug for YamlReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YamlReader").field("base", &self.base).field("open", &self.open.len()).finish()
    }
}

// === impl Content ===

impl Content {
    /// Where the last node ends.
    fn end(&self) -> Option<usize> {
        match self {
            Self::List(items) => items.last().map(|item| item.span.end),
            Self::Map { members, .. } => members.last().map(|member| member.value.span.end),
        }
    }
}

fn options() -> Options {
    granit_parser::options! {
        emit_comments: false,
        // As upstream: `|` at the end of the input ends without the newline that is not there.
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: DEPTH_LIMIT,
        block_nesting_limit: DEPTH_LIMIT,
    }
}

fn error_at(span: Span, message: impl Into<String>) -> SyntaxError {
    SyntaxError { line: span.line, column: span.column, message: message.into() }
}

/// What a copy of a node takes, in bytes, and how many levels it has.
fn measure(node: &Node) -> (usize, usize) {
    let own = size_of::<Node>();
    match &node.value {
        NodeValue::Scalar(scalar) => (own + scalar.text.len(), 0),
        NodeValue::Sequence(items) => items
            .iter()
            .map(measure)
            .fold((own, 1), |(size, depth), (item, below)| (size.saturating_add(item), depth.max(below + 1))),
        NodeValue::Mapping(members) => members.iter().fold((own, 1), |(size, depth), member| {
            let (value, below) = measure(&member.value);
            let member = size_of::<Member>() + member.key.len();
            (size.saturating_add(value).saturating_add(member), depth.max(below + 1))
        }),
    }
}

/// Adds the members that `<<` brings in and that are not there yet.
///
/// COMPAT(merge keys): upstream lets the later of the two win; the map's own members win here, as YAML says. Of
/// several maps in one list the earlier wins, of several `<<` the later.
fn merge(members: &mut Vec<Member>, merged: Vec<Node>) -> Read<()> {
    let mut sources = Vec::new();
    for node in merged.into_iter().rev() {
        let span = node.span;
        match node.value {
            NodeValue::Mapping(source) => sources.push(source),
            NodeValue::Sequence(items) => {
                for item in items {
                    let NodeValue::Mapping(source) = item.value else {
                        return Err(error_at(item.span, "'<<' takes a map or a list of maps"));
                    };
                    sources.push(source);
                }
            }
            NodeValue::Scalar(_) => return Err(error_at(span, "'<<' takes a map or a list of maps")),
        }
    }
    // The last of equal keys stands, so the weakest come first.
    let own = std::mem::take(members);
    let brought: usize = sources.iter().map(Vec::len).sum();
    members.reserve(own.len() + brought);
    members.extend(sources.into_iter().rev().flatten());
    members.extend(own);
    keep_last_of_repeated(members);
    Ok(())
}

/// Nothing, where a document holds only blanks and comments.
fn not_blank(root: Node) -> Option<Node> {
    let blank = root.span.start == root.span.end
        && matches!(&root.value, NodeValue::Scalar(scalar) if scalar.style == Style::Plain);
    (!blank).then_some(root)
}
