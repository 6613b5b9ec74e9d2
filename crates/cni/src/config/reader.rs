//! Reads fields of a JSON document, collecting faults and warnings.

use std::path::PathBuf;

use margay_net::{Cidr, Ip, Mac};
use serde_json::{Map, Value};

/// What was found wrong, and what is only odd.
#[derive(Default)]
pub(super) struct Reader {
    /// Each with the JSON pointer of its place.
    pub(super) faults: Vec<String>,
    /// For people.
    pub(super) warnings: Vec<String>,
}

/// An object of the document; one that is not there has no fields.
pub(super) struct Section<'a> {
    object: Option<&'a Map<String, Value>>,
    pointer: String,
}

/// What a value is, for errors.
pub(super) fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    pub(super) fn root(document: &'a Map<String, Value>) -> Self {
        Self { object: Some(document), pointer: String::new() }
    }

    pub(super) fn is_present(&self) -> bool {
        self.object.is_some()
    }

    /// The value of a key, by its exact name or else in any letter case; `null` is none.
    pub(super) fn value(&self, reader: &mut Reader, key: &str) -> Option<&'a Value> {
        let object = self.object?;
        let value = object.get(key).or_else(|| {
            let (spelled, value) = object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
            let warning = format!("{}/{spelled} is spelled {key}", self.pointer);
            if !reader.warnings.contains(&warning) {
                reader.warnings.push(warning);
            }
            Some(value)
        })?;
        (!value.is_null()).then_some(value)
    }

    fn fault(&self, reader: &mut Reader, key: &str, wanted: &str, found: &Value) {
        reader.faults.push(format!("{}/{key}: expected {wanted}, found {}", self.pointer, word(found)));
    }

    pub(super) fn section(&self, reader: &mut Reader, key: &str) -> Self {
        let pointer = format!("{}/{key}", self.pointer);
        let object = match self.value(reader, key) {
            Some(Value::Object(object)) => Some(object),
            Some(other) => {
                self.fault(reader, key, "an object", other);
                None
            }
            None => None,
        };
        Self { object, pointer }
    }

    pub(super) fn text(&self, reader: &mut Reader, key: &str) -> String {
        match self.value(reader, key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                self.fault(reader, key, "text", other);
                String::new()
            }
            None => String::new(),
        }
    }

    pub(super) fn path(&self, reader: &mut Reader, key: &str) -> Option<PathBuf> {
        Some(self.text(reader, key)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// Text, or a boolean as its word.
    pub(super) fn word_or_flag(&self, reader: &mut Reader, key: &str) -> String {
        match self.value(reader, key) {
            // COMPAT(cni-assign-flags): upstream takes the words in quotes only.
            Some(Value::Bool(flag)) => flag.to_string(),
            _ => self.text(reader, key),
        }
    }

    pub(super) fn flag(&self, reader: &mut Reader, key: &str) -> Option<bool> {
        let value = self.value(reader, key)?;
        if value.as_bool().is_none() {
            self.fault(reader, key, "a boolean", value);
        }
        value.as_bool()
    }

    pub(super) fn number(&self, reader: &mut Reader, key: &str) -> Option<i64> {
        let value = self.value(reader, key)?;
        if value.as_i64().is_none() {
            self.fault(reader, key, "a whole number", value);
        }
        value.as_i64()
    }

    fn items(&self, reader: &mut Reader, key: &str) -> Option<(Section<'a>, &'a [Value])> {
        let section = |pointer| Section { object: None, pointer };
        match self.value(reader, key)? {
            Value::Array(items) => Some((section(format!("{}/{key}", self.pointer)), items)),
            other => {
                self.fault(reader, key, "a list", other);
                None
            }
        }
    }

    pub(super) fn texts(&self, reader: &mut Reader, key: &str) -> Vec<String> {
        let Some((list, items)) = self.items(reader, key) else { return Vec::new() };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text.clone()),
                other => list.fault(reader, &index.to_string(), "text", other),
            }
        }
        texts
    }

    /// Addresses, with or without a prefix length.
    pub(super) fn addresses(&self, reader: &mut Reader, key: &str) -> Vec<Ip> {
        let texts = self.texts(reader, key);
        let mut addresses: Vec<Ip> = Vec::new();
        for text in texts {
            let address = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
            match address.parse::<Ip>() {
                // podman says the same address twice.
                Ok(ip) if addresses.contains(&ip) => {}
                Ok(ip) => addresses.push(ip),
                Err(_) => reader.faults.push(format!("{}/{key}: {text:?} is no address", self.pointer)),
            }
        }
        addresses
    }

    pub(super) fn mac(&self, reader: &mut Reader, key: &str) -> Option<Mac> {
        let text = self.text(reader, key);
        if text.is_empty() {
            return None;
        }
        let mac = text.parse().ok();
        if mac.is_none() {
            reader.faults.push(format!("{}/{key}: {text:?} is no MAC address", self.pointer));
        }
        mac
    }

    /// The destinations of a list of routes.
    pub(super) fn routes(&self, reader: &mut Reader, key: &str) -> Option<Vec<Cidr>> {
        let (list, items) = self.items(reader, key)?;
        let mut routes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.get("dst").and_then(Value::as_str).map(str::parse::<Cidr>) {
                Some(Ok(dst)) => routes.push(dst.masked()),
                _ => reader.faults.push(format!("{}/{index}/dst: expected a network", list.pointer)),
            }
        }
        Some(routes)
    }

    /// A list of `key` and `value`.
    pub(super) fn labels(&self, reader: &mut Reader, key: &str) -> Vec<(String, String)> {
        let Some((list, items)) = self.items(reader, key) else { return Vec::new() };
        let mut labels = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::Object(object) => {
                    let label =
                        Section { object: Some(object), pointer: format!("{}/{index}", list.pointer) };
                    labels.push((label.text(reader, "key"), label.text(reader, "value")));
                }
                Value::Null => {}
                other => list.fault(reader, &index.to_string(), "an object", other),
            }
        }
        labels
    }

    /// Containers and interfaces in use. `null` says that none is; a missing key says nothing.
    pub(super) fn attachments(&self, reader: &mut Reader, key: &str) -> Option<Vec<(String, String)>> {
        match self.object?.get(key)? {
            Value::Null => Some(Vec::new()),
            Value::Array(items) => {
                let mut found = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let part = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
                    match (part("containerID"), part("ifname")) {
                        (Some(container), Some(ifname)) => found.push((container, ifname)),
                        _ => reader.faults.push(format!("/{key}/{index}: expected containerID and ifname")),
                    }
                }
                Some(found)
            }
            other => {
                self.fault(reader, key, "a list", other);
                None
            }
        }
    }
}
