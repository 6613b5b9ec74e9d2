//! [`Live`]: parameters that change while the agent runs. Each says what it affects; nothing needs a restart but what
//! says where the datastore is (`spec/agent.md` 13.7).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use margay_daemon::http::{Listener, Page, Pages};
use margay_daemon::log::Log;
use margay_daemon::metrics;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::board::Board;
use crate::intake::DatastoreTexts;
use crate::mailbox::Mailbox;
use crate::parameters::{Effect, Name, Notice, Parameters, Texts};
use crate::reports::ReportSettings;
use crate::settings;
use crate::source::{Source, chain};

/// How long until an address that is taken is tried again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Where things are served and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) health: Option<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) process_metrics: bool,
    pub(crate) files: Option<PathBuf>,
    pub(crate) reports: ReportSettings,
}

/// The parameters in force, and everyone who follows them.
pub(crate) struct Live {
    source: Source,
    local: Texts,
    current: Parameters,
    said: BTreeSet<Notice>,
    log: Log,
    board: Arc<Board>,
    mailbox: Arc<Mailbox>,
    places: watch::Sender<Places>,
}

// === impl Places ===

impl Places {
    /// As the parameters say.
    pub(crate) fn of(parameters: &Parameters) -> Self {
        let files = parameters.text(Name::EndpointStatusPathPrefix);
        Self {
            health: settings::page(parameters, Name::HealthEnabled, Name::HealthHost, Name::HealthPort),
            metrics: settings::page(
                parameters,
                Name::PrometheusMetricsEnabled,
                Name::PrometheusMetricsHost,
                Name::PrometheusMetricsPort,
            ),
            process_metrics: parameters.bool(Name::PrometheusProcessMetricsEnabled),
            files: (!files.is_empty()).then(|| PathBuf::from(files)),
            reports: ReportSettings {
                interval: parameters.time(Name::ReportingIntervalSecs),
                ttl: parameters.time(Name::ReportingTTLSecs),
                endpoints: parameters.bool(Name::EndpointReportingEnabled),
                delay: parameters.time(Name::EndpointReportingDelaySecs),
            },
        }
    }
}

// === impl Live ===

impl Live {
    /// Begins with the parameters of this host alone.
    pub(crate) fn new(
        source: Source,
        local: Texts,
        (current, notices): (Parameters, Vec<Notice>),
        log: Log,
        board: Arc<Board>,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        log.configure(&settings::logs(&current));
        let places = watch::Sender::new(Places::of(&current));
        let mut live = Self { source, local, current, said: BTreeSet::new(), log, board, mailbox, places };
        live.say(notices);
        live
    }

    /// The parameters in force.
    pub(crate) fn parameters(&self) -> &Parameters {
        &self.current
    }

    /// Where things are served and written, now and later.
    pub(crate) fn places(&self) -> watch::Receiver<Places> {
        self.places.subscribe()
    }

    /// Takes what the datastore says; what cannot be understood leaves the parameters as they are.
    ///
    /// COMPAT(parameter-errors-live): upstream stops when a parameter that must be good turns bad.
    pub(crate) fn take(&mut self, texts: &DatastoreTexts) -> Result<(), crate::parameters::ResolveError> {
        let mut all = self.local.clone();
        all.per_host.clone_from(&texts.per_host);
        all.global.clone_from(&texts.global);
        let (new, notices) = match self.source.resolve(&all) {
            Ok(resolved) => resolved,
            Err(error) => {
                error!("the parameters in the datastore do not count: {}", chain(&error));
                self.board.lock().parameter_error = chain(&error);
                return Err(error);
            }
        };
        self.board.lock().parameter_error.clear();
        self.say(notices);
        self.change_to(new);
        Ok(())
    }

    fn change_to(&mut self, mut new: Parameters) {
        let changed = new.changed(&self.current);
        for name in &changed {
            let (from, to) = (self.current.value(*name), new.value(*name));
            let source = new.source(*name);
            if matches!(name.row().effect, Effect::Kept | Effect::Meaningless(_)) {
                debug!(parameter = name.text(), %from, %to, %source, "parameter changed");
            } else {
                info!(parameter = name.text(), %from, %to, %source, "parameter changed");
            }
        }
        let later: Vec<Name> =
            changed.iter().copied().filter(|name| name.row().effect == Effect::Start).collect();
        for name in later {
            warn!(parameter = name.text(), "the new value counts from the next start");
            new.keep(name, &self.current);
        }
        let affects = |effect| changed.iter().any(|name| name.row().effect == effect);
        if affects(Effect::Logs) {
            self.log.configure(&settings::logs(&new));
        }
        if affects(Effect::Dataplane) {
            self.mailbox.configure(settings::dataplane(&new));
        }
        let places = Places::of(&new);
        self.places.send_if_modified(|current| {
            let differs = *current != places;
            *current = places;
            differs
        });
        self.current = new;
    }

    /// Says each thing once.
    fn say(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            if !self.said.contains(&notice) {
                match &notice {
                    Notice::Unknown(..) | Notice::Meaningless(..) => info!("{notice}"),
                    Notice::LocalOnly(..) | Notice::Replaced(..) | Notice::Twice(..) => warn!("{notice}"),
                }
                self.board.lock().notices.push(notice.to_string());
                self.said.insert(notice);
            }
        }
    }

    /// Follows the datastore's parameters.
    pub(crate) async fn follow(mut self, mut texts: watch::Receiver<DatastoreTexts>) {
        while texts.changed().await.is_ok() {
            let texts = texts.borrow_and_update().clone();
            // What is wrong has been said and stands on the board.
            let _ = self.take(&texts);
        }
    }
}

/// Serves pages where the parameters say, for as long as they say so.
pub(crate) async fn serve(
    what: &'static str,
    mut places: watch::Receiver<Places>,
    place: fn(&Places) -> Option<SocketAddr>,
    pages: Pages,
) {
    loop {
        let at = place(&places.borrow_and_update());
        let moved = async {
            while places.changed().await.is_ok() {
                if place(&places.borrow_and_update()) != at {
                    return true;
                }
            }
            false
        };
        let Some(at) = at else {
            if moved.await {
                continue;
            }
            return;
        };
        match Listener::tcp(at).await {
            Ok(listener) => {
                info!(%at, "serving {what}");
                tokio::select! {
                    () = listener.serve(Arc::clone(&pages)) => {}
                    goes_on = moved => if !goes_on { return },
                }
            }
            Err(error) => {
                warn!("cannot serve {what}: {}", chain(&error));
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    goes_on = moved => if !goes_on { return },
                }
            }
        }
    }
}

/// The page of metrics.
pub(crate) fn metrics_page(text: String) -> Page {
    Page::text(metrics::CONTENT_TYPE, text)
}
