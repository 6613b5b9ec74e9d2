//! What other programs change in a table, as the kernel tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::read::{ChainMessage, ElementsMessage, RuleMessage, SetMessage, TableMessage};
use super::wire::{self, msg};
use super::{Family, Name, TableId};
use crate::netlink::{Message, Messages, Protocol, Socket, SocketError, be32, text};

/// How much may wait unread.
const RECEIVE: usize = 2 * 1024 * 1024;

/// A change that another program made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The tables are of that generation since.
    pub generation: u32,
    /// The name of the program.
    pub program: String,
    /// The table.
    pub table: TableId,
    /// What of it.
    pub touched: BTreeSet<Touched>,
}

/// What of a table was changed, made or deleted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touched {
    /// The table itself.
    Table,
    /// That chain.
    Chain(Name),
    /// Rules of that chain.
    Rules(Name),
    /// That set.
    Set(Name),
    /// Elements of that set.
    Elements(Name),
}

/// What came of waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Another program changed tables.
    Changed(Vec<Foreign>),
    /// Notifications were lost: everything must be looked at.
    Overrun,
}

/// Tells what others change; blind to the changes of one socket, ours.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    ours: u32,
    /// What was told of the generation that is not complete yet.
    pending: BTreeMap<TableId, BTreeSet<Touched>>,
}

// === impl Monitor ===

impl Monitor {
    /// Listens in this thread's network namespace; `ours` is the port of the socket whose changes do not count
    /// ([`super::Nft::port`]).
    ///
    /// # Errors
    ///
    /// When there is no such socket.
    pub fn open(ours: u32) -> Result<Self, SocketError> {
        let socket = Socket::open(Protocol::Netfilter, Duration::from_secs(1))?;
        socket.reserve_receive(RECEIVE);
        socket.join(wire::GROUP)?;
        Ok(Self { socket, ours, pending: BTreeMap::new() })
    }

    /// All that waits; never blocks. Wait for the file to become readable.
    ///
    /// # Errors
    ///
    /// When the socket is broken.
    pub fn read(&mut self) -> Result<Option<Notice>, SocketError> {
        let mut changed = Vec::new();
        loop {
            match self.socket.try_receive() {
                Ok(Some(bytes)) => {
                    for message in Messages(bytes) {
                        take(&mut self.pending, self.ours, &message, &mut changed);
                    }
                }
                Ok(None) if changed.is_empty() => return Ok(None),
                Ok(None) => return Ok(Some(Notice::Changed(changed))),
                Err(SocketError::Overrun) => {
                    self.socket.drain();
                    self.pending.clear();
                    return Ok(Some(Notice::Overrun));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// === helpers ===

/// Reads bytes as notifications.
pub(super) fn read_anything(bytes: &[u8]) {
    let (mut pending, mut changed) = (BTreeMap::new(), Vec::new());
    for message in Messages(bytes) {
        take(&mut pending, 0, &message, &mut changed);
    }
}

/// One notification; the one about a new generation closes what was told before it.
fn take(
    pending: &mut BTreeMap<TableId, BTreeSet<Touched>>,
    ours: u32,
    message: &Message<'_>,
    changed: &mut Vec<Foreign>,
) {
    let [subsystem, kind] = message.kind.to_be_bytes();
    if subsystem != wire::SUBSYSTEM || message.port == ours {
        return;
    }
    if kind == msg::NEW_GENERATION {
        let (mut generation, mut program) = (0, "");
        for (kind, value) in message.attributes(wire::GENMSG) {
            match kind {
                1 => generation = be32(value).unwrap_or(0),
                3 => program = text(value).unwrap_or("?"),
                _ => {}
            }
        }
        changed.extend(std::mem::take(pending).into_iter().map(|(table, touched)| Foreign {
            generation,
            program: program.to_owned(),
            table,
            touched,
        }));
        return;
    }
    let family = message.body.first().and_then(|number| Family::from_number(*number));
    if let Some(family) = family
        && let Some((Some(name), touched)) = touched(kind, message)
    {
        pending.entry(TableId { family, name }).or_default().insert(touched);
    }
}

/// The table that a notification is about, and what of it.
fn touched(kind: u8, message: &Message<'_>) -> Option<(Option<Name>, Touched)> {
    Some(match kind {
        msg::NEW_TABLE | msg::DEL_TABLE => (TableMessage::read(message).name, Touched::Table),
        msg::NEW_CHAIN | msg::DEL_CHAIN => {
            let chain = ChainMessage::read(message);
            (chain.table, Touched::Chain(chain.name?))
        }
        msg::NEW_RULE | msg::DEL_RULE => {
            let rule = RuleMessage::read(message);
            (rule.table, Touched::Rules(rule.chain?))
        }
        msg::NEW_SET | msg::DEL_SET => {
            let set = SetMessage::read(message);
            (set.table, Touched::Set(set.name?))
        }
        msg::NEW_ELEMENT | msg::DEL_ELEMENT => {
            let elements = ElementsMessage::read(message);
            (elements.table, Touched::Elements(elements.set?))
        }
        _ => return None,
    })
}
