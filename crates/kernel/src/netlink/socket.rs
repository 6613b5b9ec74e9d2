//! The socket itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

/// The kernel never sends a longer datagram (`NLMSG_GOODSIZE` and 32 KiB for dumps), with room to spare.
const LARGEST: usize = 128 * 1024;

/// Which part of the kernel is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `NETLINK_ROUTE`.
    Route,
    /// `NETLINK_NETFILTER`.
    Netfilter,
}

/// A netlink socket with extended acknowledgements and a deadline on every receive.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    port: u32,
    timeout: Duration,
    buffer: Vec<u8>,
}

/// Why the kernel could not be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// There is no socket.
    #[error("opening a netlink socket")]
    Open(#[source] Errno),
    /// The request could not be sent.
    #[error("sending {length} bytes to the kernel")]
    Send {
        /// Of the request.
        length: usize,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The request is longer than the socket's buffer, which only the host's root may enlarge beyond
    /// `net.core.wmem_max`.
    #[error("a request of {length} bytes is longer than the socket's buffer")]
    TooLong {
        /// Of the request.
        length: usize,
    },
    /// No answer.
    #[error("receiving from the kernel")]
    Receive(#[source] Errno),
    /// The kernel does not do what we ask, whatever it is: mostly because we are not the root of its namespace.
    #[error("the kernel refuses to work for us")]
    Refused(#[source] Errno),
    /// No answer in time.
    #[error("no answer from the kernel within {0:?}")]
    Timeout(Duration),
    /// More happened than the receive buffer holds: some messages are lost.
    #[error("messages of the kernel were lost")]
    Overrun,
    /// An answer was cut off or makes no sense.
    #[error("the kernel's answer makes no sense")]
    Nonsense,
}

// === impl Socket ===

impl Socket {
    /// Opens a socket; `timeout` bounds the wait for each answer.
    pub(crate) fn open(protocol: Protocol, timeout: Duration) -> Result<Self, SocketError> {
        let protocol = match protocol {
            Protocol::Route => None,
            Protocol::Netfilter => Some(netlink::NETFILTER),
        };
        let open = || {
            let flags = SocketFlags::CLOEXEC;
            let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
            rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
            let address = SocketAddrNetlink::try_from(rustix::net::getsockname(&fd)?)?;
            Ok::<_, Errno>((fd, address.pid()))
        };
        let (fd, port) = open().map_err(SocketError::Open)?;
        let mut socket = Self { fd, port, timeout, buffer: Vec::new() };
        // A short repetition of the request in each answer, and the kernel's own words; both are since 4.12.
        socket.option(libc::NETLINK_CAP_ACK, 1).map_err(SocketError::Open)?;
        socket.option(libc::NETLINK_EXT_ACK, 1).map_err(SocketError::Open)?;
        socket.buffer.resize(LARGEST, 0);
        Ok(socket)
    }

    /// The number under which the kernel knows this socket.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Sets an option of level `SOL_NETLINK`.
    #[expect(unsafe_code, reason = "rustix has no such options")]
    pub(crate) fn option(&self, name: i32, value: i32) -> Result<(), Errno> {
        use std::os::fd::AsRawFd as _;
        let length = libc::socklen_t::try_from(size_of::<i32>()).expect("four");
        // SAFETY: `value` is a live `i32`, its length is given, and the kernel only reads it during the call.
        let result = unsafe {
            libc::setsockopt(self.fd.as_raw_fd(), libc::SOL_NETLINK, name, (&raw const value).cast(), length)
        };
        if result == 0 {
            Ok(())
        } else {
            Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
        }
    }

    /// Subscribes to a group of notifications.
    pub(crate) fn join(&self, group: u32) -> Result<(), SocketError> {
        let group = i32::try_from(group).map_err(|_| SocketError::Open(Errno::INVAL))?;
        self.option(libc::NETLINK_ADD_MEMBERSHIP, group).map_err(SocketError::Open)
    }

    /// Makes room for requests of that many bytes, as far as the kernel lets us.
    pub(crate) fn reserve_send(&self, bytes: usize) {
        // Half of it is what the kernel keeps for its own accounting; it doubles what it is asked for.
        if sockopt::socket_send_buffer_size(&self.fd).is_ok_and(|size| size / 2 >= bytes) {
            return;
        }
        if sockopt::set_socket_send_buffer_size_force(&self.fd, bytes).is_err() {
            // Not the host's root: up to `wmem_max`. What does not fit is refused by `send`.
            let _ = sockopt::set_socket_send_buffer_size(&self.fd, bytes);
        }
    }

    /// Makes room for that many bytes of unread answers, as far as the kernel lets us.
    pub(crate) fn reserve_receive(&self, bytes: usize) {
        if sockopt::set_socket_recv_buffer_size_force(&self.fd, bytes).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&self.fd, bytes);
        }
    }

    /// Sends one datagram.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), SocketError> {
        loop {
            let errno = match rustix::net::send(&self.fd, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(errno) => errno,
            };
            let length = bytes.len();
            return Err(match errno {
                Errno::MSGSIZE => SocketError::TooLong { length },
                errno => SocketError::Send { length, errno },
            });
        }
    }

    /// Receives one datagram, waiting until the deadline.
    pub(crate) fn receive(&mut self) -> Result<&[u8], SocketError> {
        let mut deadline = None;
        loop {
            match self.receive_now()? {
                Some(length) => return Ok(&self.buffer[..length]),
                None => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.timeout);
                    self.wait(deadline.saturating_duration_since(Instant::now()))?;
                }
            }
        }
    }

    /// Receives one datagram if there is one.
    pub(crate) fn try_receive(&mut self) -> Result<Option<&[u8]>, SocketError> {
        let length = self.receive_now()?;
        Ok(length.map(|length| &self.buffer[..length]))
    }

    /// Throws away what nobody has read, lost messages included.
    pub(crate) fn drain(&mut self) {
        while matches!(self.receive_now(), Ok(Some(_)) | Err(SocketError::Overrun)) {}
    }

    /// Receives into the buffer; only from the kernel.
    fn receive_now(&mut self) -> Result<Option<usize>, SocketError> {
        loop {
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            match rustix::net::recvfrom(&self.fd, self.buffer.as_mut_slice(), flags) {
                Ok((_, length, from)) => {
                    let port = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
                    if port.is_some_and(|from| from.pid() != 0) {
                        continue;
                    }
                    if length > self.buffer.len() {
                        return Err(SocketError::Nonsense);
                    }
                    return Ok(Some(length));
                }
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => return Err(SocketError::Overrun),
                Err(errno) => return Err(SocketError::Receive(errno)),
            }
        }
    }

    /// Waits for something to receive.
    fn wait(&self, left: Duration) -> Result<(), SocketError> {
        if left.is_zero() {
            return Err(SocketError::Timeout(self.timeout));
        }
        let left = Timespec::try_from(left).map_err(|_| SocketError::Timeout(self.timeout))?;
        match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(SocketError::Receive(errno)),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
