//! Records: one table of fields each, from which decoding, printing, templates and the reference are driven.

use margay_text::tree::Node;
use margay_text::value::{GoStruct, GoValue, Value};

use crate::decode::Decoder;

/// What a record is, for people and for the writers.
#[derive(Debug)]
pub struct RecordSchema {
    /// The Go type's bare name, printed in type errors: `PolicySpec`.
    pub name: &'static str,
    /// The Go type with its package: `api.PolicySpec`.
    pub go_type: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The fields in declaration order, which is the order of JSON output.
    pub fields: &'static [FieldSchema],
}

/// One field of a record.
#[derive(Debug)]
pub struct FieldSchema {
    /// Its name in documents.
    pub json: &'static str,
    /// Its name in Go templates.
    pub go: &'static str,
    /// What it means, its default and its rules.
    pub doc: &'static str,
    /// True when it is printed even if empty.
    pub keep: bool,
    /// The shape of its value.
    pub shape: fn() -> Shape,
    /// The Go type of its text, printed in type errors: `string`, a named type such as `scope.Scope`, or that of its
    /// elements where they are pointers.
    pub text_type: &'static str,
}

/// The shape of a field's value, for people.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A scalar, by its name in the reference: `string`, `CIDR`, `port`.
    Scalar(&'static str),
    /// A list of one shape.
    List(Box<Shape>),
    /// A map of string to string.
    Map,
    /// A nested record.
    Record(&'static RecordSchema),
}

/// A value that may stand in a field.
pub trait FieldValue: Sized {
    /// The Go type in type errors: `[]string`.
    fn go_type() -> String;
    /// The shape for people.
    fn shape() -> Shape;
    /// Decodes a node that is not null. `None` = nothing stands there, or a fault was reported.
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self>;
    /// Decodes an element of a list, which may be null.
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self>;
    /// True when the writers leave the field out.
    fn is_empty(&self) -> bool;
    /// The value for the writers.
    fn value(&self) -> Value<'_>;
    /// The value for Go templates.
    fn go_value(&self) -> GoValue;
}

/// A struct with a field table.
pub trait Record: Default {
    /// Its table.
    const SCHEMA: &'static RecordSchema;
    /// Decodes the field at `index` of the table.
    fn decode_field(&mut self, index: usize, node: &Node, decoder: &mut Decoder);
    /// The fields that are printed, in table order.
    fn members(&self) -> Vec<(std::borrow::Cow<'_, str>, Value<'_>)>;
    /// The Go shape.
    fn go_struct(&self) -> GoStruct;
}

// === impl RecordSchema ===

impl RecordSchema {
    /// The field that a document's key means: exact name first, else any letter case (`spec/api-v1.md` 1.3 D3).
    #[must_use]
    pub fn find(&self, key: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.json == key)
            .or_else(|| self.fields.iter().position(|field| fold_eq(field.json, key)))
    }
}

/// Compares field names as Go's JSON decoder does: ASCII case, and the two other characters that fold to k and s.
#[must_use]
pub fn fold_eq(a: &str, b: &str) -> bool {
    let fold = |c: char| match c {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        c => c.to_ascii_lowercase(),
    };
    a.chars().map(fold).eq(b.chars().map(fold))
}

/// Declares a record: `field: type = "json" "Go";`, with `keep` behind it when it is printed even if empty, and
/// `as "pkg.Type"` behind the type when Go has a named type for the text, or a pointer in a list.
/// `display` names the function that is the Go type's `String()`.
macro_rules! record {
    (
        $(#[doc = $record_doc:literal])*
        $name:ident = $go_type:literal $(display $display:path)? {
            $($(#[doc = $doc:literal])* $field:ident: $type:ty $(as $text_type:literal)? = $json:literal $go:literal $($keep:ident)?;)*
        }
    ) => {
        $(#[doc = $record_doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        impl $crate::record::Record for $name {
            const SCHEMA: &'static $crate::record::RecordSchema = &$crate::record::RecordSchema {
                name: stringify!($name),
                go_type: $go_type,
                doc: concat!($($record_doc, "\n",)*),
                fields: &[$($crate::record::FieldSchema {
                    json: $json,
                    go: $go,
                    doc: concat!($($doc, "\n",)*),
                    keep: $crate::record::record!(@keep $($keep)?),
                    shape: <$type as $crate::record::FieldValue>::shape,
                    text_type: $crate::record::record!(@text_type $($text_type)?),
                },)*],
            };

            fn decode_field(
                &mut self,
                index: usize,
                node: &margay_text::tree::Node,
                decoder: &mut $crate::decode::Decoder,
            ) {
                let mut positions = 0..;
                $(
                    if positions.next() == Some(index) {
                        if let Some(value) = <$type as $crate::record::FieldValue>::decode(node, decoder) {
                            self.$field = value;
                        }
                        return;
                    }
                )*
            }

            fn members(&self) -> Vec<(std::borrow::Cow<'_, str>, margay_text::value::Value<'_>)> {
                use $crate::record::FieldValue as _;
                let mut members = Vec::with_capacity(Self::SCHEMA.fields.len());
                $(
                    if $crate::record::record!(@keep $($keep)?) || !self.$field.is_empty() {
                        members.push((std::borrow::Cow::Borrowed($json), self.$field.value()));
                    }
                )*
                members
            }

            fn go_struct(&self) -> margay_text::value::GoStruct {
                margay_text::value::GoStruct {
                    type_name: $go_type,
                    fields: vec![$(($go, $crate::record::FieldValue::go_value(&self.$field)),)*],
                    display: $crate::record::record!(@display self $($display)?),
                }
            }
        }

        impl $crate::record::FieldValue for $name {
            fn go_type() -> String {
                $go_type.to_owned()
            }
            fn shape() -> $crate::record::Shape {
                $crate::record::Shape::Record(<Self as $crate::record::Record>::SCHEMA)
            }
            fn decode(node: &margay_text::tree::Node, decoder: &mut $crate::decode::Decoder) -> Option<Self> {
                let mut record = Self::default();
                decoder.members(node, &mut record);
                Some(record)
            }
            fn decode_element(node: &margay_text::tree::Node, decoder: &mut $crate::decode::Decoder) -> Option<Self> {
                if $crate::decode::is_null(node) {
                    return Some(Self::default());
                }
                <Self as $crate::record::FieldValue>::decode(node, decoder)
            }
            fn is_empty(&self) -> bool {
                // COMPAT(structs): Go never leaves out a struct, only a nil pointer to one.
                false
            }
            fn value(&self) -> margay_text::value::Value<'_> {
                margay_text::value::Value::Map($crate::record::Record::members(self))
            }
            fn go_value(&self) -> margay_text::value::GoValue {
                margay_text::value::GoValue::Struct($crate::record::Record::go_struct(self))
            }
        }
    };
    (@display $record:ident $display:path) => { Some($display($record)) };
    (@display $record:ident) => { None };
    (@text_type $text_type:literal) => { $text_type };
    (@text_type) => { "string" };
    (@keep keep) => { true };
    (@keep) => { false };
}
pub(crate) use record;
