//! Small pages over HTTP, on TCP and on Unix sockets, that no peer can block for others.
//!
//! Each connection has one deadline for everything: a peer that sends nothing, sends slowly or does not read is cut off.
//! When there are too many, the oldest goes: whoever stalls loses, whoever just came is served. Answers come from a
//! function that must be quick. Only GET and HEAD exist; bodies of requests are never read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::AbortHandle;

/// How long a connection may last.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How many connections may be open at once on one listener.
pub const MAX_CONNECTIONS: usize = 64;

/// The most that the head of a request may have.
const MAX_HEAD: usize = 16 << 10;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The media type; empty = no body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// Answers a path; none = there is no such page.
pub type Pages = Arc<dyn Fn(&str) -> Option<Page> + Send + Sync>;

/// Where pages are served.
pub struct Listener {
    socket: Socket,
    limits: Limits,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    deadline: Duration,
    connections: usize,
}

/// The listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listening on {at}")]
pub struct ListenError {
    at: String,
    source: std::io::Error,
}

// === impl Page ===

impl Page {
    /// A page of text with status 200.
    #[must_use]
    pub fn text(content_type: &'static str, body: String) -> Self {
        Self { status: 200, content_type, body }
    }

    /// A status without a body.
    #[must_use]
    pub fn bare(status: u16) -> Self {
        Self { status, content_type: "", body: String::new() }
    }
}

// === impl Listener ===

impl Listener {
    /// Listens on TCP.
    ///
    /// # Errors
    /// The address is taken or not of this host.
    pub async fn tcp(at: SocketAddr) -> Result<Self, ListenError> {
        match TcpListener::bind(at).await {
            Ok(listener) => Ok(Self::new(Socket::Tcp(listener))),
            Err(source) => Err(ListenError { at: at.to_string(), source }),
        }
    }

    /// Listens on a Unix socket that only this user can reach, in place of one that was left behind.
    ///
    /// # Errors
    /// The folder cannot be made, or something else stands there.
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        match bind_unix(path) {
            Ok(listener) => Ok(Self::new(Socket::Unix(listener, path.to_owned()))),
            Err(source) => Err(ListenError { at: path.display().to_string(), source }),
        }
    }

    fn new(socket: Socket) -> Self {
        Self { socket, limits: Limits { deadline: DEADLINE, connections: MAX_CONNECTIONS } }
    }

    /// The TCP address; none of a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    /// Serves until it is dropped; its connections go with it.
    pub async fn serve(self, pages: Pages) {
        let mut open = Open::default();
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    let stream = TokioIo::new(stream);
                    open.make_room(self.limits.connections);
                    tokio::spawn(connection(stream, Arc::clone(&pages), self.limits.deadline)).abort_handle()
                }),
                Socket::Unix(listener, _) => listener.accept().await.map(|(stream, _)| {
                    let stream = TokioIo::new(stream);
                    open.make_room(self.limits.connections);
                    tokio::spawn(connection(stream, Arc::clone(&pages), self.limits.deadline)).abort_handle()
                }),
            };
            match accepted {
                Ok(handle) => open.connections.push_back(handle),
                // Out of file descriptors: the deadline frees some.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            // A socket that somebody else removed is gone all the same.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The connections of a listener, oldest first; they end when it is dropped.
#[derive(Default)]
struct Open {
    connections: VecDeque<AbortHandle>,
}

// === impl Open ===

impl Open {
    fn make_room(&mut self, most: usize) {
        self.connections.retain(|handle| !handle.is_finished());
        while self.connections.len() >= most {
            if let Some(oldest) = self.connections.pop_front() {
                oldest.abort();
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for handle in &self.connections {
            handle.abort();
        }
    }
}

// === helpers ===

async fn connection<S>(stream: TokioIo<S>, pages: Pages, deadline: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &pages);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(MAX_HEAD);
    // Peers that break off or stall are none of our business.
    let _ = tokio::time::timeout(deadline, builder.serve_connection(stream, service)).await;
}

fn answer(request: &Request<Incoming>, pages: &Pages) -> Response<Full<Bytes>> {
    let found = match *request.method() {
        Method::GET | Method::HEAD => pages(request.uri().path()).unwrap_or_else(|| Page::bare(404)),
        _ => Page::bare(405),
    };
    let mut response = Response::builder().header(CONNECTION, "close");
    if found.status == 405 {
        response = response.header(ALLOW, "GET, HEAD");
    }
    if !found.content_type.is_empty() {
        response = response.header(CONTENT_TYPE, found.content_type);
    }
    let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.status(status).body(Full::new(Bytes::from(found.body))).expect("every part was checked above")
}

fn bind_unix(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            // Only who is gone leaves a socket behind that nobody answers at.
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(std::io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "no socket stands there"));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
