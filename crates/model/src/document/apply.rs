//! Decoding the resources of one item: the head, metadata and spec of a single one, or the items of a list kind.

use margay_text::tree::{Node, NodeValue, Span};

use super::{head, head_text};
use crate::decode::{Decoder, Segment, is_null};
use crate::kind::Kind;
use crate::record::{FieldSchema, FieldValue, Record, RecordSchema, Shape};
use crate::resource::Resource;
use crate::v1::{
    BgpPeer, Document, HostEndpoint, IpPool, Node as NodeResource, Policy, Profile, WorkloadEndpoint,
};

/// Decodes one resource whose kind is known.
pub(crate) fn decode_resource(kind: Kind, node: &Node, decoder: &mut Decoder) -> Resource {
    fn boxed<D: Document>(node: &Node, decoder: &mut Decoder) -> Box<D> {
        let mut head = Head::<D>::default();
        decoder.members(node, &mut head);
        Box::new(D::from_parts(head.metadata, head.spec))
    }
    match kind {
        Kind::WorkloadEndpoint => Resource::WorkloadEndpoint(boxed::<WorkloadEndpoint>(node, decoder)),
        Kind::HostEndpoint => Resource::HostEndpoint(boxed::<HostEndpoint>(node, decoder)),
        Kind::Profile => Resource::Profile(boxed::<Profile>(node, decoder)),
        Kind::Policy => Resource::Policy(boxed::<Policy>(node, decoder)),
        Kind::IpPool => Resource::IpPool(boxed::<IpPool>(node, decoder)),
        Kind::Node => Resource::Node(boxed::<NodeResource>(node, decoder)),
        Kind::BgpPeer => Resource::BgpPeer(boxed::<BgpPeer>(node, decoder)),
    }
}

/// Decodes the items of a list kind, with the path of each; items of another kind go to `foreign`.
///
/// COMPAT(list-items): upstream crashes on items without kind or of another kind. Here a left-out kind or version is
/// the list's, and another kind is refused.
pub(super) fn decode_list(
    kind: Kind,
    node: &Node,
    decoder: &mut Decoder,
    foreign: &mut Vec<(Span, String)>,
) -> Vec<(Vec<Segment>, Resource)> {
    let mut list = ListHead { kind: Some(kind), ..ListHead::default() };
    decoder.members(node, &mut list);
    for (number, span, word) in list.foreign {
        foreign.push((span, format!("item {number} of {} has kind {word}", kind.list_word())));
    }
    list.items
        .into_iter()
        .map(|(index, resource)| (vec![Segment::Field("items"), Segment::Index(index)], resource))
        .collect()
}

/// The four fields that every resource has.
struct Head<D: Document> {
    metadata: D::Metadata,
    spec: D::Spec,
}

impl<D: Document> Default for Head<D> {
    fn default() -> Self {
        Self { metadata: D::Metadata::default(), spec: D::Spec::default() }
    }
}

fn text_shape() -> Shape {
    Shape::Scalar("string")
}

fn no_shape() -> Shape {
    Shape::Map
}

/// A field of a head, which only decoding uses.
const fn head_field(json: &'static str, go: &'static str, shape: fn() -> Shape) -> FieldSchema {
    FieldSchema { json, go, doc: "", keep: true, shape, text_type: "string" }
}

macro_rules! head_schemas {
    ($($kind:ident $go_type:literal,)*) => {
        const fn head_schema(kind: Kind) -> &'static RecordSchema {
            match kind {
                $(Kind::$kind => const { &RecordSchema {
                    name: $go_type,
                    go_type: concat!("api.", $go_type),
                    doc: "",
                    fields: &[
                        head_field("kind", "Kind", text_shape),
                        head_field("apiVersion", "APIVersion", text_shape),
                        head_field("metadata", "Metadata", no_shape),
                        head_field("spec", "Spec", no_shape),
                    ],
                } },)*
            }
        }

        /// The Go name of a list kind.
        const fn list_name(kind: Kind) -> &'static str {
            match kind {
                $(Kind::$kind => concat!($go_type, "List"),)*
            }
        }
    };
}
head_schemas! {
    WorkloadEndpoint "WorkloadEndpoint",
    HostEndpoint "HostEndpoint",
    Profile "Profile",
    Policy "Policy",
    IpPool "IPPool",
    Node "Node",
    BgpPeer "BGPPeer",
}

