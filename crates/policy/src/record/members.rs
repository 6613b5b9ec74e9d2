//! A stored JSON object, field by field: what one broken field is does not hide the others.
//!
//! Names count in any letter case and the last of several counts, as upstream's decoder has it; `null` is no value.

use std::borrow::Cow;
use std::fmt;

use margay_model::record::fold_eq;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, none of them decoded yet.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    list: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Some name is not as we write it.
    odd: bool,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldFault(pub(super) String);

// === impl Members ===

impl<'a> Members<'a> {
    /// Reads an object; `None` is `null`.
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, FieldFault> {
        match text.bytes().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => serde_json::from_str(text).map(Some).map_err(|error| fault_of(&error)),
            _ => match serde_json::from_str::<Option<serde::de::IgnoredAny>>(text) {
                Ok(None) => Ok(None),
                Ok(Some(_)) => Err(FieldFault("not a JSON object".to_owned())),
                Err(error) => Err(fault_of(&error)),
            },
        }
    }

    /// The text of a field.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        let found = self
            .list
            .iter()
            .rev()
            .find(|(candidate, _)| candidate.as_ref() == name || (self.odd && fold_eq(candidate, name)));
        found.map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// A field of some type; none when it is absent or `null`.
    pub(super) fn field<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, FieldFault> {
        let Some(text) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| fault_of(&error).within(name))
    }

    /// A field of a type that has a default.
    pub(super) fn or_default<T: Deserialize<'a> + Default>(&self, name: &str) -> Result<T, FieldFault> {
        Ok(self.field(name)?.unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members { list: Vec::with_capacity(12), odd: false };
                while let Some(Text(name)) = map.next_key()? {
                    members.odd |= name.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
                    members.list.push((name, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Text that is borrowed where it has no escapes.
#[derive(Debug)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Any)
    }
}

/// Text, an absent one being empty.
pub(super) fn text<'a>(members: &Members<'a>, name: &str) -> Result<Cow<'a, str>, FieldFault> {
    Ok(members.field::<Text<'a>>(name)?.map(|text| text.0).unwrap_or_default())
}

/// A map of text to text; of a repeated key the last counts, and `null` is empty text, as in Go.
#[derive(Debug, Default)]
pub(super) struct TextMap<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de> Deserialize<'de> for TextMap<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = TextMap<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of text to text")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    let value: Option<Text<'de>> = map.next_value()?;
                    list.push((name, value.map(|text| text.0).unwrap_or_default()));
                }
                Ok(TextMap(list))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

// === impl TextMap ===

impl TextMap<'_> {
    /// Sorted by key, each key once.
    pub(super) fn into_labels(mut self) -> super::Labels {
        // Stable, so the last of equal keys stays last.
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
        let mut labels: Vec<(std::sync::Arc<str>, std::sync::Arc<str>)> = Vec::with_capacity(self.0.len());
        for (key, value) in self.0 {
            match labels.last_mut() {
                Some(last) if *last.0 == *key => last.1 = value.into(),
                _ => labels.push((key.into(), value.into())),
            }
        }
        labels.into_boxed_slice()
    }
}

// === impl FieldFault ===

impl FieldFault {
    /// The same, seen from one step further out.
    pub(super) fn within(self, name: &str) -> Self {
        let separator = if self.0.starts_with('[') {
            ""
        } else if self.0.starts_with(' ') {
            ":"
        } else {
            ": "
        };
        Self(format!("{name}{separator}{}", self.0))
    }
}

/// The text of a decoder's fault; its line and column count within one field, which helps nobody.
fn fault_of(error: &serde_json::Error) -> FieldFault {
    let text = error.to_string();
    FieldFault(text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before).to_owned())
}
