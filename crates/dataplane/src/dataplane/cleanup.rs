//! Taking everything away again: ours, and on request Felix's.

use margay_kernel::nft::{CommitError, Detail, DumpError, Family, Nftables, TableId};
use margay_kernel::{Request, RouteProtocol, RouteTable, RtError, Rtnetlink};

use super::Dataplane;
use super::commit::chain_of;
use crate::felix::{self, Cleaned, Tools};
use crate::machine::Machine;
use crate::names::fixed as name;
use crate::render::fixed;

/// A part of the clean-up that did not work.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// A table could not be looked at.
    #[error("looking for tables to remove")]
    Dump(#[from] DumpError),
    /// A table could not be removed.
    #[error("removing a table")]
    Commit(#[from] CommitError),
    /// Routes could not be removed.
    #[error("removing routes")]
    Routes(#[from] RtError),
}

impl<M: Machine> Dataplane<M> {
    /// Removes our table and our routes; goes on after what would not go.
    pub fn cleanup(&mut self) -> Cleaned {
        let mut cleaned = Cleaned::default();
        let table = self.remove_tables(&[fixed::table_id()], &mut cleaned);
        let routes = self.remove_routes(&mut cleaned);
        for error in [table.err(), routes.err()].into_iter().flatten() {
            cleaned.failed.push(chain_of(&error));
        }
        self.resync();
        cleaned
    }

    /// Removes Felix's tables, chains and sets; for `margay cleanup` and the take-over, once our rules stand.
    pub fn cleanup_felix(&mut self, tools: &mut impl Tools) -> Cleaned {
        let mut cleaned = felix::clean(tools);
        let tables = [(Family::Ip, "calico"), (Family::Ip6, "calico"), (Family::Arp, "calico-arp")];
        let tables = tables.map(|(family, table)| TableId { family, name: name(table) });
        if let Err(error) = self.remove_tables(&tables, &mut cleaned) {
            cleaned.failed.push(chain_of(&error));
        }
        cleaned
    }

    fn remove_tables(&mut self, tables: &[TableId], cleaned: &mut Cleaned) -> Result<(), CleanupError> {
        for id in tables {
            if self.machine.tables().dump(id, Detail::Names)?.contents.is_none() {
                continue;
            }
            self.batch.clear();
            self.batch.set_table(id.clone());
            self.batch.delete_table();
            let done = self.machine.tables().commit(&mut self.batch);
            self.batch.clear();
            self.batch.set_table(fixed::table_id());
            done?;
            cleaned.removed.push(format!("table {id}"));
        }
        Ok(())
    }

    fn remove_routes(&mut self, cleaned: &mut Cleaned) -> Result<(), CleanupError> {
        let network = self.machine.network();
        let config = &self.model.config;
        let links = network.links()?;
        let protocol = RouteProtocol(config.route_protocol);
        let routes = network.routes()?.into_iter().filter(|route| {
            let link = links.iter().find(|link| Some(link.index) == route.link);
            route.table == RouteTable::MAIN
                && route.protocol == protocol
                && link.is_some_and(|link| config.is_workload(&link.name))
        });
        let requests: Vec<Request> = routes.map(Request::DeleteRoute).collect();
        for (request, outcome) in requests.iter().zip(network.submit(&requests)?) {
            match outcome {
                Ok(_) => cleaned.removed.push(request.to_string().replacen("deleting ", "", 1)),
                Err(refusal) => cleaned.failed.push(refusal.to_string()),
            }
        }
        Ok(())
    }
}
