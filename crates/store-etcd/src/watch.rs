//! [`EtcdWatch`]: changes below a prefix by long polls, one event each, on a connection of its own.
//!
//! Owns the poll that is under way, so that a wait may be dropped and taken up again. What must stay true: `after` is
//! an index up to which everything below the prefix was reported; where that cannot be, the watch says so.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use margay_store::kv::{Change, Entry, KvError, Result, Revision, Watch};
use tokio::time::{Instant, sleep_until};

use crate::cluster::{Answer, Cluster, Head, Lane, Said};
use crate::decode::Node;
use crate::request::Request;
use crate::store::refused;

/// A server that answers waits at once and with nothing is asked no more often than this.
const PACE: Duration = Duration::from_secs(1);

type Poll = Pin<Box<dyn Future<Output = (Lane, Result<Polled>)> + Send>>;

/// A watch on etcd.
pub struct EtcdWatch {
    cluster: Arc<Cluster>,
    prefix: String,
    after: u64,
    /// The cluster whose history this is; none until a server has named it.
    history: Option<String>,
    lane: Lane,
    poll: Option<Poll>,
}

/// What one poll brought.
struct Polled {
    /// How far the server's history was when the poll began, and nothing had happened by then.
    index: u64,
    cluster: String,
    event: Option<Event>,
}

struct Event {
    action: String,
    key: String,
    value: Option<String>,
    directory: bool,
    modified: Option<Revision>,
}

// === impl EtcdWatch ===

impl EtcdWatch {
    pub(crate) fn new(cluster: Arc<Cluster>, prefix: &str, after: u64, history: Option<String>) -> Self {
        Self { cluster, prefix: prefix.to_owned(), after, history, lane: None, poll: None }
    }

    fn start(&mut self) -> Poll {
        let cluster = Arc::clone(&self.cluster);
        let (prefix, after, history) = (self.prefix.clone(), self.after, self.history.clone());
        let mut lane = self.lane.take();
        Box::pin(async move {
            let polled = poll(&cluster, &mut lane, &prefix, after, history.as_deref()).await;
            (lane, polled)
        })
    }

    /// Takes over what a poll brought; the change if there is one.
    fn take(&mut self, polled: Polled) -> Result<Option<Change>> {
        let Polled { index, cluster, event } = polled;
        self.history.get_or_insert(cluster);
        let Some(event) = event else {
            // The server looked through its history up to `index` and then waited in vain.
            self.after = self.after.max(index);
            return Ok(None);
        };
        let Some(revision) = event.modified else {
            return Err(KvError::Server(format!("watching {}: an event without an index", self.prefix)));
        };
        let gone = match event.action.as_str() {
            "set" | "create" | "update" | "compareAndSwap" => false,
            "delete" | "compareAndDelete" | "expire" => true,
            action => {
                return Err(KvError::Server(format!("watching {}: unknown action '{action}'", self.prefix)));
            }
        };
        self.after = self.after.max(revision.get());
        // In its history etcd looks for directories above by their first letters alone: `/a/b` goes, `/a/bc` hears.
        let below = at_or_below(&self.prefix, &event.key);
        let above = gone && at_or_below(&event.key, &self.prefix);
        Ok(match event {
            _ if !below && !above => None,
            Event { key, .. } if gone => Some(Change::Deleted { key, revision }),
            Event { directory: true, .. } => None,
            Event { key, value, .. } => {
                Some(Change::Set(Entry { key, value: value.unwrap_or_default(), revision }))
            }
        })
    }
}

impl std::fmt::Debug for EtcdWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdWatch")
            .field("prefix", &self.prefix)
            .field("after", &self.after)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Change>> {
        loop {
            if self.poll.is_none() {
                self.poll = Some(self.start());
            }
            let Some(poll) = &mut self.poll else { continue };
            let (lane, polled) = poll.as_mut().await;
            self.poll = None;
            self.lane = lane;
            if let Some(change) = self.take(polled?)? {
                return Ok(vec![change]);
            }
        }
    }
}

// === helpers ===

async fn poll(
    cluster: &Cluster,
    lane: &mut Lane,
    prefix: &str,
    after: u64,
    history: Option<&str>,
) -> Result<Polled> {
    let begun = Instant::now();
    let request = Request::watch(prefix, after + 1);
    let reply = cluster.open(lane, &request).await?;
    let index = check_history(&reply.head, prefix, after, history)?;
    let mut event = None;
    let mut visit = |node: Node<'_>| {
        event = Some(Event {
            action: String::new(),
            key: node.key.to_owned(),
            value: node.value.map(str::to_owned),
            directory: node.directory,
            modified: Revision::new(node.modified),
        });
    };
    let Answer { head, body } = cluster.read_wait(reply, &request, lane, &mut visit).await?;
    match body {
        Said::Nodes { action } => {
            event = event.map(|event| Event { action, ..event });
        }
        Said::Nothing => sleep_until(begun + PACE).await,
        // 400: we were too slow; 401: etcd keeps 1000 events, and what we want is older.
        Said::Refused(refusal) if matches!(refusal.code, 400 | 401) => {
            return Err(KvError::Compacted { after });
        }
        Said::Refused(refusal) => return Err(refused(prefix, head.status, &refusal)),
    }
    Ok(Polled { index, cluster: head.cluster, event })
}

/// Makes sure that the server's history is the one that `after` is from; returns how far it goes.
///
/// A store that was lost and set up again has the same name if its members have; but its history is shorter. So has a
/// member that lags behind; the list that follows waits for it.
fn check_history(head: &Head, prefix: &str, after: u64, history: Option<&str>) -> Result<u64> {
    if !head.status.is_success() {
        return Ok(head.index.unwrap_or(0));
    }
    let Some(index) = head.index else {
        return Err(KvError::Server(format!("watching {prefix}: the answer has no X-Etcd-Index")));
    };
    if index < after || history.is_some_and(|history| history != head.cluster) {
        return Err(KvError::Compacted { after });
    }
    Ok(index)
}

fn at_or_below(directory: &str, key: &str) -> bool {
    key.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
