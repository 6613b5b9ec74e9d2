//! One block: an aligned range whose addresses are assigned and released together (`spec/ipam.md` 2.2, 4).
//!
//! What must stay true: every ordinal is either free, once, or holds an index of an attribute that exists. A record that
//! breaks this is repaired on reading, `allocations` winning. Fields we do not know are written back as they were.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use margay_net::{Cidr, Ip, IpVersion};
use serde_json::{Map, Value as Json};

#[cfg(test)]
mod tests;

/// The members of a block that this crate writes.
const NAMES: [&str; 7] =
    ["cidr", "affinity", "strictAffinity", "allocations", "unallocated", "attributes", "hostAffinity"];

/// The largest block that is believed: 2^16 addresses.
const LARGEST: u8 = 16;

/// Who holds an address, and what is noted about it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attribute {
    /// The handle.
    pub handle: Option<String>,
    /// The notes; none and empty are different.
    pub secondary: Option<BTreeMap<String, String>>,
    /// Members we do not know.
    other: Map<String, Json>,
}

/// A block.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    cidr: Cidr,
    affinity: Option<String>,
    strict_affinity: bool,
    allocations: Vec<Option<usize>>,
    unallocated: VecDeque<usize>,
    attributes: Vec<Attribute>,
    other: Map<String, Json>,
}

/// Why a record is no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BlockError(String);

/// Why an address could not be assigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// The address lies in another block.
    #[error("IP {0} not in block")]
    Outside(Ip),
    /// It is assigned.
    #[error("Address already assigned in block")]
    Taken,
}

// === impl Block ===

impl Block {
    /// An empty block.
    ///
    /// # Errors
    /// The range is larger than any block.
    pub fn new(cidr: Cidr, affinity: Option<String>, strict_affinity: bool) -> Result<Self, BlockError> {
        let size = size(cidr)?;
        Ok(Self {
            cidr: cidr.masked(),
            affinity,
            strict_affinity,
            allocations: vec![None; size],
            unallocated: (0..size).collect(),
            attributes: Vec::new(),
            other: Map::new(),
        })
    }

