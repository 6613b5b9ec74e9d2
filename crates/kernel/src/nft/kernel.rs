//! The kernel's nftables, of the network namespace in which [`Nft`] was opened.

use std::time::Duration;

use rustix::io::Errno;

use super::wire::{self, msg};
use super::{
    Batch, CommitError, Dump, DumpError, Element, Features, Field, Name, Nftables, Set, Table, TableId,
};
use super::{Chain, ChainKind, Detail, Fields, Hook, Op, Rule, Statement, Value};
use crate::netlink::{Buffer, ERROR, Messages, Protocol, REQUEST, Socket, SocketError, be32};

/// How much unread answer there may be: an error for each of some ten thousand messages.
const RECEIVE: usize = 4 * 1024 * 1024;

/// The kernel's nftables.
#[derive(Debug)]
pub struct Nft {
    pub(super) socket: Socket,
    features: Features,
    pub(super) request: Buffer,
    pub(super) sequence: u32,
    /// An answer may still come to a request that was given up.
    stale: bool,
}

// === impl Nft ===

impl Nft {
    /// Opens the tables of this thread's network namespace and asks what the kernel can do.
    ///
    /// `timeout` bounds the wait for every answer.
    pub fn open(timeout: Duration) -> Result<Self, SocketError> {
        let socket = Socket::open(Protocol::Netfilter, timeout)?;
        socket.reserve_receive(RECEIVE);
        let features = Features::oldest();
        let mut nft = Self { socket, features, request: Buffer::default(), sequence: 0, stale: false };
        nft.features = nft.probe()?;
        Ok(nft)
    }

    /// The number by which notifications name the changes of this one.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Sends a batch and reads what the kernel says.
    ///
    /// The kernel works inside of the `send`, so all answers wait when it returns: an error for each refused message,
    /// and an acknowledgement of the last.
    fn transact(&mut self, batch: &mut Batch, expected: Option<u32>) -> Result<(), CommitError> {
        if batch.is_empty() {
            return Ok(());
        }
        let bytes = batch.byte_len();
        let fail = |source| CommitError::Socket { bytes, source };
        if std::mem::take(&mut self.stale) {
            self.socket.drain();
        }
        self.socket.reserve_send(bytes + 1024);
        let socket = &self.socket;
        batch.closed(expected, |bytes| socket.send(bytes)).map_err(fail)?;
        self.stale = true;
        let mut refusals = Vec::new();
        let last = batch.last_sequence();
        let mut done = false;
        while !done {
            let answer = self.socket.receive().map_err(fail)?;
            for message in Messages(answer) {
                let Some(ack) = (message.kind == ERROR).then(|| message.ack()).flatten() else { continue };
                // The beginning stands for the whole: it was refused at once, or the commit failed in the end.
                done |= ack.sequence == last || ack.sequence == 0;
                if ack.errno == libc::ERESTART && ack.sequence == 0 {
                    return Err(CommitError::Stale);
                }
                if ack.errno != 0 {
                    let errno = Errno::from_raw_os_error(ack.errno);
                    refusals.push((ack.sequence, errno, ack.text.map(str::to_owned)));
                }
            }
        }
        self.stale = !refusals.is_empty();
        if refusals.is_empty() {
            return Ok(());
        }
        let told = refusals.iter().map(|(sequence, errno, text)| (*sequence, *errno, text.as_deref()));
        Err(CommitError::refused(batch, told))
    }

