use proptest::prelude::*;

use super::*;
use crate::netlink::{Buffer, Messages, REQUEST};
use crate::rtnetlink::{Request, encode};

/// What a request says when the kernel would show it again.
fn shown<T>(request: &Request, decode: fn(&Message<'_>) -> Option<T>) -> T {
    let mut buffer = Buffer::default();
    encode::request(&mut buffer, request, 0, 1);
    let message = Messages(buffer.bytes()).next().expect("one message");
    assert_eq!(message.flags & REQUEST, REQUEST);
    decode(&message).expect("it makes sense")
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 15]>().prop_map(|rest| {
            // Never one that stands for an IPv4 address.
            let mut octets = [0x20; 16];
            octets[1..].copy_from_slice(&rest);
            IpAddr::from(octets)
        })
    ]
}

fn any_net() -> impl Strategy<Value = Cidr> {
    (any_ip(), any::<u8>()).prop_map(|(ip, prefix)| {
        let bits = if ip.is_ipv4() { 33 } else { 129 };
        Cidr::new(ip, prefix % bits).expect("short enough")
    })
}

proptest! {
    #[test]
    fn a_route_reads_as_it_was_written(
        (destination, gateway) in (any_net(), prop::option::of(any_ip())),
        (table, metric, link) in (any::<u32>(), any::<u32>(), prop::option::of(1..u32::MAX)),
        (protocol, scope, kind, onlink) in (any::<u8>(), any::<u8>(), any::<u8>(), any::<bool>()),
    ) {
        let route = Route {
            table: RouteTable(table),
            destination: destination.masked(),
            metric,
            link: link.map(IfIndex).filter(|_| kind != RTN_BLACKHOLE),
            // An IPv6 destination has no IPv4 gateway.
            gateway: gateway.filter(|ip| ip.is_ipv6() || destination.version() == margay_net::IpVersion::V4),
            onlink,
            protocol: RouteProtocol(protocol),
            scope: RouteScope(scope),
            kind: match kind {
                RTN_UNICAST => RouteKind::Unicast,
                RTN_BLACKHOLE => RouteKind::Blackhole,
                other => RouteKind::Other(other),
            },
        };
        prop_assert_eq!(shown(&Request::ReplaceRoute(route), super::route), route);
    }

    #[test]
    fn an_address_reads_as_it_was_written(net in any_net(), link in 1..u32::MAX, no_dad in any::<bool>()) {
        let address = Address { link: IfIndex(link), net, no_dad };
        prop_assert_eq!(shown(&Request::AddAddress(address), super::address), address);
    }

    #[test]
    fn a_neighbour_reads_as_it_was_written(
        address in any_ip(), link in 1..u32::MAX, mac in prop::option::of(any::<[u8; 6]>()),
    ) {
        let link = IfIndex(link);
        let neighbour = match mac {
            Some(mac) => Neighbour::permanent(link, address, mac.into()),
            None => Neighbour::proxy(link, address),
        };
        prop_assert_eq!(shown(&Request::ReplaceNeighbour(neighbour), super::neighbour), neighbour);
    }

    #[test]
    fn no_bytes_make_decoding_panic(
        kind in 16_u16..32, body in prop::collection::vec(any::<u8>(), 0..120), lengths in any::<bool>(),
    ) {
        let mut body = body;
        if lengths {
            // Attributes with lengths that fit, so that more than the first is read.
            for at in (16..body.len().saturating_sub(8)).step_by(8) {
                body[at..at + 2].copy_from_slice(&8_u16.to_ne_bytes());
            }
        }
        let mut buffer = Buffer::default();
        let message = buffer.message(kind, 0, 1);
        buffer.raw(&body);
        buffer.end_message(message);
        for message in Messages(buffer.bytes()) {
            let _ = (notice(&message), neighbour(&message), link(&message), address(&message), route(&message));
        }
    }
}
