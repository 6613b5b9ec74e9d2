//! The policy (`spec/api-v1.md` 4.4).

use std::collections::BTreeMap;

use crate::record::record;
use crate::v1::{Rule, document};

document! {
    /// Ordered rules for the endpoints that its selector picks.
    Policy, PolicyMetadata, PolicySpec
}

record! {
    /// What names a policy.
    PolicyMetadata = "api.PolicyMetadata" {
        /// The name. `knp.default.…` belongs to Kubernetes NetworkPolicy and cannot be written here.
        name: String = "name" "Name";
        /// Anything; kept as it is.
        annotations: BTreeMap<String, String> = "annotations" "Annotations";
    }
}

record! {
    /// Order, selector and rules of a policy.
    PolicySpec = "api.PolicySpec" {
        /// Lower goes first; none goes last.
        order: Option<f64> = "order" "Order";
        /// Rules for traffic to the selected endpoints, first match decides.
        ingress: Vec<Rule> = "ingress" "IngressRules";
        /// Rules for traffic from the selected endpoints, first match decides.
        egress: Vec<Rule> = "egress" "EgressRules";
        /// Which endpoints it applies to; empty = all. Kept as written.
        selector: String = "selector" "Selector" keep;
        /// Applies before connection tracking. Not together with preDNAT.
        do_not_track: bool = "doNotTrack" "DoNotTrack";
        /// Applies before destination NAT, to ingress only.
        pre_dnat: bool = "preDNAT" "PreDNAT";
        /// Which directions it decides: `ingress`, `egress`. Filled in from the rules when empty.
        types: Vec<String> as "api.PolicyType" = "types" "Types";
    }
}
