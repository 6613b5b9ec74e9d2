//! The columns of tables and their cells (`spec/calicoctl.md` 7.1).

use std::fmt::{Display, Write as _};

use margay_model::v1::Gateway;
use margay_model::{Kind, Resource};
use margay_text::go_fmt::write_float_g;
use margay_text::table::Table;

use super::Format;

/// A column of some kind's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column(&'static str);

/// The short columns, the further wide ones, and those that only `custom-columns` shows.
type Columns = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

fn all(kind: Kind) -> Columns {
    match kind {
        Kind::WorkloadEndpoint => (
            &["NODE", "ORCHESTRATOR", "WORKLOAD", "NAME"],
            &["NETWORKS", "NATS", "INTERFACE", "PROFILES"],
            &["IPV4GATEWAY", "IPV6GATEWAY", "MAC"],
        ),
        Kind::HostEndpoint => (&["NODE", "NAME"], &["INTERFACE", "IPS", "PROFILES"], &[]),
        Kind::Profile => (&["NAME"], &["TAGS"], &[]),
        Kind::Policy => (&["NAME"], &["ORDER", "SELECTOR"], &[]),
        Kind::IpPool => (&["CIDR"], &["NAT", "IPIP"], &[]),
        Kind::Node => (&["NAME"], &["ASN", "IPV4", "IPV6"], &[]),
        Kind::BgpPeer => (&["SCOPE", "PEERIP", "NODE", "ASN"], &[], &[]),
    }
}

/// The columns of a kind's table in a format.
///
/// # Errors
/// Upstream's text for a column that the kind does not have.
pub(crate) fn of(kind: Kind, format: &Format) -> Result<Vec<Column>, String> {
    let (short, wide, custom) = all(kind);
    let every = || short.iter().chain(wide).chain(custom).copied();
    match format {
        Format::Columns(names) => names
            .iter()
            .map(|name| {
                let known = every().find(|known| known == name).map(Column);
                // COMPAT(column-order): upstream names the valid ones in random order.
                let valid = || every().collect::<Vec<_>>().join(", ");
                known.ok_or_else(|| format!("Unknown heading {name}, valid values are: {}", valid()))
            })
            .collect(),
        Format::Wide => Ok(short.iter().chain(wide).copied().map(Column).collect()),
        Format::Short | Format::Yaml | Format::Json | Format::Template(_) => {
            Ok(short.iter().copied().map(Column).collect())
        }
    }
}

// === impl Column ===

impl Column {
    /// The heading.
    pub(crate) fn heading(self) -> &'static str {
        self.0
    }
}

/// One line of a table.
pub(crate) struct Row<'a> {
    /// What it shows.
    pub(crate) resource: &'a Resource,
    /// The cluster's AS number.
    pub(crate) global_as: &'a str,
}

// === impl Row ===

impl Row<'_> {
    /// Appends the cells of these columns.
    pub(crate) fn write(&self, columns: &[Column], table: &mut Table) {
        for column in columns {
            self.cell(column.0, table);
            table.end_cell();
        }
        table.end_row();
    }

    fn cell(&self, column: &str, table: &mut Table) {
        match self.resource {
            Resource::WorkloadEndpoint(d) => match column {
                "NODE" => text(table, &d.metadata.node),
                "ORCHESTRATOR" => text(table, &d.metadata.orchestrator),
                "WORKLOAD" => text(table, &d.metadata.workload),
                "NAME" => text(table, &d.metadata.name),
                "NETWORKS" => joined(table, &d.spec.ip_networks),
                "NATS" => {
                    let nats: Vec<String> =
                        d.spec.ip_nats.iter().map(margay_model::validate::nat_text).collect();
                    joined(table, &nats);
                }
                "INTERFACE" => text(table, &d.spec.interface_name),
                "PROFILES" => joined(table, &d.spec.profiles),
                "IPV4GATEWAY" => pointer(table, gateway(d.spec.ipv4_gateway).as_ref()),
                // COMPAT(ipv6-gateway-column): upstream shows the IPv4 gateway here.
                "IPV6GATEWAY" => pointer(table, gateway(d.spec.ipv6_gateway).as_ref()),
                _ => pointer(table, d.spec.mac.as_ref()),
            },
            Resource::HostEndpoint(d) => match column {
                "NODE" => text(table, &d.metadata.node),
                "NAME" => text(table, &d.metadata.name),
                "INTERFACE" => text(table, &d.spec.interface_name),
                "IPS" => joined(table, &d.spec.expected_ips),
                _ => joined(table, &d.spec.profiles),
            },
            Resource::Profile(d) => match column {
                "NAME" => text(table, &d.metadata.name),
                _ => joined(table, &d.metadata.tags),
            },
            Resource::Policy(d) => match column {
                "NAME" => text(table, &d.metadata.name),
                "ORDER" => match d.spec.order {
                    Some(order) => {
                        let mut digits = String::new();
                        write_float_g(&mut digits, order);
                        text(table, &digits);
                    }
                    None => text(table, "<nil>"),
                },
                _ => text(table, &d.spec.selector),
            },
            Resource::IpPool(d) => match column {
                "CIDR" => pointer(table, d.metadata.cidr.as_ref()),
                "NAT" => show(table, &d.spec.nat_outgoing),
                _ => show(table, &d.spec.ipip.as_ref().is_some_and(|ipip| ipip.enabled)),
            },
            Resource::Node(d) => self.node_cell(d, column, table),
            Resource::BgpPeer(d) => match column {
                "SCOPE" => text(table, &d.metadata.scope),
                "PEERIP" => pointer(table, d.metadata.peer_ip.as_ref()),
                "NODE" => text(table, &d.metadata.node),
                _ => show(table, &d.spec.as_number),
            },
        }
    }

    fn node_cell(&self, node: &margay_model::v1::Node, column: &str, table: &mut Table) {
        if column == "NAME" {
            text(table, &node.metadata.name);
            return;
        }
        let Some(bgp) = &node.spec.bgp else { return };
        match column {
            "ASN" => match bgp.as_number {
                Some(number) => show(table, &number),
                None => show(table, &format_args!("({})", self.global_as)),
            },
            "IPV4" => optional(table, bgp.ipv4_address.as_ref()),
            _ => optional(table, bgp.ipv6_address.as_ref()),
        }
    }
}

fn gateway(gateway: Option<Gateway>) -> Option<margay_net::Ip> {
    gateway.and_then(|gateway| gateway.0)
}

fn text(table: &mut Table, text: &str) {
    table.write_str(text).expect("a table takes all text");
}

fn show(table: &mut Table, value: &impl Display) {
    write!(table, "{value}").expect("a table takes all text");
}

fn joined<T: Display>(table: &mut Table, list: &[T]) {
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            text(table, ",");
        }
        show(table, item);
    }
}

/// A Go pointer: `<nil>` when unset.
fn pointer<T: Display>(table: &mut Table, value: Option<&T>) {
    match value {
        Some(value) => show(table, value),
        None => text(table, "<nil>"),
    }
}

fn optional<T: Display>(table: &mut Table, value: Option<&T>) {
    if let Some(value) = value {
        show(table, value);
    }
}
