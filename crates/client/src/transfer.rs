//! Moving a whole datastore: [`export`] into a file, [`import`] from one, [`copy`] from one store to another.
//!
//! What must stay true: a file that is cut short or faulty writes nothing; a value that differs in the target is not
//! overwritten unless that is asked for; a run that was interrupted is finished by running it again; the ready flag
//! comes last, so that no agent acts on a part. Memory is needed for the target's keys, not for values.
//!
//! Keys that expire (an agent's status, a leader's election) are exported and marked, and never written: in the target
//! nobody would let them expire, and a dead agent would look alive for ever.

mod format;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use margay_model::Key;
use margay_model::key::directory::ROOT;
use margay_store::kv::{EntryRef, Kv, KvError, Precondition, Put, Revision};

use format::{Item, Reader, Writer};

/// The key under which Neutron servers elect their leader.
const ELECTION: &str = "/calico/openstack/v1/neutron_election";

/// How many values are written together.
const BATCH: usize = 512;

/// How many bytes of values are written together, at least one value.
const BATCH_BYTES: usize = 1 << 20;

/// How many keys an error names.
const NAMED: usize = 10;

/// What an export wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// All keys.
    pub keys: u64,
    /// The revision of the store that it shows.
    pub revision: u64,
}

/// How values are written into a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Replace values that differ, instead of refusing all.
    pub overwrite: bool,
}

/// What an import or copy did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Keys of the source.
    pub keys: u64,
    /// Written where nothing stood.
    pub added: u64,
    /// Written over another value.
    pub replaced: u64,
    /// Already there with the same value.
    pub unchanged: u64,
    /// Left out because they expire.
    pub expiring: u64,
    /// In the target only, and left there.
    pub others: u64,
    /// Copy only: changed in the source since they were read; copy again.
    pub stale: u64,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Keys dealt with.
    pub done: u64,
    /// All keys.
    pub total: u64,
}

/// Receives the progress of a transfer.
pub type OnProgress<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// Why a transfer stopped.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The export cannot be read.
    #[error("reading the export")]
    Read(#[source] io::Error),
    /// The export cannot be written.
    #[error("writing the export")]
    Write(#[source] io::Error),
    /// The source or target failed.
    #[error("{doing}")]
    Store {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        cause: KvError,
    },
    /// The file is no export, or damaged. Nothing was written.
    #[error("line {line} of the export: {reason}")]
    Format {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file ends too early. Nothing was written.
    #[error("the export is cut short behind key {keys}")]
    Truncated {
        /// Keys before the end.
        keys: u64,
    },
    /// The target has other values under the same keys. Nothing was written.
    #[error("{count} keys have another value in the target: {}", named(keys, *count))]
    Differs {
        /// How many.
        count: u64,
        /// The first of them.
        keys: Vec<String>,
    },
    /// Afterwards the target did not hold what was written.
    #[error("{count} keys are not in the target as they were written: {}", named(keys, *count))]
    Unverified {
        /// How many.
        count: u64,
        /// The first of them.
        keys: Vec<String>,
    },
}

/// What a target holds: of each key its revision and a fingerprint of the value.
struct Held {
    hasher: RandomState,
    values: HashMap<String, (Fingerprint, Revision)>,
}

/// Length and keyed hash of a value.
type Fingerprint = (usize, u64);

/// Keys that were found wanting: how many, and the first of them.
#[derive(Default)]
struct Faults {
    count: u64,
    keys: Vec<String>,
}

/// Writes values in batches.
struct Batches<'a, K> {
    target: &'a K,
    puts: Vec<Put>,
    bytes: usize,
}

/// Writes everything below `/calico` to `out`.
///
/// # Errors
/// The store cannot be read or `out` not written; what is written then is recognised as cut short.
pub async fn export<K: Kv>(source: &K, out: &mut (dyn Write + Send)) -> Result<Exported, TransferError> {
    let mut out = BufWriter::new(out);
    let mut writer = Writer::begin(&mut out)?;
    let mut failed = None;
    let mut visit = |entry: EntryRef<'_>| {
        if failed.is_none() {
            failed = writer.entry(entry).err();
        }
    };
    let listing = source.list(ROOT, &mut visit).await.map_err(store("reading the source"))?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(Exported { keys: writer.end(listing.at)?, revision: listing.at })
}

