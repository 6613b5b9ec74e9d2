//! The members of an etcd cluster, asked one after the other until one answers.
//!
//! Owns the pinned member and the idle connections. What must stay true: each operation asks every member at most
//! once; a request that may have been carried out is sent again only if doing it twice is doing it once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use margay_store::kv::KvError;
use rustls::ClientConfig;

use crate::config::{ConfigError, Endpoint, EtcdConfig, Options};
use crate::connection::{Connection, Failure};
use crate::decode::{Decoder, Visit};
use crate::request::{Repeat, Request};
use crate::tls;

/// More connections than this are not kept while nobody uses them.
const MAX_IDLE: usize = 8;
/// Upstream's limit.
const MAX_REDIRECTS: usize = 10;
/// A refusal is a line of text.
const MAX_REFUSAL: usize = 64 * 1024;

/// A connection that may be used for the next request, and the member it leads to.
pub(crate) type Lane = Option<(usize, Connection)>;

/// All members, and who we are to them.
pub(crate) struct Cluster {
    endpoints: Vec<Endpoint>,
    /// The member that answered last.
    pinned: AtomicUsize,
    idle: Mutex<Vec<(usize, Connection)>>,
    tls: Option<Arc<ClientConfig>>,
    authorization: Option<HeaderValue>,
    options: Options,
}

/// What stands above an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The last write of the store when the request was served; none when the server did not say.
    pub(crate) index: Option<u64>,
    /// Empty when the server did not say.
    pub(crate) cluster: String,
}

/// An answer whose body is still to be read.
pub(crate) struct Reply {
    pub(crate) head: Head,
    url: String,
    /// None when the connection is not to be used again: the answer came from elsewhere.
    endpoint: Option<usize>,
    connection: Connection,
    body: Incoming,
}

/// What a member said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Said,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nodes, which were visited; and what was done to them.
    Nodes { action: String },
    /// Nothing happened while we waited.
    Nothing,
    /// No.
    Refused(Refusal),
}

/// An error of etcd itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refusal {
    pub(crate) code: u64,
    pub(crate) message: String,
    pub(crate) cause: String,
    pub(crate) index: u64,
}

/// Why one member did not answer.
#[derive(Debug)]
enum Failed {
    /// The request never left.
    Unsent(String),
    /// It may have been carried out.
    Lost(String),
    /// Others would not do better, or must not be asked.
    Finally(KvError),
}

