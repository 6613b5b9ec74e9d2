//! The kernel as the dataplane sees it: what it speaks to, and fakes of all of it.

use std::time::Duration;

use margay_kernel::nft::{Nft, Nftables};
use margay_kernel::{CtSocket, Flows, ProcSys, RtError, RtSocket, Rtnetlink, SocketError, Sysctls};

/// One network namespace of one kernel, or a fake of it.
pub trait Machine {
    /// Its nftables.
    type Tables: Nftables;
    /// Its links, addresses, routes and neighbours.
    type Network: Rtnetlink;
    /// Its settings.
    type Settings: Sysctls;
    /// Its tracked flows.
    type Connections: Flows;

    /// Its nftables.
    fn tables(&mut self) -> &mut Self::Tables;
    /// Its links, addresses, routes and neighbours.
    fn network(&mut self) -> &mut Self::Network;
    /// Its settings.
    fn settings(&mut self) -> &mut Self::Settings;
    /// Its tracked flows.
    fn flows(&mut self) -> &mut Self::Connections;
}

/// A machine put together from parts.
#[derive(Debug)]
pub struct Parts<T, N, S, F> {
    /// Its nftables.
    pub tables: T,
    /// Its links, addresses, routes and neighbours.
    pub network: N,
    /// Its settings.
    pub settings: S,
    /// Its tracked flows.
    pub flows: F,
}

/// The kernel, seen from the namespace of the thread that opened it.
pub type LiveMachine = Parts<Nft, RtSocket, ProcSys, CtSocket>;

/// The kernel can not be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not about tables.
    #[error("opening nftables")]
    Tables(#[from] SocketError),
    /// Not about links, routes or flows.
    #[error("opening rtnetlink and conntrack")]
    Network(#[from] RtError),
}

// === impl LiveMachine ===

impl LiveMachine {
    /// Opens the kernel in the namespace of the calling thread; no answer is waited for longer than `timeout`.
    pub fn open(timeout: Duration) -> Result<Self, OpenError> {
        Ok(Self {
            tables: Nft::open(timeout)?,
            network: RtSocket::with_timeout(timeout)?,
            settings: ProcSys,
            flows: CtSocket::open()?,
        })
    }
}

impl<T: Nftables, N: Rtnetlink, S: Sysctls, F: Flows> Machine for Parts<T, N, S, F> {
    type Tables = T;
    type Network = N;
    type Settings = S;
    type Connections = F;

    fn tables(&mut self) -> &mut T {
        &mut self.tables
    }

    fn network(&mut self) -> &mut N {
        &mut self.network
    }

    fn settings(&mut self) -> &mut S {
        &mut self.settings
    }

    fn flows(&mut self) -> &mut F {
        &mut self.flows
    }
}
