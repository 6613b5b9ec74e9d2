//! Blocks as they stand in the datastore, and the writes that compare before they write.

use margay_model::Key;
use margay_net::Cidr;
use margay_store::datastore::{self, Datastore, Record};
use margay_store::kv::{Precondition, Revision};

use crate::block::Block;
use crate::{Error, Result};

/// A block and the write that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) block: Block,
    pub(crate) revision: Revision,
}

/// What a write of a block came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It stands there now, with this revision.
    At(Revision),
    /// It was empty and nobody's, and is gone.
    Removed,
    /// Others had written it.
    Raced,
}

// === impl Held ===

impl Held {
    pub(crate) fn read(record: &Record) -> Result<Self> {
        Ok(Self { block: read(record)?, revision: record.revision })
    }

    pub(crate) fn key(&self) -> Key {
        Key::IpamBlock { cidr: self.block.cidr() }
    }

    /// Writes `block` over the one that was read; one that is empty and nobody's is removed.
    pub(crate) async fn replace<D: Datastore>(&self, store: &D, block: &Block) -> Result<Written> {
        let seen = Precondition::Revision(self.revision);
        if block.is_empty() && block.affinity().is_none() {
            let gone = unless_raced(store.delete_record(&self.key(), seen).await)?;
            return Ok(if gone { Written::Removed } else { Written::Raced });
        }
        match store.put_record(&self.key(), &block.encode(), seen).await {
            Ok(revision) => Ok(Written::At(revision)),
            Err(datastore::Error::Conflict { .. } | datastore::Error::DoesNotExist { .. }) => {
                Ok(Written::Raced)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads the block with this range; none when there is none.
pub(crate) async fn block<D: Datastore>(store: &D, cidr: Cidr) -> Result<Option<Held>> {
    let record = store.get_record(&Key::IpamBlock { cidr }).await?;
    record.as_ref().map(Held::read).transpose()
}

/// Reads a stored block.
pub(crate) fn read(record: &Record) -> Result<Block> {
    let bad = |reason: String| Error::BadRecord { key: record.key.to_string(), reason };
    let block = Block::decode(&record.value).map_err(|error| bad(error.to_string()))?;
    match &record.key {
        Key::IpamBlock { cidr } if cidr.masked() != block.cidr() => {
            Err(bad(format!("it holds the block {}", block.cidr())))
        }
        _ => Ok(block),
    }
}

/// True when a write was done, false when others had written before.
pub(crate) fn unless_raced(outcome: datastore::Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(
            datastore::Error::Conflict { .. }
            | datastore::Error::DoesNotExist { .. }
            | datastore::Error::AlreadyExists { .. },
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