    /// Reads a stored block: as v1 writes it, with the Python library's names, or with v3's further fields.
    ///
    /// # Errors
    /// It is not JSON of this shape.
    pub fn decode(text: &str) -> Result<Self, BlockError> {
        let wrong = |what: &str| BlockError(format!("{what} is missing or not of its type"));
        let json: Json = serde_json::from_str(text).map_err(|error| BlockError(error.to_string()))?;
        let Json::Object(mut object) = json else { return Err(BlockError("expected an object".to_owned())) };
        let cidr = object.get("cidr").and_then(Json::as_str).ok_or_else(|| wrong("cidr"))?;
        let cidr: Cidr = cidr.parse().map_err(|error| BlockError(format!("cidr: {error}")))?;
        let mut block = Self::new(cidr, None, false)?;
        let strict = object.get("strictAffinity").or_else(|| object.get("strict_affinity"));
        block.strict_affinity = strict.and_then(Json::as_bool).unwrap_or_default();
        let owner = object.get("affinity").and_then(Json::as_str).filter(|owner| !owner.is_empty());
        let legacy = object.get("hostAffinity").and_then(Json::as_str).filter(|host| !host.is_empty());
        block.affinity = owner.map(str::to_owned).or_else(|| legacy.map(|host| format!("host:{host}")));
        block.attributes = match object.get("attributes") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(items)) => items.iter().map(Attribute::decode).collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong("attributes")),
        };
        let allocations =
            object.get("allocations").and_then(Json::as_array).ok_or_else(|| wrong("allocations"))?;
        let free = object.get("unallocated").and_then(Json::as_array).ok_or_else(|| wrong("unallocated"))?;
        block.fill(allocations, free)?;
        for name in NAMES.iter().chain(&["strict_affinity"]) {
            object.remove(*name);
        }
        block.other = object;
        Ok(block)
    }

    /// Takes over stored arrays; what contradicts `allocations` in `unallocated` is repaired.
    fn fill(&mut self, allocations: &[Json], free: &[Json]) -> Result<(), BlockError> {
        if allocations.len() != self.allocations.len() {
            let (found, size) = (allocations.len(), self.allocations.len());
            return Err(BlockError(format!("{found} allocations in a block of {size} addresses")));
        }
        for (ordinal, index) in allocations.iter().enumerate() {
            if index.is_null() {
                continue;
            }
            let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
            let index = index.filter(|index| *index < self.attributes.len());
            // An address whose attribute is lost is still somebody's: it stays assigned, to nobody we can name.
            self.allocations[ordinal] = Some(index.unwrap_or_else(|| {
                self.attributes.push(Attribute::default());
                self.attributes.len() - 1
            }));
        }
        let mut seen = BTreeSet::new();
        let listed = free.iter().filter_map(|ordinal| ordinal.as_u64().and_then(|o| usize::try_from(o).ok()));
        let is_free = |ordinal: &usize| self.allocations.get(*ordinal).is_some_and(Option::is_none);
        let mut order: VecDeque<usize> =
            listed.filter(is_free).filter(|ordinal| seen.insert(*ordinal)).collect();
        order.extend((0..self.allocations.len()).filter(is_free).filter(|ordinal| !seen.contains(ordinal)));
        self.unallocated = order;
        Ok(())
    }

    /// The stored form, as v1 writes it.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut object = Map::new();
        object.insert("cidr".to_owned(), self.cidr.to_string().into());
        object.insert("affinity".to_owned(), self.affinity.clone().map_or(Json::Null, Json::String));
        object.insert("strictAffinity".to_owned(), self.strict_affinity.into());
        object.insert(
            "allocations".to_owned(),
            self.allocations.iter().map(|index| Json::from(*index)).collect(),
        );
        object.insert("unallocated".to_owned(), self.unallocated.iter().copied().collect());
        object.insert("attributes".to_owned(), self.attributes.iter().map(Attribute::encode).collect());
        object.extend(self.other.clone());
        go_json(&Json::Object(object))
    }

    /// Its range.
    #[must_use]
    pub fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// The owner: `host:NAME`.
    #[must_use]
    pub fn affinity(&self) -> Option<&str> {
        self.affinity.as_deref()
    }

    /// Gives up the owner.
    pub fn clear_affinity(&mut self) {
        self.affinity = None;
    }

    /// True when no address is assigned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allocations.iter().all(Option::is_none)
    }

    /// What is noted about an address; none when it is free or elsewhere.
    #[must_use]
    pub fn attribute(&self, ip: Ip) -> Option<&Attribute> {
        let index = self.allocations[self.ordinal(ip)?]?;
        self.attributes.get(index)
    }

    /// How many addresses a handle holds here.
    #[must_use]
    pub fn held_by(&self, handle: &str) -> usize {
        let holds = |index: &usize| self.attributes[*index].handle.as_deref() == Some(handle);
        self.allocations.iter().flatten().filter(|index| holds(index)).count()
    }

    /// Assigns up to `count` addresses, those first that have been free the longest.
    pub fn auto_assign(&mut self, count: usize, attribute: &Attribute) -> Vec<Ip> {
        let ordinals: Vec<usize> = self.unallocated.drain(..count.min(self.unallocated.len())).collect();
        if ordinals.is_empty() {
            return Vec::new();
        }
        let index = self.attribute_index(attribute);
        for ordinal in &ordinals {
            self.allocations[*ordinal] = Some(index);
        }
        ordinals.into_iter().map(|ordinal| self.address(ordinal)).collect()
    }

    /// Assigns one address.
    ///
    /// # Errors
    /// It is taken or lies elsewhere.
    pub fn assign(&mut self, ip: Ip, attribute: &Attribute) -> Result<(), AssignError> {
        let ordinal = self.ordinal(ip).ok_or(AssignError::Outside(ip))?;
        if self.allocations[ordinal].is_some() {
            return Err(AssignError::Taken);
        }
        self.unallocated.retain(|free| *free != ordinal);
        let index = self.attribute_index(attribute);
        self.allocations[ordinal] = Some(index);
        Ok(())
    }

    /// Releases addresses in the order given; freed ones go to the end of the queue. Returns those that were assigned,
    /// with the handle that held each.
    pub fn release(&mut self, addresses: &[Ip]) -> Vec<(Ip, Option<String>)> {
        let mut released = Vec::new();
        for ip in addresses {
            let Some(ordinal) = self.ordinal(*ip) else { continue };
            if let Some(index) = self.allocations[ordinal].take() {
                self.unallocated.push_back(ordinal);
                released.push((*ip, self.attributes[index].handle.clone()));
            }
        }
        self.drop_unused_attributes();
        released
    }

    /// Releases everything a handle holds, lowest address first.
    pub fn release_handle(&mut self, handle: &str) -> Vec<Ip> {
        let held: Vec<Ip> = (0..self.allocations.len())
            .filter(|ordinal| {
                self.allocations[*ordinal]
                    .is_some_and(|index| self.attributes[index].handle.as_deref() == Some(handle))
            })
            .map(|ordinal| self.address(ordinal))
            .collect();
        self.release(&held);
        held
    }

    fn attribute_index(&mut self, attribute: &Attribute) -> usize {
        self.attributes.iter().position(|known| known == attribute).unwrap_or_else(|| {
            self.attributes.push(attribute.clone());
            self.attributes.len() - 1
        })
    }

    /// Removes attributes that no address has, and renumbers the rest.
    fn drop_unused_attributes(&mut self) {
        let used: BTreeSet<usize> = self.allocations.iter().flatten().copied().collect();
        let numbers: BTreeMap<usize, usize> =
            used.into_iter().enumerate().map(|(new, old)| (old, new)).collect();
        let mut position = 0;
        self.attributes.retain(|_| {
            position += 1;
            numbers.contains_key(&(position - 1))
        });
        for index in self.allocations.iter_mut().flatten() {
            *index = numbers[index];
        }
    }

    fn ordinal(&self, ip: Ip) -> Option<usize> {
        if !self.cidr.contains_ip(ip) {
            return None;
        }
        usize::try_from(number(ip) - number(self.cidr.address())).ok()
    }

    fn address(&self, ordinal: usize) -> Ip {
        let number = number(self.cidr.address()) + ordinal as u128;
        match self.cidr.version() {
            // A block lies within its family's addresses.
            IpVersion::V4 => Ip::from(std::net::Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
            IpVersion::V6 => Ip::from(std::net::Ipv6Addr::from(number)),
        }
    }
}

