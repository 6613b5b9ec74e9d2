//! `calico-ipam`: the IPAM plugin as a program of its own, for whichever plugin calls it (`spec/ipam.md` 13).
//!
//! Our own main plugin does the same work in its own process (`addresses`); this is the door for everybody else. It
//! does not ask whether the datastore is ready, as upstream does not.

mod migrate;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use margay_client::{AnyStore, ExitCode, Invocation};
use margay_ipam::Garbage;
use margay_model::{Resource, codec};
use margay_net::{Cidr, Ip, IpVersion};
use margay_store::Datastore as _;
use serde_json::{Value, json};

use crate::addresses::{self, Wanted};
use crate::args::Args;
use crate::call::{Call, LIMIT, UNDO_LIMIT, check_ready, runtime};
use crate::cluster::NoCluster;
use crate::config::NetConf;
use crate::error::{Code, Failure, Result};
use crate::fault::Faults;
use crate::identity::{Identity, Workload, node_name};
use crate::journal::Journal;
use crate::lock::Lock;
use crate::log::Log;
use crate::plugin::{check_version, finish, print, read};
use crate::request::{Environment, Verb};
use crate::version::{SpecVersion, answer};

/// The exit status of a flag that nobody knows, as Go's flag package has it.
const BAD_FLAG: ExitCode = ExitCode(2);

const USAGE: &str = "\
Usage of calico-ipam:
  -upgrade
    \ttake over the addresses that host-local gave out on this host
  -v\tprint the version
";

/// Runs the IPAM plugin: one verb, asked by environment and stdin, answered on stdout.
pub fn run_ipam(invocation: &mut Invocation<'_>) -> ExitCode {
    let flags: Vec<String> = invocation.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match flags.first().map(|flag| flag.trim_start_matches('-')) {
        None => {}
        Some("v" | "version") => return print(invocation, &format!("v{}\n", env!("CARGO_PKG_VERSION"))),
        Some("upgrade") => return migrate::migrate(invocation),
        Some(_) => {
            // Nobody is left to tell it to when stderr is gone.
            let _ = invocation.stderr.write_all(USAGE.as_bytes());
            return BAD_FLAG;
        }
    }
    let mut stdin = Vec::new();
    let outcome = read(invocation, &mut stdin).and_then(|verb| match verb {
        Verb::Version => Ok(Some(answer(&stdin))),
        verb => guarded(invocation, verb, &stdin),
    });
    finish(invocation, &stdin, outcome)
}

/// A fault of the program is answered like every other failure.
fn guarded(invocation: &mut Invocation<'_>, verb: Verb, stdin: &[u8]) -> Result<Option<Value>> {
    catch_unwind(AssertUnwindSafe(|| perform(invocation, verb, stdin))).unwrap_or_else(|_| {
        Err(Failure::new(Code::GENERIC, format!("Calico CNI IPAM panicked during {}", verb.as_str())))
    })
}

fn perform(invocation: &mut Invocation<'_>, verb: Verb, stdin: &[u8]) -> Result<Option<Value>> {
    let conf = NetConf::parse(stdin)?;
    check_version(verb, conf.version)?;
    let environment = Environment(&invocation.env);
    let mut log = Log::new(invocation.stderr, invocation.now);
    log.configure(&conf.log);
    log.about(format!("IPAM {} {} {}", verb.as_str(), conf.name, environment.text("CNI_CONTAINERID")));
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
        cluster: &NoCluster,
        now: invocation.now,
        random: invocation.random,
        end: Instant::now() + LIMIT,
    };
    let outcome = match verb {
        Verb::Add => add(&mut call).map(Some),
        Verb::Del => del(&mut call).map(|()| None),
        Verb::Check => check(&mut call).map(|()| None),
        Verb::Gc => gc(&mut call).map(|()| None),
        Verb::Status => status(&mut call).map(|()| None),
        Verb::Version => Ok(None),
    };
    if let Err(failure) = &outcome {
        call.log.error(&format!("{} {}", failure.msg, failure.details));
    }
    outcome
}

// === ADD ===

fn add(call: &mut Call<'_>) -> Result<Value> {
    let identity = identity(call)?;
    let args = Args::parse_as_ipam(&call.arguments, true)?;
    let asked = match call.conf.asked_ips.is_empty() {
        true => args.ip.into_iter().collect(),
        false => call.conf.asked_ips.clone(),
    };
    let wanted = Wanted::new(&call.conf, &identity, asked, (call.now)())?;
    let store = open(call)?;
    log_request(call, &wanted);
    let _lock = lock_host(call);
    let limit = call.left();
    let assigned = runtime()?.block_on(async {
        match tokio::time::timeout(limit, addresses::assign(&store, &wanted, None)).await {
            Ok(outcome) => outcome,
            // What was assigned when the time ran out is not known here, but its notes are.
            Err(_) => Err(too_long().with_details(take_back(&store, &wanted).await)),
        }
    })?;
    let texts: Vec<String> = assigned.iter().map(ToString::to_string).collect();
    call.log.info(&format!("assigned addresses [{}]", texts.join(" ")));
    result(&assigned, call.conf.version)
}

