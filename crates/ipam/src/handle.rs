//! Handles: which blocks hold addresses of one owner (`spec/ipam.md` 7).
//!
//! The counts are a hint for readers of upstream's kind: they are set from the block just written, never counted down.

use margay_net::Cidr;
use serde_json::{Map, Value as Json};

use crate::block::go_json;

/// A handle's record; members we do not know are kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Handle {
    object: Map<String, Json>,
}

// === impl Handle ===

impl Handle {
    /// Reads a stored handle.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(|object| Self { object })
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> String {
        go_json(&Json::Object(self.object.clone()))
    }

    /// Sets how many addresses a block holds for it; 0 removes the block. True when that changed anything.
    pub fn set(&mut self, block: Cidr, count: usize) -> bool {
        let name = block.to_string();
        let blocks = self.object.entry("block").or_insert_with(|| Json::Object(Map::new()));
        if !blocks.is_object() {
            *blocks = Json::Object(Map::new());
        }
        let Json::Object(blocks) = blocks else { return false };
        if count == 0 {
            return blocks.shift_remove(&name).is_some();
        }
        blocks.insert(name, count.into()) != Some(count.into())
    }

    /// True when it names no block any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.object.get("block").and_then(Json::as_object).is_none_or(Map::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::Handle;

    #[test]
    fn counts_are_set_and_foreign_members_stay() {
        let mut handle = Handle::decode(r#"{"block":{"10.0.0.0/26":2,"10.0.1.0/26":1},"id":"h<"}"#).unwrap();
        let block = "10.0.0.0/26".parse().unwrap();
        assert!(handle.set(block, 1) && !handle.set(block, 1));
        assert_eq!(handle.encode(), r#"{"block":{"10.0.0.0/26":1,"10.0.1.0/26":1},"id":"h\u003c"}"#);
        assert!(handle.set(block, 0) && !handle.is_empty());
        assert!(handle.set("10.0.1.0/26".parse().unwrap(), 0) && handle.is_empty());
        assert!(Handle::default().is_empty() && Handle::decode("[]").is_err());
    }
}
