//! `ipam show` and `ipam release` (`spec/calicoctl.md` 9), and what `margay` has beside them: the use of pools, and
//! the check that finds and repairs what does not fit.

mod survey;

use std::io;
use std::time::Duration;

use margay_ipam::{Finding, Released, Snapshot};
use margay_net::Ip;

use crate::grammar::command::{IpamArgs, IpamTask, IpamVerb};
use crate::session::{Session, Store};
use margay_client::ExitCode;

/// `ipam show`, `ipam release`.
pub(crate) fn ipam(session: &mut Session<'_, '_>, args: &IpamArgs) -> io::Result<ExitCode> {
    let client = match session.client(&args.config) {
        Ok(client) => client,
        Err(error) => {
            session.hints(error.hint)?;
            return session.fail(&error.text);
        }
    };
    let Ok(ip) = args.ip.parse::<Ip>() else {
        return session.fail(&format!("Error executing command: invalid IP address specified: {}", args.ip));
    };
    match args.verb {
        IpamVerb::Show => match session.block_on(margay_ipam::show(client.store(), ip)) {
            Ok(shown) => {
                session.line(&shown.to_string())?;
                Ok(ExitCode::SUCCESS)
            }
            // COMPAT(ipam-show-errors): upstream says "is not assigned" when it could not read.
            Err(error) => session.fail(&format!("Error: {error}")),
        },
        IpamVerb::Release => match session.block_on(margay_ipam::release_address(client.store(), ip)) {
            Ok(Released::Released) => {
                session.line(&format!("Successfully released IP address {ip}"))?;
                Ok(ExitCode::SUCCESS)
            }
            Ok(Released::NotAssigned) => session.fail(&format!("IP address {ip} is not assigned")),
            Err(error) => session.fail(&format!("Error: {error}")),
        },
    }
}

/// The commands that only `margay` has.
pub(crate) fn task(session: &mut Session<'_, '_>, task: &IpamTask) -> io::Result<ExitCode> {
    let config = match task {
        IpamTask::Survey { config, .. }
        | IpamTask::ReleaseHandle { config, .. }
        | IpamTask::Check { config, .. } => config,
    };
    let client = match session.client(config) {
        Ok(client) => client,
        Err(error) => return session.no_client(error),
    };
    match task {
        IpamTask::Survey { blocks, hosts, handles, .. } => {
            let snapshot = match session.block_on(Snapshot::read(client.store())) {
                Ok(snapshot) => snapshot,
                Err(error) => return session.fail(&format!("Error: {error}")),
            };
            let mut parts = Vec::new();
            if *blocks || !(*hosts || *handles) {
                parts.push(survey::pools(&snapshot, *blocks));
            }
            if *hosts {
                parts.push(survey::hosts(&snapshot));
            }
            if *handles {
                parts.push(survey::handles(&snapshot));
            }
            session.invocation.stdout.write_all(parts.join("\n").as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        IpamTask::ReleaseHandle { handle, .. } => release_handle(session, &client, handle),
        IpamTask::Check { fix, dry_run, seconds, exit_code, .. } => {
            let grace = Duration::from_secs(u64::from(*seconds));
            let outcome = match (fix, dry_run) {
                (true, false) => repair_all(session, &client, grace),
                (true, true) => report(session, &client, true),
                (false, _) => report(session, &client, false),
            };
            outcome.map(|outcome| match outcome {
                Outcome::Sound => ExitCode::SUCCESS,
                Outcome::Wrong if *exit_code => ExitCode::FAILURE,
                Outcome::Wrong => ExitCode::SUCCESS,
                Outcome::Failed => ExitCode::FAILURE,
            })
        }
    }
}

/// What a check came to.
enum Outcome {
    Sound,
    Wrong,
    Failed,
}

fn release_handle(session: &mut Session<'_, '_>, client: &Store, handle: &str) -> io::Result<ExitCode> {
    match session.block_on(margay_ipam::release_by_handle(client.store(), handle, |_| true)) {
        Ok(Some(released)) => {
            for ip in released {
                session.line(&format!("Successfully released IP address {ip}"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok(None) => {
            session.hints(["`margay ipam show --by-handle` lists the handles".to_owned()])?;
            session.fail(&format!("There is no handle {handle}"))
        }
        Err(error) => session.fail(&format!("Error: {error}")),
    }
}

/// Prints what is wrong, with what a repair would do if that is asked for.
fn report(session: &mut Session<'_, '_>, client: &Store, with_remedy: bool) -> io::Result<Outcome> {
    let now = (session.invocation.now)();
    let findings = match session.block_on(margay_ipam::audit(client.store(), now)) {
        Ok(findings) => findings,
        Err(error) => return session.fail(&format!("Error: {error}")).map(|_| Outcome::Failed),
    };
    let mut remedies = 0;
    for finding in &findings {
        session.line(&finding.to_string())?;
        if with_remedy {
            match finding.remedy() {
                Some(remedy) => {
                    remedies += 1;
                    session.line(&format!("  would {remedy}"))?;
                }
                None => session.line("  needs a person to decide")?,
            }
        }
    }
    session.line(&format!("Check complete; found {} problems.", findings.len()))?;
    if with_remedy && remedies > 0 {
        session.hints([format!("`margay ipam check --fix` would repair {remedies} of them")])?;
    }
    Ok(if findings.is_empty() { Outcome::Sound } else { Outcome::Wrong })
}

/// Repairs what can be repaired. Upstream's plugins do not note when they assign, so what only looks leaked is looked at
/// again after a while: an ADD of theirs may be on its way.
fn repair_all(session: &mut Session<'_, '_>, client: &Store, grace: Duration) -> io::Result<Outcome> {
    let (store, now) = (client.store(), session.invocation.now);
    let found = session.block_on(async {
        let mut findings = margay_ipam::audit(store, now()).await?;
        if findings.iter().any(|finding| matches!(finding, Finding::Leaked { dated: false, .. })) {
            tokio::time::sleep(grace).await;
            let again = margay_ipam::audit(store, now()).await?;
            findings.retain(|finding| again.contains(finding));
        }
        Ok::<_, margay_ipam::Error>(findings)
    });
    let findings = match found {
        Ok(findings) => findings,
        Err(error) => return session.fail(&format!("Error: {error}")).map(|_| Outcome::Failed),
    };
    let (mut repaired, mut failed) = (0, false);
    for finding in &findings {
        session.line(&finding.to_string())?;
        let Some(remedy) = finding.remedy() else {
            session.line("  needs a person to decide")?;
            continue;
        };
        match session.block_on(margay_ipam::repair(store, finding)) {
            Ok(true) => {
                repaired += 1;
                session.line(&format!("  done: {remedy}"))?;
            }
            Ok(false) => {
                repaired += 1;
                session.line("  is right by now")?;
            }
            Err(error) => {
                failed = true;
                session.line(&format!("  failed: {remedy}: {}", error.to_string().trim_end()))?;
            }
        }
    }
    session.line(&format!("Check complete; found {} problems, repaired {repaired}.", findings.len()))?;
    Ok(match (failed, repaired == findings.len()) {
        (true, _) => Outcome::Failed,
        (false, true) => Outcome::Sound,
        (false, false) => Outcome::Wrong,
    })
}

#[cfg(test)]
mod tests;