/// Releases what a request got that nobody learns of; the answer is empty, or says why it stays.
async fn take_back(store: &AnyStore, wanted: &Wanted) -> String {
    match tokio::time::timeout(UNDO_LIMIT, addresses::take_back(store, &wanted.request.owner)).await {
        Ok(Ok(())) => String::new(),
        Ok(Err(failure)) => format!("taking back: {}", failure.msg),
        Err(_) => "taking back took too long".to_owned(),
    }
}

fn log_request(call: &mut Call<'_>, wanted: &Wanted) {
    let line = match wanted.asked.as_slice() {
        [] => format!("request count IPv4={} IPv6={}", wanted.request.v4, wanted.request.v6),
        asked => format!("request IP: {}", asked.iter().map(Ip::to_string).collect::<Vec<_>>().join(" ")),
    };
    call.log.info(&line);
}

/// The answer in the shape of the configuration's version: addresses, no interfaces and no routes.
fn result(addresses: &[Cidr], version: SpecVersion) -> Result<Value> {
    let mut object = json!({ "cniVersion": version.as_str() });
    if version <= SpecVersion::V020 {
        if addresses.is_empty() {
            return Err(Failure::new(Code::GENERIC, "cannot convert: no valid IP addresses"));
        }
        for (family, member) in [(IpVersion::V4, "ip4"), (IpVersion::V6, "ip6")] {
            if let Some(address) = addresses.iter().find(|address| address.version() == family) {
                object[member] = json!({ "ip": address.to_string() });
            }
        }
    } else if !addresses.is_empty() {
        object["ips"] = addresses
            .iter()
            .map(|address| match version < SpecVersion::V100 {
                true => json!({
                    "version": address.version().number().to_string(),
                    "address": address.to_string(),
                }),
                false => json!({ "address": address.to_string() }),
            })
            .collect();
    }
    if version < SpecVersion::V100 {
        object["dns"] = json!({});
    }
    Ok(object)
}

// === DEL ===

/// Releases what the container holds; nothing to release is no failure. Arguments that cannot be understood are one, but
/// keep nothing from being released.
fn del(call: &mut Call<'_>) -> Result<()> {
    let identity = identity(call)?;
    let understood = Args::parse_as_ipam(&call.arguments, false).map(|_| ());
    let store = open(call)?;
    let _lock = lock_host(call);
    let handle = call.conf.handle(&identity.container);
    let released = within(call, release(&store, &identity, &handle))??;
    let texts: Vec<String> = released.iter().map(ToString::to_string).collect();
    call.log.info(&format!("released addresses [{}]", texts.join(" ")));
    understood
}

async fn release(store: &AnyStore, identity: &Identity, handle: &str) -> Result<Vec<Ip>> {
    let ifname = identity.ifname.as_str();
    let mut released = addresses::release(store, handle, ifname, &identity.node).await?;
    if !is_of_newer_container(store, identity).await? {
        released.extend(addresses::release_legacy(store, &identity.workload.id()).await?);
    }
    Ok(released)
}

/// True when the workload's endpoint belongs to another container: what stands under the workload's own identifier may
/// be that one's.
async fn is_of_newer_container(store: &AnyStore, identity: &Identity) -> Result<bool> {
    let Workload::Pod { .. } = identity.workload else { return Ok(false) };
    let Some(record) = store.get_record(&identity.key()).await? else { return Ok(false) };
    let Ok(Some(Resource::WorkloadEndpoint(endpoint))) = codec::decode(&record.key, &record.value) else {
        return Ok(false);
    };
    let instance = endpoint.metadata.active_instance_id;
    Ok(!instance.is_empty() && instance != identity.container.as_str())
}

// === CHECK, GC, STATUS ===

/// The handle holds every address that the ADD answered with.
fn check(call: &mut Call<'_>) -> Result<()> {
    let identity = identity(call)?;
    let Some(previous) = call.conf.prev_result.clone() else {
        return Err(Failure::new(Code::CONFIG, "Required prevResult missing"));
    };
    let store = open(call)?;
    let handle = call.conf.handle(&identity.container);
    let held = within(call, margay_ipam::addresses_of_handle(&store, &handle))?;
    let held = held.map_err(failure)?.unwrap_or_default();
    let held: BTreeSet<Ip> = held.into_iter().map(|(ip, _)| ip).collect();
    for ip in addresses_of_result(&previous)? {
        if !held.contains(&ip) {
            let msg = format!("{ip} is not assigned to {handle}");
            return Err(Failure::new(Code::CHECK_ASSIGNMENT, msg));
        }
    }
    Ok(())
}