fn size(cidr: Cidr) -> Result<usize, BlockError> {
    if cidr.host_bits() > LARGEST {
        return Err(BlockError(format!("{cidr} is too large for a block")));
    }
    Ok(1 << cidr.host_bits())
}

fn number(ip: Ip) -> u128 {
    match ip.get() {
        std::net::IpAddr::V4(ip) => u128::from(u32::from(ip)),
        std::net::IpAddr::V6(ip) => u128::from(ip),
    }
}

// === impl Attribute ===

impl Attribute {
    /// An attribute of a handle with notes.
    #[must_use]
    pub fn new(handle: Option<String>, secondary: Option<BTreeMap<String, String>>) -> Self {
        Self { handle, secondary, other: Map::new() }
    }

    fn decode(json: &Json) -> Result<Self, BlockError> {
        let Json::Object(object) = json else {
            return Err(BlockError("attributes hold no object".to_owned()));
        };
        let mut other = object.clone();
        let handle = other.remove("handle_id").and_then(|handle| handle.as_str().map(str::to_owned));
        let secondary = match other.remove("secondary") {
            None | Some(Json::Null) => None,
            Some(Json::Object(notes)) => {
                Some(notes.into_iter().map(|(name, note)| (name, note_text(note))).collect())
            }
            Some(_) => return Err(BlockError("secondary is no object".to_owned())),
        };
        Ok(Self { handle, secondary, other })
    }

    fn encode(&self) -> Json {
        let mut object = Map::new();
        object.insert("handle_id".to_owned(), self.handle.clone().map_or(Json::Null, Json::String));
        let notes = |notes: &BTreeMap<String, String>| {
            Json::Object(notes.iter().map(|(name, note)| (name.clone(), note.clone().into())).collect())
        };
        object.insert("secondary".to_owned(), self.secondary.as_ref().map_or(Json::Null, notes));
        object.extend(self.other.clone());
        Json::Object(object)
    }
}

fn note_text(note: Json) -> String {
    match note {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// Compact JSON as Go writes it: `<`, `>`, `&` and two separators are escaped.
pub(crate) fn go_json(json: &Json) -> String {
    let mut out = String::new();
    for c in json.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
