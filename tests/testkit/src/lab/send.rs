//! The packets of a probe: a receiver on one machine, a sender on the other, each a thread in that namespace.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, socket_with, sockopt,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::probe::{Kind, Probe};
use super::{Lab, ip};

/// How long the attempts wait for an answer that is expected: on a busy machine it may be late.
const HOPEFUL: &[Duration] =
    &[Duration::from_millis(300), Duration::from_millis(950), Duration::from_millis(950)];

/// How long they wait when none is expected. A silence counts when it is heard twice.
const DOUBTFUL: &[Duration] = &[Duration::from_millis(150), Duration::from_millis(300)];

/// Room for the largest packet that a probe receives.
const ROOM: usize = 2048;

/// What is sent, with the addresses found.
struct Shot {
    from: SocketAddr,
    to: SocketAddr,
    kind: Kind,
    /// Tells this packet from those of other probes.
    token: u16,
}

/// Sends the probe, and says whether it passed. What is expected decides only how long an answer is waited for.
pub(super) fn passes(lab: &Lab, probe: &Probe, expected: bool) -> bool {
    let to = probe.at.unwrap_or_else(|| lab.address(&probe.to, probe.v6));
    let once = probe.src.is_some() || matches!(probe.kind, Kind::Icmp(..) | Kind::Protocol(_));
    if let Some(source) = probe.src {
        borrow(&probe.from, source);
    }
    let any = unspecified(probe.v6);
    let patience = if expected { HOPEFUL } else { DOUBTFUL };
    let passed = patience.iter().any(|patience| {
        let port = match probe.kind {
            Kind::Tcp(port) | Kind::Udp(port) => port,
            Kind::Echo | Kind::Icmp(..) | Kind::Protocol(_) => 0,
        };
        let token = token();
        // What is sent once is known again by its port, one of those that the kernel would choose.
        let own = if once { 33_000 + token % 27_000 } else { 0 };
        let shot = Shot {
            from: SocketAddr::new(probe.src.unwrap_or(any), probe.sport.unwrap_or(own)),
            to: SocketAddr::new(to, port),
            kind: probe.kind,
            token,
        };
        let (from, to) = (probe.from.as_str(), probe.to.as_str());
        if once { arrives(from, to, &shot, *patience) } else { is_answered(lab, from, to, &shot, *patience) }
    });
    if let Some(source) = probe.src {
        give_back(&probe.from, source);
    }
    passed
}

fn unspecified(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// A number that no other probe of this process has had lately.
fn token() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Gives a machine one more address, which it then can send from.
fn borrow(machine: &str, source: IpAddr) {
    // Even where nobody looks for duplicates, an IPv6 address takes a moment until it may be used.
    let length = if source.is_ipv6() { "128" } else { "32" };
    let at_once = if source.is_ipv6() { " nodad" } else { "" };
    let options: &[&str] = if machine == "h1" { &[] } else { &["-n", machine] };
    ip(options, &format!("addr replace {source}/{length} dev lo{at_once}\n"));
}

/// Takes the address away again: what is sent to its owner later must not end on the borrower itself.
fn give_back(machine: &str, source: IpAddr) {
    let length = if source.is_ipv6() { "128" } else { "32" };
    let options: &[&str] = if machine == "h1" { &[] } else { &["-n", machine] };
    ip(options, &format!("addr del {source}/{length} dev lo\n"));
}

/// Moves this thread to a machine.
pub(super) fn enter(machine: &str) {
    if machine != "h1" {
        let namespace =
            File::open(format!("/run/netns/{machine}")).expect("the machine's namespace is there");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("entering a machine");
    }
}

/// Runs the receiver until it has what it wants or the sender's time is over.
fn arrives(from: &str, to: &str, shot: &Shot, patience: Duration) -> bool {
    std::thread::scope(|scope| {
        let (ready, is_ready) = mpsc::channel();
        let receiver = scope.spawn(move || {
            enter(to);
            let socket = raw(shot);
            ready.send(()).expect("the sender waits");
            has_come(&socket, shot, patience)
        });
        is_ready.recv().expect("the receiver gets ready");
        scope.spawn(move || {
            enter(from);
            send_once(shot);
        });
        receiver.join().expect("the receiver does not panic")
    })
}

/// A raw socket that sees the protocol of the shot.
fn raw(shot: &Shot) -> OwnedFd {
    let v6 = shot.to.is_ipv6();
    let protocol: Protocol = match shot.kind {
        Kind::Tcp(_) => ipproto::TCP,
        Kind::Udp(_) => ipproto::UDP,
        Kind::Echo | Kind::Icmp(..) if v6 => ipproto::ICMPV6,
        Kind::Echo | Kind::Icmp(..) => ipproto::ICMP,
        Kind::Protocol(number) => {
            let number = std::num::NonZeroU32::new(number.into()).expect("protocol 0 is no protocol to send");
            Protocol::from_raw(number)
        }
    };
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol)).expect("making a raw socket")
}

