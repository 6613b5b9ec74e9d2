//! The plugin as a program: flags, environment, input, and the one object that goes to stdout.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use margay_client::{ExitCode, Invocation};
use serde_json::Value;

use crate::call::{Call, LIMIT};
use crate::cluster::{Cluster, NoCluster};
use crate::config::NetConf;
use crate::error::{Code, Failure, Result};
use crate::fault::Faults;
use crate::journal::Journal;
use crate::log::Log;
use crate::request::{Environment, Verb};
use crate::version::{SpecVersion, answer};
use crate::{add, check, del, gc, status};

/// The exit status of a flag that nobody knows, as Go's flag package has it.
const BAD_FLAG: ExitCode = ExitCode(2);

/// Runs the plugin: one verb, asked by environment and stdin, answered on stdout.
pub fn run_plugin(invocation: &mut Invocation<'_>) -> ExitCode {
    run_plugin_with(invocation, &NoCluster)
}

/// As [`run_plugin`], with a Kubernetes cluster that can be asked.
pub fn run_plugin_with(invocation: &mut Invocation<'_>, cluster: &dyn Cluster) -> ExitCode {
    let flags: Vec<String> = invocation.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match flags.first().map(|flag| flag.trim_start_matches('-')) {
        None => {}
        Some("v" | "version") => return print(invocation, &format!("v{}\n", env!("CARGO_PKG_VERSION"))),
        Some("t") => return self_test(invocation, cluster),
        Some(_) => {
            let text = "Usage of calico:\n  -t\tcheck the datastore that the configuration on stdin names\n  -v\tprint the version\n";
            let _ = invocation.stderr.write_all(text.as_bytes());
            return BAD_FLAG;
        }
    }
    let mut stdin = Vec::new();
    let outcome = read(invocation, &mut stdin).and_then(|verb| match verb {
        Verb::Version => Ok(Some(answer(&stdin))),
        verb => guarded(invocation, cluster, verb, &stdin),
    });
    finish(invocation, &stdin, outcome)
}

/// The verb, and the input that belongs to it.
pub(crate) fn read(invocation: &mut Invocation<'_>, stdin: &mut Vec<u8>) -> Result<Verb> {
    let verb = Environment(&invocation.env).verb()?;
    match invocation.stdin.read_to_end(stdin) {
        Ok(_) => Ok(verb),
        // VERSION is answered whatever the input is.
        Err(_) if verb == Verb::Version => Ok(verb),
        Err(error) => Err(Failure::new(Code::IO, format!("error reading from stdin: {error}"))),
    }
}

/// A fault of the program is answered like every other failure; what it has done is undone by the DEL that follows.
fn guarded(
    invocation: &mut Invocation<'_>,
    cluster: &dyn Cluster,
    verb: Verb,
    stdin: &[u8],
) -> Result<Option<Value>> {
    let guarded = catch_unwind(AssertUnwindSafe(|| perform(invocation, cluster, verb, stdin)));
    guarded.unwrap_or_else(|_| {
        Err(Failure::new(Code::GENERIC, format!("Calico CNI panicked during {}", verb.as_str())))
    })
}

fn perform(
    invocation: &mut Invocation<'_>,
    cluster: &dyn Cluster,
    verb: Verb,
    stdin: &[u8],
) -> Result<Option<Value>> {
    let conf = NetConf::parse(stdin)?;
    check_version(verb, conf.version)?;
    let environment = Environment(&invocation.env);
    let mut log = Log::new(invocation.stderr, invocation.now);
    log.configure(&conf.log);
    let [container, ifname] = ["CNI_CONTAINERID", "CNI_IFNAME"].map(|name| environment.text(name));
    log.about(format!("{} {} {container}/{ifname}", verb.as_str(), conf.name));
    for warning in &conf.warnings {
        log.warning(warning);
    }
    let mut call = Call {
        arguments: environment.text("CNI_ARGS").to_owned(),
        path: environment.plugin_path(),
        faults: Faults::of_environment(&invocation.env),
        conf,
        env: &invocation.env,
        cwd: invocation.cwd.clone(),
        log,
        journal: Journal::default(),
        cluster,
        now: invocation.now,
        random: invocation.random,
        end: Instant::now() + LIMIT,
    };
    let outcome = match verb {
        Verb::Add => add::add(&mut call).map(Some),
        Verb::Check => check::check(&mut call).map(|()| None),
        Verb::Del => del::del(&mut call).map(|()| None),
        Verb::Gc => gc::gc(&mut call).map(|()| None),
        Verb::Status => status::status(&mut call).map(|()| None),
        Verb::Version => Ok(None),
    };
    match &outcome {
        Ok(_) => call.log.info("done"),
        Err(failure) => call.log.error(&format!("{} {}", failure.msg, failure.details)),
    }
    outcome
}

pub(crate) fn check_version(verb: Verb, version: SpecVersion) -> Result<()> {
    let since = match verb {
        Verb::Check => SpecVersion::V040,
        Verb::Gc | Verb::Status => SpecVersion::V110,
        Verb::Add | Verb::Del | Verb::Version => SpecVersion::V010,
    };
    if version >= since {
        return Ok(());
    }
    Err(Failure::new(Code::VERSION, format!("config version does not allow {}", verb.as_str())))
}

/// `-t`: the same questions as STATUS, for whichever version the configuration has.
fn self_test(invocation: &mut Invocation<'_>, cluster: &dyn Cluster) -> ExitCode {
    let mut stdin = Vec::new();
    let read = invocation.stdin.read_to_end(&mut stdin);
    let read = read.map_err(|error| Failure::new(Code::IO, format!("error reading from stdin: {error}")));
    let outcome = read.and_then(|_| {
        let document = serde_json::from_slice::<Value>(&stdin).unwrap_or_default();
        let mut document = document.as_object().cloned().unwrap_or_default();
        document.insert("cniVersion".to_owned(), SpecVersion::V110.as_str().into());
        let test = Value::Object(document).to_string();
        guarded(invocation, cluster, Verb::Status, test.as_bytes())
    });
    let outcome = outcome.map_err(|failure| {
        Failure::new(Code::GENERIC, "data store connection failed").with_details(failure.msg)
    });
    finish(invocation, &stdin, outcome)
}

pub(crate) fn finish(
    invocation: &mut Invocation<'_>,
    stdin: &[u8],
    outcome: Result<Option<Value>>,
) -> ExitCode {
    match outcome {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(answer)) => print(invocation, &answer.to_string()),
        Err(failure) => {
            let version = NetConf::version_asked(stdin);
            print(invocation, &failure.to_json(&version).to_string());
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn print(invocation: &mut Invocation<'_>, text: &str) -> ExitCode {
    let written = invocation.stdout.write_all(text.as_bytes()).and_then(|()| invocation.stdout.flush());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
