//! The BGP peer (`spec/api-v1.md` 4.7).

use margay_net::{AsNumber, Ip};

use crate::record::record;
use crate::v1::document;

document! {
    /// A BGP neighbour of one node or of all.
    BgpPeer, BGPPeerMetadata, BGPPeerSpec
}

record! {
    /// What names a BGP peer.
    BGPPeerMetadata = "api.BGPPeerMetadata" {
        /// `global`, or `node`.
        scope: String as "scope.Scope" = "scope" "Scope" keep;
        /// The node, when scope is `node`.
        node: String = "node" "Node";
        /// The neighbour's address.
        peer_ip: Option<Ip> = "peerIP" "PeerIP" keep;
    }
}

record! {
    /// The AS of a BGP peer.
    BGPPeerSpec = "api.BGPPeerSpec" {
        /// The neighbour's AS number; absent = 0.
        as_number: AsNumber = "asNumber" "ASNumber" keep;
    }
}