impl<D: Document> Record for Head<D> {
    const SCHEMA: &'static RecordSchema = head_schema(D::KIND);

    fn decode_field(&mut self, index: usize, node: &Node, decoder: &mut Decoder) {
        match index {
            0 | 1 => {
                let _ = String::decode(node, decoder);
            }
            2 => self.metadata = D::Metadata::decode(node, decoder).unwrap_or_default(),
            _ => self.spec = D::Spec::decode(node, decoder).unwrap_or_default(),
        }
    }

    fn members(&self) -> Vec<(std::borrow::Cow<'_, str>, margay_text::value::Value<'_>)> {
        Vec::new()
    }

    fn go_struct(&self) -> margay_text::value::GoStruct {
        margay_text::value::GoStruct { type_name: Self::SCHEMA.go_type, fields: Vec::new(), display: None }
    }
}

/// A list kind: its metadata takes no keys.
#[derive(Default)]
struct ListHead {
    kind: Option<Kind>,
    items: Vec<(usize, Resource)>,
    foreign: Vec<(usize, Span, String)>,
}

impl Record for ListHead {
    const SCHEMA: &'static RecordSchema = &RecordSchema {
        name: "List",
        go_type: "api.List",
        doc: "",
        fields: &[
            head_field("kind", "Kind", text_shape),
            head_field("apiVersion", "APIVersion", text_shape),
            head_field("metadata", "Metadata", no_shape),
            head_field("items", "Items", no_shape),
        ],
    };

    fn decode_field(&mut self, index: usize, node: &Node, decoder: &mut Decoder) {
        match index {
            0 | 1 => {
                let _ = String::decode(node, decoder);
            }
            2 => match &node.value {
                NodeValue::Mapping(members) => {
                    for member in members {
                        decoder.unknown(&member.key, member.key_span, std::iter::empty());
                    }
                }
                NodeValue::Scalar(_) | NodeValue::Sequence(_) => {
                    decoder.mismatch(node, "unversioned.ListMetadata", "a map without keys");
                }
            },
            _ => self.decode_items(node, decoder),
        }
    }

    fn members(&self) -> Vec<(std::borrow::Cow<'_, str>, margay_text::value::Value<'_>)> {
        Vec::new()
    }

    fn go_struct(&self) -> margay_text::value::GoStruct {
        margay_text::value::GoStruct { type_name: Self::SCHEMA.go_type, fields: Vec::new(), display: None }
    }
}

impl ListHead {
    fn decode_items(&mut self, node: &Node, decoder: &mut Decoder) {
        let Some(kind) = self.kind else { return };
        decoder.set_context(Some((list_name(kind), "items")));
        let NodeValue::Sequence(items) = &node.value else {
            decoder.mismatch(node, &format!("[]api.{}", kind.go_name()), "a list of resources");
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let (word, version) = (head_text(item, "kind"), head_text(item, "apiVersion"));
            if !word.is_empty() && word != kind.word() {
                let span = head(item, "kind").map_or(item.span, |node| node.span);
                self.foreign.push((index + 1, span, word));
            } else if !version.is_empty() && version != "v1" {
                let span = head(item, "apiVersion").map_or(item.span, |node| node.span);
                self.foreign.push((index + 1, span, format!("{} of version {version}", kind.word())));
            } else if is_null(item) {
                self.foreign.push((index + 1, item.span, "null".to_owned()));
            } else {
                let resource = decoder.within(Segment::Index(index), |d| decode_resource(kind, item, d));
                self.items.push((index, resource));
            }
        }
    }
}
