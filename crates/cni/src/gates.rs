//! Readiness gates: URLs that must answer before a container is added (`spec/cni.md` 6.2).

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::error::{Code, Failure, Result};

/// How long all gates together may take, and one answer.
const LIMIT: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_secs(1);

/// What of a URL is needed.
struct Gate {
    authority: String,
    path: String,
}

/// Waits until every gate has answered with a status from 200 to 399; asks at once, then every second.
///
/// # Errors
/// A URL is no good, or one has not answered in time.
pub(crate) fn wait(urls: &[String], end: Instant) -> Result<()> {
    let gates: Vec<Gate> = urls.iter().map(|url| Gate::parse(url)).collect::<Result<_>>()?;
    for gate in &gates {
        let end = end.min(Instant::now() + LIMIT);
        while !gate.is_open() {
            if Instant::now() + PACE > end {
                return Err(Failure::new(Code::TRY_LATER, "context deadline exceeded")
                    .with_details(format!("readiness gate {} is closed", gate.authority)));
            }
            std::thread::sleep(PACE);
        }
    }
    Ok(())
}

// === impl Gate ===

impl Gate {
    fn parse(url: &str) -> Result<Self> {
        let refuse = |reason: &str| {
            Failure::new(Code::CONFIG, format!("invalid URL set for ReadinessGates:{url} Error:{reason}"))
        };
        let rest = url.strip_prefix("http://").ok_or_else(|| refuse("only http:// can be asked"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty() || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refuse("no host"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        Ok(Self { authority, path })
    }

    fn is_open(&self) -> bool {
        self.status().is_ok_and(|status| (200..400).contains(&status))
    }

    fn status(&self) -> std::io::Result<u16> {
        let address = self.authority.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        write!(stream, "GET {} HTTP/1.0\r\nHost: {}\r\n\r\n", self.path, self.authority)?;
        // The status stands in the first line; the rest does not matter.
        let mut head = [0; 16];
        stream.read_exact(&mut head[..12])?;
        let text = String::from_utf8_lossy(&head[..12]).into_owned();
        text.split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or(std::io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::wait;

    fn gate(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ready", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 512];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        url
    }

    #[test]
    fn a_gate_that_answers_is_open() {
        let end = Instant::now() + Duration::from_secs(60);
        wait(&[gate("HTTP/1.0 204 No Content\r\n\r\n"), gate("HTTP/1.0 302 Found\r\n\r\n")], end).unwrap();
        wait(&[], end).unwrap();
    }

    #[test]
    fn a_gate_that_says_no_is_closed() {
        let failure = wait(&[gate("HTTP/1.0 503 No\r\n\r\n")], Instant::now()).unwrap_err();
        assert_eq!((failure.code.0, failure.msg.as_str()), (11, "context deadline exceeded"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "https://a/", "http://", "http:///x", "http://a b/"] {
            let failure = wait(&[url.to_owned()], Instant::now()).unwrap_err();
            assert!(failure.msg.starts_with(&format!("invalid URL set for ReadinessGates:{url} Error:")));
        }
    }
}