/// Writes what an export holds into `target`, comparing first and afterwards.
///
/// # Errors
/// The export is faulty, the target has other values, or the target failed: run it again to go on.
pub async fn import<K: Kv, R: BufRead + Seek>(
    file: &mut R,
    target: &K,
    options: Options,
    progress: OnProgress<'_>,
) -> Result<Imported, TransferError> {
    let total = check(file)?;
    let held = Held::of(target, RandomState::new()).await?;
    if !options.overwrite {
        refuse_differing(file, &held)?;
    }
    let mut imported = Imported { keys: total, ..Imported::default() };
    let ready = write(file, target, &held, &mut imported, progress).await?;
    let held = Held::of(target, held.hasher).await?;
    imported.others = verify(file, &held)?;
    if let Some(put) = ready {
        write_ready(target, put).await?;
    }
    progress(Progress { done: total, total });
    Ok(imported)
}

/// Copies everything below `/calico` from one store to another, by way of an export in `spool`, an empty file.
///
/// # Errors
/// As of [`export`] and [`import`].
pub async fn copy<S: Kv, T: Kv, F: Read + Write + Seek + Send>(
    source: &S,
    target: &T,
    spool: &mut F,
    options: Options,
    progress: OnProgress<'_>,
) -> Result<Imported, TransferError> {
    export(source, spool).await?;
    let mut imported = import(&mut BufReader::new(spool), target, options, progress).await?;
    let held = Held::of(target, RandomState::new()).await?;
    let (mut present, mut changed, mut new): (u64, u64, u64) = (0, 0, 0);
    let mut visit = |entry: EntryRef<'_>| {
        if expires(entry.key) {
            return;
        }
        match held.same(entry.key, entry.value) {
            Some(true) => present += 1,
            Some(false) => changed += 1,
            None => new += 1,
        }
    };
    source.list(ROOT, &mut visit).await.map_err(store("reading the source again"))?;
    // What was copied and does not stand in the source any more.
    let removed = (imported.keys - imported.expiring).saturating_sub(present + changed);
    imported.stale = changed + new + removed;
    Ok(imported)
}

// === the steps of an import ===

/// Reads the whole file for faults; returns the number of keys.
fn check<R: BufRead + Seek>(file: &mut R) -> Result<u64, TransferError> {
    let mut seen = HashSet::new();
    let mut count = 0;
    let mut reader = rewound(file)?;
    while let Some(item) = reader.next()? {
        count += 1;
        if let Some(repeated) = seen.replace(item.key) {
            return Err(reader.fault(&format!("the key {repeated} stands in the file twice")));
        }
    }
    Ok(count)
}

fn refuse_differing<R: BufRead + Seek>(file: &mut R, held: &Held) -> Result<(), TransferError> {
    let mut differing = Faults::default();
    let mut reader = rewound(file)?;
    while let Some(item) = reader.next()? {
        if !item.expires && held.same(&item.key, &item.value) == Some(false) {
            differing.add(item.key);
        }
    }
    match differing {
        Faults { count: 0, .. } => Ok(()),
        Faults { count, keys } => Err(TransferError::Differs { count, keys }),
    }
}

/// Writes what is missing and what differs, all but the ready flag, which is returned when it must be written.
async fn write<K: Kv, R: BufRead + Seek>(
    file: &mut R,
    target: &K,
    held: &Held,
    imported: &mut Imported,
    progress: OnProgress<'_>,
) -> Result<Option<Put>, TransferError> {
    let ready_key = Key::Ready.path();
    let mut ready = None;
    let mut batches = Batches { target, puts: Vec::new(), bytes: 0 };
    let mut done = 0;
    let mut reader = rewound(file)?;
    while let Some(Item { key, value, expires }) = reader.next()? {
        done += 1;
        if expires {
            imported.expiring += 1;
            continue;
        }
        let when = match held.values.get(&key) {
            Some((fingerprint, _)) if *fingerprint == held.fingerprint(&value) => {
                imported.unchanged += 1;
                continue;
            }
            Some((_, revision)) => {
                imported.replaced += 1;
                Precondition::Revision(*revision)
            }
            None => {
                imported.added += 1;
                Precondition::Absent
            }
        };
        let put = Put { key, value, when };
        if put.key == ready_key {
            ready = Some(put);
        } else if batches.add(put).await? {
            progress(Progress { done, total: imported.keys });
        }
    }
    batches.send().await?;
    Ok(ready)
}

