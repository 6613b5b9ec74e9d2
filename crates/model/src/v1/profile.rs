//! The profile (`spec/api-v1.md` 4.3).

use std::collections::BTreeMap;

use crate::record::record;
use crate::v1::{Rule, document};

document! {
    /// Rules, tags and labels shared by the endpoints that name it.
    Profile, ProfileMetadata, ProfileSpec
}

record! {
    /// What names a profile, and what its endpoints inherit.
    ProfileMetadata = "api.ProfileMetadata" {
        /// The name that endpoints list.
        name: String = "name" "Name";
        /// Tags that rules can match. Deprecated: use labels.
        tags: Vec<String> = "tags" "Tags";
        /// Labels that its endpoints inherit.
        labels: BTreeMap<String, String> = "labels" "Labels";
    }
}

record! {
    /// The rules of a profile.
    ProfileSpec = "api.ProfileSpec" {
        /// Rules for traffic to its endpoints, first match decides.
        ingress: Vec<Rule> = "ingress" "IngressRules";
        /// Rules for traffic from its endpoints, first match decides.
        egress: Vec<Rule> = "egress" "EgressRules";
    }
}
