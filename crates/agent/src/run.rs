//! The agent's life: parameters, guard, datastore, calculation, dataplane, reports (`spec/agent.md` 1).

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use margay_client::{AnyStore, ExitCode, Invocation};
use margay_daemon::http::{Listener, Page, Pages};
use margay_daemon::log::{Format, Log, Settings as LogSettings, Severity};
use margay_daemon::notify::{Notifier, watchdog_interval};
use margay_daemon::signals::{Signal, Signals};
use margay_daemon::tasks::Tasks;
use margay_daemon::{Health, Reporter, Stop};
use margay_intent::HostName;
use margay_policy::{Calculator, Options};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::board::Board;
use crate::calculation::Calculation;
use crate::driver;
use crate::endpoint_files::EndpointFiles;
use crate::feed::{Feed, give_back_memory, watch_silence};
use crate::instruments::Instruments;
use crate::intake::DatastoreTexts;
use crate::live::{Live, Places, metrics_page, serve};
use crate::mailbox::Mailbox;
use crate::parameters::{Name, Parameters, Texts};
use crate::programming::{Driver as _, Programming};
use crate::reports::Reports;
use crate::settings;
use crate::source::{Source, SourceError, chain, host, jitter};
use crate::status::{self, StatusPage};

/// How long a failed start waits before it begins again.
const AGAIN: Duration = Duration::from_secs(1);

/// How many batches wait between the datastore and the calculation.
const QUEUE: usize = 16;

/// How long the kernel may take to answer when no time is set.
const NETLINK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last log lines may take.
const FLUSH: Duration = Duration::from_secs(2);

/// How the agent is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// The file with parameters; it may be absent.
    pub config_file: String,
    /// The shape of log lines.
    pub log_format: Format,
}

/// The agent while it runs.
struct Agent {
    source: Source,
    log: Log,
    board: Arc<Board>,
    health: Health,
    stop: Stop,
    mailbox: Arc<Mailbox>,
    started: Instant,
    now: fn() -> SystemTime,
    notifier: Arc<Notifier>,
    watchdog: Option<Duration>,
}

/// One voice for each stage; all are made before a page is served.
struct Stages {
    startup: Reporter,
    calculation: Reporter,
    dataplane: Reporter,
}

/// Runs the agent until a signal ends it.
pub fn run_with(options: &RunOptions, invocation: &mut Invocation<'_>) -> ExitCode {
    let source = Source::new(invocation, &options.config_file);
    let log = Log::new(options.log_format, Box::new(std::io::stdout()), invocation.now);
    let early = ["earlylogseverityscreen", "logseverityscreen"].into_iter().find_map(|wanted| {
        source.environment.iter().find(|(name, _)| name == wanted).and_then(|(_, text)| Severity::parse(text))
    });
    log.configure(&LogSettings { screen: Some(early.unwrap_or(Severity::Error)), ..LogSettings::default() });
    log.install();
    let notifier = Notifier::new(invocation.env.get("NOTIFY_SOCKET").map(std::ffi::OsString::as_os_str));
    let watchdog = watchdog_interval(invocation.env.get("WATCHDOG_USEC").map(std::ffi::OsString::as_os_str));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (runtime, mailbox) = match runtime.and_then(|runtime| Ok((runtime, Mailbox::new()?))) {
        Ok(made) => made,
        Err(error) => {
            let _ = writeln!(invocation.stderr, "starting the agent: {error}");
            return ExitCode::FAILURE;
        }
    };
    let agent = Agent {
        source,
        log: log.clone(),
        board: Arc::new(Board::default()),
        health: Health::default(),
        stop: Stop::default(),
        mailbox: Arc::new(mailbox),
        started: Instant::now(),
        now: invocation.now,
        notifier: Arc::new(notifier),
        watchdog,
    };
    let exit = runtime.block_on(agent.run());
    // A lookup of a name may hang in a thread of its own; it is of no interest any more.
    runtime.shutdown_timeout(Duration::from_millis(100));
    log.flush(FLUSH);
    exit
}

// === impl Agent ===