async fn write_ready<K: Kv>(target: &K, put: Put) -> Result<(), TransferError> {
    let Put { key, value, when } = put;
    match target.put(&key, &value, when, None).await {
        Ok(_) => Ok(()),
        Err(cause) => Err(TransferError::Store { doing: format!("writing {key}"), cause }),
    }
}

/// Compares the target with the file; returns how many keys only the target has.
fn verify<R: BufRead + Seek>(file: &mut R, held: &Held) -> Result<u64, TransferError> {
    let ready = Key::Ready.path();
    let mut wrong = Faults::default();
    let mut both: u64 = 0;
    let mut reader = rewound(file)?;
    while let Some(item) = reader.next()? {
        both += u64::from(held.values.contains_key(&item.key));
        let counts = !item.expires && item.key != ready;
        if counts && held.same(&item.key, &item.value) != Some(true) {
            wrong.add(item.key);
        }
    }
    match wrong {
        Faults { count: 0, .. } => Ok(held.values.len() as u64 - both),
        Faults { count, keys } => Err(TransferError::Unverified { count, keys }),
    }
}

// === impl Held ===

impl Held {
    async fn of<K: Kv>(target: &K, hasher: RandomState) -> Result<Self, TransferError> {
        let mut held = Self { hasher, values: HashMap::new() };
        let mut visit = |entry: EntryRef<'_>| {
            let fingerprint = held.fingerprint(entry.value);
            held.values.insert(entry.key.to_owned(), (fingerprint, entry.revision));
        };
        target.list(ROOT, &mut visit).await.map_err(store("reading the target"))?;
        Ok(held)
    }

    fn fingerprint(&self, value: &str) -> Fingerprint {
        (value.len(), self.hasher.hash_one(value))
    }

    /// True when the key holds this value, none when it is absent.
    fn same(&self, key: &str, value: &str) -> Option<bool> {
        self.values.get(key).map(|(fingerprint, _)| *fingerprint == self.fingerprint(value))
    }
}

// === impl Batches ===

impl<K: Kv> Batches<'_, K> {
    /// Takes a value; true when the batch was full and is written.
    async fn add(&mut self, put: Put) -> Result<bool, TransferError> {
        self.bytes += put.value.len();
        self.puts.push(put);
        let full = self.puts.len() >= BATCH || self.bytes >= BATCH_BYTES;
        if full {
            self.send().await?;
        }
        Ok(full)
    }

    async fn send(&mut self) -> Result<(), TransferError> {
        let (written, outcome) = self.target.put_all(&self.puts).await;
        if let Err(cause) = outcome {
            let key = self.puts.get(written).map_or("the target", |put| put.key.as_str());
            return Err(TransferError::Store { doing: format!("writing {key}"), cause });
        }
        self.puts.clear();
        self.bytes = 0;
        Ok(())
    }
}

// === impl Faults ===

impl Faults {
    fn add(&mut self, key: String) {
        self.count += 1;
        if self.keys.len() < NAMED {
            self.keys.push(key);
        }
    }
}

// === impl TransferError ===

impl TransferError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read(_) | Self::Write(_) => return None,
            Self::Store { cause: KvError::Conflict { .. } | KvError::Exists { .. }, .. } => {
                "something else writes to the target; run it again".to_owned()
            }
            Self::Store { .. } => "run it again to go on: what is already there is left alone".to_owned(),
            Self::Format { .. } => "nothing was written".to_owned(),
            Self::Truncated { .. } => "nothing was written; export again".to_owned(),
            Self::Differs { .. } => {
                "nothing was written; ask for overwriting to replace these values".to_owned()
            }
            Self::Unverified { .. } => {
                "something else writes to the target; stop it and run it again".to_owned()
            }
        })
    }
}

// === helpers ===

/// True for keys that are written with a time to live.
fn expires(key: &str) -> bool {
    key == ELECTION || matches!(Key::parse(key), Some(Key::FelixStatus { .. }))
}

fn rewound<R: BufRead + Seek>(file: &mut R) -> Result<Reader<&mut R>, TransferError> {
    file.seek(SeekFrom::Start(0)).map_err(TransferError::Read)?;
    Reader::begin(file)
}

fn store(doing: &'static str) -> impl Fn(KvError) -> TransferError {
    move |cause| TransferError::Store { doing: doing.to_owned(), cause }
}

fn named(keys: &[String], count: u64) -> String {
    let more = if count > keys.len() as u64 { ", …" } else { "" };
    format!("{}{more}", keys.join(", "))
}

#[cfg(test)]
mod tests;
