//! The rule of policies and profiles (`spec/api-v1.md` 5).

use margay_net::{Cidr, Port, Protocol};

use crate::record::record;

record! {
    /// One rule: what it matches and what happens then.
    Rule = "api.Rule" {
        /// `allow`, `deny`, `log` or `pass`. Required.
        action: String = "action" "Action" keep;
        /// Only packets of this version, 4 or 6.
        ip_version: Option<i64> = "ipVersion" "IPVersion";
        /// Only this protocol: tcp, udp, icmp, icmpv6, sctp, udplite, or a number from 1 to 255.
        protocol: Option<Protocol> = "protocol" "Protocol";
        /// Only these ICMP messages.
        icmp: Option<ICMPFields> = "icmp" "ICMP";
        /// Any but this protocol.
        not_protocol: Option<Protocol> = "notProtocol" "NotProtocol";
        /// Any but these ICMP messages.
        not_icmp: Option<ICMPFields> = "notICMP" "NotICMP";
        /// What the packet's source must be.
        source: EntityRule = "source" "Source" keep;
        /// What the packet's destination must be.
        destination: EntityRule = "destination" "Destination" keep;
    }
}

record! {
    /// ICMP type and code.
    ICMPFields = "api.ICMPFields" {
        /// 0 to 254.
        icmp_type: Option<i64> = "type" "Type";
        /// 0 to 255; needs a type.
        code: Option<i64> = "code" "Code";
    }
}

record! {
    /// One end of a rule: every field given must match.
    EntityRule = "api.EntityRule" {
        /// An endpoint whose profile has this tag. Deprecated.
        tag: String = "tag" "Tag";
        /// Within this network. Deprecated: use nets.
        net: Option<Cidr> = "net" "Net";
        /// Within any of these networks.
        nets: Vec<Cidr> as "*net.IPNet" = "nets" "Nets";
        /// An endpoint that this selector picks.
        selector: String = "selector" "Selector";
        /// Any of these ports; the protocol must be tcp or udp.
        ports: Vec<Port> = "ports" "Ports";
        /// No endpoint with this tag. Deprecated.
        not_tag: String = "notTag" "NotTag";
        /// Outside this network. Deprecated: use notNets.
        not_net: Option<Cidr> = "notNet" "NotNet";
        /// Outside all of these networks.
        not_nets: Vec<Cidr> as "*net.IPNet" = "notNets" "NotNets";
        /// No endpoint that this selector picks.
        not_selector: String = "notSelector" "NotSelector";
        /// None of these ports; the protocol must be tcp or udp.
        not_ports: Vec<Port> = "notPorts" "NotPorts";
    }
}
