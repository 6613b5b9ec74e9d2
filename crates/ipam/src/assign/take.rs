//! Taking addresses out of one block: the handle first, then the block by compare-and-swap, until one of them wins.

use margay_net::Ip;
use margay_store::datastore::{self, Datastore};
use margay_store::kv::Precondition;

use super::{AssignFailure, Owner, TIMESTAMP};
use crate::block::{self, Attribute, Block};
use crate::hold::{Keeper, Seen};
use crate::retry::Retry;
use crate::stored::{self, Held, unless_raced};
use crate::{Error, Result};

/// How often a block is read again when a write's answer got lost, before the request gives up.
const LOST: u32 = 5;

/// How a host may take from a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// As its owner.
    Own,
    /// As anybody, unless it serves its owner only.
    Borrow,
}

/// Takes addresses for one owner.
pub(super) struct Taker<'a, D> {
    pub(super) store: &'a D,
    host: &'a str,
    attribute: Attribute,
    /// True when nobody else's attribute can be the same.
    unique: bool,
    keeper: Option<Keeper>,
    pub(super) conflicts: u32,
}

/// One attempt: the block with the addresses taken.
struct Attempt {
    block: Block,
    addresses: Vec<Ip>,
}

// === impl Taker ===

impl<'a, D: Datastore> Taker<'a, D> {
    pub(super) fn new(store: &'a D, host: &'a str, owner: &Owner) -> Result<Self, AssignFailure> {
        let unique = owner.notes.as_ref().is_some_and(|notes| notes.contains_key(TIMESTAMP));
        let keeper = owner.keeper()?;
        Ok(Self { store, host, attribute: owner.attribute(), unique, keeper, conflicts: 0 })
    }

