//! `trace --dropped`: packets that are dropped on this host, as they come, each with the rule that dropped it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use margay_client::{ExitCode, Invocation};
use margay_kernel::nft::{Contents, Detail, DropTracer, Dropped, Family, Name, Nft, Nftables as _, TableId};
use margay_kernel::{RtSocket, Rtnetlink as _};
use margay_net::IfIndex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::{ask, complain, socket};
use crate::source::chain;

/// How many packets a second are looked at: enough for a person, and no burden for a busy host.
const RATE: u32 = 2000;

/// How long the kernel may take for one answer.
const KERNEL: Duration = Duration::from_secs(10);

/// How often names and rules are read again, at most, when something unknown turns up.
const REFRESH: Duration = Duration::from_millis(500);

/// Of `trace --dropped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceOptions {
    /// How long to look.
    pub time: Duration,
    /// One JSON object for each packet instead of a line of text.
    pub json: bool,
}

/// What stands behind the numbers of reports.
#[derive(Default)]
struct Names {
    interfaces: BTreeMap<IfIndex, String>,
    /// Endpoints by interface.
    endpoints: BTreeMap<String, String>,
    tables: BTreeMap<TableId, Option<Contents>>,
    read: Option<Instant>,
}

/// A drop in words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    /// `policy`, `profile`, `programme`, or the chain.
    what: &'static str,
    /// Its name, as far as the chain's name tells.
    name: String,
    /// `ingress` or `egress`, seen from the endpoint; empty = neither.
    direction: &'static str,
    /// The rule, or why there is none.
    rule: String,
}

/// Shows drops until the time is over: 0, or 2 when they cannot be seen.
pub fn trace_dropped(options: TraceOptions, invocation: &mut Invocation<'_>) -> ExitCode {
    let table: Name =
        format!("margay-trace-{}", std::process::id()).parse().expect("letters, hyphens and digits");
    let opened = DropTracer::open(&table, RATE).map_err(|error| chain(&error));
    let (mut tracer, nft, network) = match opened.and_then(|tracer| {
        let nft = Nft::open(KERNEL).map_err(|error| chain(&error))?;
        Ok((tracer, nft, RtSocket::open().map_err(|error| chain(&error))?))
    }) {
        Ok(opened) => opened,
        Err(error) => {
            return complain(invocation, &error, "it takes root, or CAP_NET_ADMIN, and Linux 5.12");
        }
    };
    let mut kernel = (nft, network);
    let mut names = Names::default();
    names.refresh(&mut kernel, invocation);
    let until = Instant::now() + options.time;
    let _ = writeln!(invocation.stderr, "showing drops for {} s", options.time.as_secs());
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return ExitCode::SUCCESS;
        }
        let time = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let _ = poll(&mut [PollFd::from_borrowed_fd(tracer.as_fd(), PollFlags::IN)], Some(&time));
        let dropped = match tracer.read() {
            Ok(dropped) => dropped,
            Err(error) => return complain(invocation, &chain(&error), "try again"),
        };
        for packet in dropped {
            if !names.know(&packet) {
                names.refresh(&mut kernel, invocation);
            }
            let now = (invocation.now)();
            let line = if options.json { names.json(&packet, now) } else { names.text(&packet, now) };
            match writeln!(invocation.stdout, "{line}").and_then(|()| invocation.stdout.flush()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                Err(_) => return super::UNANSWERED,
            }
        }
    }
}

// === impl Names ===

