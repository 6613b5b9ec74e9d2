//! What the work is done on: the kernel, or a fake of it.

use margay_kernel::{
    Namespace, NamespaceError, ProcSys, RtError, RtSocket, Rtnetlink, Sysctl, SysctlError, Sysctls,
};

/// A host, and the way into the namespaces of its workloads.
pub trait Host {
    /// A connection to one namespace.
    type Network: Rtnetlink;

    /// The host's own namespace.
    fn namespace(&self) -> &Namespace;

    /// A connection to the host's own namespace.
    fn network(&mut self) -> &mut Self::Network;

    /// The settings of the host's own namespace.
    fn settings(&mut self) -> &mut dyn Sysctls;

    /// Visits a namespace: gives settings their values there, in order, and opens a connection that stays.
    fn enter(
        &mut self,
        namespace: &Namespace,
        settings: &[(Sysctl, String)],
    ) -> Result<Entered<Self::Network>, EnterError>;
}

/// What a visit brought back.
#[derive(Debug)]
pub struct Entered<N> {
    /// The connection.
    pub network: N,
    /// The settings that had another value, with that value, in the order in which they were changed.
    pub previous: Vec<(Sysctl, String)>,
    /// The setting at which the visit gave up.
    pub failed: Option<SysctlError>,
}

/// A namespace can not be visited.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It can not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The kernel can not be spoken to in there.
    #[error(transparent)]
    Network(#[from] RtError),
}

/// The kernel, seen from the namespace in which it was opened; the settings are those of the calling thread.
#[derive(Debug)]
pub struct LiveHost {
    namespace: Namespace,
    network: RtSocket,
    settings: ProcSys,
}

// === impl LiveHost ===

impl LiveHost {
    /// Opens the namespace of the calling thread as the host.
    pub fn open() -> Result<Self, EnterError> {
        Ok(Self { namespace: Namespace::current()?, network: RtSocket::open()?, settings: ProcSys })
    }
}

impl Host for LiveHost {
    type Network = RtSocket;

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn network(&mut self) -> &mut RtSocket {
        &mut self.network
    }

    fn settings(&mut self) -> &mut dyn Sysctls {
        &mut self.settings
    }

    fn enter(
        &mut self,
        namespace: &Namespace,
        settings: &[(Sysctl, String)],
    ) -> Result<Entered<RtSocket>, EnterError> {
        let visit = || {
            let network = RtSocket::open()?;
            let (previous, failed) = apply(&mut ProcSys, settings);
            Ok::<_, RtError>(Entered { network, previous, failed })
        };
        Ok(namespace.run(visit)??)
    }
}

/// Gives settings their values; what they had before, and where it stopped.
pub(crate) fn apply(
    sysctls: &mut dyn Sysctls,
    settings: &[(Sysctl, String)],
) -> (Vec<(Sysctl, String)>, Option<SysctlError>) {
    let mut previous = Vec::new();
    for (sysctl, value) in settings {
        let before = match sysctls.read(sysctl) {
            Ok(before) => before,
            Err(error) => return (previous, Some(error)),
        };
        if before == *value {
            continue;
        }
        if let Err(error) = sysctls.write(sysctl, value) {
            return (previous, Some(error));
        }
        previous.push((sysctl.clone(), before));
    }
    (previous, None)
}