/// One way around the members.
struct Walk<'a> {
    cluster: &'a Cluster,
    request: &'a Request,
    first: usize,
    failures: Vec<String>,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn new(config: &EtcdConfig, options: Options) -> Result<Self, ConfigError> {
        let mut endpoints = config.parse_endpoints()?;
        shuffle(&mut endpoints, options.seed);
        let secure = endpoints.iter().any(|endpoint| endpoint.tls_name.is_some());
        let authorization = config.credentials().map(|(username, password)| {
            let pair = format!("{username}:{}", password.expose());
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            let mut value =
                HeaderValue::try_from(format!("Basic {pair}")).expect("base64 is allowed in a header");
            value.set_sensitive(true);
            value
        });
        Ok(Self {
            endpoints,
            pinned: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
            tls: tls::load(config, secure)?,
            authorization,
            options,
        })
    }

    /// The URLs of the members, in the order in which they are asked.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(|endpoint| endpoint.url.as_str())
    }

    /// Asks until a member answers, and reads the answer. Visits nodes as they arrive.
    pub(crate) async fn ask(&self, request: &Request, visit: &mut Visit<'_>) -> Result<Answer, KvError> {
        let limit = self.options.operation;
        let asking = async {
            let mut lane = self.take_idle();
            let answer = self.ask_on(&mut lane, request, visit).await;
            self.give_back(lane);
            answer
        };
        tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| {
            Err(unavailable(&[format!("no answer to {} {} in {limit:?}", request.method, request.target)]))
        })
    }

    async fn ask_on(
        &self,
        lane: &mut Lane,
        request: &Request,
        visit: &mut Visit<'_>,
    ) -> Result<Answer, KvError> {
        let mut walk = Walk::new(self, request);
        while let Some(member) = walk.next() {
            let failed = match self.open_at(member, lane, request).await {
                Ok(reply) => match reply.read(request, self.options.body, lane, visit).await {
                    Ok(answer) => return Ok(walk.answered(member, answer)),
                    Err(failed) => failed,
                },
                Err(failed) => failed,
            };
            walk.failed(member, failed)?;
        }
        Err(unavailable(&walk.failures))
    }

    /// Asks until a member begins to answer.
    pub(crate) async fn open(&self, lane: &mut Lane, request: &Request) -> Result<Reply, KvError> {
        let mut walk = Walk::new(self, request);
        while let Some(member) = walk.next() {
            match self.open_at(member, lane, request).await {
                Ok(reply) => return Ok(walk.answered(member, reply)),
                Err(failed) => walk.failed(member, failed)?,
            }
        }
        Err(unavailable(&walk.failures))
    }

    /// Reads the answer to a wait; none when nothing came in time.
    pub(crate) async fn read_wait(
        &self,
        reply: Reply,
        request: &Request,
        lane: &mut Lane,
        visit: &mut Visit<'_>,
    ) -> Result<Answer, KvError> {
        reply.read(request, self.options.watch, lane, visit).await.map_err(|failed| match failed {
            Failed::Unsent(text) | Failed::Lost(text) => unavailable(&[text]),
            Failed::Finally(error) => error,
        })
    }

    /// Sends to one member, on the lane if it leads there, and follows redirections.
    async fn open_at(&self, member: usize, lane: &mut Lane, request: &Request) -> Result<Reply, Failed> {
        let endpoint = &self.endpoints[member];
        let kept = lane.take().and_then(|(to, connection)| (to == member).then_some(connection));
        let mut target = format!("{}{}", endpoint.base, request.target);
        let (mut connection, mut response) = self.exchange(endpoint, kept, request, &target).await?;
        let mut place = endpoint.clone();
        let mut redirects = 0;
        while response.status() == StatusCode::TEMPORARY_REDIRECT {
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(Failed::Finally(KvError::Server("client: too many redirects".to_owned())));
            }
            (place, target) = follow(&place, response.headers()).map_err(|reason| {
                Failed::Finally(KvError::Server(format!("{}{target}: {reason}", place.url)))
            })?;
            (connection, response) = self.exchange(&place, None, request, &target).await?;
        }
        if response.status().is_server_error() {
            return Err(Failed::Lost(server_error(&place, response.status())));
        }
        let (parts, body) = response.into_parts();
        Ok(Reply {
            head: Head::new(parts.status, &parts.headers),
            url: format!("{}{}", place.url, target),
            endpoint: (redirects == 0).then_some(member),
            connection,
            body,
        })
    }

    /// Sends on the connection that was kept; on a new one when the server has closed that in the meantime.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        kept: Option<Connection>,
        request: &Request,
        target: &str,
    ) -> Result<(Connection, Response<Incoming>), Failed> {
        let limit = self.options.head;
        if let Some(mut connection) = kept
            && connection.is_usable().await
        {
            match connection.send(self.message(endpoint, request, target)?, limit).await {
                Ok(response) => return Ok((connection, response)),
                Err(Failure::Unsent(_)) => {}
                Err(Failure::Lost(_)) if request.repeat == Repeat::Always => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        let mut connection = Connection::dial(endpoint, self.tls.as_ref(), self.options.dial).await?;
        let response = connection.send(self.message(endpoint, request, target)?, limit).await?;
        Ok((connection, response))
    }

    fn message(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        target: &str,
    ) -> Result<hyper::Request<Full<Bytes>>, Failed> {
        let mut message = hyper::Request::builder()
            .method(&request.method)
            .uri(target)
            .header(header::HOST, &endpoint.authority);
        if !request.body.is_empty() {
            message = message.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(authorization) = &self.authorization {
            message = message.header(header::AUTHORIZATION, authorization);
        }
        message
            .body(Full::new(request.body.clone()))
            .map_err(|error| Failed::Finally(KvError::Server(format!("{}{target}: {error}", endpoint.url))))
    }

    fn take_idle(&self) -> Lane {
        let pinned = self.pinned.load(Ordering::Relaxed);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().rposition(|(member, _)| *member == pinned)?;
        Some(idle.swap_remove(at))
    }

    fn give_back(&self, lane: Lane) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((member, connection)) = lane {
            // Those to other members are never used while this one answers.
            idle.retain(|(other, _)| *other == member);
            if idle.len() < MAX_IDLE {
                idle.push((member, connection));
            }
        }
    }
}

// === impl Head ===

impl Head {
    fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status,
            index: text("x-etcd-index").and_then(|digits| digits.parse().ok()),
            cluster: text("x-etcd-cluster-id").unwrap_or("").to_owned(),
        }
    }
}

