//! The kernel of one namespace behind [`Rtnetlink`], and a subscription to its changes.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;

use super::encode::{self, Listing};
use super::{Outcome, Refusal, Reply, Request, RtError, Rtnetlink, decode};
use crate::address::Address;
use crate::link::Link;
use crate::monitor::{Monitor, Notice};
use crate::neighbour::Neighbour;
use crate::netlink::{
    ACK, Buffer, DONE, DUMP_INTR, ERROR, Message, Messages, Protocol, Socket, SocketError, ne32,
};
use crate::route::Route;

/// How long the kernel may work on one request: taking a pair away waits for its users.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Requests in one message; what they are refused with must fit the socket's queue.
const TOGETHER: usize = 64;
/// How often a listing is begun again because things changed meanwhile.
const ATTEMPTS: usize = 20;
/// The groups of a subscription: links, addresses and routes (`enum rtnetlink_groups`).
const GROUPS: [u32; 5] = [1, 5, 9, 7, 11];
/// Room for unread notices: some ten thousand.
const QUEUE: usize = 8 * 1024 * 1024;

/// The kernel, as one namespace sees it: the one in which the socket was opened.
#[derive(Debug)]
pub struct RtSocket {
    socket: Socket,
    buffer: Buffer,
    sequence: u32,
}

/// A subscription to the changes of one namespace.
#[derive(Debug)]
pub struct RtMonitor {
    socket: Socket,
}

// === impl RtSocket ===

impl RtSocket {
    /// Opens a connection to the namespace of the calling thread.
    pub fn open() -> Result<Self, RtError> {
        Self::with_timeout(TIMEOUT)
    }

    /// The same, with another bound for each answer.
    pub fn with_timeout(timeout: Duration) -> Result<Self, RtError> {
        let socket = Socket::open(Protocol::Route, timeout).map_err(failed("opening rtnetlink"))?;
        Ok(Self { socket, buffer: Buffer::default(), sequence: 0 })
    }

    /// The number of the next message.
    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends requests in one message and reads what comes back.
    ///
    /// Only the last one asks for an acknowledgement: the kernel takes them in order and speaks up for each that it
    /// refuses, so what nobody complained about by then is done.
    fn submit_together(&mut self, requests: &[Request], outcomes: &mut Vec<Outcome>) -> Result<(), RtError> {
        const DOING: &str = "changing links, addresses or routes";
        let first = self.sequence.wrapping_add(1);
        self.buffer.clear();
        for (place, request) in requests.iter().enumerate() {
            let flags = if place + 1 == requests.len() { ACK } else { 0 };
            let sequence = self.next_sequence();
            encode::request(&mut self.buffer, request, flags, sequence);
        }
        self.socket.send(self.buffer.bytes()).map_err(failed(DOING))?;
        let start = outcomes.len();
        outcomes.resize(start + requests.len(), Ok(Reply::Done));
        loop {
            let datagram = self.socket.receive().map_err(failed(DOING))?;
            for message in Messages(datagram) {
                let place = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some(request) = requests.get(place) else { continue };
                let outcome = &mut outcomes[start + place];
                match message.kind {
                    ERROR => {
                        let ack = message.ack().ok_or(SocketError::Nonsense).map_err(failed(DOING))?;
                        if ack.errno != 0 {
                            let errno = Errno::from_raw_os_error(ack.errno);
                            *outcome = Err(Refusal::new(request, errno, ack.text.map(str::to_owned)));
                        }
                        if place + 1 == requests.len() {
                            return Ok(());
                        }
                    }
                    libc::RTM_NEWLINK => {
                        // One with a name that is no text can not be shown: as if it were not there.
                        *outcome = match decode::link(&message) {
                            Some(link) => Ok(Reply::Link(Box::new(link))),
                            None => Err(Refusal::new(request, Errno::NODEV, None)),
                        };
                    }
                    _ => {}
                }
            }
        }
    }

