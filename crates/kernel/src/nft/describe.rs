//! What a message of a batch asks for, in words for people.

use super::wire::{self, msg};
use crate::netlink::{Messages, text};

/// The message at the beginning of those bytes, in words.
pub(crate) fn message(bytes: &[u8]) -> String {
    let Some(message) = Messages(bytes).next() else { return "a message that makes no sense".to_owned() };
    let [subsystem, kind] = message.kind.to_be_bytes();
    if subsystem != wire::SUBSYSTEM {
        return "a message that is not about nftables".to_owned();
    }
    // Every kind names its table first, and second or third what it is about.
    let (verb, thing, attribute) = match kind {
        msg::NEW_TABLE => ("adding", "table", wire::table::NAME),
        msg::DEL_TABLE | msg::DESTROY_TABLE => ("deleting", "table", wire::table::NAME),
        msg::NEW_CHAIN => ("adding", "chain", wire::chain::NAME),
        msg::DEL_CHAIN | msg::DESTROY_CHAIN => ("deleting", "chain", wire::chain::NAME),
        msg::NEW_RULE => ("adding a rule to", "chain", wire::rule::CHAIN),
        msg::DEL_RULE => ("deleting rules of", "chain", wire::rule::CHAIN),
        msg::NEW_SET => ("adding", "set", wire::set::NAME),
        msg::DEL_SET | msg::DESTROY_SET => ("deleting", "set", wire::set::NAME),
        msg::NEW_ELEMENT => ("adding elements to", "set", wire::element::SET),
        msg::DEL_ELEMENT | msg::DESTROY_ELEMENT => ("deleting elements of", "set", wire::element::SET),
        _ => return format!("message {kind} of nftables"),
    };
    let name = message
        .attributes(wire::GENMSG)
        .find(|(kind, _)| *kind == attribute)
        .and_then(|(_, value)| text(value))
        .unwrap_or("?");
    format!("{verb} {thing} {name}")
}

/// Whether the message is about rules or elements, whose verdicts can send packets elsewhere.
pub(crate) fn sends_packets(bytes: &[u8]) -> bool {
    let kind = Messages(bytes).next().map(|message| message.kind.to_be_bytes());
    kind == Some([wire::SUBSYSTEM, msg::NEW_RULE]) || kind == Some([wire::SUBSYSTEM, msg::NEW_ELEMENT])
}
