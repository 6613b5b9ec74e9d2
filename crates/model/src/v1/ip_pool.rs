//! The IP pool (`spec/api-v1.md` 4.5).

use margay_net::Cidr;

use crate::record::record;
use crate::v1::document;

document! {
    /// A range that addresses are assigned from.
    IpPool, IPPoolMetadata, IPPoolSpec
}

record! {
    /// What names a pool.
    IPPoolMetadata = "api.IPPoolMetadata" {
        /// The range: no host bits, at least /26 or /122 unless disabled, not link local.
        cidr: Option<Cidr> = "cidr" "CIDR" keep;
    }
}

record! {
    /// How addresses of a pool are used.
    IPPoolSpec = "api.IPPoolSpec" {
        /// IP-in-IP between hosts; absent = off.
        ipip: Option<IPIPConfiguration> = "ipip" "IPIP";
        /// Masquerade traffic that leaves the pools. Note the spelling.
        nat_outgoing: bool = "nat-outgoing" "NATOutgoing";
        /// Assign no more addresses from it.
        disabled: bool = "disabled" "Disabled";
    }
}

record! {
    /// IP-in-IP settings.
    IPIPConfiguration = "api.IPIPConfiguration" {
        /// On for this pool; IPv4 only. Also switches the global `ipip` on.
        enabled: bool = "enabled" "Enabled";
        /// `always`, or `cross-subnet`; empty means always.
        mode: String as "ipip.Mode" = "mode" "Mode";
    }
}