// === impl Reply ===

impl Reply {
    /// Reads the body, each part of it within `limit`, and leaves the connection on the lane.
    async fn read(
        mut self,
        request: &Request,
        limit: Duration,
        lane: &mut Lane,
        visit: &mut Visit<'_>,
    ) -> Result<Answer, Failed> {
        let said = if self.head.status.is_success() {
            self.nodes(request, limit, visit).await?
        } else {
            self.refusal(limit).await?
        };
        // A connection with something left in it is worth nothing, and `Nothing` may have left it.
        if let Some(member) = self.endpoint.filter(|_| said != Said::Nothing) {
            *lane = Some((member, self.connection));
        }
        Ok(Answer { head: self.head, body: said })
    }

    async fn nodes(
        &mut self,
        request: &Request,
        limit: Duration,
        visit: &mut Visit<'_>,
    ) -> Result<Said, Failed> {
        let mut decoder = Decoder::new();
        loop {
            let chunk = match self.connection.chunk(&mut self.body, limit).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(Failure::TimedOut(_)) if request.waits && decoder.bytes() == 0 => {
                    return Ok(Said::Nothing);
                }
                Err(failure) => return Err(self.broken(request, &decoder, failure)),
            };
            decoder.feed(&chunk, visit).map_err(|malformed| self.malformed(&malformed))?;
        }
        if request.waits && decoder.bytes() == 0 {
            return Ok(Said::Nothing);
        }
        decoder.finish().map_err(|malformed| self.malformed(&malformed))?;
        Ok(Said::Nodes { action: String::from_utf8_lossy(decoder.action()).into_owned() })
    }

    /// The body ended early. Another member may be asked as long as the caller has seen nothing of it.
    fn broken(&self, request: &Request, decoder: &Decoder, failure: Failure) -> Failed {
        let text = format!("reading {}: {} at byte {}", self.url, failure.into_text(), decoder.bytes());
        if request.method == Method::GET && decoder.nodes() > 0 {
            Failed::Finally(KvError::Server(text))
        } else {
            Failed::Lost(text)
        }
    }

    fn malformed(&self, malformed: &impl std::fmt::Display) -> Failed {
        Failed::Finally(KvError::Server(format!("reading {}: {malformed}", self.url)))
    }

    async fn refusal(&mut self, limit: Duration) -> Result<Said, Failed> {
        let mut text = Vec::new();
        while let Some(chunk) = self.connection.chunk(&mut self.body, limit).await? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_REFUSAL {
                return Err(self.stranger(&text));
            }
        }
        let refusal = Refusal::parse(&text);
        if refusal.is_none() && self.head.status != StatusCode::UNAUTHORIZED {
            return Err(self.stranger(&text));
        }
        Ok(Said::Refused(refusal.unwrap_or_default()))
    }

    /// What answers here is no etcd, or one without the v2 API.
    fn stranger(&self, text: &[u8]) -> Failed {
        let text = String::from_utf8_lossy(text);
        let begin: String =
            text.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let hint = match self.head.status {
            StatusCode::NOT_FOUND => " (is the v2 API of etcd switched on: --enable-v2=true?)",
            _ => "",
        };
        Failed::Finally(KvError::Server(format!(
            "{}: answered {} where an error of etcd was expected: '{begin}'{hint}",
            self.url, self.head.status
        )))
    }
}

// === impl Refusal ===

