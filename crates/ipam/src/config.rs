//! The settings of the IPAM, one record for the whole cluster (`spec/ipam.md` 2.2, 8.6).

use margay_model::Key;
use margay_store::datastore::{Datastore, Record, RecordSet};
use margay_store::kv::Precondition;
use serde_json::{Map, Value as Json};

use crate::block::go_json;
use crate::retry::Retry;
use crate::stored::unless_raced;
use crate::{Error, Result};

/// The settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpamConfig {
    /// A host gets addresses from its own blocks only.
    pub strict_affinity: bool,
    /// A host may claim further blocks.
    pub auto_allocate_blocks: bool,
    /// How many blocks of each version a host may own; none = as many as there are. v3 writes it.
    pub max_blocks_per_host: Option<usize>,
}

/// Why settings were not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigFailure {
    /// The datastore failed, or what stands there cannot be understood.
    #[error(transparent)]
    Ipam(#[from] Error),
    /// Nothing could be assigned any more.
    #[error("Cannot disable 'StrictAffinity' and 'AutoAllocateBlocks' at the same time")]
    BothOff,
    /// Blocks copy the settings when they are made.
    #[error("Cannot change IPAM config while allocations exist")]
    InUse,
}

// === impl IpamConfig ===

impl Default for IpamConfig {
    fn default() -> Self {
        Self { strict_affinity: false, auto_allocate_blocks: true, max_blocks_per_host: None }
    }
}

impl IpamConfig {
    /// Reads stored settings; what is left out is false.
    fn decode(record: &Record) -> Result<(Self, Map<String, Json>)> {
        let bad = |reason: String| Error::BadRecord { key: record.key.to_string(), reason };
        let object: Map<String, Json> =
            serde_json::from_str(&record.value).map_err(|error| bad(error.to_string()))?;
        let flag = |name: &str| match object.get(name) {
            None | Some(Json::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| bad(format!("{name} is neither true nor false"))),
        };
        let limit = object.get("maxBlocksPerHost").and_then(Json::as_u64).filter(|limit| *limit > 0);
        let config = Self {
            strict_affinity: flag("strict_affinity")?,
            auto_allocate_blocks: flag("auto_allocate_blocks")?,
            max_blocks_per_host: limit.and_then(|limit| usize::try_from(limit).ok()),
        };
        Ok((config, object))
    }

    /// The stored form: what is false is left out, as Go does; members that we do not know stay.
    fn encode(self, previous: Map<String, Json>) -> String {
        let mut object = Map::new();
        for (name, value) in
            [("strict_affinity", self.strict_affinity), ("auto_allocate_blocks", self.auto_allocate_blocks)]
        {
            if value {
                object.insert(name.to_owned(), true.into());
            }
        }
        if let Some(limit) = self.max_blocks_per_host {
            object.insert("maxBlocksPerHost".to_owned(), limit.into());
        }
        let ours = ["strict_affinity", "auto_allocate_blocks", "maxBlocksPerHost"];
        object.extend(previous.into_iter().filter(|(name, _)| !ours.contains(&name.as_str())));
        go_json(&Json::Object(object))
    }
}

/// Reads the settings; the defaults when nobody has set any.
///
/// # Errors
/// The datastore failed, or what stands there cannot be understood.
pub async fn config<D: Datastore>(store: &D) -> Result<IpamConfig> {
    match store.get_record(&Key::IpamConfig).await? {
        Some(record) => Ok(IpamConfig::decode(&record)?.0),
        None => Ok(IpamConfig::default()),
    }
}

/// Writes the settings; those that stand there already are no write.
///
/// # Errors
/// [`ConfigFailure`].
pub async fn set_config<D: Datastore>(store: &D, config: IpamConfig) -> Result<(), ConfigFailure> {
    let mut retry = Retry::of(&["config"]);
    loop {
        let record = store.get_record(&Key::IpamConfig).await.map_err(Error::from)?;
        let (now, previous) = match &record {
            Some(record) => IpamConfig::decode(record)?,
            None => (IpamConfig::default(), Map::new()),
        };
        if now == config {
            return Ok(());
        }
        if !config.strict_affinity && !config.auto_allocate_blocks {
            return Err(ConfigFailure::BothOff);
        }
        let mut blocks = 0;
        let mut count = |_: Record| blocks += 1;
        store.list_records(&RecordSet::IpamBlocks(None), &mut count).await.map_err(Error::from)?;
        if blocks > 0 {
            return Err(ConfigFailure::InUse);
        }
        let when = record.map_or(Precondition::Absent, |record| Precondition::Revision(record.revision));
        let outcome = store.put_record(&Key::IpamConfig, &config.encode(previous), when).await;
        if unless_raced(outcome.map(|_| ()))? {
            return Ok(());
        }
        retry.wait(&Key::IpamConfig).await?;
    }
}
