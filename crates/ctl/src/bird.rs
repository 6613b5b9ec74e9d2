//! The control socket of BIRD: asks for the protocols and understands the answer (`spec/calicoctl.md` 10.2).

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use margay_net::IpVersion;

/// Time for each line of the answer.
const LINE: Duration = Duration::from_secs(2);

const HEADINGS: [&str; 6] = ["name", "proto", "table", "state", "since", "info"];

/// A BGP session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The address of the other side.
    pub(crate) address: String,
    /// Why the session exists.
    pub(crate) kind: PeerKind,
    /// BIRD's word for its state.
    pub(crate) state: String,
    /// Since when, as BIRD puts it.
    pub(crate) since: String,
    /// More words about it.
    pub(crate) details: String,
}

/// Why a session exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// A peer of the whole cluster.
    Global,
    /// Every node peers with every other.
    Mesh,
    /// A peer of this node.
    Node,
}

/// What went wrong while asking.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BirdError {
    /// The question could not be sent.
    #[error("unable to write to BIRD socket")]
    Write(#[source] io::Error),
    /// The answer stopped.
    #[error("reading from the BIRD socket")]
    Read(#[source] io::Error),
    /// The columns are not those we know.
    #[error("unknown BIRD table output format")]
    Headings,
    /// A line starts with none of the codes we know.
    #[error("unexpected output line from BIRD")]
    Line,
}

/// A line of the answer.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Greeting,
    Headings,
    Row(&'a str),
    End,
}

// === impl PeerKind ===

impl PeerKind {
    /// What the table calls it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Mesh => "node-to-node mesh",
            Self::Node => "node specific",
        }
    }
}

/// Asks for the sessions.
pub(crate) fn peers(mut socket: UnixStream, version: IpVersion) -> Result<Vec<Peer>, BirdError> {
    socket.set_read_timeout(Some(LINE)).map_err(BirdError::Read)?;
    socket.set_write_timeout(Some(LINE)).map_err(BirdError::Write)?;
    socket.write_all(b"show protocols\n").map_err(BirdError::Write)?;
    read_peers(BufReader::new(socket), version)
}

/// Understands the answer; an end without `0000` is an end too.
pub(crate) fn read_peers(mut answer: impl BufRead, version: IpVersion) -> Result<Vec<Peer>, BirdError> {
    let mut peers = Vec::new();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        if answer.read_until(b'\n', &mut buffer).map_err(BirdError::Read)? == 0 {
            return Ok(peers);
        }
        let text = String::from_utf8_lossy(&buffer);
        match line(text.trim_end_matches(['\n', '\r']))? {
            Line::Greeting | Line::Headings => {}
            Line::Row(row) => peers.extend(peer(row, version)),
            Line::End => return Ok(peers),
        }
    }
}

fn line(text: &str) -> Result<Line<'_>, BirdError> {
    // The code is followed by a `-` or a blank; a line may end right behind it.
    let from_column_six = || text.get(5..).unwrap_or_default();
    if text.starts_with("0000") {
        return Ok(Line::End);
    }
    if text.starts_with("0001") {
        return Ok(Line::Greeting);
    }
    if text.starts_with("2002") {
        // COMPAT(BIRD 2): it writes the same words with capitals, which upstream refuses.
        let words = from_column_six().split_whitespace();
        let same = words.map(str::to_lowercase).eq(HEADINGS);
        return if same { Ok(Line::Headings) } else { Err(BirdError::Headings) };
    }
    if text.starts_with("1002") {
        return Ok(Line::Row(from_column_six()));
    }
    text.strip_prefix(' ').map(Line::Row).ok_or(BirdError::Line)
}

fn peer(row: &str, version: IpVersion) -> Option<Peer> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let [name, "BGP", _table, state, since, details @ ..] = words.as_slice() else { return None };
    if details.is_empty() {
        return None;
    }
    let kinds = [("Global_", PeerKind::Global), ("Mesh_", PeerKind::Mesh), ("Node_", PeerKind::Node)];
    let (address, kind) =
        kinds.iter().find_map(|(prefix, kind)| Some((name.strip_prefix(prefix)?, *kind)))?;
    let separator = match version {
        IpVersion::V4 => ".",
        IpVersion::V6 => ":",
    };
    (!address.is_empty()).then(|| Peer {
        address: address.replace('_', separator),
        kind,
        state: (*state).to_owned(),
        since: (*since).to_owned(),
        details: details.join(" "),
    })
}

#[cfg(test)]
mod tests;