    /// Reads a block, and meanwhile makes the handle name it: right when, as nearly always, the block has room.
    pub(super) async fn read_ahead(&mut self, cidr: margay_net::Cidr) -> Result<Option<Held>> {
        let read = stored::block(self.store, cidr);
        let Some(keeper) = &mut self.keeper else { return read.await };
        if self.store.batches() {
            return read.await;
        }
        let (held, kept) = tokio::join!(read, keeper.hold(self.store, cidr, 1, None));
        kept?;
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                if matches!(error, Error::BadRecord { .. }) {
                    keeper.settle(self.store, cidr, Seen::Unreadable).await?;
                }
                return Err(error);
            }
        };
        if held.as_ref().is_none_or(|held| held.block.free() == 0 || !held.block.is_owned_by(self.host)) {
            keeper.settle(self.store, cidr, Seen::Nothing).await?;
        }
        Ok(held)
    }

    /// Takes up to `count` addresses, those that have been free the longest; none when the host may not or there are
    /// none.
    pub(super) async fn take(&mut self, held: Held, count: usize, right: Right) -> Result<Vec<Ip>> {
        let host = self.host;
        let pick = |block: &Block, attribute: &Attribute| {
            let allowed = match right {
                Right::Own => block.check_owner(host),
                Right::Borrow => block.check_strict(host),
            };
            let mut block = block.clone();
            let addresses = if allowed.is_ok() { block.auto_assign(count, attribute) } else { Vec::new() };
            Ok((!addresses.is_empty()).then_some(Attempt { block, addresses }))
        };
        match self.swap(held, pick).await {
            Ok(addresses) => Ok(addresses.unwrap_or_default()),
            Err(AssignFailure::Ipam(error)) => Err(error),
            // Only an address in particular is refused.
            Err(_) => Ok(Vec::new()),
        }
    }

    /// Takes one address in particular; false when its block is gone.
    pub(super) async fn take_one(&mut self, held: Held, ip: Ip) -> Result<bool, AssignFailure> {
        let host = self.host;
        let pick = |block: &Block, attribute: &Attribute| {
            block.check_strict(host)?;
            let mut block = block.clone();
            block.assign(ip, attribute)?;
            Ok(Some(Attempt { block, addresses: vec![ip] }))
        };
        Ok(self.swap(held, pick).await?.is_some())
    }

    /// Writes what `pick` makes of the block, again and again until nobody was faster. None when `pick` wants nothing
    /// of it, or it is gone.
    async fn swap(
        &mut self,
        mut held: Held,
        pick: impl Fn(&Block, &Attribute) -> Result<Option<Attempt>, block::AssignError>,
    ) -> Result<Option<Vec<Ip>>, AssignFailure> {
        let key = held.key();
        let mut retry = Retry::of(&[self.host, self.keeper.as_ref().map_or("", Keeper::id)]);
        let mut kept = false;
        let mut lost = 0;
        loop {
            let attempt = match pick(&held.block, &self.attribute) {
                Ok(Some(attempt)) => attempt,
                refused => {
                    if kept {
                        self.settle(&held).await?;
                    }
                    refused?;
                    return Ok(None);
                }
            };
            kept |= self.keeper.is_some();
            match self.write(&held, &attempt).await {
                Ok(true) => return Ok(Some(attempt.addresses)),
                Ok(false) => self.conflicts += 1,
                // The answer is lost, the write perhaps not.
                Err(Error::Store(datastore::Error::Unavailable { .. })) if self.unique && lost < LOST => {
                    lost += 1
                }
                Err(error) => return Err(error.into()),
            }
            retry.wait(&key).await?;
            let Some(now) = self.read_again(&held, &mut retry, &mut lost).await? else {
                if kept {
                    self.settle(&held).await?;
                }
                return Ok(None);
            };
            if self.is_ours(&now.block, &attempt) {
                return Ok(Some(attempt.addresses));
            }
            held = now;
        }
    }

    /// Makes the handle name the block and writes the block; false when others wrote it before.
    async fn write(&mut self, held: &Held, attempt: &Attempt) -> Result<bool> {
        let (cidr, seen) = (attempt.block.cidr(), Precondition::Revision(held.revision));
        let Some(keeper) = &mut self.keeper else {
            let outcome = self.store.put_record(&held.key(), &attempt.block.encode(), seen).await;
            return unless_raced(outcome.map(|_| ()));
        };
        let count = attempt.block.held_by(keeper.id());
        let first = if self.store.batches() { keeper.first_hold(cidr, count) } else { None };
        if let Some(first) = first {
            let both = [first, (held.key(), attempt.block.encode(), seen)];
            match self.store.put_records(&both).await {
                (_, Ok(())) => return Ok(true),
                (0, Err(datastore::Error::AlreadyExists { .. })) => drop(keeper.read(self.store).await?),
                (_, Err(error)) => {
                    // What was written of it is read again before it counts.
                    unless_raced(Err(error))?;
                    keeper.read(self.store).await?;
                    return Ok(false);
                }
            }
        }
        keeper.hold(self.store, cidr, count, Some(held.revision)).await?;
        match self.store.put_record(&held.key(), &attempt.block.encode(), seen).await {
            Ok(revision) => {
                // A release in between may have left the handle counting too many. The addresses are assigned,
                // whatever becomes of this.
                let _ = keeper.correct(self.store, cidr, count, revision).await;
                Ok(true)
            }
            Err(error) => unless_raced(Err(error)),
        }
    }

    /// Reads the block again, more than once where answers get lost.
    async fn read_again(&self, held: &Held, retry: &mut Retry, lost: &mut u32) -> Result<Option<Held>> {
        loop {
            match stored::block(self.store, held.block.cidr()).await {
                Err(Error::Store(datastore::Error::Unavailable { .. })) if self.unique && *lost < LOST => {
                    *lost += 1;
                    retry.wait(&held.key()).await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// True when the attempt was written after all: addresses that were free carry an attribute that only it has.
    // COMPAT(ipam-lost-answer): upstream takes a lost answer for a failure and assigns a second address.
    fn is_ours(&self, now: &Block, attempt: &Attempt) -> bool {
        self.unique && attempt.addresses.iter().all(|ip| now.attribute(*ip) == Some(&self.attribute))
    }

    /// Nothing of the block was taken after all: the handle is not to name it for our sake.
    async fn settle(&mut self, held: &Held) -> Result<()> {
        match &mut self.keeper {
            Some(keeper) => keeper.settle(self.store, held.block.cidr(), Seen::Nothing).await,
            None => Ok(()),
        }
    }
}
