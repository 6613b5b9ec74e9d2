//! A TCP connection between two machines that stays open, and packets made by hand.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, socket_with};

use super::{Lab, send};

/// How long a byte there and back may take before the flow counts as broken.
const BREATH: Duration = Duration::from_secs(20);

/// The protocol of raw sockets that send whole packets, header and all.
const RAW: u32 = 255;

/// An open connection over which bytes go there and back all the time; it ends when this goes.
#[derive(Debug)]
pub struct Flow {
    rounds: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

// === impl Lab ===

impl Lab {
    /// Opens a connection from one machine to another that goes on until it is dropped; none when it is refused.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn flow(&self, from: &str, to: &str, port: u16) -> Option<Flow> {
        let address = SocketAddr::new(self.address(to, false), port);
        let (from, to) = (from.to_owned(), to.to_owned());
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            send::enter(&to);
            let listener = TcpListener::bind(address).expect("the machine's port is free");
            ready.send(()).expect("the sender waits");
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        });
        is_ready.recv().expect("the responder gets ready");
        let flow = Flow { rounds: Arc::default(), over: Arc::default() };
        let (rounds, over) = (Arc::clone(&flow.rounds), Arc::clone(&flow.over));
        let (opened, is_open) = mpsc::channel();
        std::thread::spawn(move || {
            send::enter(&from);
            let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5));
            // The other side waits until it knows.
            let _ = opened.send(stream.is_ok());
            let Ok(mut stream) = stream else { return };
            let _ = stream.set_read_timeout(Some(BREATH));
            let mut byte = [b'm'];
            while !over.load(Ordering::Relaxed)
                && stream.write_all(&byte).is_ok()
                && stream.read_exact(&mut byte).is_ok()
            {
                rounds.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        is_open.recv().ok()?.then_some(flow)
    }

    /// Sends a packet that was made by hand, with its IP header, from a machine.
    ///
    /// # Panics
    /// When the machine's own kernel refuses it.
    pub fn inject(&self, from: &str, to: IpAddr, packet: &[u8]) {
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| {
                send::enter(from);
                let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
                let protocol = Protocol::from_raw(RAW.try_into().expect("not 0"));
                let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol));
                let socket = socket.expect("making a raw socket");
                rustix::net::sendto(&socket, packet, SendFlags::empty(), &SocketAddr::new(to, 0))
                    .expect("sending a packet");
            });
            sent.join().expect("a machine sends it");
        });
    }
}

// === impl Flow ===

impl Flow {
    /// True when bytes still go there and back.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        let before = self.rounds.load(Ordering::Relaxed);
        let until = Instant::now() + BREATH;
        while self.rounds.load(Ordering::Relaxed) < before + 2 {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
