//! What the agent writes into the datastore about itself and its endpoints (`spec/agent.md` 9).
//!
//! Newest state only, in batches of bounded concurrency, never in the way of programming. A write that fails is tried
//! again with the next batch; what stands in the datastore under our names and is wrong, left over or missing is put
//! right by a listing now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use margay_client::AnyStore;
use margay_model::Key;
use margay_store::Kv as _;
use margay_store::kv::{KvError, Precondition};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::board::{Board, EndpointId, EndpointStatus};

/// How many writes are under way at once.
const CONCURRENCY: usize = 8;

/// How many delays lie between two listings.
const LISTING: u32 = 180;

/// How long the agent's own status waits for the first complete commit.
const FIRST_STATUS: Duration = Duration::from_secs(10);

/// What the parameters say about reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportSettings {
    /// How often the agent's own status is written; zero = never.
    pub(crate) interval: Duration,
    /// When it expires.
    pub(crate) ttl: Duration,
    /// Endpoints' status is written.
    pub(crate) endpoints: bool,
    /// How long changes of endpoints are gathered.
    pub(crate) delay: Duration,
}

/// Writes reports.
#[derive(Clone)]
pub(crate) struct Reports {
    pub(crate) host: String,
    pub(crate) store: Arc<AnyStore>,
    pub(crate) board: Arc<Board>,
    pub(crate) settings: watch::Receiver<ReportSettings>,
    pub(crate) now: fn() -> SystemTime,
    pub(crate) started: Instant,
}

/// Keys and values that should stand in the datastore, or stand there.
type Texts = BTreeMap<String, String>;

// === impl Reports ===