/// Waits for the shot's packet; IPv4 comes with its header, IPv6 without.
fn has_come(socket: &OwnedFd, shot: &Shot, patience: Duration) -> bool {
    let header = |packet: &[u8]| if shot.to.is_ipv6() { 0 } else { usize::from(packet[0] & 15) * 4 };
    let until = Instant::now() + patience;
    while let Some((packet, source)) = receive(socket, until) {
        let payload = packet.get(header(&packet)..).unwrap_or_default();
        let same_source = shot.from.ip().is_unspecified() || source == Some(shot.from.ip());
        let ours = match shot.kind {
            Kind::Tcp(port) | Kind::Udp(port) => {
                payload.get(..4) == Some(&[shot.from.port().to_be_bytes(), port.to_be_bytes()].concat()[..])
            }
            Kind::Echo | Kind::Icmp(..) => payload == message(shot, payload.get(2..4).unwrap_or_default()),
            Kind::Protocol(_) => payload.ends_with(&shot.token.to_be_bytes()),
        };
        if same_source && ours {
            return true;
        }
    }
    false
}

/// The next packet before the time is over, and its source.
fn receive(socket: &OwnedFd, until: Instant) -> Option<(Vec<u8>, Option<IpAddr>)> {
    let left = until.checked_duration_since(Instant::now())?;
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
    let mut wait = [PollFd::new(socket, PollFlags::IN)];
    if poll(&mut wait, Some(&timeout)).ok()? == 0 {
        return None;
    }
    let mut room = vec![0; ROOM];
    let (length, _, source) = rustix::net::recvfrom(socket, &mut room[..], RecvFlags::empty()).ok()?;
    room.truncate(length);
    let source = source.and_then(|address| SocketAddr::try_from(address).ok()).map(|address| address.ip());
    Some((room, source))
}

/// The ICMP message of a shot with that checksum.
fn message(shot: &Shot, checksum: &[u8]) -> Vec<u8> {
    let (kind, code) = match shot.kind {
        Kind::Icmp(kind, code) => (kind, code),
        Kind::Echo | Kind::Tcp(_) | Kind::Udp(_) | Kind::Protocol(_) => {
            (if shot.to.is_ipv6() { 128 } else { 8 }, 0)
        }
    };
    let [high, low] = shot.token.to_be_bytes();
    let mut message = vec![kind, code, 0, 0, high, low, 0, 1, b'm', b'a', b'r', b'g', b'a', b'y', high, low];
    if let [a, b] = checksum {
        message[2..4].copy_from_slice(&[*a, *b]);
    }
    message
}

/// The checksum of RFC 1071.
fn checksum(message: &[u8]) -> [u8; 2] {
    let sum: u32 =
        message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!u16::try_from(folded).expect("folded twice it has 16 bits")).to_be_bytes()
}

/// Sends one packet and wants no answer.
fn send_once(shot: &Shot) {
    match shot.kind {
        Kind::Tcp(_) => {
            let socket = tcp_socket(shot);
            // The connection never comes about: its first packet is what is sent.
            let _ = rustix::net::connect(&socket, &shot.to);
        }
        Kind::Udp(_) => {
            let _ = udp_socket(shot.from).send_to(b"margay", shot.to);
        }
        Kind::Echo | Kind::Icmp(..) => {
            let _ = send_icmp(&raw(shot), shot);
        }
        Kind::Protocol(_) => {
            let [high, low] = shot.token.to_be_bytes();
            // An IPv4 header's worth of nothing, so that what carries IPv4 is not taken for cut off.
            let packet = [&[0x45_u8; 1][..], &[0; 19], &[high, low]].concat();
            let _ = rustix::net::sendto(raw(shot), &packet, SendFlags::empty(), &shot.to);
        }
    }
}

/// Sends the ICMP message of a shot; the kernel fills in the checksum of ICMPv6.
fn send_icmp(socket: &OwnedFd, shot: &Shot) -> rustix::io::Result<usize> {
    if !shot.from.ip().is_unspecified() {
        rustix::net::bind(socket, &shot.from)?;
    }
    let sum = checksum(&message(shot, &[]));
    let packet = message(shot, &sum);
    rustix::net::sendto(socket, &packet, SendFlags::empty(), &shot.to)
}

/// A TCP socket bound to the shot's source, that never blocks and leaves no state behind.
fn tcp_socket(shot: &Shot) -> OwnedFd {
    let family = if shot.to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None).expect("making a TCP socket");
    sockopt::set_socket_reuseaddr(&socket, true).expect("sharing an address");
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).expect("closing at once");
    rustix::net::bind(&socket, &shot.from).expect("binding the source");
    socket
}

fn udp_socket(address: SocketAddr) -> UdpSocket {
    server(SocketType::DGRAM, address).into()
}

