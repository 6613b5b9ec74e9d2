//! One block: an aligned range whose addresses are assigned and released together (`spec/ipam.md` 2.2, 4).
//!
//! What must stay true: every ordinal is either free, once, or holds an index of an attribute that exists. A record that
//! breaks this is repaired on reading, `allocations` winning. Fields we do not know are written back as they were.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use margay_net::{Cidr, Ip, IpVersion};
use serde_json::{Map, Value as Json};

#[cfg(test)]
mod tests;

/// The members of a block that this crate understands, older spellings included.
const NAMES: [&str; 8] = [
    "cidr",
    "affinity",
    "strictAffinity",
    "strict_affinity",
    "allocations",
    "unallocated",
    "attributes",
    "hostAffinity",
];

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
    /// No address was ever assigned: v1 then writes `null` for `attributes`, later an array.
    unused: bool,
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
    /// The block serves its owner only.
    #[error("Block host affinity does not match")]
    Strict,
    /// An own block was wanted, and this is somebody else's.
    #[error("Block affinity ({owner}) does not match provided ({host})")]
    Foreign {
        /// The block's owner, `host:NAME`; nothing for none.
        owner: String,
        /// The host that asked.
        host: String,
    },
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
            unused: true,
            other: Map::new(),
        })
    }

    /// Reads a stored block: as v1 writes it, with the Python library's names, or with v3's further fields.
    ///
    /// # Errors
    /// It is not JSON of this shape.
    pub fn decode(text: &str) -> Result<Self, BlockError> {
        let json: Json = serde_json::from_str(text).map_err(|error| BlockError(error.to_string()))?;
        let Json::Object(mut object) = json else { return Err(BlockError("expected an object".to_owned())) };
        let cidr = text_of(&object, "cidr")?.ok_or_else(|| wrong("cidr"))?;
        let cidr: Cidr = cidr.parse().map_err(|error| BlockError(format!("cidr: {error}")))?;
        let mut block = Self::new(cidr, None, false)?;
        block.strict_affinity = match flag_of(&object, "strictAffinity")? {
            Some(strict) => strict,
            None => flag_of(&object, "strict_affinity")?.unwrap_or_default(),
        };
        let legacy = text_of(&object, "hostAffinity")?.filter(|host| !host.is_empty());
        let owner = text_of(&object, "affinity")?.filter(|owner| !owner.is_empty());
        block.affinity = owner.map(str::to_owned).or_else(|| legacy.map(|host| format!("host:{host}")));
        if let Some(items) = array_of(&object, "attributes")? {
            block.attributes = items.iter().map(Attribute::decode).collect::<Result<_, _>>()?;
            block.unused = false;
        }
        let allocations = array_of(&object, "allocations")?.ok_or_else(|| wrong("allocations"))?;
        // Go reads a queue that is missing or null as an empty one; what is missing in it is repaired.
        let free = array_of(&object, "unallocated")?.unwrap_or_default();
        block.fill(allocations, free)?;
        for name in NAMES {
            object.shift_remove(name);
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
        let stored = self.attributes.len();
        for (ordinal, index) in allocations.iter().enumerate() {
            if index.is_null() {
                continue;
            }
            let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
            // An address whose attribute is lost is still somebody's: it stays assigned, to nobody we can name.
            let index = index
                .filter(|index| *index < stored)
                .unwrap_or_else(|| self.attribute_index(&Attribute::default()));
            self.allocations[ordinal] = Some(index);
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
        let attributes = match self.unused {
            true => Json::Null,
            false => self.attributes.iter().map(Attribute::encode).collect(),
        };
        object.insert("attributes".to_owned(), attributes);
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

    /// The host that owns it.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.affinity.as_deref().and_then(|owner| owner.strip_prefix("host:"))
    }

    /// How many addresses it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.allocations.len()
    }

    /// How many of them are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.unallocated.len()
    }

    /// The addresses that are assigned, lowest first, with what is noted about each.
    pub fn assigned(&self) -> impl Iterator<Item = (Ip, &Attribute)> {
        self.allocations.iter().enumerate().filter_map(|(ordinal, index)| {
            let attribute = self.attributes.get((*index)?)?;
            Some((self.address(ordinal), attribute))
        })
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
        self.assigned().filter(|(_, attribute)| attribute.is_of(handle)).count()
    }

    /// Whether a host may assign from this block as from its own, which is asked before any other block is.
    ///
    /// # Errors
    /// [`AssignError::Foreign`].
    pub fn check_owner(&self, host: &str) -> Result<(), AssignError> {
        if self.is_owned_by(host) {
            return Ok(());
        }
        Err(AssignError::Foreign { owner: self.affinity.clone().unwrap_or_default(), host: host.to_owned() })
    }

    /// Whether a host may borrow or name an address of this block: always, unless it serves its owner only.
    ///
    /// # Errors
    /// [`AssignError::Strict`].
    pub fn check_strict(&self, host: &str) -> Result<(), AssignError> {
        match self.strict_affinity && self.affinity.is_some() && !self.is_owned_by(host) {
            true => Err(AssignError::Strict),
            false => Ok(()),
        }
    }

    /// True when the host owns the block.
    #[must_use]
    pub fn is_owned_by(&self, host: &str) -> bool {
        self.host() == Some(host)
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
        let held: Vec<Ip> = self.held(handle, |_| true);
        self.release(&held);
        held
    }

    /// The addresses of a handle whose attribute is wanted, lowest first.
    pub fn held(&self, handle: &str, wanted: impl Fn(&Attribute) -> bool) -> Vec<Ip> {
        let of = |attribute: &Attribute| attribute.is_of(handle) && wanted(attribute);
        self.assigned().filter(|(_, attribute)| of(attribute)).map(|(ip, _)| ip).collect()
    }

    fn attribute_index(&mut self, attribute: &Attribute) -> usize {
        self.unused = false;
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
        address(self.cidr.version(), number(self.cidr.address()) + ordinal as u128)
    }
}

