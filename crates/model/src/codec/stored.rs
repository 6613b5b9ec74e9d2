//! Reading stored JSON with serde: fast when it is as we write it, forgiving otherwise.

use std::borrow::Cow;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use margay_net::{AsNumber, Port, Protocol};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, Visitor};

use super::StoredError;

/// Reads a stored object. The strict form `S` refuses unknown and repeated names, which is how the fast path notices
/// that the slow one is needed: names in other letter cases, foreign fields, repeated keys (the last counts).
pub(super) fn read<S: DeserializeOwned + Default>(text: &str, names: &[&str]) -> Result<S, StoredError> {
    // Serde takes a list for a struct as well, which no stored object is.
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str::<S>(text)
    {
        return Ok(value);
    }
    let error = |error: serde_json::Error| StoredError(error.to_string());
    match serde_json::from_str::<serde_json::Value>(text).map_err(error)? {
        serde_json::Value::Null => Ok(S::default()),
        serde_json::Value::Object(object) => S::deserialize(known_only(object, names)).map_err(error),
        other => Err(StoredError(format!("expected an object, found {}", word(&other)))),
    }
}

/// What a value is, for errors.
pub(super) fn word(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "text",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}

/// The members that are known, under their exact names.
pub(super) fn known_only(
    object: serde_json::Map<String, serde_json::Value>,
    names: &[&str],
) -> serde_json::Value {
    let mut known = serde_json::Map::new();
    for (name, value) in object {
        let exact = names.iter().find(|known| **known == name);
        if let Some(name) = exact.or_else(|| names.iter().find(|known| crate::record::fold_eq(known, &name)))
        {
            known.insert((*name).to_owned(), value);
        }
    }
    serde_json::Value::Object(known)
}

/// A value written as text: an address, a network.
#[derive(Debug, Clone, Copy)]
pub struct AsText<T>(pub T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for AsText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<T: FromStr<Err: Display>> Visitor<'_> for Text<T> {
            type Value = AsText<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(AsText).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text(PhantomData))
    }
}

/// Like [`AsText`], with empty text for nothing.
#[derive(Debug, Clone, Copy)]
pub struct MaybeText<T>(pub Option<T>);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for MaybeText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<Cow<'de, str>>::deserialize(deserializer)? {
            Some(text) if !text.is_empty() => text.parse().map(|v| Self(Some(v))).map_err(D::Error::custom),
            _ => Ok(Self(None)),
        }
    }
}

/// A number, or text with a syntax of its own.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

/// A port or range.
#[derive(Debug, Clone, Copy)]
pub struct StoredPort(pub Port);

impl<'de> Deserialize<'de> for StoredPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => {
                u16::try_from(number).map(|n| Self(Port::single(n))).map_err(D::Error::custom)
            }
            NumberOrText::Text(text) => text.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

/// A protocol.
#[derive(Debug, Clone)]
pub struct StoredProtocol(pub Protocol);

impl<'de> Deserialize<'de> for StoredProtocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => {
                u8::try_from(number).map(|n| Self(Protocol::Number(n))).map_err(D::Error::custom)
            }
            NumberOrText::Text(text) => Ok(Self(Protocol::from(text.as_str()))),
        }
    }
}

/// An AS number in decimal digits inside quotes, the only form that a stored BGP peer has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QuotedAsNumber(pub(super) AsNumber);

impl<'de> Deserialize<'de> for QuotedAsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(|number| Self(AsNumber(number))).map_err(D::Error::custom)
    }
}