/// A socket bound to an address of its family alone.
fn server(kind: SocketType, address: SocketAddr) -> OwnedFd {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("making a socket");
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true).expect("keeping to IPv6");
    }
    sockopt::set_socket_reuseaddr(&socket, true).expect("sharing an address");
    rustix::net::bind(&socket, &address).expect("the machine's port is free");
    socket
}

/// A conversation: the receiver answers, the sender waits for it.
fn is_answered(lab: &Lab, from: &str, to: &str, shot: &Shot, patience: Duration) -> bool {
    // A datagram has to be answered from where it was sent to, and a host has several such places.
    let address = match shot.kind {
        Kind::Udp(_) if to == "h1" => shot.to.ip(),
        _ => unspecified(shot.to.is_ipv6()),
    };
    lab.respond(to, SocketAddr::new(address, shot.to.port()), shot.kind);
    std::thread::scope(|scope| {
        let asking = scope.spawn(move || {
            enter(from);
            ask(shot, patience)
        });
        asking.join().expect("the sender does not panic")
    })
}

/// Answers TCP or UDP on a machine for as long as the test lives. The kernel answers echoes itself.
pub(super) fn respond(machine: &str, address: SocketAddr, kind: Kind) {
    let machine = machine.to_owned();
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        enter(&machine);
        match kind {
            Kind::Tcp(_) => {
                let socket = server(SocketType::STREAM, address);
                rustix::net::listen(&socket, 128).expect("listening");
                let listener = TcpListener::from(socket);
                ready.send(()).expect("the sender waits");
                for stream in listener.incoming() {
                    let mut stream = stream.expect("a listener accepts");
                    std::thread::spawn(move || echo(&mut stream));
                }
            }
            Kind::Udp(_) => {
                let socket = UdpSocket::from(server(SocketType::DGRAM, address));
                ready.send(()).expect("the sender waits");
                let mut room = [0; 64];
                loop {
                    // What comes back as an error is about an answer that was refused on its way.
                    if let Ok((length, peer)) = socket.recv_from(&mut room) {
                        let _ = socket.send_to(&room[..length], peer);
                    }
                }
            }
            Kind::Echo | Kind::Icmp(..) | Kind::Protocol(_) => ready.send(()).expect("the sender waits"),
        }
    });
    is_ready.recv().expect("the responder gets ready");
}

/// Sends back the first byte.
fn echo(stream: &mut TcpStream) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut byte = [0];
    if stream.read_exact(&mut byte).is_ok() {
        let _ = stream.write_all(&byte);
        // Until the asker has closed: its reset, not our close, ends the connection.
        let _ = stream.read(&mut byte);
    }
}

/// Asks, and says whether the answer came in time.
fn ask(shot: &Shot, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    match shot.kind {
        Kind::Tcp(_) => ask_tcp(shot, until).is_some(),
        Kind::Udp(_) => {
            let socket = udp_socket(shot.from);
            if socket.connect(shot.to).is_err() || socket.send(&shot.token.to_be_bytes()).is_err() {
                return false;
            }
            socket.set_read_timeout(Some(patience)).expect("reading can end");
            let mut room = [0; 2];
            socket.recv(&mut room).is_ok_and(|length| room[..length] == shot.token.to_be_bytes())
        }
        Kind::Echo | Kind::Icmp(..) | Kind::Protocol(_) => ask_echo(shot, until),
    }
}

fn ask_tcp(shot: &Shot, until: Instant) -> Option<()> {
    let socket = tcp_socket(shot);
    if let Err(error) = rustix::net::connect(&socket, &shot.to)
        && error != rustix::io::Errno::INPROGRESS
    {
        return None;
    }
    wait_until(&socket, PollFlags::OUT, until)?;
    rustix::net::send(&socket, b"m", SendFlags::NOSIGNAL).ok()?;
    wait_until(&socket, PollFlags::IN, until)?;
    let mut byte = [0];
    let (length, _) = rustix::net::recv(&socket, &mut byte[..], RecvFlags::empty()).ok()?;
    (length == 1).then_some(())
}

fn wait_until(socket: &OwnedFd, what: PollFlags, until: Instant) -> Option<()> {
    let left = until.checked_duration_since(Instant::now())?;
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
    let mut wait = [PollFd::new(socket, what)];
    (poll(&mut wait, Some(&timeout)).ok()? == 1).then_some(())
}

fn ask_echo(shot: &Shot, until: Instant) -> bool {
    let socket = raw(shot);
    if send_icmp(&socket, shot).is_err() {
        return false;
    }
    let reply = if shot.to.is_ipv6() { 129 } else { 0 };
    while let Some((packet, _)) = receive(&socket, until) {
        let start = if shot.to.is_ipv6() { 0 } else { usize::from(packet[0] & 15) * 4 };
        let payload = packet.get(start..).unwrap_or_default();
        if payload.first() == Some(&reply) && payload.get(4..6) == Some(&shot.token.to_be_bytes()) {
            return true;
        }
    }
    false
}
