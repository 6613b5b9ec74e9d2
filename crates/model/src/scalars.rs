//! What may stand in a field: text, numbers, maps, lists, pointers, and the types of `margay-net`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use margay_net::{AsNumber, Cidr, Ip, Mac, Port, Protocol};
use margay_text::tree::{Node, NodeValue, Resolved, Scalar};
use margay_text::value::{GoValue, Value};

use crate::decode::{Decoder, Segment, describe, float, is_null};
use crate::record::{FieldValue, Shape};
use crate::v1::{Gateway, Subnet};

fn scalar(node: &Node) -> Option<&Scalar> {
    match &node.value {
        NodeValue::Scalar(scalar) => Some(scalar),
        NodeValue::Sequence(_) | NodeValue::Mapping(_) => None,
    }
}

fn text<T: Display>(value: &T) -> Value<'static> {
    Value::Text(value.to_string().into())
}

// === text, booleans, numbers ===

impl FieldValue for String {
    fn go_type() -> String {
        "string".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("string")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        // COMPAT(yaml-text): words and numbers keep their characters; upstream stores `007` as `7` and `no` as `false`.
        match scalar(node) {
            Some(scalar) => Some(scalar.text.clone()),
            None => {
                decoder.mismatch(node, "string", "text");
                None
            }
        }
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if is_null(node) { Some(String::new()) } else { Self::decode(node, decoder) }
    }
    fn is_empty(&self) -> bool {
        String::is_empty(self)
    }
    fn value(&self) -> Value<'_> {
        Value::Text(self.into())
    }
    fn go_value(&self) -> GoValue {
        GoValue::Text(self.clone())
    }
}

impl FieldValue for bool {
    fn go_type() -> String {
        "bool".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("boolean")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if let Some(Resolved::Bool(value)) = scalar(node).map(Scalar::resolve) {
            return Some(value);
        }
        decoder.mismatch(node, "bool", "true or false");
        None
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if is_null(node) { Some(false) } else { Self::decode(node, decoder) }
    }
    fn is_empty(&self) -> bool {
        !*self
    }
    fn value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
    fn go_value(&self) -> GoValue {
        GoValue::Bool(*self)
    }
}

impl FieldValue for i64 {
    fn go_type() -> String {
        "int".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("integer")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let value = match scalar(node).map(Scalar::resolve) {
            Some(Resolved::Int(value)) => Self::try_from(value).ok(),
            Some(Resolved::Float(value)) => integral(value),
            _ => None,
        };
        if value.is_none() {
            decoder.mismatch(node, "int", "a whole number");
        }
        value
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if is_null(node) { Some(0) } else { Self::decode(node, decoder) }
    }
    fn is_empty(&self) -> bool {
        *self == 0
    }
    fn value(&self) -> Value<'_> {
        Value::Int(i128::from(*self))
    }
    fn go_value(&self) -> GoValue {
        GoValue::Int(*self)
    }
}

/// The integer that a float is, if it is one that JSON prints without exponent (`spec/api-v1.md` 1.3 D9).
#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn integral(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

impl FieldValue for f64 {
    fn go_type() -> String {
        "float64".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("number")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match scalar(node).map(Scalar::resolve) {
            Some(Resolved::Int(value)) => Some(float(value)),
            Some(Resolved::Float(value)) if value.is_finite() => Some(value),
            Some(Resolved::Float(value)) => {
                let name = if value.is_nan() {
                    "NaN"
                } else if value > 0.0 {
                    "+Inf"
                } else {
                    "-Inf"
                };
                decoder.refuse(node, format!("json: unsupported value: {name}"), None);
                None
            }
            _ => {
                decoder.mismatch(node, "float64", "a number");
                None
            }
        }
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if is_null(node) { Some(0.0) } else { Self::decode(node, decoder) }
    }
    fn is_empty(&self) -> bool {
        *self == 0.0
    }
    fn value(&self) -> Value<'_> {
        Value::Float(*self)
    }
    fn go_value(&self) -> GoValue {
        GoValue::Float(*self)
    }
}

// === containers ===

