//! [`Feed`]: follows the datastore and hands on what it says; and the watch over its silence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use margay_client::AnyStore;
use margay_daemon::Reporter;
use margay_store::backoff::Jitter;
use margay_store::syncer::{Options, Status, SyncEvent, Update};
use margay_store::{Kv as _, Syncer};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use crate::board::Board;
use crate::instruments::Instruments;
use crate::intake::{Batch, DatastoreTexts, Intake};

/// What is followed.
const SUBTREE: &str = "/calico/v1";

/// How many updates go on together, so that the memory of a large snapshot is given back bit by bit.
const BATCH: usize = 1000;

/// When a snapshot has been worked in for sure; it takes a second at most in the largest clusters.
const WORKED_IN: Duration = Duration::from_secs(3);

/// How often a silent datastore is asked whether it is there again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The datastore's side of the agent.
pub(crate) struct Feed {
    pub(crate) host: String,
    pub(crate) store: Arc<AnyStore>,
    pub(crate) board: Arc<Board>,
    pub(crate) instruments: Instruments,
    pub(crate) calculation: mpsc::Sender<(Instant, Batch)>,
    pub(crate) calculation_health: Reporter,
    pub(crate) texts: watch::Sender<DatastoreTexts>,
}

// === impl Feed ===

impl Feed {
    /// Runs until the calculation is gone.
    pub(crate) async fn run(self, jitter: Jitter) {
        let store = Arc::clone(&self.store);
        let mut syncer = Syncer::new(store.kv(), SUBTREE, Options::new(jitter));
        let mut intake = Intake::new(&self.host);
        let mut warned = false;
        loop {
            let batches = match syncer.next().await {
                SyncEvent::Trouble(error) => {
                    let text = error.to_string();
                    warn!(error = text.trim_end(), "the datastore does not answer");
                    self.board.datastore_failed(&text);
                    continue;
                }
                SyncEvent::Status(status) => {
                    self.set_status(status);
                    if status != Status::InSync {
                        continue;
                    }
                    if let Some(likely) = intake.likely_host().filter(|_| !warned) {
                        warned = true;
                        self.warn_of_name(likely);
                    }
                    intake.in_sync()
                }
                SyncEvent::Updates(updates) => self.take(&mut intake, updates),
            };
            self.answered();
            if let Some(texts) = intake.changed_texts() {
                self.texts.send_replace(texts);
            }
            let read = Instant::now();
            let is_snapshot = batches.contains(&Batch::InSync);
            for batch in batches {
                if !self.hand_on(read, batch).await {
                    return;
                }
            }
            if is_snapshot {
                self.board.ring_snapshot();
            }
        }
    }

    fn take(&self, intake: &mut Intake, updates: Vec<Update>) -> Vec<Batch> {
        let before = intake.ready();
        let batches = intake.updates(updates);
        let ready = intake.ready();
        if ready != before {
            self.board.lock().ready_flag = ready;
            match ready {
                Some(true) => info!("the datastore is ready"),
                Some(false) => warn!("the datastore is locked: its ready flag is false; nothing is changed"),
                None => warn!("the datastore has lost its ready flag; nothing is changed"),
            }
        }
        batches
    }

    fn set_status(&self, status: Status) {
        let (word, number) = match status {
            Status::WaitForReady => ("wait-for-ready", 1.0),
            Status::Resync => ("resync", 2.0),
            Status::InSync => ("in-sync", 3.0),
        };
        info!(status = word, "datastore status");
        self.board.lock().sync = word;
        self.instruments.resync_state.set(number);
        if status == Status::Resync {
            self.instruments.resyncs_started.increment();
        }
    }

    fn answered(&self) {
        if self.board.datastore_answers() {
            info!("the datastore answers again");
        }
    }

    fn warn_of_name(&self, likely: &str) {
        let host = &self.host;
        warn!(host, likely, "nothing in the datastore is of this host; FelixHostname may be wrong");
        let text = format!(
            "nothing in the datastore is of host {host:?}, but {likely:?} is there: is FelixHostname wrong?"
        );
        self.board.lock().warnings.push(text);
    }

    /// False when the calculation is gone.
    async fn hand_on(&self, read: Instant, batch: Batch) -> bool {
        self.calculation_health.work();
        let Batch::Updates(mut updates) = batch else {
            return self.calculation.send((read, batch)).await.is_ok();
        };
        debug!(count = updates.len(), "datastore updates");
        while updates.len() > BATCH {
            let rest = updates.split_off(BATCH);
            updates.shrink_to_fit();
            let part = Batch::Updates(std::mem::replace(&mut updates, rest));
            if self.calculation.send((read, part)).await.is_err() {
                return false;
            }
        }
        self.calculation.send((read, Batch::Updates(updates))).await.is_ok()
    }
}

/// Gives the memory back that a snapshot needed, once it has been worked in.
pub(crate) async fn give_back_memory(board: Arc<Board>) {
    loop {
        board.snapshot_read().await;
        tokio::time::sleep(WORKED_IN).await;
        margay_kernel::give_back_memory();
    }
}

/// Asks a silent datastore until it answers: a watch that was broken is opened again without a word.
pub(crate) async fn watch_silence(store: Arc<AnyStore>, board: Arc<Board>) {
    loop {
        board.became_stale().await;
        while board.stale_seconds(Instant::now()) > 0.0 {
            tokio::time::sleep(PROBE_INTERVAL).await;
            match store.kv().get("/calico/v1/Ready").await {
                Ok(_) if board.datastore_answers() => info!("the datastore answers again"),
                Ok(_) => {}
                Err(error) => {
                    debug!(error = error.to_string().trim_end(), "the datastore still does not answer")
                }
            }
        }
    }
}
