//! [`Notifier`]: tells the service manager how the program is (`sd_notify`).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's socket, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
}

// === impl Notifier ===

impl Notifier {
    /// Of the value of `NOTIFY_SOCKET`. A socket that cannot be reached is as none: nobody listens.
    #[must_use]
    pub fn new(notify_socket: Option<&OsStr>) -> Self {
        Self { socket: notify_socket.and_then(connect) }
    }

    /// Everything stands.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// The program ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The program is alive.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    /// What the program does, in one line.
    pub fn status(&self, line: &str) {
        self.send(&format!("STATUS={}", line.replace('\n', " ")));
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket {
            // Nothing can be done about a service manager that does not listen.
            let _ = socket.send(text.as_bytes());
        }
    }
}

/// How often to call [`Notifier::watchdog`]: half of what `WATCHDOG_USEC` asks for.
#[must_use]
pub fn watchdog_interval(watchdog_usec: Option<&OsStr>) -> Option<Duration> {
    let micros: u64 = watchdog_usec?.to_str()?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros / 2))
}

fn connect(path: &OsStr) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
        _ => SocketAddr::from_pathname(path).ok()?,
    };
    socket.connect_addr(&address).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::{Notifier, watchdog_interval};

    #[test]
    fn the_service_manager_hears_each_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str()));
        notifier.ready();
        notifier.status("two\nlines");
        notifier.watchdog();
        notifier.stopping();
        let heard: Vec<String> = (0..4)
            .map(|_| {
                let mut buffer = [0; 64];
                let length = manager.recv(&mut buffer).unwrap();
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            })
            .collect();
        assert_eq!(heard, ["READY=1", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn nobody_who_listens_is_no_fault() {
        Notifier::new(None).ready();
        Notifier::new(Some(OsStr::new("/does/not/exist"))).ready();
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time() {
        assert_eq!(watchdog_interval(Some(OsStr::new("2000000"))), Some(Duration::from_secs(1)));
        assert_eq!(watchdog_interval(Some(OsStr::new("0"))), None);
        assert_eq!(watchdog_interval(Some(OsStr::new("soon"))), None);
        assert_eq!(watchdog_interval(None), None);
    }
}