/// The addresses of a result, in the shape of any version.
fn addresses_of_result(result: &Value) -> Result<Vec<Ip>> {
    let of_list = result["ips"].as_array().into_iter().flatten().map(|ip| &ip["address"]);
    let of_family = ["ip4", "ip6"].into_iter().map(|member| &result[member]["ip"]);
    of_list
        .chain(of_family.filter(|text| !text.is_null()))
        .map(|text| {
            let parsed = text.as_str().and_then(|text| text.parse::<Cidr>().ok());
            let refuse = || Failure::new(Code::CONFIG, "prevResult: an address is none");
            parsed.map(Cidr::address).ok_or_else(refuse)
        })
        .collect()
}

/// Releases what containers of this network on this node hold that are not listed.
fn gc(call: &mut Call<'_>) -> Result<()> {
    let Some(listed) = call.conf.valid_attachments.clone() else { return Ok(()) };
    let node = node(call)?;
    let store = open(call)?;
    let is_valid = |container: &str, ifname: Option<&str>| {
        listed.iter().any(|(c, i)| c == container && ifname.is_none_or(|ifname| i == ifname))
    };
    let network = call.conf.name.clone();
    let garbage = Garbage { host: &node, network: &network, is_valid: &is_valid, now: (call.now)() };
    let collected = within(call, margay_ipam::collect(&store, &garbage))?.map_err(failure)?;
    for (ip, handle) in &collected.released {
        call.log.info(&format!("released {ip} of {handle}"));
    }
    let mut failed = collected.failed.into_iter().map(failure);
    let Some(first) = failed.next() else { return Ok(()) };
    Err(failed.fold(first, |first, next| first.with_details(next.msg)))
}

/// The datastore is ready and has an address of each version that is wanted.
fn status(call: &mut Call<'_>) -> Result<()> {
    let unavailable = |failure: Failure| Failure { code: Code::UNAVAILABLE, ..failure };
    let node = node(call).map_err(unavailable)?;
    let store = open(call).map_err(unavailable)?;
    let ipam = call.conf.ipam.clone();
    let asking = async {
        check_ready(&store).await?;
        for (version, wanted, pools) in [
            (IpVersion::V4, ipam.assign_ipv4, &ipam.ipv4_pools),
            (IpVersion::V6, ipam.assign_ipv6, &ipam.ipv6_pools),
        ] {
            if !wanted {
                continue;
            }
            let pools = addresses::pools(pools, version)?;
            if !margay_ipam::has_room(&store, &node, version, &pools).await.map_err(addresses::failure)? {
                let msg = format!("no IPv{} address is free for node {node}", version.number());
                return Err(Failure::new(Code::NO_ADDRESS, msg));
            }
        }
        Ok(())
    };
    within(call, asking).flatten().map_err(unavailable)
}

// === what the verbs share ===

fn node(call: &mut Call<'_>) -> Result<String> {
    let log = &mut call.log;
    node_name(&call.conf, &mut |text| log.warning(text))
}

/// Who the call is about, as far as arguments can be understood.
fn identity(call: &mut Call<'_>) -> Result<Identity> {
    let (subject, _) = call.subject()?;
    Ok(subject.identity)
}

fn open(call: &Call<'_>) -> Result<AnyStore> {
    call.open(&call.settings()?)
}

/// Runs work for as long as there is time.
fn within<T>(call: &Call<'_>, work: impl Future<Output = T>) -> Result<T> {
    let limit = call.left();
    let outcome = runtime()?.block_on(async { tokio::time::timeout(limit, work).await });
    outcome.map_err(|_| too_long())
}

/// The lock that all IPAM plugins of a host take, so that they need not fight for one block. A host where it cannot be
/// kept works without: the datastore decides in any case.
fn lock_host(call: &mut Call<'_>) -> Option<Lock> {
    let path = call.conf.ipam.lock_file.clone();
    match Lock::take(&path, call.left() / 2) {
        Ok(lock) => Some(lock),
        Err(error) => {
            call.log.warning(&format!("locking {}: {error}", path.display()));
            None
        }
    }
}

fn too_long() -> Failure {
    Failure::new(Code::TRY_LATER, format!("the datastore took longer than {} s", LIMIT.as_secs()))
}

fn failure(error: margay_ipam::Error) -> Failure {
    addresses::failure(error.into())
}

#[cfg(test)]
mod tests;