impl Agent {
    async fn run(self) -> ExitCode {
        info!(version = crate::VERSION, pid = std::process::id(), "the agent starts");
        let mut tasks = Tasks::new(self.stop.clone());
        match Signals::new() {
            Ok(signals) => tasks.spawn("signals", listen(signals, self.stop.clone(), self.log.clone())),
            Err(error) => {
                error!("listening for signals: {error}");
                return ExitCode::FAILURE;
            }
        }
        let stages = Stages {
            startup: self.health.reporter("felix-startup"),
            calculation: self.health.reporter("async_calc_graph"),
            dataplane: self.health.reporter("int_dataplane"),
        };
        let outcome = self.start(&mut tasks, stages).await;
        if let Err(error) = &outcome {
            error!("starting the agent: {error}");
            self.stop.stop("it could not be started");
        }
        self.stop.stopped().await;
        let reason = self.stop.reason().unwrap_or_default();
        info!(reason, "the agent ends; rules and routes stay");
        self.notifier.stopping();
        let mailbox = Arc::clone(&self.mailbox);
        let panicked = tasks.finish(move || mailbox.stop()).await;
        if !panicked.is_empty() {
            error!(tasks = panicked.join(", "), "ended by a fault of the program");
        }
        // Asked to end is the one good reason.
        if reason.starts_with("SIG") && panicked.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Starts everything, one after the other, as far as the stop signal lets it.
    async fn start(&self, tasks: &mut Tasks, stages: Stages) -> std::io::Result<()> {
        if self.read_local().await.is_err() {
            self.close();
        }
        let Some((local, parameters)) = self.attempt("reading parameters", || self.read_local()).await else {
            return Ok(());
        };
        let name = host(&parameters).to_owned();
        let hangs = [Name::DebugSimulateCalcGraphHangAfter, Name::DebugSimulateDataplaneHangAfter]
            .map(|name| Some(parameters.time(name)).filter(|time| !time.is_zero()));
        let socket = parameters.text(Name::StatusSocketPath).to_owned();
        let instruments = Instruments::new(&name);
        let config = settings::dataplane(&parameters);
        let resolved = self.source.resolve(&local);
        let Ok(resolved) = resolved else { return Ok(()) };
        let mut live = Live::new(
            self.source.clone(),
            local,
            resolved,
            self.log.clone(),
            Arc::clone(&self.board),
            Arc::clone(&self.mailbox),
        );
        self.serve_pages(tasks, live.places(), &instruments);
        let timeout = Some(live.parameters().time(Name::NetlinkTimeoutSecs)).filter(|time| !time.is_zero());
        self.program(tasks, &instruments, config, stages.dataplane.clone(), hangs[1], timeout)?;
        if !socket.is_empty() {
            self.serve_status(tasks, &socket, &name, live.parameters());
        }
        stages.startup.detail("waits for the datastore");
        let opened = self.attempt("reading parameters", || async {
            let store = self.source.open(live.parameters())?;
            self.source.initialise(&store).await?;
            let texts = self.source.read(&store, &name).await?;
            Ok::<_, SourceError>((store, texts))
        });
        let Some((store, mut texts)) = opened.await else { return Ok(()) };
        while let Err(error) = live.take(&texts) {
            // Read again: somebody may have mended it meanwhile.
            stages.startup.detail(&chain(&error));
            if self.pause().await {
                return Ok(());
            }
            let read = self.attempt("reading parameters", || self.source.read(&store, &name)).await;
            let Some(read) = read else { return Ok(()) };
            texts = read;
        }
        stages.startup.detail("");
        stages.startup.set_ready(true);
        info!(host = name, "parameters are read");
        self.follow(tasks, live, &name, &store, texts, &instruments, stages.calculation, hangs[0])
    }

    /// Loads the guard before the parameters can be read, as far as the environment tells what to guard: mending a file
    /// may take somebody hours, and a host that has just started would be open for so long.
    fn close(&self) {
        let environment = Texts { environment: self.source.environment.clone(), ..Texts::default() };
        let config = match self.source.resolve(&environment) {
            Ok((parameters, _)) => settings::dataplane(&parameters),
            Err(_) => margay_dataplane::Config::default(),
        };
        let guard = driver::open(config, NETLINK_TIMEOUT).and_then(|mut kernel| kernel.guard());
        if let Err(error) = guard {
            error!("guarding workloads until parameters can be read: {error}");
        }
    }

    /// Parameters of this host alone.
    async fn read_local(&self) -> Result<(Texts, Parameters), SourceError> {
        let texts = self.source.local()?;
        let (parameters, _) = self.source.resolve(&texts)?;
        // Said here already, because it is as wrong as a wrong value.
        self.source.base.clone()?;
        Ok((texts, parameters))
    }

    /// Tries until it works; none = it is time to end.
    async fn attempt<T, F>(&self, what: &str, mut body: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, SourceError>>,
    {
        let mut last = String::new();
        loop {
            let outcome = tokio::select! {
                outcome = body() => outcome,
                () = self.stop.stopped() => return None,
            };
            match outcome {
                Ok(value) => {
                    self.board.datastore_answers();
                    return Some(value);
                }
                Err(error) => {
                    let text = chain(&error);
                    if text == last {
                        warn!("{what} still fails: {text}");
                    } else {
                        error!("{what} failed, it is tried again until it works: {text}");
                    }
                    if matches!(error, SourceError::Read(_) | SourceError::Open(_)) {
                        self.board.datastore_failed(&text);
                    }
                    last = text;
                }
            }
            if self.pause().await {
                return None;
            }
        }
    }

    /// True when it is time to end.
    async fn pause(&self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => false,
            () = self.stop.stopped() => true,
        }
    }

    fn serve_pages(&self, tasks: &mut Tasks, places: watch::Receiver<Places>, instruments: &Instruments) {
        let (health, board) = (self.health.clone(), Arc::clone(&self.board));
        let answer = move |good: bool| Some(Page::bare(if good { 204 } else { 503 }));
        let pages: Pages = Arc::new(move |path| {
            let now = Instant::now();
            match path {
                "/liveness" => answer(health.is_live(now)),
                // A locked datastore must not hold up a rolling upgrade.
                "/readiness" => {
                    let locked = board.lock().ready_flag == Some(false);
                    answer(health.is_ready(now) || (locked && health.is_live(now)))
                }
                _ => None,
            }
        });
        tasks.spawn("health page", serve("health", places.clone(), |places| places.health, pages));
        let (instruments, board, log) = (instruments.clone(), Arc::clone(&self.board), self.log.clone());
        let seen = places.clone();
        let pages: Pages = Arc::new(move |path| {
            let process = seen.borrow().process_metrics;
            (path == "/metrics").then(|| metrics_page(instruments.page(&board, &log, process)))
        });
        tasks.spawn("metrics page", serve("metrics", places, |places| places.metrics, pages));
        if let Some(interval) = self.watchdog {
            let (health, notifier) = (self.health.clone(), Arc::clone(&self.notifier));
            tasks.spawn("watchdog", async move {
                loop {
                    if health.is_live(Instant::now()) {
                        notifier.watchdog();
                    }
                    tokio::time::sleep(interval).await;
                }
            });
        }
    }

    fn program(
        &self,
        tasks: &mut Tasks,
        instruments: &Instruments,
        config: margay_dataplane::Config,
        health: Reporter,
        hang_after: Option<Duration>,
        timeout: Option<Duration>,
    ) -> std::io::Result<()> {
        let timeout = timeout.unwrap_or(NETLINK_TIMEOUT);
        let programming = Programming {
            mailbox: Arc::clone(&self.mailbox),
            board: Arc::clone(&self.board),
            instruments: instruments.clone(),
            health,
            stop: self.stop.clone(),
            started: self.started,
            hang_after,
        };
        tasks.thread("dataplane", move || {
            programming.run(config, |config| driver::open(config, timeout));
        })
    }

    fn serve_status(&self, tasks: &mut Tasks, path: &str, name: &str, parameters: &Parameters) {
        let datastore = self.source.base.clone().map(|base| settings::datastore(parameters, base).datastore);
        let page = StatusPage {
            host: name.to_owned(),
            started: self.started,
            datastore: datastore.map(|kind| kind.to_string()).unwrap_or_default(),
        };
        let (board, health) = (Arc::clone(&self.board), self.health.clone());
        let pages: Pages = Arc::new(move |path| {
            (path == status::PATH)
                .then(|| Page::text("application/json", page.document(&board, &health).to_string()))
        });
        match Listener::unix(path.as_ref()) {
            Ok(listener) => tasks.spawn("status socket", listener.serve(pages)),
            // It is for people; the node works without.
            Err(error) => warn!("no status for 'margay status': {}", chain(&error)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one agent, tied together once")]
    fn follow(
        &self,
        tasks: &mut Tasks,
        live: Live,
        name: &str,
        store: &Arc<AnyStore>,
        texts: DatastoreTexts,
        instruments: &Instruments,
        health: Reporter,
        hang_after: Option<Duration>,
    ) -> std::io::Result<()> {
        let (sender, updates) = mpsc::channel(QUEUE);
        let places = live.places();
        let (texts, changed_texts) = watch::channel(texts);
        let calculation = Calculation {
            calculator: Calculator::new(HostName::from(name), Options::default()),
            updates,
            mailbox: Arc::clone(&self.mailbox),
            board: Arc::clone(&self.board),
            instruments: instruments.clone(),
            health: health.clone(),
            hang_after,
        };
        tasks.thread("calculation", move || calculation.run())?;
        let feed = Feed {
            host: name.to_owned(),
            store: Arc::clone(store),
            board: Arc::clone(&self.board),
            instruments: instruments.clone(),
            calculation: sender,
            calculation_health: health,
            texts,
        };
        tasks.spawn("datastore", feed.run(jitter(self.source.random)));
        tasks.spawn("memory", give_back_memory(Arc::clone(&self.board)));
        tasks.spawn("datastore silence", watch_silence(Arc::clone(store), Arc::clone(&self.board)));
        let report_settings = watch::Sender::new(places.borrow().reports.clone());
        let reports = Reports {
            host: name.to_owned(),
            store: Arc::clone(store),
            board: Arc::clone(&self.board),
            settings: report_settings.subscribe(),
            now: self.now,
            started: self.started,
        };
        tasks.spawn("parameters", live.follow(changed_texts));
        tasks.spawn("report settings", pass_on(places.clone(), report_settings));
        tasks.spawn("agent status", reports.clone().own_status());
        tasks.spawn("endpoint status", reports.endpoint_status());
        let (board, notifier) = (Arc::clone(&self.board), Arc::clone(&self.notifier));
        tasks.spawn("endpoint files", keep_files(places, board, notifier));
        Ok(())
    }
}

// === helpers ===

async fn listen(mut signals: Signals, stop: Stop, log: Log) {
    loop {
        match signals.next().await {
            Signal::End(name) => {
                stop.stop(name);
                // Waits to be ended: a task that ends is a reason of its own.
                std::future::pending::<()>().await;
            }
            Signal::Reopen => log.reopen(),
        }
    }
}

async fn pass_on(
    mut places: watch::Receiver<Places>,
    settings: watch::Sender<crate::reports::ReportSettings>,
) {
    while places.changed().await.is_ok() {
        let new = places.borrow_and_update().reports.clone();
        settings.send_if_modified(|current| {
            let differs = *current != new;
            *current = new;
            differs
        });
    }
}

/// Keeps the endpoints' files right, and tells the service manager when everything stands.
async fn keep_files(mut places: watch::Receiver<Places>, board: Arc<Board>, notifier: Arc<Notifier>) {
    let mut told = false;
    loop {
        let files = places.borrow_and_update().files.clone();
        let mut files = files.map(|prefix| EndpointFiles::new(&prefix));
        loop {
            if let Some(files) = &mut files {
                files.update(&board);
            }
            if !told && board.lock().programmed_once {
                told = true;
                notifier.ready();
            }
            let moved = tokio::select! {
                () = board.endpoints_changed_for_files() => false,
                changed = places.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
            };
            if moved {
                break;
            }
        }
    }
}
