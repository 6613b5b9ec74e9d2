//! Where the addresses of one version come from: the host's blocks, a new one, those of others.

use std::collections::BTreeSet;

use margay_model::Key;
use margay_net::{Cidr, Ip, IpVersion};
use margay_store::datastore::{Datastore, Record, RecordSet};
use margay_store::kv::{Precondition, Revision};

use super::take::{Right, Taker};
use super::{AssignFailure, View};
use crate::claim::{Claimed, affinity, claim, heal};
use crate::config::{self, IpamConfig};
use crate::pool::{self, Pool};
use crate::stored::{self, Held, unless_raced};
use crate::walk::{Walk, block_prefix};
use crate::{Error, Result};

/// A host with more blocks than this lists all blocks at once: one round trip, where each of its own would be one.
const FEW: usize = 8;

/// A request for addresses of one version.
pub(super) struct Family<'a> {
    version: IpVersion,
    host: &'a str,
    pools: &'a [Pool],
    requested: &'a [Cidr],
    allowed: Vec<Cidr>,
    claims: Vec<(Cidr, Revision)>,
    got: Vec<Ip>,
    notes: Vec<String>,
}

/// All blocks of a version, as one list found them.
struct Blocks {
    records: Vec<Record>,
    taken: BTreeSet<Cidr>,
    /// Blocks of other sizes, which v3 makes.
    odd: Vec<Cidr>,
}

// === impl Family ===