impl FieldValue for BTreeMap<String, String> {
    fn go_type() -> String {
        "map[string]string".to_owned()
    }
    fn shape() -> Shape {
        Shape::Map
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let NodeValue::Mapping(members) = &node.value else {
            decoder.mismatch(node, "map[string]string", "a map of text to text");
            return None;
        };
        let mut map = Self::new();
        let mut order: Vec<&margay_text::tree::Member> = members.iter().collect();
        order.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
        for (count, member) in order.into_iter().enumerate() {
            if count > 0 {
                decoder.set_context(None);
            }
            let value = decoder
                .within(Segment::Key(member.key.clone()), |d| String::decode_element(&member.value, d));
            if let Some(value) = value {
                map.insert(member.key.clone(), value);
            }
        }
        Some(map)
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if is_null(node) { Some(Self::new()) } else { Self::decode(node, decoder) }
    }
    fn is_empty(&self) -> bool {
        BTreeMap::is_empty(self)
    }
    fn value(&self) -> Value<'_> {
        Value::Map(self.iter().map(|(k, v)| (k.as_str().into(), Value::Text(v.into()))).collect())
    }
    fn go_value(&self) -> GoValue {
        GoValue::Map(self.iter().map(|(k, v)| (k.clone(), GoValue::Text(v.clone()))).collect())
    }
}

impl<T: FieldValue> FieldValue for Vec<T> {
    fn go_type() -> String {
        format!("[]{}", T::go_type())
    }
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let NodeValue::Sequence(items) = &node.value else {
            decoder.mismatch(node, &Self::go_type(), "a list");
            return None;
        };
        let mut list = Self::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if let Some(value) = decoder.within(Segment::Index(index), |d| T::decode_element(item, d)) {
                list.push(value);
            }
        }
        Some(list)
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if is_null(node) { Some(Self::new()) } else { Self::decode(node, decoder) }
    }
    fn is_empty(&self) -> bool {
        Vec::is_empty(self)
    }
    fn value(&self) -> Value<'_> {
        Value::List(self.iter().map(FieldValue::value).collect())
    }
    fn go_value(&self) -> GoValue {
        GoValue::List(self.iter().map(FieldValue::go_value).collect())
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn go_type() -> String {
        T::go_type()
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        T::decode(node, decoder).map(Some)
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if is_null(node) { Some(None) } else { Self::decode(node, decoder) }
    }
    fn is_empty(&self) -> bool {
        self.is_none()
    }
    fn value(&self) -> Value<'_> {
        // Printed only where Go has a value and not a pointer: an address that is not set.
        self.as_ref().map_or(Value::Text("".into()), FieldValue::value)
    }
    fn go_value(&self) -> GoValue {
        self.as_ref().map_or(GoValue::Nil, FieldValue::go_value)
    }
}

// === types with a decoder of their own ===

/// The text of a scalar that must be a string in JSON; reports anything else in upstream's words.
fn own_text<'n>(node: &'n Node, decoder: &mut Decoder) -> Option<&'n str> {
    if is_null(node) {
        return Some("");
    }
    if let Some(Resolved::Text(text)) = scalar(node).map(Scalar::resolve) {
        return Some(text);
    }
    let (found, _) = describe(node);
    let hint = scalar(node).map(|s| format!("put it in quotes: \"{}\"", s.text));
    decoder.refuse(node, format!("json: cannot unmarshal {found} into Go value of type string"), hint);
    None
}

/// Parses the text of a scalar; empty text is nothing.
fn own_parse<T: FromStr<Err: Display>>(node: &Node, decoder: &mut Decoder) -> Option<T> {
    let text = own_text(node, decoder)?;
    if text.is_empty() { None } else { own_parse_text(node, text, decoder) }
}

fn own_parse_text<T: FromStr<Err: Display>>(node: &Node, text: &str, decoder: &mut Decoder) -> Option<T> {
    text.parse::<T>().map_err(|error| decoder.refuse(node, error.to_string(), None)).ok()
}

macro_rules! address {
    ($type:ty, $go:literal, $word:literal) => {
        impl FieldValue for $type {
            fn go_type() -> String {
                $go.to_owned()
            }
            fn shape() -> Shape {
                Shape::Scalar($word)
            }
            fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
                own_parse(node, decoder)
            }
            fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
                // COMPAT(empty-address): upstream stores an empty address, or crashes; it is refused here.
                let text = own_text(node, decoder)?;
                own_parse_text(node, text, decoder)
            }
            fn is_empty(&self) -> bool {
                false
            }
            fn value(&self) -> Value<'_> {
                text(self)
            }
            fn go_value(&self) -> GoValue {
                GoValue::Text(self.to_string())
            }
        }
    };
}

address!(Ip, "net.IP", "IP");
address!(Cidr, "net.IPNet", "CIDR");

impl FieldValue for Mac {
    fn go_type() -> String {
        "net.MAC".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("MAC")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let text = own_text(node, decoder)?;
        own_parse_text(node, text, decoder)
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        Self::decode(node, decoder)
    }
    fn is_empty(&self) -> bool {
        false
    }
    fn value(&self) -> Value<'_> {
        text(self)
    }
    fn go_value(&self) -> GoValue {
        GoValue::Text(self.to_string())
    }
}