impl Names {
    /// Reads everything again, but not too often. What cannot be read stays a number.
    fn refresh(&mut self, (nft, network): &mut (Nft, RtSocket), invocation: &Invocation<'_>) {
        if self.read.is_some_and(|at| at.elapsed() < REFRESH) {
            return;
        }
        self.read = Some(Instant::now());
        if let Ok(links) = network.links() {
            self.interfaces = links.into_iter().map(|link| (link.index, link.name.to_string())).collect();
        }
        if let Ok(status) = ask(&socket(invocation)) {
            let endpoints = status["endpoints"].as_array().cloned().unwrap_or_default();
            let pair = |endpoint: &Value| {
                Some((endpoint["interface"].as_str()?.to_owned(), endpoint["name"].as_str()?.to_owned()))
            };
            self.endpoints = endpoints.iter().filter_map(pair).collect();
        }
        let ours = ours();
        self.tables.entry(ours).or_default();
        for (table, contents) in &mut self.tables {
            *contents = nft.dump(table, Detail::Full).ok().and_then(|dump| dump.contents);
        }
    }

    /// True when the packet's rule is known; else its table is read at the next refresh.
    fn know(&mut self, dropped: &Dropped) -> bool {
        let contents = self.tables.entry(dropped.table.clone()).or_default();
        contents.as_ref().is_some_and(|contents| {
            contents
                .chains
                .get(&dropped.chain)
                .is_some_and(|chain| chain.rules.iter().any(|rule| rule.handle == dropped.rule))
        })
    }

    fn reason(&self, dropped: &Dropped) -> Reason {
        let contents = self.tables.get(&dropped.table).and_then(Option::as_ref);
        let rule = contents
            .and_then(|contents| contents.chains.get(&dropped.chain))
            .and_then(|chain| chain.rules.iter().find(|rule| rule.handle == dropped.rule));
        let words = rule.and_then(|rule| words(rule.comment.as_deref()));
        let text = rule.and_then(|rule| rule.rule.as_ref()).map(|rule| {
            let text = rule.to_string();
            text.split_once(" comment \"").map_or(text.clone(), |(text, _)| text.to_owned())
        });
        let rule = words.or(text).unwrap_or_else(|| format!("rule {}", dropped.rule.0));
        if dropped.table != ours() {
            let name = format!("{} of table {}", dropped.chain, dropped.table);
            return Reason { what: "chain", name, direction: "", rule };
        }
        of_chain(dropped.chain.as_str(), rule)
    }

    /// The interface, with the endpoint that it belongs to.
    fn interface(&self, index: Option<IfIndex>) -> Option<(String, Option<&String>)> {
        let IfIndex(number) = index?;
        let name = self.interfaces.get(&IfIndex(number)).cloned().unwrap_or_else(|| format!("#{number}"));
        let endpoint = self.endpoints.get(&name);
        Some((name, endpoint))
    }

    fn text(&self, dropped: &Dropped, now: SystemTime) -> String {
        let packet = &dropped.packet;
        let mut line = format!("{} {}", stamp(now, "%H:%M:%S%.3f"), protocol(packet.protocol));
        if let Some((source, destination)) = packet.addresses {
            let (from, to) = packet.ports.map_or((None, None), |(from, to)| (Some(from), Some(to)));
            let _ = write!(line, " {} > {}", address(source, from), address(destination, to));
        }
        if let Some((kind, code)) = packet.icmp {
            let _ = write!(line, " type {kind} code {code}");
        }
        for (word, index) in [("in", packet.iif), ("out", packet.oif)] {
            match self.interface(index) {
                Some((name, Some(endpoint))) => {
                    let _ = write!(line, ", {word} {name} ({endpoint})");
                }
                Some((name, None)) => {
                    let _ = write!(line, ", {word} {name}");
                }
                None => {}
            }
        }
        let Reason { what, name, direction, rule } = self.reason(dropped);
        let space = |text: &str| if text.is_empty() { String::new() } else { format!(" {text}") };
        let comma = if direction.is_empty() { String::new() } else { format!(", {direction}") };
        let _ = write!(line, ": {what}{}{comma}: {rule}", space(&name));
        line
    }