impl<'a> Family<'a> {
    pub(super) fn new(view: &'a View, version: IpVersion, requested: &'a [Cidr], host: &'a str) -> Self {
        Self {
            version,
            host,
            pools: view.pools(),
            requested,
            allowed: pool::allowed(view.pools(), version, requested),
            claims: view.claims(version).collect(),
            got: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The addresses, and why there are not more.
    pub(super) fn into_outcome(self) -> (Vec<Ip>, Vec<String>) {
        (self.got, self.notes)
    }

    /// Assigns up to `count` addresses.
    pub(super) async fn assign<D: Datastore>(
        &mut self,
        taker: &mut Taker<'_, D>,
        count: usize,
    ) -> Result<(), AssignFailure> {
        let own = self.claims.iter().filter(|(cidr, _)| self.is_allowed(*cidr)).count();
        let early = match own > FEW {
            true => Some(Blocks::list(taker.store, self.version).await?),
            false => None,
        };
        self.take_own(taker, early.as_ref(), count).await?;
        if self.got.len() == count {
            return Ok(());
        }
        pool::check(self.pools, self.version, self.requested)?;
        let list = async {
            match early {
                Some(blocks) => Ok(blocks),
                None => Blocks::list(taker.store, self.version).await,
            }
        };
        let (config, blocks) = tokio::join!(config::config(taker.store), list);
        let (config, mut blocks) = (config?, blocks?);
        self.take_lost(taker, &blocks, count).await?;
        if self.got.len() < count && config.auto_allocate_blocks {
            self.take_new(taker, &mut blocks, config, count).await?;
        }
        if self.got.len() < count && !config.strict_affinity {
            self.borrow(taker, &blocks, count).await?;
        }
        if self.got.len() < count {
            self.explain(config);
        }
        Ok(())
    }

    // COMPAT(ipam-disabled-pools): upstream goes on assigning from a host's blocks in pools that are disabled or gone.
    fn is_allowed(&self, cidr: Cidr) -> bool {
        cidr.prefix() == block_prefix(self.version) && self.allowed.iter().any(|pool| pool.contains(cidr))
    }

    /// Takes from the blocks that the host has keys for.
    async fn take_own<D: Datastore>(
        &mut self,
        taker: &mut Taker<'_, D>,
        listed: Option<&Blocks>,
        count: usize,
    ) -> Result<()> {
        let claims: Vec<(Cidr, Revision)> =
            self.claims.iter().copied().filter(|(cidr, _)| self.is_allowed(*cidr)).collect();
        let alone = claims.len() == 1;
        for (cidr, revision) in claims {
            let missing = count - self.got.len();
            if missing == 0 {
                break;
            }
            let held = match listed.map(|blocks| blocks.find(cidr)) {
                Some(Some(record)) if is_full(record) => continue,
                Some(Some(record)) => Held::read(record).map(Some),
                // Claimed while we listed, or claimed by nobody: only the block itself knows.
                Some(None) | None if !alone => stored::block(taker.store, cidr).await,
                Some(None) | None => taker.read_ahead(cidr).await,
            };
            let held = match held {
                Ok(held) => held,
                // What cannot be understood serves nobody, and does not keep others from serving.
                Err(error @ Error::BadRecord { .. }) => {
                    self.notes.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            match held {
                Some(held) if held.block.is_owned_by(self.host) => {
                    // COMPAT(ipam-several-blocks): upstream forgets what it got from the block before.
                    self.got.extend(taker.take(held, missing, Right::Own).await?);
                }
                Some(_) | None => self.drop_key(taker.store, cidr, revision).await?,
            }
        }
        Ok(())
    }

    /// Removes a key whose block is gone or another host's, unless the block was claimed again since.
    async fn drop_key<D: Datastore>(&mut self, store: &D, cidr: Cidr, revision: Revision) -> Result<()> {
        self.claims.retain(|(claimed, _)| *claimed != cidr);
        let key = affinity(self.host, cidr);
        unless_raced(store.delete_record(&key, Precondition::Revision(revision)).await)?;
        Ok(())
    }

    /// Takes from the host's blocks whose keys are lost or were made since we looked.
    async fn take_lost<D: Datastore>(
        &mut self,
        taker: &mut Taker<'_, D>,
        blocks: &Blocks,
        count: usize,
    ) -> Result<()> {
        let owner = serde_json::Value::from(format!("host:{}", self.host)).to_string();
        for record in blocks.records.iter().filter(|record| record.value.contains(&owner)) {
            let Key::IpamBlock { cidr } = record.key else { continue };
            if !self.is_allowed(cidr) || self.claims.iter().any(|(claimed, _)| *claimed == cidr) {
                continue;
            }
            // What cannot be read serves nobody; `check` names it.
            let Ok(held) = Held::read(record) else { continue };
            if !held.block.is_owned_by(self.host) {
                continue;
            }
            if !heal(taker.store, cidr, self.host).await? {
                continue;
            }
            self.claims.push((cidr, record.revision));
            if self.got.len() < count {
                self.got.extend(taker.take(held, count - self.got.len(), Right::Own).await?);
            }
        }
        Ok(())
    }

    /// Claims blocks that nobody has.
    async fn take_new<D: Datastore>(
        &mut self,
        taker: &mut Taker<'_, D>,
        blocks: &mut Blocks,
        config: IpamConfig,
        count: usize,
    ) -> Result<()> {
        for pool in self.allowed.clone() {
            for cidr in Walk::new(pool, self.host).blocks() {
                if self.got.len() == count || self.is_limited(config) {
                    return Ok(());
                }
                if blocks.has(cidr) {
                    continue;
                }
                blocks.taken.insert(cidr);
                match claim(taker.store, cidr, self.host, config.strict_affinity).await? {
                    Claimed::Ours(held) => {
                        self.claims.push((cidr, held.revision));
                        self.got.extend(taker.take(*held, count - self.got.len(), Right::Own).await?);
                    }
                    // COMPAT(ipam-claim-race): upstream fails the request when another host was faster.
                    Claimed::Others(record) => {
                        taker.conflicts += 1;
                        blocks.records.push(record);
                    }
                }
            }
        }
        Ok(())
    }

    fn is_limited(&self, config: IpamConfig) -> bool {
        let owned = self.claims.iter().filter(|(cidr, _)| self.is_allowed(*cidr)).count();
        config.max_blocks_per_host.is_some_and(|limit| owned >= limit)
    }

    /// Takes from blocks of other hosts and of none.
    // COMPAT(ipam-borrow-family): upstream walks the pools of both versions, and ends a pool at its first refusal.
    async fn borrow<D: Datastore>(
        &mut self,
        taker: &mut Taker<'_, D>,
        blocks: &Blocks,
        count: usize,
    ) -> Result<()> {
        for pool in self.allowed.clone() {
            let walk = Walk::new(pool, self.host);
            let mut near: Vec<(u128, &Record)> = blocks
                .records
                .iter()
                .filter(|record| !is_full(record))
                .filter_map(|record| match record.key {
                    Key::IpamBlock { cidr } => Some((walk.position(cidr)?, record)),
                    _ => None,
                })
                .collect();
            near.sort_by_key(|(position, _)| *position);
            for (_, record) in near {
                if self.got.len() == count {
                    return Ok(());
                }
                let Ok(held) = Held::read(record) else { continue };
                self.got.extend(taker.take(held, count - self.got.len(), Right::Borrow).await?);
            }
        }
        Ok(())
    }

    fn explain(&mut self, config: IpamConfig) {
        let pools: Vec<String> = self.allowed.iter().map(ToString::to_string).collect();
        self.notes.push(match config {
            IpamConfig { strict_affinity: true, .. } => {
                "No more free affine blocks and strict affinity enabled".to_owned()
            }
            _ => format!("No IPs available in pools: [{}]", pools.join(" ")),
        });
        if let Some(limit) = config.max_blocks_per_host.filter(|_| self.is_limited(config)) {
            self.notes.push(format!("limit of {limit} blocks reached for this node"));
        }
    }
}

/// True when a block says at first sight that no address of it is free.
fn is_full(record: &Record) -> bool {
    record.value.contains(r#""unallocated":[]"#)
}

// === impl Blocks ===

impl Blocks {
    async fn list<D: Datastore>(store: &D, version: IpVersion) -> Result<Self> {
        let mut records = Vec::new();
        let mut visit = |record: Record| records.push(record);
        store.list_records(&RecordSet::IpamBlocks(Some(version)), &mut visit).await.map_err(Error::from)?;
        let cidrs = records.iter().filter_map(|record| match record.key {
            Key::IpamBlock { cidr } => Some(cidr.masked()),
            _ => None,
        });
        let (taken, odd): (Vec<Cidr>, Vec<Cidr>) =
            cidrs.partition(|cidr| cidr.prefix() == block_prefix(version));
        Ok(Self { taken: taken.into_iter().collect(), odd, records })
    }

    /// The block with this range.
    fn find(&self, cidr: Cidr) -> Option<&Record> {
        let is_it = |record: &&Record| matches!(record.key, Key::IpamBlock { cidr: found } if found == cidr);
        self.records.iter().find(is_it)
    }

    /// True when there is such a block, or one that shares an address with it.
    fn has(&self, cidr: Cidr) -> bool {
        self.taken.contains(&cidr) || self.odd.iter().any(|other| other.overlaps(cidr))
    }
}