    /// Reads a whole listing, again when it changed meanwhile.
    fn list<T: Ord>(
        &mut self,
        doing: &'static str,
        listing: Listing,
        decode: fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, RtError> {
        for _ in 0..ATTEMPTS {
            let sequence = self.next_sequence();
            self.buffer.clear();
            encode::listing(&mut self.buffer, listing, sequence);
            if let Some(mut found) =
                list_once(&mut self.socket, self.buffer.bytes(), sequence, doing, decode)?
            {
                found.sort_unstable();
                return Ok(found);
            }
        }
        Err(RtError::Restless { doing })
    }
}

impl Rtnetlink for RtSocket {
    fn submit(&mut self, requests: &[Request]) -> Result<Vec<Outcome>, RtError> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for together in requests.chunks(TOGETHER) {
            self.submit_together(together, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn links(&mut self) -> Result<Vec<Link>, RtError> {
        let links =
            self.list("listing links", Listing::Links, |message| decode::link(message).map(ByIndex))?;
        Ok(links.into_iter().map(|ByIndex(link)| link).collect())
    }

    fn addresses(&mut self) -> Result<Vec<Address>, RtError> {
        self.list("listing addresses", Listing::Addresses, decode::address)
    }

    fn routes(&mut self) -> Result<Vec<Route>, RtError> {
        self.list("listing routes", Listing::Routes, decode::route)
    }

    fn neighbours(&mut self) -> Result<Vec<Neighbour>, RtError> {
        let mut all = self.list("listing neighbours", Listing::Neighbours, decode::neighbour)?;
        all.extend(self.list("listing proxy neighbours", Listing::Proxies, decode::neighbour)?);
        all.sort_unstable();
        Ok(all)
    }
}

/// A link ordered by its number.
struct ByIndex(Link);

impl PartialEq for ByIndex {
    fn eq(&self, other: &Self) -> bool {
        self.0.index == other.0.index
    }
}

impl Eq for ByIndex {}

impl PartialOrd for ByIndex {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByIndex {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.index.cmp(&other.0.index)
    }
}

// === impl RtMonitor ===

impl RtMonitor {
    /// Reads what a datagram of the kernel says; what makes no sense is left out.
    #[must_use]
    pub fn read(datagram: &[u8]) -> Vec<Notice> {
        Messages(datagram).filter_map(|message| decode::notice(&message)).collect()
    }

    /// Subscribes to the changes of the namespace of the calling thread. List everything after that, not before.
    pub fn open() -> Result<Self, RtError> {
        const DOING: &str = "subscribing to changes of links, addresses and routes";
        let socket = Socket::open(Protocol::Route, TIMEOUT).map_err(failed(DOING))?;
        socket.reserve_receive(QUEUE);
        for group in GROUPS {
            socket.join(group).map_err(failed(DOING))?;
        }
        Ok(Self { socket })
    }
}

impl Monitor for RtMonitor {
    fn receive(&mut self) -> Result<Vec<Notice>, RtError> {
        let mut notices = Vec::new();
        loop {
            match self.socket.try_receive() {
                Ok(Some(datagram)) => notices.extend(Self::read(datagram)),
                Ok(None) => return Ok(notices),
                // What was in the queue is still there and comes next.
                Err(SocketError::Overrun) => notices.push(Notice::Overrun),
                Err(source) => {
                    return Err(failed("receiving changes of links, addresses and routes")(source));
                }
            }
        }
    }
}

impl AsFd for RtMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// === helpers ===

/// How many neighbour entries a datagram holds.
pub(crate) fn neighbours(datagram: &[u8]) -> usize {
    Messages(datagram).filter_map(|message| decode::neighbour(&message)).count()
}

/// Names what a failing socket was used for.
pub(crate) fn failed(doing: &'static str) -> impl Fn(SocketError) -> RtError {
    move |source| RtError::Socket { doing, source }
}

/// Reads a listing; none when things changed meanwhile.
pub(crate) fn list_once<T>(
    socket: &mut Socket,
    request: &[u8],
    sequence: u32,
    doing: &'static str,
    decode: impl Fn(&Message<'_>) -> Option<T>,
) -> Result<Option<Vec<T>>, RtError> {
    socket.send(request).map_err(failed(doing))?;
    let (mut found, mut changed) = (Vec::new(), false);
    loop {
        let datagram = socket.receive().map_err(failed(doing))?;
        for message in Messages(datagram).filter(|message| message.sequence == sequence) {
            changed |= message.flags & DUMP_INTR != 0;
            let errno = match message.kind {
                // The number is negative here as in an error; kernels have left it out.
                DONE => ne32(message.body, 0).map_or(0, |number| number.cast_signed().wrapping_neg()),
                ERROR => message.ack().ok_or(SocketError::Nonsense).map_err(failed(doing))?.errno,
                _ => {
                    found.extend(decode(&message));
                    continue;
                }
            };
            return match errno {
                0 => Ok((!changed).then_some(found)),
                libc::EINTR => Ok(None),
                errno => Err(RtError::Refused { doing, source: Errno::from_raw_os_error(errno) }),
            };
        }
    }
}