    fn json(&self, dropped: &Dropped, now: SystemTime) -> String {
        let packet = &dropped.packet;
        let side = |index| match self.interface(index) {
            Some((name, endpoint)) => json!({ "interface": name, "endpoint": endpoint }),
            None => Value::Null,
        };
        let Reason { what, name, direction, rule } = self.reason(dropped);
        json!({
            "time": stamp(now, "%Y-%m-%dT%H:%M:%S%.3fZ"),
            "protocol": protocol(packet.protocol),
            "source": packet.addresses.map(|(source, _)| source.to_string()),
            "destination": packet.addresses.map(|(_, destination)| destination.to_string()),
            "sourcePort": packet.ports.map(|(source, _)| source),
            "destinationPort": packet.ports.map(|(_, destination)| destination),
            "icmpType": packet.icmp.map(|(kind, _)| kind),
            "icmpCode": packet.icmp.map(|(_, code)| code),
            "in": side(packet.iif),
            "out": side(packet.oif),
            "by": what,
            "name": name,
            "direction": direction,
            "rule": rule,
            "chain": dropped.chain.to_string(),
            "table": dropped.table.to_string(),
        })
        .to_string()
    }
}

// === helpers ===

/// The agent's table.
fn ours() -> TableId {
    TableId { family: Family::Inet, name: "calico".parse().expect("letters") }
}

/// What a chain of ours is, by its name (`docs/design/dataplane.md`).
fn of_chain(chain: &str, rule: String) -> Reason {
    let (kind, rest) = chain.split_once('-').unwrap_or((chain, ""));
    let name = rest.rsplit_once('-').map_or(rest, |(name, _)| name).to_owned();
    let (what, direction) = match kind {
        "pi" => ("policy", "ingress"),
        "po" => ("policy", "egress"),
        "pui" => ("untracked policy", "ingress"),
        "puo" => ("untracked policy", "egress"),
        "pd" => ("preDNAT policy", "ingress"),
        "fi" => ("profile", "ingress"),
        "fo" => ("profile", "egress"),
        "wi" => ("workload", "ingress"),
        "wo" => ("workload", "egress"),
        "hi" | "ui" | "dn" => ("host endpoint", "ingress"),
        "ho" | "uo" => ("host endpoint", "egress"),
        _ => return Reason { what: "chain", name: chain.to_owned(), direction: "", rule },
    };
    // The readable part of a programme's name is that of its policies, which says nothing of the endpoint.
    let name = if matches!(what, "workload" | "host endpoint") { String::new() } else { name };
    Reason { what, name, direction, rule }
}

/// The words in a rule's comment, without the hash before them.
fn words(comment: Option<&str>) -> Option<String> {
    let comment = comment?;
    let words = match comment.strip_prefix("calico:") {
        Some(rest) => rest.split_once(' ').map_or("", |(_, words)| words),
        None => comment,
    };
    (!words.is_empty()).then(|| words.to_owned())
}

fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        4 => "ipip".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("protocol {other}"),
    }
}

fn address(address: std::net::IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => std::net::SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    }
}

fn stamp(now: SystemTime, format: &str) -> String {
    Timestamp::try_from(now).map(|now| now.strftime(format).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Reason, of_chain, words};

    #[test]
    fn chains_are_told_by_their_names() {
        let said = |chain: &str| {
            let Reason { what, name, direction, .. } = of_chain(chain, String::new());
            format!("{what}|{name}|{direction}")
        };
        assert_eq!(said("pi-allow-web-0123456789abcdef0123"), "policy|allow-web|ingress");
        assert_eq!(said("fo-dflt-0123456789abcdef0123"), "profile|dflt|egress");
        assert_eq!(said("wi-allow-web-0123456789abcdef0123"), "workload||ingress");
        assert_eq!(said("antispoof"), "chain|antispoof|");
    }

    #[test]
    fn the_hash_in_a_comment_is_no_word() {
        assert_eq!(words(Some("calico:0f3a end of tier default")).as_deref(), Some("end of tier default"));
        assert_eq!(words(Some("calico:0f3a")), None);
        assert_eq!(words(Some("of somebody else")).as_deref(), Some("of somebody else"));
        assert_eq!(words(None), None);
    }
}
