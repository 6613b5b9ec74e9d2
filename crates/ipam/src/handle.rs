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

/// Why a record is no handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HandleError(String);

// === impl Handle ===

impl Handle {
    /// Reads a stored handle.
    ///
    /// # Errors
    /// It is no JSON object, or its `block` is none.
    pub fn decode(text: &str) -> Result<Self, HandleError> {
        let object: Map<String, Json> =
            serde_json::from_str(text).map_err(|error| HandleError(error.to_string()))?;
        match object.get("block") {
            None | Some(Json::Null | Json::Object(_)) => Ok(Self { object }),
            Some(_) => Err(HandleError("block is not of its type".to_owned())),
        }
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
        let changed = blocks.insert(name, count.into()) != Some(count.into());
        // As Go writes a map.
        blocks.sort_keys();
        changed
    }

    /// How many addresses it says a block holds for it.
    #[must_use]
    pub fn count(&self, block: Cidr) -> usize {
        let count = self.object.get("block").and_then(|blocks| blocks.get(block.to_string()));
        count.and_then(Json::as_u64).and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
    }

    /// True when it names the block, with any count.
    #[must_use]
    pub fn names(&self, block: Cidr) -> bool {
        self.object.get("block").and_then(|blocks| blocks.get(block.to_string())).is_some()
    }

    /// The blocks that it names; what is no network is left out.
    #[must_use]
    pub fn blocks(&self) -> Vec<Cidr> {
        let blocks = self.object.get("block").and_then(Json::as_object);
        blocks.into_iter().flat_map(Map::keys).filter_map(|name| name.parse().ok()).collect()
    }

    /// As [`Self::set`], for a block that it names already: after a release, an entry that another release of the same
    /// block has removed meanwhile must not come back.
    pub fn correct(&mut self, block: Cidr, count: usize) -> bool {
        self.names(block) && self.set(block, count)
    }

    /// True when it names no block any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.object.get("block").and_then(Json::as_object).is_none_or(Map::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use margay_net::Cidr;

    use super::Handle;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn counts_are_set_and_foreign_members_stay() {
        let mut handle = Handle::decode(r#"{"block":{"10.0.0.0/26":2,"10.0.1.0/26":1},"id":"h<"}"#).unwrap();
        let block = cidr("10.0.0.0/26");
        assert!(handle.set(block, 1) && !handle.set(block, 1));
        assert_eq!(handle.encode(), r#"{"block":{"10.0.0.0/26":1,"10.0.1.0/26":1},"id":"h\u003c"}"#);
        assert!(handle.set(block, 0) && !handle.is_empty());
        assert!(handle.set(cidr("10.0.1.0/26"), 0) && handle.is_empty());
        assert!(Handle::default().is_empty());
    }

    #[test]
    fn blocks_are_written_in_the_order_of_a_go_map() {
        let mut handle = Handle::default();
        handle.set(cidr("fd80::/122"), 1);
        handle.set(cidr("10.0.9.0/26"), 2);
        handle.set(cidr("10.0.10.0/26"), 3);
        assert_eq!(handle.encode(), r#"{"block":{"10.0.10.0/26":3,"10.0.9.0/26":2,"fd80::/122":1}}"#);
    }

    #[test]
    fn a_correction_brings_no_block_back() {
        let mut handle = Handle::decode(r#"{"block":{"10.0.0.0/26":9},"deleted":false}"#).unwrap();
        assert!(!handle.correct(cidr("10.0.1.0/26"), 1));
        assert!(handle.correct(cidr("10.0.0.0/26"), 2) && !handle.correct(cidr("10.0.0.0/26"), 2));
        assert_eq!(handle.encode(), r#"{"block":{"10.0.0.0/26":2},"deleted":false}"#);
    }

    #[test]
    fn nonsense_is_an_error_and_an_absent_map_is_empty() {
        for text in ["", "[]", "null", r#"{"block":[]}"#, r#"{"block":7}"#] {
            assert!(Handle::decode(text).is_err(), "{text}");
        }
        assert!(Handle::decode(r#"{"block":null}"#).unwrap().is_empty());
        assert!(Handle::decode("{}").unwrap().is_empty());
    }
}