impl Refusal {
    fn parse(text: &[u8]) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(text).ok()?;
        let field = |name: &str| json[name].as_str().unwrap_or("").to_owned();
        Some(Self {
            code: json["errorCode"].as_u64()?,
            message: field("message"),
            cause: field("cause"),
            index: json["index"].as_u64().unwrap_or(0),
        })
    }
}

impl std::fmt::Display for Refusal {
    /// As upstream's client prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({}) [{}]", self.code, self.message, self.cause, self.index)
    }
}

// === impl Failed ===

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unsent(text) => Self::Unsent(text),
            Failure::Lost(text) | Failure::TimedOut(text) => Self::Lost(text),
        }
    }
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn new(cluster: &'a Cluster, request: &'a Request) -> Self {
        Self { cluster, request, first: cluster.pinned.load(Ordering::Relaxed), failures: Vec::new() }
    }

    /// The member to ask next; none when all were.
    fn next(&self) -> Option<usize> {
        let count = self.cluster.endpoints.len();
        (self.failures.len() < count).then(|| (self.first + self.failures.len()) % count)
    }

    fn answered<T>(&self, member: usize, answer: T) -> T {
        self.cluster.pinned.store(member, Ordering::Relaxed);
        answer
    }

    /// Notes a failure. It is the caller's own when nobody else may be asked.
    fn failed(&mut self, member: usize, failed: Failed) -> Result<(), KvError> {
        let (text, sent) = match failed {
            Failed::Unsent(text) => (text, false),
            Failed::Lost(text) => (text, true),
            Failed::Finally(error) => return Err(error),
        };
        self.failures.push(text);
        match self.request.repeat {
            Repeat::Always => return Ok(()),
            Repeat::Unsent if !sent => return Ok(()),
            Repeat::Unsent | Repeat::Never => {}
        }
        let next = (member + 1) % self.cluster.endpoints.len();
        self.cluster.pinned.store(next, Ordering::Relaxed);
        match self.failures.pop() {
            // COMPAT(etcd-one-shot): upstream asks one member for a create or a delete and reports the bare error.
            Some(text) if self.request.repeat == Repeat::Never => Err(KvError::Unavailable { message: text }),
            last => {
                self.failures.extend(last);
                Err(unavailable(&self.failures))
            }
        }
    }
}

// === helpers ===

/// COMPAT(etcd-unavailable): upstream's text ends each member's error with a newline, the last one too.
fn unavailable(failures: &[String]) -> KvError {
    let mut message = "client: etcd cluster is unavailable or misconfigured".to_owned();
    for (number, failure) in failures.iter().enumerate() {
        message.push_str(&format!("; error #{number}: {failure}\n"));
    }
    KvError::Unavailable { message }
}

fn server_error(endpoint: &Endpoint, status: StatusCode) -> String {
    match status {
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE => {
            format!("client: etcd member {} has no leader", endpoint.url)
        }
        status => {
            let reason = status.canonical_reason().unwrap_or("");
            format!("client: etcd member {} returns server error [{reason}]", endpoint.url)
        }
    }
}

/// Where a redirection leads: a member and the path with its query.
fn follow(from: &Endpoint, headers: &HeaderMap) -> Result<(Endpoint, String), &'static str> {
    let location = headers.get(header::LOCATION).ok_or("redirected without a Location")?;
    let location = location.to_str().map_err(|_| "redirected to something that is no URL")?;
    if location.starts_with('/') && !location.starts_with("//") {
        return Ok((from.clone(), location.to_owned()));
    }
    let path_at = location.find("://").and_then(|at| location[at + 3..].find('/').map(|path| at + 3 + path));
    let path_at = path_at.ok_or("redirected to something that is no URL")?;
    let (place, target) = location.split_at(path_at);
    let endpoint = Endpoint::parse(place).map_err(|_| "redirected to something that is no URL of etcd")?;
    if from.tls_name.is_some() && endpoint.tls_name.is_none() {
        return Err("redirected from TLS to plain HTTP");
    }
    Ok((endpoint, target.to_owned()))
}

/// Fisher-Yates with a small generator: members need to be spread, not secret.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for end in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let range = end as u64 + 1;
        let at = usize::try_from((seed >> 33) % range).expect("an index below the length fits");
        items.swap(end, at);
    }
}

#[cfg(test)]
mod tests;
