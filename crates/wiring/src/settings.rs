//! The one table of settings on the host's end of a workload interface. The plugin applies it when it makes the
//! interface, the agent keeps those of [`Moment::Always`] as they should be.

use margay_kernel::Sysctl;
use margay_net::{IfName, IpVersion};

/// One setting of a host end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostSetting {
    /// Below `conf` or `neigh`.
    pub scope: Scope,
    /// Of which family it is, and which family the workload needs for it to count; see `always`.
    pub version: IpVersion,
    /// The last segment of its name.
    pub name: &'static str,
    /// What it should be.
    pub value: &'static str,
    /// Who cares.
    pub moment: Moment,
    /// What a failure means.
    pub importance: Importance,
    /// It counts even when the workload has no address of the family.
    pub always: bool,
}

/// Where a setting stands below `net.ipv4` or `net.ipv6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `conf.INTERFACE`.
    Conf,
    /// `neigh.INTERFACE`.
    Neigh,
}

/// When a setting matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the interface comes up for the first time.
    Creation,
    /// As long as it lives.
    Always,
}

/// What becomes of the whole when a setting can not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// It fails: the workload would have no network, or the host an open door.
    Required,
    /// It goes on, with a warning.
    Wanted,
}

/// The table. `rp_filter` is not in it: a rule checks the sources (`spec/agent.md` 13.8).
pub const HOST_SETTINGS: [HostSetting; 9] = [
    // So that a metadata service on 127.0.0.1 can be reached.
    row(Scope::Conf, IpVersion::V4, "route_localnet", "1", Moment::Always, Importance::Required),
    // Otherwise up to 0.8 s pass before an answer to ARP.
    row(Scope::Neigh, IpVersion::V4, "proxy_delay", "0", Moment::Always, Importance::Wanted),
    // The host answers for 169.254.1.1.
    row(Scope::Conf, IpVersion::V4, "proxy_arp", "1", Moment::Always, Importance::Required),
    row(Scope::Conf, IpVersion::V4, "forwarding", "1", Moment::Always, Importance::Required),
    // First: the others do not exist as long as the family is off on the link.
    row(Scope::Conf, IpVersion::V6, "disable_ipv6", "0", Moment::Creation, Importance::Required),
    // The gateway's address must work at once.
    row(Scope::Conf, IpVersion::V6, "accept_dad", "0", Moment::Creation, Importance::Required),
    row(Scope::Conf, IpVersion::V6, "proxy_ndp", "1", Moment::Always, Importance::Required),
    row(Scope::Conf, IpVersion::V6, "forwarding", "1", Moment::Always, Importance::Required),
    // A workload must not be able to give the host routes; not even one without IPv6 addresses.
    HostSetting {
        always: true,
        ..row(Scope::Conf, IpVersion::V6, "accept_ra", "0", Moment::Always, Importance::Wanted)
    },
];

/// A row that counts with its family.
const fn row(
    scope: Scope,
    version: IpVersion,
    name: &'static str,
    value: &'static str,
    moment: Moment,
    importance: Importance,
) -> HostSetting {
    HostSetting { scope, version, name, value, moment, importance, always: false }
}

// === impl HostSetting ===

impl HostSetting {
    /// Whether it counts for a workload with addresses of these families.
    #[must_use]
    pub fn applies(&self, v4: bool, v6: bool) -> bool {
        self.always
            || match self.version {
                IpVersion::V4 => v4,
                IpVersion::V6 => v6,
            }
    }

    /// The setting of an interface.
    #[must_use]
    pub fn sysctl(&self, interface: &IfName) -> Sysctl {
        match self.scope {
            Scope::Conf => Sysctl::conf(self.version, interface, self.name),
            Scope::Neigh => Sysctl::neigh(self.version, interface, self.name),
        }
    }
}
