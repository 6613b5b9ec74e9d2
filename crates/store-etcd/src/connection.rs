//! One HTTP/1.1 connection, kept alive and polled by whoever waits for an answer: no task, no pool of threads.
//!
//! A future that is dropped in the middle takes its connection along, so a half-read answer is never mistaken for the
//! next one. Texts of failures are those that upstream's users know from Go.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::Endpoint;

/// After so long without a word the kernel asks whether the other side is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// An open connection to one member.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Reads and writes the socket; none once the connection has ended.
    driver: Option<Driver>,
    authority: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request never left.
    Unsent(String),
    /// The connection ended; the request may have been carried out.
    Lost(String),
    /// Nothing came in time; the request may have been carried out.
    TimedOut(String),
}

// === impl Connection ===

impl Connection {
    /// Connects, TLS included.
    pub(crate) async fn dial(
        endpoint: &Endpoint,
        tls: Option<&Arc<ClientConfig>>,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let dialled = timeout(limit, connect(endpoint, tls)).await;
        dialled
            .unwrap_or_else(|_| Err(format!("dial tcp {}: i/o timeout", endpoint.authority)))
            .map_err(Failure::Unsent)
    }

    /// True when another request may be sent: the server has not closed the connection since the last one.
    pub(crate) async fn is_usable(&mut self) -> bool {
        // Lets the runtime look at its sockets first, or a close that came since would go unseen.
        tokio::task::yield_now().await;
        poll_fn(|cx| {
            self.poll_driver(cx);
            Poll::Ready(())
        })
        .await;
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        let mut sending = pin!(self.sender.try_send_request(request));
        let Self { driver, authority, .. } = self;
        let answer = poll_fn(|cx| {
            poll_driver(driver, cx);
            sending.as_mut().poll(cx)
        });
        match timeout(limit, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().is_some();
                let text = format!("read tcp {authority}: {}", hyper_text(error.error()));
                Err(if unsent { Failure::Unsent(text) } else { Failure::Lost(text) })
            }
            Err(_) => {
                let text = format!("{authority}: net/http: timeout awaiting response headers");
                Err(Failure::TimedOut(text))
            }
        }
    }

    /// The next part of a body; none at its end.
    pub(crate) async fn chunk(
        &mut self,
        body: &mut Incoming,
        limit: Duration,
    ) -> Result<Option<Bytes>, Failure> {
        let next = poll_fn(|cx| {
            self.poll_driver(cx);
            loop {
                return match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(chunk) => Poll::Ready(Ok(Some(chunk))),
                        Err(_trailers) => continue,
                    },
                    Some(Err(error)) => Poll::Ready(Err(error)),
                    None => Poll::Ready(Ok(None)),
                };
            }
        });
        match timeout(limit, next).await {
            Ok(chunk) => chunk.map_err(|error| {
                Failure::Lost(format!("read tcp {}: {}", self.authority, hyper_text(&error)))
            }),
            Err(_) => {
                Err(Failure::TimedOut(format!("{}: net/http: timeout awaiting the body", self.authority)))
            }
        }
    }

    fn poll_driver(&mut self, cx: &mut Context<'_>) {
        poll_driver(&mut self.driver, cx);
    }
}

fn poll_driver(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    // How it ended is told to the request that it was serving.
    if driver.as_mut().is_some_and(|driving| driving.as_mut().poll(cx).is_ready()) {
        *driver = None;
    }
}

// === impl Failure ===

impl Failure {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Unsent(text) | Self::Lost(text) | Self::TimedOut(text) => text,
        }
    }
}

// === dialling ===

async fn connect(endpoint: &Endpoint, tls: Option<&Arc<ClientConfig>>) -> Result<Connection, String> {
    let stream = connect_tcp(endpoint).await?;
    // Failing to set these costs speed or patience, never correctness.
    let _ = stream.set_nodelay(true);
    let _ = keep_alive(&stream);
    let (Some(name), Some(tls)) = (&endpoint.tls_name, tls) else {
        return shake_hands(endpoint, stream).await;
    };
    let connecting = TlsConnector::from(Arc::clone(tls)).connect(name.clone(), stream);
    match connecting.await {
        Ok(stream) => shake_hands(endpoint, stream).await,
        Err(error) => Err(io_text(&error)),
    }
}

async fn connect_tcp(endpoint: &Endpoint) -> Result<TcpStream, String> {
    let addresses: Vec<SocketAddr> = match endpoint.host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, endpoint.port)],
        Err(_) => match tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await {
            Ok(found) => found.collect(),
            Err(_) => Vec::new(),
        },
    };
    let mut last = format!("dial tcp: lookup {}: no such host", endpoint.host);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("dial tcp {address}: connect: {}", os_text(&error)),
        }
    }
    Err(last)
}

fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE / 3)?;
    sockopt::set_tcp_keepcnt(stream, 3)
}

async fn shake_hands<S>(endpoint: &Endpoint, stream: S) -> Result<Connection, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) =
        Builder::new().handshake(TokioIo::new(stream)).await.map_err(|error| hyper_text(&error))?;
    Ok(Connection { sender, driver: Some(Box::pin(driver)), authority: endpoint.authority.clone() })
}

// === texts ===

/// The system's words for an error, as Go prints them: `connection refused`.
pub(crate) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn io_text(error: &io::Error) -> String {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls_text(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => os_text(error),
    }
}

fn tls_text(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "x509: certificate has expired or is not yet valid".to_owned(),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "x509: certificate is not valid for this host".to_owned(),
        rustls::Error::InvalidMessage(_) => "tls: first record does not look like a TLS handshake".to_owned(),
        rustls::Error::AlertReceived(alert) => format!("remote error: tls: {}", alert_text(*alert)),
        error => format!("tls: {error}"),
    }
}

/// `BadCertificate` as `bad certificate`.
fn alert_text(alert: AlertDescription) -> String {
    let mut words = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn hyper_text(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return io_text(cause);
        }
        source = cause.source();
    }
    if error.is_parse() {
        return format!("malformed HTTP response: {error}");
    }
    error.to_string()
}
