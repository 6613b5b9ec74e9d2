//! The protocol between handles and blocks, by which no handle ever loses an address (`spec/ipam.md` 7.2).
//!
//! A handle says which blocks hold addresses of one owner; releasing follows it, so an address that its handle does
//! not name is lost. Counting up and down, as upstream does, loses increments when two processes meet, and counts
//! before it knows. Here the number is read from the block, and revisions, which grow with every write of the store,
//! say what may be believed:
//!
//! - an address is written into a block that was read at revision *b* only when its handle names the block in a record
//!   of a revision above *b*;
//! - an entry of a handle that was read at revision *h* is lowered or removed, by compare-and-swap, only by the content
//!   that a block got at a revision above *h*, or by a block that was absent or full after the handle was read.
//!
//! Whoever lowers at *h* knows the block at *b* > *h*. Whoever assigns later compares with *b* or something newer, so
//! it needs a handle of a revision above *b*, hence above *h*: it writes the handle after it was read at *h*, and either
//! the lowering fails or the entry is put back. Where the block is older than the handle, it is written again as it is,
//! which makes those fail that still hold on to its old revision. A crash between the two writes leaves an entry that
//! names no address: it harms nobody and goes with the next release or `check`.

use margay_model::Key;
use margay_net::Cidr;
use margay_store::datastore::{self, Datastore, Record};
use margay_store::kv::{Precondition, Revision, check_key};

use crate::handle::{Handle, HandleError};
use crate::retry::Retry;
use crate::stored::{self, Held, Written, unless_raced};
use crate::{Error, Result};

/// A handle as one operation knows it: what it read or wrote last, to be compared before it is believed.
#[derive(Debug)]
pub(crate) struct Keeper {
    id: String,
    known: Option<(Handle, Revision)>,
}

/// What is known of a block when a handle is to follow it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen {
    /// Nothing: it is read.
    Nothing,
    /// It holds so many addresses of the handle since this revision.
    Count(usize, Revision),
    /// It cannot be understood: nobody assigns from it, and what it holds is not known.
    Unreadable,
}

// === impl Keeper ===

impl Keeper {
    /// A handle of which nothing is known yet. None for an id under which nothing can stand.
    pub(crate) fn new(id: &str) -> Option<Self> {
        let sound = !id.contains('/') && check_key(&Key::IpamHandle { id: id.to_owned() }.path()).is_ok();
        sound.then(|| Self { id: id.to_owned(), known: None })
    }

