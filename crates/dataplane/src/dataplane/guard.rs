//! The start-up guard: on a host where nobody governs yet, no new traffic of workloads until policy is known.

use margay_kernel::nft::{CommitError, Detail, DumpError, Family, Nftables, TableId};

use super::Dataplane;
use crate::felix;
use crate::machine::Machine;
use crate::names::fixed as name;
use crate::render::fixed;

/// What the guard found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It is switched off.
    Off,
    /// A table of ours stands: it goes on to govern, or to guard.
    TableStands,
    /// Felix's rules stand: they go on to govern until ours do.
    FelixStands,
    /// It was loaded.
    Loaded,
}

/// The guard could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// What stands could not be found out.
    #[error("looking whether the guard is needed")]
    Dump(#[from] DumpError),
    /// The kernel did not take it.
    #[error("loading the guard")]
    Commit(#[from] CommitError),
}

impl<M: Machine> Dataplane<M> {
    /// Loads the guard where neither our table nor Felix's rules stand.
    ///
    /// The first batch of [`Dataplane::commit`] replaces it in one step. Rules of iptables in the old format can not be
    /// seen through nftables: beside them the guard is loaded too, and only new connections wait for it.
    pub fn guard(&mut self) -> Result<Guard, GuardError> {
        if !self.model.config.startup_guard {
            return Ok(Guard::Off);
        }
        let tables = self.machine.tables();
        if tables.dump(&fixed::table_id(), Detail::Names)?.contents.is_some() {
            return Ok(Guard::TableStands);
        }
        if self.felix_stands()? {
            return Ok(Guard::FelixStands);
        }
        self.batch.clear();
        self.batch.add_table(&fixed::guard_table());
        let chains = fixed::guard_chains(&self.model.config, self.features);
        for chain in &chains {
            self.batch.add_chain(&chain.chain);
        }
        for chain in &chains {
            for rule in &chain.rendered.rules {
                self.batch.add_rule(&chain.chain.name, rule);
            }
        }
        self.machine.tables().commit(&mut self.batch)?;
        Ok(Guard::Loaded)
    }

    /// True when Felix's rules can be seen through nftables: chains of iptables in the new format, or its own tables.
    pub fn felix_stands(&mut self) -> Result<bool, DumpError> {
        let tables = self.machine.tables();
        for family in [Family::Ip, Family::Ip6] {
            let own = TableId { family, name: name("calico") };
            if tables.dump(&own, Detail::Names)?.contents.is_some() {
                return Ok(true);
            }
            for table in ["filter", "nat", "mangle", "raw"] {
                let id = TableId { family, name: name(table) };
                let contents = tables.dump(&id, Detail::Names)?.contents;
                if contents.is_some_and(|contents| {
                    contents.chains.keys().any(|chain| felix::is_chain(chain.as_str()))
                }) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