impl Reports {
    /// Writes the agent's own status until it is stopped.
    pub(crate) async fn own_status(mut self) {
        let mut first = true;
        // Nobody should take the node for working before it is, but silence would say that it is dead.
        let deadline = tokio::time::Instant::now() + FIRST_STATUS;
        while !self.board.lock().programmed_once && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        loop {
            let settings = self.settings.borrow_and_update().clone();
            if settings.interval.is_zero() {
                if self.settings.changed().await.is_err() {
                    return;
                }
                continue;
            }
            match self.write_status(first, settings.ttl).await {
                Ok(()) => first = false,
                Err(error) => {
                    warn!(error = error.to_string().trim_end(), "writing this agent's status failed")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(settings.interval) => {}
                changed = self.settings.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn write_status(&self, first: bool, ttl: Duration) -> Result<(), KvError> {
        let node = self.host.clone();
        let text = status_text((self.now)(), self.started.elapsed(), first);
        let kv = self.store.kv();
        let (key, last) = (Key::FelixStatus { node: node.clone() }, Key::FelixLastStatus { node });
        kv.put(&last.path(), &text, Precondition::None, None).await?;
        kv.put(&key.path(), &text, Precondition::None, Some(ttl)).await?;
        Ok(())
    }

    /// Keeps the endpoints' status keys right until it is stopped.
    pub(crate) async fn endpoint_status(mut self) {
        // COMPAT(endpoint-status-batches): upstream writes one key each EndpointReportingDelaySecs.
        let mut written: Option<Texts> = None;
        let mut listed = Instant::now();
        loop {
            let settings = self.settings.borrow_and_update().clone();
            if !settings.endpoints || !self.board.lock().programmed_once {
                written = None;
                tokio::select! {
                    changed = self.settings.changed() => if changed.is_err() { return },
                    () = self.board.endpoints_changed() => {}
                }
                continue;
            }
            let pause = settings.delay.max(Duration::from_millis(10));
            if written.is_none() || listed.elapsed() >= pause * LISTING {
                match self.list().await {
                    Ok(found) => {
                        written = Some(found);
                        listed = Instant::now();
                    }
                    Err(error) => {
                        warn!(error = error.to_string().trim_end(), "listing endpoint status failed");
                        tokio::time::sleep(pause.max(Duration::from_secs(1))).await;
                        continue;
                    }
                }
            }
            let clean = match &mut written {
                Some(written) => self.write_endpoints(written).await,
                None => true,
            };
            tokio::time::sleep(pause).await;
            if clean {
                let listing = (pause * LISTING).saturating_sub(listed.elapsed());
                tokio::select! {
                    () = self.board.endpoints_changed() => {}
                    () = tokio::time::sleep(listing) => {}
                    changed = self.settings.changed() => if changed.is_err() { return },
                }
            }
        }
    }

    /// The status keys of this host as they stand.
    async fn list(&self) -> Result<Texts, KvError> {
        let mut found = Texts::new();
        let mut visit = |entry: margay_store::kv::EntryRef<'_>| {
            found.insert(entry.key.to_owned(), entry.value.to_owned());
        };
        for kind in ["workload", "endpoint"] {
            let prefix = format!("/calico/felix/v1/host/{}/{kind}", self.host);
            self.store.kv().list(&prefix, &mut visit).await?;
        }
        Ok(found)
    }

    /// Writes what differs from `written` and keeps that up to date; false when something failed.
    async fn write_endpoints(&self, written: &mut Texts) -> bool {
        let wanted = self.wanted();
        let mut clean = true;
        let mut left = difference(&wanted, written).into_iter();
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < CONCURRENCY
                && let Some((key, value)) = left.next()
            {
                under_way.spawn(write(Arc::clone(&self.store), key, value));
            }
            let Some(done) = under_way.join_next().await else { break };
            match done {
                Ok((key, Some(value), Ok(()))) => drop(written.insert(key, value)),
                Ok((key, None, Ok(()) | Err(KvError::NotFound { .. }))) => drop(written.remove(&key)),
                Ok((key, _, Err(error))) => {
                    clean = false;
                    debug!(key, error = error.to_string().trim_end(), "writing endpoint status failed");
                }
                Err(_) => clean = false,
            }
        }
        if !clean {
            warn!("writing endpoint status failed; it is tried again");
        }
        clean
    }

    /// The status keys as they should stand.
    fn wanted(&self) -> Texts {
        let known = self.board.lock();
        let of = |(id, endpoint): (&EndpointId, &crate::board::Endpoint)| {
            (endpoint_key(&self.host, id).path(), endpoint_text(endpoint.status))
        };
        known.endpoints.iter().map(of).collect()
    }
}

// === helpers ===

async fn write(
    store: Arc<AnyStore>,
    key: String,
    value: Option<String>,
) -> (String, Option<String>, Result<(), KvError>) {
    let outcome = match &value {
        Some(value) => store.kv().put(&key, value, Precondition::None, None).await.map(drop),
        None => store.kv().delete(&key, Precondition::None).await,
    };
    (key, value, outcome)
}

/// What has to be written: endpoints that came up and were not there first, what is to be removed last.
fn difference(wanted: &Texts, written: &Texts) -> Vec<(String, Option<String>)> {
    let up = endpoint_text(EndpointStatus::Up);
    let differs = wanted.iter().filter(|(key, value)| written.get(*key) != Some(value));
    let (first, then): (Vec<_>, Vec<_>) =
        differs.partition(|(key, value)| **value == up && !written.contains_key(*key));
    let known: BTreeSet<&String> = wanted.keys().collect();
    let gone = written.keys().filter(|key| !known.contains(key));
    let set = first.into_iter().chain(then).map(|(key, value)| (key.clone(), Some(value.clone())));
    set.chain(gone.map(|key| (key.clone(), None))).collect()
}

fn endpoint_key(host: &str, id: &EndpointId) -> Key {
    let node = host.to_owned();
    match id {
        EndpointId::Workload(id) => Key::WorkloadStatus {
            node,
            orchestrator: id.orchestrator.to_string(),
            workload: id.workload.to_string(),
            name: id.endpoint.to_string(),
        },
        EndpointId::Host(id) => Key::HostEndpointStatus { node, name: id.to_string() },
    }
}

fn endpoint_text(status: EndpointStatus) -> String {
    format!("{{\"status\":\"{}\"}}", status.word())
}

/// The agent's own status.
fn status_text(now: SystemTime, uptime: Duration, first: bool) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let time = time.unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{{\"time\":\"{time}\",\"uptime\":{},\"first_update\":{first}}}", uptime.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use margay_client::AnyStore;
    use margay_store::MemoryKv;
    use tokio::sync::watch;

    use super::{ReportSettings, Reports, Texts, difference, status_text};
    use crate::board::{Board, Endpoint, EndpointId, EndpointStatus};

    #[test]
    fn the_agents_status_is_as_upstream_writes_it() {
        let now = UNIX_EPOCH + Duration::from_millis(1_511_594_771_999);
        let text = status_text(now, Duration::from_millis(12_500), true);
        assert_eq!(text, r#"{"time":"2017-11-25T07:26:11Z","uptime":12.5,"first_update":true}"#);
    }

    #[test]
    fn new_endpoints_that_are_up_are_written_first_and_removals_last() {
        let texts = |pairs: &[(&str, &str)]| -> Texts {
            let text = |(key, word): &(&str, &str)| ((*key).to_owned(), format!("{{\"status\":\"{word}\"}}"));
            pairs.iter().map(text).collect()
        };
        let wanted = texts(&[("a", "down"), ("b", "up"), ("c", "up"), ("d", "up")]);
        let written = texts(&[("b", "down"), ("c", "up"), ("gone", "up")]);
        let order: Vec<(String, bool)> =
            difference(&wanted, &written).into_iter().map(|(key, value)| (key, value.is_some())).collect();
        let text = |key: &str, set| (key.to_owned(), set);
        assert_eq!(order, [text("d", true), text("a", true), text("b", true), text("gone", false)]);
    }
    #[tokio::test]
    async fn one_pass_writes_the_status_of_every_endpoint() {
        let board = Arc::new(Board::default());
        for name in ["a", "b", "c"] {
            let endpoint = Endpoint { status: EndpointStatus::Up, programmed: true, workload: None };
            board.lock().endpoints.insert(EndpointId::Host(name.into()), endpoint);
        }
        let hour = Duration::from_secs(3600);
        let settings = ReportSettings { interval: hour, ttl: hour, endpoints: true, delay: hour };
        let reports = Reports {
            host: "h1".to_owned(),
            store: Arc::new(AnyStore::memory(MemoryKv::new(), Arc::new(|| [0; 16]))),
            board,
            settings: watch::channel(settings).1,
            now: || SystemTime::UNIX_EPOCH,
            started: Instant::now(),
        };
        let mut written = Texts::new();
        assert!(reports.write_endpoints(&mut written).await, "nothing failed");
        let text = |name: &str| {
            (format!("/calico/felix/v1/host/h1/endpoint/{name}"), r#"{"status":"up"}"#.to_owned())
        };
        assert_eq!(reports.list().await.unwrap(), ["a", "b", "c"].map(text).into());
        assert_eq!(written, reports.list().await.unwrap());
    }
}