macro_rules! maybe_empty {
    ($type:ident, $go:literal, $word:literal) => {
        impl FieldValue for $type {
            fn go_type() -> String {
                $go.to_owned()
            }
            fn shape() -> Shape {
                Shape::Scalar($word)
            }
            fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
                let text = own_text(node, decoder)?;
                if text.is_empty() {
                    Some(Self(None))
                } else {
                    own_parse_text(node, text, decoder).map(|value| Self(Some(value)))
                }
            }
            fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
                Self::decode(node, decoder)
            }
            fn is_empty(&self) -> bool {
                false
            }
            fn value(&self) -> Value<'_> {
                self.0.as_ref().map_or(Value::Text("".into()), text)
            }
            fn go_value(&self) -> GoValue {
                self.0.as_ref().map_or(GoValue::Nil, |value| GoValue::Text(value.to_string()))
            }
        }
    };
}

maybe_empty!(Gateway, "net.IP", "IP");
maybe_empty!(Subnet, "net.IPNet", "CIDR");

/// A scalar that is a number below `limit`, or text with a syntax of its own.
enum NumberOrText<'n> {
    Number(u64),
    Text(&'n str),
}

/// Reads a number of a Go type, or text; `go_type` is named when a number does not fit.
fn number_or_text<'n>(
    node: &'n Node,
    limit: u64,
    go_type: &str,
    decoder: &mut Decoder,
) -> Option<NumberOrText<'n>> {
    let resolved = scalar(node).map(Scalar::resolve);
    let number = match resolved {
        Some(Resolved::Null) => Some(0),
        Some(Resolved::Text(text)) => return Some(NumberOrText::Text(text)),
        Some(Resolved::Int(value)) => u64::try_from(value).ok(),
        Some(Resolved::Float(value)) => integral(value).and_then(|value| u64::try_from(value).ok()),
        Some(Resolved::Bool(_)) | None => None,
    };
    if let Some(number) = number.filter(|number| *number <= limit) {
        return Some(NumberOrText::Number(number));
    }
    let (found, text) = describe(node);
    // COMPAT(as-number-error): upstream tries a number, then text, and reports the second attempt without the number.
    let shown =
        if found == "number" && go_type != "string" { format!("{found} {text}") } else { found.to_owned() };
    let hint = (found == "number").then(|| format!("it must be a whole number from 0 to {limit}"));
    decoder.refuse(node, format!("json: cannot unmarshal {shown} into Go value of type {go_type}"), hint);
    None
}

impl FieldValue for Port {
    fn go_type() -> String {
        "numorstring.Port".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("port or \"MIN:MAX\"")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match number_or_text(node, u64::from(u16::MAX), "uint16", decoder)? {
            NumberOrText::Number(number) => u16::try_from(number).ok().map(Port::single),
            NumberOrText::Text(text) => own_parse_text(node, text, decoder),
        }
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        Self::decode(node, decoder)
    }
    fn is_empty(&self) -> bool {
        false
    }
    fn value(&self) -> Value<'_> {
        self.as_single().map_or_else(|| text(self), |port| Value::Int(i128::from(port)))
    }
    fn go_value(&self) -> GoValue {
        GoValue::Text(self.to_string())
    }
}

impl FieldValue for Protocol {
    fn go_type() -> String {
        "numorstring.Protocol".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("protocol name or number")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match number_or_text(node, u64::from(u8::MAX), "uint8", decoder)? {
            NumberOrText::Number(number) => u8::try_from(number).ok().map(Protocol::Number),
            NumberOrText::Text(text) => Some(Protocol::from(text)),
        }
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        Self::decode(node, decoder)
    }
    fn is_empty(&self) -> bool {
        false
    }
    fn value(&self) -> Value<'_> {
        match self {
            Protocol::Number(number) => Value::Int(i128::from(*number)),
            Protocol::Name(name) => Value::Text(name.into()),
        }
    }
    fn go_value(&self) -> GoValue {
        GoValue::Text(self.to_string())
    }
}

impl FieldValue for AsNumber {
    fn go_type() -> String {
        "numorstring.ASNumber".to_owned()
    }
    fn shape() -> Shape {
        Shape::Scalar("AS number")
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match number_or_text(node, u64::from(u32::MAX), "string", decoder)? {
            NumberOrText::Number(number) => u32::try_from(number).ok().map(AsNumber),
            NumberOrText::Text(text) => own_parse_text(node, text, decoder),
        }
    }
    fn decode_element(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        Self::decode(node, decoder)
    }
    fn is_empty(&self) -> bool {
        false
    }
    fn value(&self) -> Value<'_> {
        Value::Int(i128::from(self.0))
    }
    fn go_value(&self) -> GoValue {
        GoValue::Text(self.to_string())
    }
}
