//! What a probe is, in the words of the recorded worlds: `FROM>TO [v6] KIND [sport=N] [src=ADDR] [type=N code=N]`.
//! KIND is `tcp:PORT`, `udp:PORT`, `icmp` or `proto:N`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One attempt to reach a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The machine that sends.
    pub from: String,
    /// The machine that is meant.
    pub to: String,
    /// The address that is meant, where it is not the machine's first.
    pub at: Option<IpAddr>,
    /// IPv6.
    pub v6: bool,
    /// What is sent.
    pub kind: Kind,
    /// The source port, where it matters.
    pub sport: Option<u16>,
    /// A source that is not the sender's own. It is sent once, and its arrival is what counts.
    pub src: Option<IpAddr>,
}

/// What a probe sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A connection, and a byte there and back.
    Tcp(u16),
    /// A datagram there and back.
    Udp(u16),
    /// An echo request and its reply.
    Echo,
    /// One ICMP message of that type and code; its arrival is what counts.
    Icmp(u8, u8),
    /// One packet of that IP protocol; its arrival is what counts.
    Protocol(u8),
}

/// The text is no probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseProbeError(String);

// === impl Probe ===

impl FromStr for Probe {
    type Err = ParseProbeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseProbeError(text.to_owned());
        let mut words = text.split_whitespace();
        let (from, to) = words.next().and_then(|word| word.split_once('>')).ok_or_else(wrong)?;
        let (to, at) = to.split_once('@').map_or((to, None), |(to, at)| (to, Some(at)));
        let at = at.map(str::parse).transpose().map_err(|_| wrong())?;
        let mut probe = Probe {
            from: from.to_owned(),
            to: to.to_owned(),
            at,
            v6: false,
            kind: Kind::Echo,
            sport: None,
            src: None,
        };
        let (mut icmp_type, mut icmp_code) = (None, None);
        for word in words {
            let (name, value) = word.split_once(['=', ':']).unwrap_or((word, ""));
            let number = || value.parse::<u16>().map_err(|_| wrong());
            match name {
                "v6" => probe.v6 = true,
                "icmp" => probe.kind = Kind::Echo,
                "tcp" => probe.kind = Kind::Tcp(number()?),
                "udp" => probe.kind = Kind::Udp(number()?),
                "proto" => probe.kind = Kind::Protocol(value.parse().map_err(|_| wrong())?),
                "sport" => probe.sport = Some(number()?),
                "src" => probe.src = Some(value.parse().map_err(|_| wrong())?),
                "type" => icmp_type = Some(value.parse().map_err(|_| wrong())?),
                "code" => icmp_code = Some(value.parse().map_err(|_| wrong())?),
                _ => return Err(wrong()),
            }
        }
        if let Some(kind) = icmp_type {
            probe.kind = Kind::Icmp(kind, icmp_code.unwrap_or(0));
        }
        Ok(probe)
    }
}

// === impl ParseProbeError ===

impl fmt::Display for ParseProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no probe: {:?}", self.0)
    }
}

impl std::error::Error for ParseProbeError {}
