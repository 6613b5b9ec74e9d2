//! Tables on which things go wrong: around the kernel's, for tests of whoever uses them.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Batch, CommitError, Detail, Dump, DumpError, Element, Fault, Features, Name, Nftables, TableId};
use crate::netlink::SocketError;

/// Tables with faults in front of them; what is not meant to fail goes through.
#[derive(Debug)]
pub struct Faulty<T> {
    /// The tables.
    pub tables: T,
    faults: VecDeque<Fault>,
}

// === impl Faulty ===

impl<T: Nftables> Faulty<T> {
    /// Those tables, without a fault so far.
    pub fn new(tables: T) -> Self {
        Self { tables, faults: VecDeque::new() }
    }

    /// Something goes wrong, once; several go wrong one after another.
    pub fn fail(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    /// Does something with a batch, or what the next fault wants.
    fn with_fault(
        &mut self,
        batch: &mut Batch,
        commit: impl FnOnce(&mut T, &mut Batch) -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        if batch.is_empty() || matches!(self.faults.front(), None | Some(Fault::Dump(_))) {
            return commit(&mut self.tables, batch);
        }
        let fault = self.faults.pop_front();
        let source = SocketError::Timeout(Duration::from_secs(1));
        let lost = Err(CommitError::Socket { bytes: batch.byte_len(), source });
        match fault {
            Some(Fault::Refuse { message, errno }) => {
                let message = if message > batch.last_sequence() { 0 } else { message };
                Err(CommitError::refused(batch, [(message, errno, None)]))
            }
            Some(Fault::LoseAnswer) => commit(&mut self.tables, batch).and(lost),
            Some(Fault::LoseRequest | Fault::Dump(_)) | None => lost,
        }
    }

    /// The fault of a dump, if it is its turn.
    fn dump_fault(&mut self) -> Result<(), DumpError> {
        match self.faults.front().copied() {
            Some(Fault::Dump(error)) => {
                self.faults.pop_front();
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

impl<T: Nftables> Nftables for Faulty<T> {
    fn features(&self) -> Features {
        self.tables.features()
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), CommitError> {
        self.with_fault(batch, Nftables::commit)
    }

    fn commit_at(&mut self, batch: &mut Batch, generation: u32) -> Result<(), CommitError> {
        self.with_fault(batch, |tables, batch| tables.commit_at(batch, generation))
    }

    fn generation(&mut self) -> Result<u32, DumpError> {
        self.tables.generation()
    }

    fn dump(&mut self, table: &TableId, detail: Detail) -> Result<Dump, DumpError> {
        self.dump_fault()?;
        self.tables.dump(table, detail)
    }

    fn elements(&mut self, table: &TableId, set: &Name) -> Result<Option<Vec<Element>>, DumpError> {
        self.dump_fault()?;
        self.tables.elements(table, set)
    }
}