    /// Reads the handle; none when there is none.
    pub(crate) async fn read<D: Datastore>(&mut self, store: &D) -> Result<Option<&Handle>> {
        self.known = match store.get_record(&self.key()).await? {
            Some(record) => Some((self.decode(&record)?, record.revision)),
            None => None,
        };
        Ok(self.known.as_ref().map(|(handle, _)| handle))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The write that makes a handle of which nothing is known name a block, for a store that commits it together with
    /// the block's: nothing can come between the two, and the handle's revision is above the one the block was read at.
    pub(crate) fn first_hold(&self, block: Cidr, count: usize) -> Option<(Key, String, Precondition)> {
        if self.known.is_some() {
            return None;
        }
        let mut handle = Handle::default();
        handle.set(block, count);
        Some((self.key(), handle.encode(), Precondition::Absent))
    }

    /// Before addresses are written into a block read at `above`: makes the handle name it, with at least `count`.
    /// Returns the revision at which it does.
    pub(crate) async fn hold<D: Datastore>(
        &mut self,
        store: &D,
        block: Cidr,
        count: usize,
        above: Option<Revision>,
    ) -> Result<Revision> {
        let key = self.key();
        let mut retry = Retry::of(&[&self.id, "hold"]);
        let mut existed = false;
        loop {
            let (mut handle, when) = match self.known.take() {
                Some((handle, revision)) => {
                    if handle.count(block) >= count && above.is_none_or(|above| revision > above) {
                        self.known = Some((handle, revision));
                        return Ok(revision);
                    }
                    (handle, Precondition::Revision(revision))
                }
                // Nearly always the handle is new: reading it first would be a round trip for nothing.
                None => (Handle::default(), Precondition::Absent),
            };
            if handle.count(block) < count {
                handle.set(block, count);
            }
            match store.put_record(&key, &handle.encode(), when).await {
                Ok(revision) => {
                    self.known = Some((handle, revision));
                    return Ok(revision);
                }
                // Another address of the same owner: read it and go on.
                Err(datastore::Error::AlreadyExists { .. }) if !existed => existed = true,
                Err(error) => {
                    unless_raced(Err(error))?;
                    retry.wait(&key).await?;
                }
            }
            self.read(store).await?;
        }
    }

    /// After addresses of a block were released, or were not assigned after all: makes the handle say what the block
    /// does. A handle that names no block any more is removed; a missing one has nothing to say.
    pub(crate) async fn settle<D: Datastore>(&mut self, store: &D, block: Cidr, seen: Seen) -> Result<()> {
        let key = self.key();
        let mut retry = Retry::of(&[&self.id, "settle"]);
        let mut seen = seen;
        // What was read before the block was written is good enough: nobody needs to read it again.
        if self.known.is_none() {
            // COMPAT(ipam-handles): a missing handle is no fault; upstream ends the process here.
            self.read(store).await?;
        }
        loop {
            let Some((mut handle, revision)) = self.known.take() else { return Ok(()) };
            if !handle.names(block) {
                self.known = Some((handle, revision));
                return Ok(());
            }
            let count = match seen {
                Seen::Count(count, at) if at > revision => Some(count),
                Seen::Unreadable => Some(0),
                Seen::Count(..) | Seen::Nothing => self.count(store, block, &handle, revision).await?,
            };
            if let Some(count) = count {
                // COMPAT(ipam-handle-counts): counted anew: upstream takes 1 off, however many were released.
                if !handle.set(block, count) {
                    self.known = Some((handle, revision));
                    return Ok(());
                }
                if self.put(store, &key, handle, revision).await? {
                    return Ok(());
                }
            }
            retry.wait(&key).await?;
            seen = Seen::Nothing;
            self.read(store).await?;
        }
    }

    /// Removes a handle that was read and names nothing.
    pub(crate) async fn remove_empty<D: Datastore>(&mut self, store: &D) -> Result<()> {
        if let Some((handle, revision)) = self.known.take_if(|(handle, _)| handle.is_empty()) {
            let key = self.key();
            self.put(store, &key, handle, revision).await?;
        }
        Ok(())
    }

    /// After addresses were written into a block at `written`: takes back what the handle counts too many, if it does.
    pub(crate) async fn correct<D: Datastore>(
        &mut self,
        store: &D,
        block: Cidr,
        count: usize,
        written: Revision,
    ) -> Result<()> {
        match &self.known {
            Some((handle, _)) if handle.count(block) > count => {
                self.settle(store, block, Seen::Count(count, written)).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How many addresses of the handle, read at `revision`, the block holds, in a way that may be believed; none when
    /// others wrote the block meanwhile.
    async fn count<D: Datastore>(
        &self,
        store: &D,
        cidr: Cidr,
        handle: &Handle,
        revision: Revision,
    ) -> Result<Option<usize>> {
        let Some(held) = stored::block(store, cidr).await? else { return Ok(Some(0)) };
        let count = held.block.held_by(&self.id);
        let may_lower = held.revision > revision || held.block.free() == 0;
        if may_lower || count >= handle.count(cidr) {
            return Ok(Some(count));
        }
        Ok(fence(store, &held).await?.then_some(count))
    }

    async fn put<D: Datastore>(
        &mut self,
        store: &D,
        key: &Key,
        handle: Handle,
        revision: Revision,
    ) -> Result<bool> {
        let seen = Precondition::Revision(revision);
        if handle.is_empty() {
            return unless_raced(store.delete_record(key, seen).await);
        }
        match store.put_record(key, &handle.encode(), seen).await {
            Ok(revision) => {
                self.known = Some((handle, revision));
                Ok(true)
            }
            Err(error) => unless_raced(Err(error)),
        }
    }

    fn key(&self) -> Key {
        Key::IpamHandle { id: self.id.clone() }
    }

    fn decode(&self, record: &Record) -> Result<Handle> {
        let bad =
            |error: HandleError| Error::BadRecord { key: self.key().to_string(), reason: error.to_string() };
        Handle::decode(&record.value).map_err(bad)
    }
}

/// Writes a block again as it is, so that writes which compare with its old revision fail. False when others wrote it.
async fn fence<D: Datastore>(store: &D, held: &Held) -> Result<bool> {
    Ok(held.replace(store, &held.block).await? != Written::Raced)
}