fn size(cidr: Cidr) -> Result<usize, BlockError> {
    if cidr.host_bits() > LARGEST {
        return Err(BlockError(format!("{cidr} is too large for a block")));
    }
    Ok(1 << cidr.host_bits())
}

/// An address as a number.
pub(crate) fn number(ip: Ip) -> u128 {
    match ip.get() {
        std::net::IpAddr::V4(ip) => u128::from(u32::from(ip)),
        std::net::IpAddr::V6(ip) => u128::from(ip),
    }
}

/// The address of that number; the highest of the version when it has none so high.
pub(crate) fn address(version: IpVersion, number: u128) -> Ip {
    match version {
        IpVersion::V4 => Ip::from(std::net::Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpVersion::V6 => Ip::from(std::net::Ipv6Addr::from(number)),
    }
}

// === impl Attribute ===

impl Attribute {
    /// An attribute of a handle with notes.
    #[must_use]
    pub fn new(handle: Option<String>, secondary: Option<BTreeMap<String, String>>) -> Self {
        Self { handle, secondary, other: Map::new() }
    }

    /// True when the handle holds the address.
    ///
    /// A migration of v3 wrote `\r\n` and the interface behind some ids: what comes behind `\r` is no part of them.
    #[must_use]
    pub fn is_of(&self, handle: &str) -> bool {
        self.handle.as_deref().and_then(|id| id.split('\r').next()) == Some(handle)
    }

    /// One of the notes.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<&str> {
        self.secondary.as_ref()?.get(name).map(String::as_str)
    }

    fn decode(json: &Json) -> Result<Self, BlockError> {
        let Json::Object(object) = json else {
            return Err(BlockError("attributes hold no object".to_owned()));
        };
        let mut other = object.clone();
        let handle = text_of(object, "handle_id")?.map(str::to_owned);
        other.shift_remove("handle_id");
        let secondary = match other.shift_remove("secondary") {
            None | Some(Json::Null) => None,
            Some(Json::Object(notes)) => {
                Some(notes.into_iter().map(|(name, note)| (name, note_text(note))).collect())
            }
            Some(_) => return Err(wrong("secondary")),
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

/// A note's text. Only texts are ever noted; Go reads null as an empty one.
fn note_text(note: Json) -> String {
    match note {
        Json::String(text) => text,
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

fn wrong(what: &str) -> BlockError {
    BlockError(format!("{what} is missing or not of its type"))
}

/// A member that is a text; none when it is absent or null.
fn text_of<'a>(object: &'a Map<String, Json>, name: &str) -> Result<Option<&'a str>, BlockError> {
    match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(member) => member.as_str().map(Some).ok_or_else(|| wrong(name)),
    }
}

/// A member that is true or false; none when it is absent or null.
fn flag_of(object: &Map<String, Json>, name: &str) -> Result<Option<bool>, BlockError> {
    match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(member) => member.as_bool().map(Some).ok_or_else(|| wrong(name)),
    }
}

/// A member that is an array; none when it is absent or null.
fn array_of<'a>(object: &'a Map<String, Json>, name: &str) -> Result<Option<&'a [Json]>, BlockError> {
    match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(member) => member.as_array().map(|items| Some(items.as_slice())).ok_or_else(|| wrong(name)),
    }
}

/// Compact JSON as Go 1.8 writes it: `<`, `>`, `&` and two separators are escaped, and only `\n`, `\r` and `\t` have
/// escapes of one letter.
pub(crate) fn go_json(json: &Json) -> String {
    let text = json.to_string();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            // A backslash begins an escape, whose letter is never looked at again.
            '\\' => match rest.next() {
                Some('b') => out.push_str("\\u0008"),
                Some('f') => out.push_str("\\u000c"),
                escaped => out.extend(['\\'].into_iter().chain(escaped)),
            },
            c => out.push(c),
        }
    }
    out
}