    /// Asks what the kernel can do, by a batch that ends with something impossible: nothing of it is ever done.
    fn probe(&mut self) -> Result<Features, SocketError> {
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let id = TableId::inet(name("margay-probe"));
        let all = Features::all();
        let mut batch = Batch::new(id.clone(), all);
        let mut number = 0;
        let mut own = |batch: &mut Batch| {
            number += 1;
            batch.set_owner(super::Owner(number));
            number
        };
        batch.set_owner(super::Owner(0));
        batch.add_table(&Table::new(id));
        let destroy = own(&mut batch);
        batch.destroy_chain(&Chain::regular(name("nothing")));
        let ranges = own(&mut batch);
        batch.add_set(&Set::of_ranges(name("s"), Fields::new([Field::IfName, Field::Ipv4Addr])));
        let nat = own(&mut batch);
        batch.add_chain(&Chain::base(name("n"), ChainKind::Nat, Hook::Prerouting, -100));
        let fib = own(&mut batch);
        batch.add_chain(&Chain::regular(name("c")));
        let kind = Statement::AddressKind(super::Direction::Destination, Op::Eq, super::AddressKind::Local);
        let version =
            Statement::Compare(super::Load::NfProto, Op::Eq, Value::NfProto(margay_net::IpVersion::V4));
        batch.add_rule(&name("c"), &Rule::new(vec![version, kind]).expect("a rule"));
        let persist = own(&mut batch);
        batch.set_table(TableId::inet(name("margay-probe-owned")));
        let owned = TableId::inet(name("margay-probe-owned"));
        batch.add_table(&Table { id: owned, comment: None, owned: true });
        batch.set_owner(super::Owner(0));
        batch.delete_chain(&name("impossible"));
        match self.transact(&mut batch, None) {
            Err(CommitError::Refused(refusals)) => {
                if let Some(whole) = refusals.iter().find(|refusal| refusal.owner.is_none()) {
                    return Err(SocketError::Refused(whole.errno));
                }
                let refused = CommitError::Refused(refusals).owners();
                let can = |number| !refused.contains(&super::Owner(number));
                Ok(Features {
                    destroy: can(destroy),
                    concatenated_ranges: can(ranges),
                    persist: can(persist),
                    inet_nat: can(nat),
                    fib: can(fib),
                })
            }
            Err(CommitError::Socket { source, .. }) => Err(source),
            Ok(()) | Err(CommitError::Stale) => Err(SocketError::Nonsense),
        }
    }

    /// The number of the last change of any table.
    pub(super) fn generation_now(&mut self) -> Result<u32, DumpError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.request.clear();
        let kind = u16::from_be_bytes([wire::SUBSYSTEM, msg::GET_GENERATION]);
        let open = self.request.message(kind, REQUEST, self.sequence);
        self.request.raw(&[0; wire::GENMSG]);
        self.request.end_message(open);
        self.clean();
        self.socket.send(self.request.bytes())?;
        self.stale = true;
        let message = self.socket.receive()?;
        let message = Messages(message).next().ok_or(SocketError::Nonsense)?;
        if message.kind == ERROR {
            let errno = message.ack().ok_or(SocketError::Nonsense)?.errno;
            return Err(DumpError::Refused(Errno::from_raw_os_error(errno)));
        }
        let generation = message.attributes(wire::GENMSG).find(|(kind, _)| *kind == 1);
        let generation = generation.and_then(|(_, value)| be32(value)).ok_or(SocketError::Nonsense)?;
        self.stale = false;
        Ok(generation)
    }

    /// Throws away answers to requests that were given up.
    pub(super) fn clean(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.socket.drain();
        }
    }

    /// Says that answers may still come.
    pub(super) fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
    }
}

impl Nftables for Nft {
    fn features(&self) -> Features {
        self.features
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), CommitError> {
        self.transact(batch, None)
    }

    fn commit_at(&mut self, batch: &mut Batch, generation: u32) -> Result<(), CommitError> {
        self.transact(batch, Some(generation))
    }

    fn generation(&mut self) -> Result<u32, DumpError> {
        self.generation_now()
    }

    fn dump(&mut self, table: &TableId, detail: Detail) -> Result<Dump, DumpError> {
        self.dump_table(table, detail)
    }

    fn elements(&mut self, table: &TableId, set: &Name) -> Result<Option<Vec<Element>>, DumpError> {
        self.elements_of_set(table, set)
    }
}
